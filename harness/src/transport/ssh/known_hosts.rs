//! The files that say which host has which key: see "known hosts file format" in sshd(8).
//!
//! The lines are read by the ssh-key crate; whom a line is about, and what the lines together say about a key, is decided here.
//! libssh2 reads these files too, but knows no patterns and no `@revoked`, and cannot tell the line of an old key.

use std::io;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use ssh_key::known_hosts::{Entry as Parsed, HostPatterns, Marker};

use super::{HostKey, pattern};
use crate::transport::{KnownKey, TransportError};

/// A line about the host in question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) known: KnownKey,
    pub(super) says: Says,
}

/// What a line says of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// It is the host's.
    Its,
    /// It may have been the host's, and is trusted no more.
    Revoked,
    /// Whoever has a certificate by it is the host.
    Authority,
}

/// What the files say about a key that a host shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<'a> {
    Trusted,
    Revoked(&'a Entry),
    /// The host has other keys.
    Changed(&'a Entry),
    Unknown,
}

/// The lines about a host by one of its names (`host`, or `[host]:port`) in `files`; a file that is not there says nothing.
pub(super) fn entries(files: &[PathBuf], name: &str) -> Result<Vec<Entry>, TransportError> {
    let mut found = Vec::new();
    for file in files {
        match std::fs::read(file) {
            Ok(bytes) => found.extend(matching(file, &String::from_utf8_lossy(&bytes), name)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(TransportError::KnownHosts { path: file.clone(), source }),
        }
    }
    Ok(found)
}

/// The keys of `RevokedHostKeys`: whoever shows one is refused, and so is everyone where a file cannot be read.
pub(super) fn revoked(files: &[PathBuf]) -> Result<Vec<Entry>, TransportError> {
    let mut found = Vec::new();
    for file in files {
        let failed = |source| TransportError::KnownHosts { path: file.clone(), source };
        let bytes = std::fs::read(file).map_err(failed)?;
        if bytes.starts_with(b"SSHKRL\n\0") {
            let reason =
                "it is a binary list (KRL), which is not read here; list the keys themselves, one a line";
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, reason)));
        }
        let text = String::from_utf8_lossy(&bytes);
        found.extend(text.lines().enumerate().filter_map(|(index, line)| {
            let key = HostKey::parse(line).ok()?;
            let known = KnownKey { file: file.clone(), line: index + 1, key, name: String::new() };
            Some(Entry { known, says: Says::Revoked })
        }));
    }
    Ok(found)
}

/// Compares a key that a host shows with the lines about it.
pub(super) fn judge<'a>(entries: &'a [Entry], shown: &HostKey) -> Verdict<'a> {
    let that_say = |says: Says| entries.iter().filter(move |entry| entry.says == says);
    if let Some(entry) = that_say(Says::Revoked).find(|entry| entry.known.key == *shown) {
        return Verdict::Revoked(entry);
    }
    if that_say(Says::Its).any(|entry| entry.known.key == *shown) {
        return Verdict::Trusted;
    }
    // The line to show is the one of the same type, where there is one.
    let of_same_type = that_say(Says::Its).find(|entry| entry.known.key.kind() == shown.kind());
    of_same_type.or_else(|| that_say(Says::Its).next()).map_or(Verdict::Unknown, Verdict::Changed)
}

fn matching(file: &Path, text: &str, name: &str) -> Vec<Entry> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        // The crate takes one blank between the fields, OpenSSH any number of blanks and tabs.
        let line = Vec::from_iter(line.split_ascii_whitespace()).join(" ");
        if line.starts_with('#') {
            continue;
        }
        let Ok(parsed) = line.parse::<Parsed>() else { continue };
        let Ok(blob) = parsed.public_key().to_bytes() else { continue };
        if is_about(parsed.host_patterns(), name) {
            let says = match parsed.marker() {
                None => Says::Its,
                Some(Marker::Revoked) => Says::Revoked,
                Some(Marker::CertAuthority) => Says::Authority,
            };
            let (key, name) = (HostKey::from_blob(blob), name.to_owned());
            let known = KnownKey { file: file.to_owned(), line: index + 1, key, name };
            found.push(Entry { known, says });
        }
    }
    found
}

