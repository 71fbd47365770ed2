//! What a file of the user's says about a key: which key it is, and whether its private half can be used.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ssh_key::PrivateKey;

use super::HostKey;
use super::certificate::Certificate;

/// A file that the configuration names as a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyFile {
    pub(super) path: PathBuf,
    /// The key's public half, where the file or the `.pub` beside it tells.
    pub(super) public: Option<Vec<u8>>,
    pub(super) state: State,
}

/// Whether a file's private half can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Private,
    /// There is no such file.
    Missing,
    /// It holds the public half alone.
    Public,
    /// A passphrase is needed.
    Encrypted,
    /// The private half is in a device.
    Device,
    /// It cannot be read.
    Unreadable(String),
}

impl KeyFile {
    pub(super) fn read(path: &Path) -> Self {
        let beside = || {
            let text = std::fs::read_to_string(with_ending(path, ".pub")).ok()?;
            public_half(&text)
        };
        let (state, public) = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (State::Missing, beside()),
            Err(error) => (State::Unreadable(error.to_string()), beside()),
            Ok(text) => match public_half(&text) {
                Some(public) => (State::Public, Some(public)),
                None => (private_state(&text), beside().or_else(|| public_of_private(&text))),
            },
        };
        let is_device =
            public.as_ref().is_some_and(|blob| HostKey::from_blob(blob.as_slice()).kind().starts_with("sk-"));
        let state = if is_device && state == State::Private { State::Device } else { state };
        Self { path: path.to_owned(), public, state }
    }

    /// Why its private half cannot be used; `None` where it can.
    pub(super) fn obstacle(&self) -> Option<String> {
        let path = self.path.display();
        match &self.state {
            State::Private => None,
            State::Missing if self.public.is_some() => {
                Some("is not there (its public half is), and no agent has it".to_owned())
            }
            State::Missing => Some("is not there".to_owned()),
            State::Public => Some(
                "holds the public half alone, and no agent has the private one: load it with `ssh-add`"
                    .to_owned(),
            ),
            State::Encrypted => {
                Some(format!("is protected by a passphrase; load it into an agent with `ssh-add {path}`"))
            }
            State::Device => {
                Some(format!("is in a security key, which works by an agent alone: `ssh-add {path}`"))
            }
            State::Unreadable(error) => Some(format!("cannot be read: {error}")),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CertificateFile {
    pub(super) path: PathBuf,
    pub(super) blob: Vec<u8>,
    /// The public half of the key that it is for.
    pub(super) of: Vec<u8>,
}

impl CertificateFile {
    /// Reads a certificate; says why it is none.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
        let shown = HostKey::parse(&text).map_err(|_| "is no certificate".to_owned())?;
        let certificate = Certificate::parse(shown.blob()).ok_or("is no certificate")?;
        Ok(Self { path: path.to_owned(), blob: shown.blob().to_owned(), of: certificate.key })
    }

    /// The one that belongs to a key file by its name.
    pub(super) fn beside(key: &Path) -> Option<Self> {
        Self::read(&with_ending(key, "-cert.pub")).ok()
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn public_half(text: &str) -> Option<Vec<u8>> {
    let line = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#'))?;
    HostKey::parse(line).ok().map(|key| key.blob().to_owned())
}

/// OpenSSH's own format tells the public half also where the private one is encrypted; the older ones do not.
fn public_of_private(text: &str) -> Option<Vec<u8>> {
    PrivateKey::from_openssh(text).ok()?.public_key().to_bytes().ok()
}

/// libssh2 would only say that it cannot read a key that is encrypted.
fn private_state(text: &str) -> State {
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return State::Encrypted;
    }
    let body: String = text
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN OPENSSH PRIVATE KEY"))
        .skip(1)
        .take_while(|line| !line.starts_with('-'))
        .collect();
    let Ok(bytes) = STANDARD.decode(body) else { return State::Private };
    // The cipher's name follows the magic bytes.
    let cipher = bytes.strip_prefix(b"openssh-key-v1\0").and_then(|rest| rest.get(4..8));
    if cipher.is_some_and(|cipher| cipher != b"none") { State::Encrypted } else { State::Private }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keygen(arguments: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let output =
            std::process::Command::new("ssh-keygen").args(["-q", "-f"]).arg(&file).args(arguments).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
        (folder, file)
    }

    #[test]
    fn a_passphrase_is_noticed_in_each_format_and_only_there() {
        for (arguments, state) in [
            (&["-t", "ed25519", "-N", ""][..], State::Private),
            (&["-t", "ed25519", "-N", "secret"], State::Encrypted),
            (&["-t", "ecdsa", "-m", "PEM", "-N", "secret"], State::Encrypted),
            (&["-t", "ecdsa", "-m", "PKCS8", "-N", "secret"], State::Encrypted),
            (&["-t", "ecdsa", "-m", "PEM", "-N", ""], State::Private),
        ] {
            let (_folder, file) = keygen(arguments);
            let read = KeyFile::read(&file);
            assert_eq!(read.state, state, "{arguments:?}");
            assert!(read.public.is_some());
        }
    }

    #[test]
    fn a_key_is_known_by_its_public_half_wherever_that_stands() {
        for kind in ["ed25519", "ecdsa", "rsa"] {
            let (_folder, file) = keygen(&["-t", kind, "-N", "secret"]);
            let public = with_ending(&file, ".pub");
            let expected = KeyFile::read(&file).public;
            assert!(expected.is_some(), "{kind}");
            assert_eq!(
                KeyFile::read(&public),
                KeyFile { path: public.clone(), public: expected.clone(), state: State::Public }
            );
            std::fs::remove_file(&public).unwrap();
            assert_eq!(KeyFile::read(&file).public, expected, "{kind}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_told() {
        let (folder, file) = keygen(&["-t", "ed25519", "-N", ""]);
        assert_eq!(CertificateFile::read(&with_ending(&file, ".pub")).unwrap_err(), "is no certificate");
        assert!(
            CertificateFile::read(&folder.path().join("none")).unwrap_err().starts_with("cannot be read: ")
        );
    }
}
