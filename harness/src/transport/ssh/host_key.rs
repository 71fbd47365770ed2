//! The key by which a machine proves which one it is.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};

/// A public host key, as it travels on the wire.
#[derive(Clone, PartialEq, Eq)]
pub struct HostKey {
    blob: Vec<u8>,
}

/// A text that is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("read a public key: it must look like `ssh-ed25519 AAAA…`")]
pub struct HostKeyError;

impl HostKey {
    /// Reads the line of a `.pub` file: `ssh-ed25519 AAAA… comment`.
    pub fn parse(line: &str) -> Result<Self, HostKeyError> {
        let mut words = line.split_ascii_whitespace();
        let (kind, text) = words.next().zip(words.next()).ok_or(HostKeyError)?;
        let key = Self::from_blob(STANDARD.decode(text).map_err(|_| HostKeyError)?);
        if key.kind() == kind { Ok(key) } else { Err(HostKeyError) }
    }

    pub(super) fn from_blob(blob: impl Into<Vec<u8>>) -> Self {
        Self { blob: blob.into() }
    }

    /// The key as it travels.
    pub(super) fn blob(&self) -> &[u8] {
        &self.blob
    }

    pub fn kind(&self) -> &str {
        let name = self.blob.split_first_chunk::<4>().and_then(|(length, rest)| {
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            std::str::from_utf8(rest.get(..length)?).ok()
        });
        // What a peer sends is shown to people: only what a type's name can be.
        let is_name = |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic());
        name.filter(is_name).unwrap_or("unknown")
    }

    /// The fingerprint that `ssh-keygen -l` prints: `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&self.blob)))
    }

    /// What ssh-keyscan and the names of host key files call the type: `ed25519`, `ecdsa`, `rsa`.
    pub fn family(&self) -> &'static str {
        match self.kind() {
            "ssh-ed25519" => "ed25519",
            "ssh-rsa" => "rsa",
            _ => "ecdsa",
        }
    }

    /// The names by which a client asks for a key of this type.
    fn algorithms(&self) -> Vec<&str> {
        match self.kind() {
            "ssh-rsa" => vec!["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"],
            kind => vec![kind],
        }
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostKey({} {})", self.kind(), self.fingerprint())
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), STANDARD.encode(&self.blob))
    }
}

/// What to ask a server for, the best first.
const PREFERRED: [&str; 6] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// The host key algorithms to ask for, those of known keys first: a server that has several keys must show the one
/// that can be checked, or it looks changed.
pub(super) fn preference<'a>(known: impl IntoIterator<Item = &'a HostKey>) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in known.into_iter().flat_map(HostKey::algorithms).chain(PREFERRED) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5a9gYN8yXYcWtGgrKq0YuMVbUZ3lvMzcOM1d0pUXkR me@here";

    #[test]
    fn a_fingerprint_is_the_one_that_ssh_keygen_prints() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), ED25519).unwrap();
        let output = std::process::Command::new("ssh-keygen").arg("-lf").arg(file.path()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            said.split(' ').nth(1),
            Some(HostKey::parse(ED25519).unwrap().fingerprint().as_str()),
            "{said}"
        );
    }

    #[test]
    fn a_key_is_written_as_it_was_read() {
        assert_eq!(format!("{} me@here", HostKey::parse(ED25519).unwrap()), ED25519);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let other_kind = ED25519.replacen("ssh-ed25519", "ssh-rsa", 1);
        for line in ["", "ssh-ed25519", "ssh-ed25519 ???", "AAAA", other_kind.as_str()] {
            assert_eq!(HostKey::parse(line), Err(HostKeyError), "{line}");
        }
    }

    #[test]
    fn a_hostile_type_is_not_shown() {
        let blob = [&[0, 0, 0, 3][..], b"\x1b[2", b"rest"].concat();
        assert_eq!(HostKey::from_blob(blob).kind(), "unknown");
        assert_eq!(HostKey::from_blob([255, 255, 255, 255, 1]).kind(), "unknown");
        assert_eq!(HostKey::from_blob([0, 0, 0, 0, 1]).kind(), "unknown");
    }

    #[test]
    fn known_types_are_asked_for_first() {
        assert!(preference([]).starts_with("ssh-ed25519,"));
        let rsa = HostKey::from_blob([&[0, 0, 0, 7][..], b"ssh-rsa"].concat());
        assert!(preference([&rsa]).starts_with("rsa-sha2-512,rsa-sha2-256,ssh-rsa,ssh-ed25519,"));
    }
}