fn is_about(hosts: &HostPatterns, name: &str) -> bool {
    match hosts {
        HostPatterns::Patterns(patterns) => {
            let patterns = Vec::from_iter(patterns.iter().map(|pattern| pattern.to_lowercase()));
            pattern::any(patterns.iter().map(String::as_str), name)
        }
        HostPatterns::HashedName { salt, hash } => Hmac::<Sha1>::new_from_slice(salt).is_ok_and(|mut mac| {
            mac.update(name.as_bytes());
            mac.verify_slice(hash).is_ok()
        }),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5a9gYN8yXYcWtGgrKq0YuMVbUZ3lvMzcOM1d0pUXkR";
    const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ3l1n5HxT8m0u2Cq7sT0m1gq0v3c9b8J2dZ4r5t6y7";

    fn lines(text: &str, name: &str) -> Vec<usize> {
        matching(Path::new("file"), text, name).iter().map(|entry| entry.known.line).collect()
    }

    #[test]
    fn a_host_is_found_by_name_pattern_and_port_and_not_by_others() {
        let text = format!(
            "# comment {A}\n\ngpu,10.0.0.1 {A}\n*.lan,!bad.lan {A}\n  [gpu]:2222\t{A} comment\nGPU? {A}\n@cert-authority gpu {A}\n\
             gpu ssh-ed25519 broken\n@odd gpu {A}\n"
        );
        for (name, expected) in [
            ("gpu", vec![3, 7]),
            ("10.0.0.1", vec![3]),
            ("good.lan", vec![4]),
            ("bad.lan", vec![]),
            ("[gpu]:2222", vec![5]),
            ("[gpu]:22", vec![]),
            ("gpu7", vec![6]),
            ("xgpu", vec![]),
        ] {
            assert_eq!(lines(&text, name), expected, "{name}");
        }
    }

    #[test]
    fn keys_of_each_kind_are_read() {
        let folder = tempfile::tempdir().unwrap();
        for (kind, bits) in
            [("ed25519", "256"), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521"), ("rsa", "2048")]
        {
            let file = folder.path().join(format!("{kind}{bits}"));
            let mut keygen = std::process::Command::new("ssh-keygen");
            keygen.args(["-q", "-N", "", "-t", kind, "-b", bits, "-f"]).arg(&file);
            assert!(keygen.status().unwrap().success());
            let public = std::fs::read_to_string(file.with_extension("pub")).unwrap();
            let found = matching(Path::new("file"), &format!("gpu {public}"), "gpu");
            assert_eq!(found[0].known.key, HostKey::parse(&public).unwrap(), "{kind} {bits}");
        }
    }

    #[test]
    fn a_name_that_ssh_keygen_hashed_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known_hosts");
        std::fs::write(&file, format!("gpu {A}\n[10.0.0.1]:2222 {B}\n")).unwrap();
        let hashing = std::process::Command::new("ssh-keygen").arg("-Hf").arg(&file).output().unwrap();
        assert!(hashing.status.success(), "{hashing:?}");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("|1|"), "{text}");
        assert_eq!((lines(&text, "gpu"), lines(&text, "[10.0.0.1]:2222")), (vec![1], vec![2]));
        assert_eq!(lines(&text, "10.0.0.1"), Vec::<usize>::new());
    }

    #[test]
    fn every_verdict_is_reached() {
        let (a, b) = (HostKey::parse(A).unwrap(), HostKey::parse(B).unwrap());
        let entries = |text: &str| matching(Path::new("file"), text, "gpu");
        assert_eq!(judge(&entries(""), &a), Verdict::Unknown);
        assert_eq!(judge(&entries(&format!("gpu {B}\ngpu {A}")), &a), Verdict::Trusted);
        let revoked = entries(&format!("gpu {A}\n@revoked * {A}"));
        assert_eq!(judge(&revoked, &a), Verdict::Revoked(&revoked[1]));
        assert_eq!(judge(&revoked, &b), Verdict::Changed(&revoked[0]));
        assert_eq!(judge(&entries(&format!("@revoked gpu {B}")), &a), Verdict::Unknown);
        let authority = entries(&format!("@cert-authority *,!other {A}"));
        assert_eq!(authority[0].says, Says::Authority);
        assert_eq!(judge(&authority, &a), Verdict::Unknown, "an authority's key is no host's");
    }

    #[test]
    fn a_changed_key_points_at_the_line_of_its_own_type() {
        let rsa = "ssh-rsa ".to_owned()
            + &STANDARD
                .encode([&[0, 0, 0, 7][..], b"ssh-rsa", &[0, 0, 0, 1, 3, 0, 0, 0, 2, 0, 0xc1]].concat());
        let entries = matching(Path::new("file"), &format!("gpu {rsa}\ngpu {A}"), "gpu");
        assert_eq!(entries.len(), 2);
        assert_eq!(judge(&entries, &HostKey::parse(B).unwrap()), Verdict::Changed(&entries[1]));
    }

    #[test]
    fn a_list_of_revoked_keys_is_read_and_one_that_cannot_be_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (list, krl) = (folder.path().join("list"), folder.path().join("krl"));
        std::fs::write(&list, format!("# gone\n{A} old\n")).unwrap();
        std::fs::write(&krl, b"SSHKRL\n\0\0\0\0\x01").unwrap();
        let read = revoked(&[list]).unwrap();
        assert_eq!((read[0].known.line, read[0].says), (2, Says::Revoked));
        assert!(revoked(&[krl]).is_err());
        assert!(revoked(&[folder.path().join("none")]).is_err());
    }
}
