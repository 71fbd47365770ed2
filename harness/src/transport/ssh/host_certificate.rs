//! A host's key with an authority's word for it, where `known_hosts` trusts the authority (`@cert-authority`).
//!
//! libssh2 has proved that the host owns the key; what the certificate says of the key is judged here, as OpenSSH judges it
//! (`sshkey_cert_check_host`).

use std::time::SystemTime;

use super::certificate::Certificate;
use super::known_hosts::{Entry, Says};
use super::{HostKey, pattern};

/// What to ask a host for that is known by an authority alone.
pub(super) const ALGORITHMS: [&str; 6] = [
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
];

/// Whether a certificate is a trusted authority's word for the host of this name; else why it is not.
pub(super) fn check(shown: &HostKey, host: &str, entries: &[Entry], now: SystemTime) -> Result<(), String> {
    let certificate = Certificate::parse(shown.blob()).ok_or("it cannot be read")?;
    let listed = |says: Says, blob: &[u8]| {
        entries.iter().find(|entry| entry.says == says && entry.known.key.blob() == blob)
    };
    let revoked =
        [&certificate.authority, &certificate.key].into_iter().find_map(|blob| listed(Says::Revoked, blob));
    if let Some(entry) = revoked {
        return Err(format!("its key, or its authority's, is revoked in {}", entry.known));
    }
    if listed(Says::Authority, &certificate.authority).is_none() {
        let print = HostKey::from_blob(certificate.authority).fingerprint();
        return Err(format!("it is by the authority {print}, which is not trusted for this host"));
    }
    match certificate.is_signed() {
        Some(true) => {}
        Some(false) => return Err("its signature is wrong".to_owned()),
        None => {
            return Err(
                "its authority's key is not an ed25519 key, and only those are checked here".to_owned()
            );
        }
    }
    if !certificate.is_hosts {
        return Err("it is a user's, and not a host's".to_owned());
    }
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if !certificate.valid.contains(&seconds) {
        return Err("it is not valid now (this machine's clock may be wrong)".to_owned());
    }
    if certificate.is_conditional {
        return Err("it has conditions that nobody knows (critical options)".to_owned());
    }
    if !certificate.principals.iter().any(|principal| pattern::matches(principal, host)) {
        let names = certificate.principals.join(", ");
        let names: String = names.chars().filter(|c| !c.is_control()).take(200).collect();
        return Err(format!("it is for other hosts ({names})"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::transport::KnownKey;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn keygen(&self, arguments: &[&str]) {
            let output =
                Command::new("ssh-keygen").arg("-q").args(arguments).current_dir(self.0.path()).output();
            let output = output.unwrap();
            assert!(output.status.success(), "{output:?}");
        }

        fn key(&self, name: &str) -> HostKey {
            HostKey::parse(&std::fs::read_to_string(self.0.path().join(name)).unwrap()).unwrap()
        }
    }

    fn entry(says: Says, key: HostKey) -> Entry {
        Entry { known: KnownKey { file: Path::new("file").into(), line: 1, key, name: "gpu".into() }, says }
    }

    /// What comes of the certificate that these arguments make, for the host `gpu.lab`.
    fn judged(arguments: &[&str], entries: impl Fn(&Folder) -> Vec<Entry>) -> Result<(), String> {
        let folder = Folder(tempfile::tempdir().unwrap());
        for (name, kind) in [("ca", "ed25519"), ("rsa", "rsa"), ("host", "ed25519")] {
            folder.keygen(&["-t", kind, "-N", "", "-f", name]);
        }
        folder.keygen(&[&["-I", "rig"], arguments, &["host.pub"]].concat());
        check(&folder.key("host-cert.pub"), "gpu.lab", &entries(&folder), SystemTime::now())
    }

    fn trusting(folder: &Folder) -> Vec<Entry> {
        vec![entry(Says::Authority, folder.key("ca.pub")), entry(Says::Authority, folder.key("rsa.pub"))]
    }

    #[test]
    fn only_a_trusted_authoritys_word_for_this_very_host_holds() {
        let says = |arguments: &[&str]| judged(arguments, trusting).unwrap_err();
        assert_eq!(judged(&["-s", "ca", "-h", "-n", "cpu,gpu.lab"], trusting), Ok(()));
        assert_eq!(judged(&["-s", "ca", "-h", "-n", "*.lab", "-V", "-1d:+1d"], trusting), Ok(()));
        assert_eq!(says(&["-s", "ca", "-h", "-n", "cpu.lab"]), "it is for other hosts (cpu.lab)");
        assert_eq!(says(&["-s", "ca", "-h"]), "it is for other hosts ()");
        assert_eq!(says(&["-s", "ca", "-n", "gpu.lab"]), "it is a user's, and not a host's");
        for times in ["-2d:-1d", "+1d:+2d"] {
            let said = says(&["-s", "ca", "-h", "-n", "gpu.lab", "-V", times]);
            assert_eq!(said, "it is not valid now (this machine's clock may be wrong)");
        }
        assert!(
            says(&["-s", "rsa", "-h", "-n", "gpu.lab"])
                .starts_with("its authority's key is not an ed25519 key")
        );
        let stranger = judged(&["-s", "ca", "-h", "-n", "gpu.lab"], |_| Vec::new()).unwrap_err();
        assert!(stranger.contains("which is not trusted for this host"), "{stranger}");
        for revoked in ["ca.pub", "host.pub"] {
            let entries = |folder: &Folder| {
                let revoked = entry(Says::Revoked, folder.key(revoked));
                [trusting(folder), vec![revoked]].concat()
            };
            let said = judged(&["-s", "ca", "-h", "-n", "gpu.lab"], entries).unwrap_err();
            assert_eq!(said, "its key, or its authority's, is revoked in file:1");
        }
    }

    #[test]
    fn a_certificate_that_was_changed_is_refused() {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.keygen(&["-t", "ed25519", "-N", "", "-f", "ca"]);
        folder.keygen(&["-t", "ed25519", "-N", "", "-f", "host"]);
        folder.keygen(&["-I", "rig", "-s", "ca", "-h", "-n", "gpu.bad", "host.pub"]);
        let shown = folder.key("host-cert.pub");
        let mut blob = shown.blob().to_owned();
        let at = blob.windows(7).position(|window| window == b"gpu.bad").unwrap();
        blob[at..at + 7].copy_from_slice(b"gpu.lab");
        let now = SystemTime::now() + Duration::from_secs(1);
        let said = check(&HostKey::from_blob(blob), "gpu.lab", &trusting_only(&folder), now).unwrap_err();
        assert_eq!(said, "its signature is wrong");
    }

    fn trusting_only(folder: &Folder) -> Vec<Entry> {
        vec![entry(Says::Authority, folder.key("ca.pub"))]
    }
}
