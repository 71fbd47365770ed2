//! The files that say which host has which key: see "known hosts file format" in sshd(8).
//!
//! libssh2 reads these files too, but knows no patterns and no `@revoked`, and cannot tell the line of an old key.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use super::HostKey;
use crate::transport::{KnownKey, TransportError};

/// A line about the host in question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) known: KnownKey,
    pub(super) revoked: bool,
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

/// The lines about `name` (`host`, or `[host]:port`) in `files`; a file that is not there says nothing.
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

/// Compares a key that a host shows with the lines about it.
pub(super) fn judge<'a>(entries: &'a [Entry], shown: &HostKey) -> Verdict<'a> {
    let same = |entry: &&Entry| entry.known.key == *shown;
    if let Some(entry) = entries.iter().filter(same).find(|entry| entry.revoked) {
        return Verdict::Revoked(entry);
    }
    let mut valid = entries.iter().filter(|entry| !entry.revoked);
    if valid.clone().any(|entry| same(&entry)) {
        return Verdict::Trusted;
    }
    // The line to show is the one of the same type, where there is one.
    let of_same_type = valid.clone().find(|entry| entry.known.key.kind() == shown.kind());
    of_same_type.or_else(|| valid.next()).map_or(Verdict::Unknown, Verdict::Changed)
}

fn matching(file: &Path, text: &str, name: &str) -> Vec<Entry> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut line = line.trim_start();
        let mut revoked = false;
        if let Some(marked) = line.strip_prefix('@') {
            let Some((marker, rest)) = marked.split_once([' ', '\t']) else { continue };
            // Certificates are not asked for, so that a certificate authority says nothing here.
            if marker != "revoked" {
                continue;
            }
            (revoked, line) = (true, rest.trim_start());
        }
        let Some((hosts, key)) = line.split_once([' ', '\t']).filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let Ok(key) = HostKey::parse(key) else { continue };
        if names(hosts, name) {
            found.push(Entry { known: KnownKey { file: file.to_owned(), line: index + 1, key }, revoked });
        }
    }
    found
}

/// Whether a line's first field is about `name`.
fn names(hosts: &str, name: &str) -> bool {
    if let Some(hashed) = hosts.strip_prefix("|1|") {
        return hash_is(hashed, name).unwrap_or(false);
    }
    let mut matched = false;
    for pattern in hosts.split(',') {
        match pattern.strip_prefix('!') {
            Some(negated) if glob(negated.to_lowercase().as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => matched |= glob(pattern.to_lowercase().as_bytes(), name.as_bytes()),
        }
    }
    matched
}

fn hash_is(salt_and_hash: &str, name: &str) -> Option<bool> {
    let (salt, hash) = salt_and_hash.split_once('|')?;
    let mut mac = Hmac::<Sha1>::new_from_slice(&STANDARD.decode(salt).ok()?).ok()?;
    mac.update(name.as_bytes());
    Some(mac.verify_slice(&STANDARD.decode(hash).ok()?).is_ok())
}

/// Whether `text` is what `pattern` stands for: `*` for anything, `?` for any one byte.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    // After a mismatch, let the last star swallow one byte more.
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, swallowed)) => {
                    (p, t) = (at + 1, swallowed + 1);
                    star = Some((at, swallowed + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5a9gYN8yXYcWtGgrKq0YuMVbUZ3lvMzcOM1d0pUXkR";
    const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ3l1n5HxT8m0u2Cq7sT0m1gq0v3c9b8J2dZ4r5t6y7";

    fn lines(text: &str, name: &str) -> Vec<usize> {
        matching(Path::new("file"), text, name).iter().map(|entry| entry.known.line).collect()
    }

    #[test]
    fn a_host_is_found_by_name_pattern_and_port_and_not_by_others() {
        let text = format!(
            "# comment {A}\n\ngpu,10.0.0.1 {A}\n*.lan,!bad.lan {A}\n[gpu]:2222 {A} comment\nGPU? {A}\n@cert-authority gpu {A}\n\
             gpu ssh-ed25519 broken\n"
        );
        for (name, expected) in [
            ("gpu", vec![3]),
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
    }

    #[test]
    fn a_changed_key_points_at_the_line_of_its_own_type() {
        let rsa = format!("ssh-rsa {}", STANDARD.encode([&[0, 0, 0, 7][..], b"ssh-rsa"].concat()));
        let entries = matching(Path::new("file"), &format!("gpu {rsa}\ngpu {A}"), "gpu");
        assert_eq!(judge(&entries, &HostKey::parse(B).unwrap()), Verdict::Changed(&entries[1]));
    }

    #[test]
    fn a_star_may_stand_for_nothing_and_for_much() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b", "abX", false),
            ("?", "", false),
        ] {
            assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }
}
