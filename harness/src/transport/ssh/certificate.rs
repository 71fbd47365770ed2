//! OpenSSH's certificates (PROTOCOL.certkeys): a key with what an authority says of it.
//!
//! Read here, as the ssh-key crate takes none that is valid for ever, which is what ssh-keygen makes where it is told nothing.

use std::ops::Range;

use signature::Verifier as _;
use ssh_key::public::KeyData;
use ssh_key::{PublicKey, Signature};

/// The end of each certificate's type.
const ENDING: &str = "-cert-v01@openssh.com";

/// A certificate, with a signature that was not looked at yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    /// The public key that it is about, as that travels.
    pub(super) key: Vec<u8>,
    pub(super) is_hosts: bool,
    /// Whom it is for.
    pub(super) principals: Vec<String>,
    /// When it holds, in seconds since 1970.
    pub(super) valid: Range<u64>,
    /// It holds under conditions.
    pub(super) is_conditional: bool,
    pub(super) authority: Vec<u8>,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

/// Whether a key's type is that of a certificate.
pub(super) fn is_type(kind: &str) -> bool {
    kind.ends_with(ENDING)
}

impl Certificate {
    /// Reads a certificate as it travels; `None` where it is none.
    pub(super) fn parse(blob: &[u8]) -> Option<Self> {
        let mut rest = Rest(blob);
        let kind = std::str::from_utf8(rest.string()?).ok()?.strip_suffix(ENDING)?;
        let _nonce = rest.string()?;
        let fields = match kind {
            "ssh-ed25519" => 1,
            "ssh-rsa" | "ecdsa-sha2-nistp256" | "ecdsa-sha2-nistp384" | "ecdsa-sha2-nistp521" => 2,
            _ => return None,
        };
        let before = rest.0;
        for _ in 0..fields {
            rest.string()?;
        }
        let of_key = &before[..before.len() - rest.0.len()];
        let key = [&string(kind.as_bytes())?[..], of_key].concat();
        let _serial = rest.number()?;
        let is_hosts = match rest.small()? {
            1 => false,
            2 => true,
            _ => return None,
        };
        let _key_id = rest.string()?;
        let mut names = Rest(rest.string()?);
        let mut principals = Vec::new();
        while !names.0.is_empty() {
            principals.push(String::from_utf8(names.string()?.to_vec()).ok()?);
        }
        let valid = rest.number()?..rest.number()?;
        let is_conditional = !rest.string()?.is_empty();
        let (_extensions, _reserved) = (rest.string()?, rest.string()?);
        let authority = rest.string()?.to_vec();
        let signed = blob[..blob.len() - rest.0.len()].to_vec();
        let signature = rest.string()?.to_vec();
        let whole = rest.0.is_empty();
        whole.then_some(Self {
            key,
            is_hosts,
            principals,
            valid,
            is_conditional,
            authority,
            signed,
            signature,
        })
    }

    /// Whether the authority's signature is its own; `None` for authorities whose signatures cannot be checked here.
    pub(super) fn is_signed(&self) -> Option<bool> {
        let authority = PublicKey::from_bytes(&self.authority).ok()?;
        let KeyData::Ed25519(key) = authority.key_data() else { return None };
        let Ok(signature) = Signature::try_from(self.signature.as_slice()) else { return Some(false) };
        Some(KeyData::Ed25519(*key).verify(&self.signed, &signature).is_ok())
    }
}

/// A string as it travels.
fn string(text: &[u8]) -> Option<Vec<u8>> {
    Some([&u32::try_from(text.len()).ok()?.to_be_bytes()[..], text].concat())
}

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.small()?).ok()?;
        let (string, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(string)
    }

    fn small(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    fn number(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::HostKey;

    fn made(kind: &str) -> (HostKey, HostKey) {
        let folder = tempfile::tempdir().unwrap();
        for arguments in [
            &["-t", "ed25519", "-N", "", "-f", "ca"][..],
            &["-t", kind, "-N", "", "-f", "key"],
            &["-s", "ca", "-I", "rig", "-h", "-n", "a,b", "key.pub"],
        ] {
            let mut keygen = std::process::Command::new("ssh-keygen");
            let output = keygen.arg("-q").args(arguments).current_dir(folder.path()).output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        let read =
            |name: &str| HostKey::parse(&std::fs::read_to_string(folder.path().join(name)).unwrap()).unwrap();
        (read("key.pub"), read("key-cert.pub"))
    }

    #[test]
    fn a_certificate_of_each_kind_is_read_as_ssh_keygen_wrote_it() {
        for kind in ["ed25519", "ecdsa", "rsa"] {
            let (key, certificate) = made(kind);
            assert!(is_type(certificate.kind()) && !is_type(key.kind()));
            let read = Certificate::parse(certificate.blob()).unwrap();
            assert_eq!(read.key, key.blob(), "{kind}");
            assert_eq!(
                (read.principals.as_slice(), read.valid.clone()),
                (&["a".to_owned(), "b".to_owned()][..], 0..u64::MAX)
            );
            assert!(read.is_hosts && !read.is_conditional);
            assert_eq!(read.is_signed(), Some(true), "{kind}");
        }
    }

    #[test]
    fn whatever_is_cut_off_or_put_behind_makes_it_none() {
        let (_, certificate) = made("ed25519");
        let blob = certificate.blob();
        for length in 0..blob.len() {
            assert_eq!(Certificate::parse(&blob[..length]), None, "{length}");
        }
        assert_eq!(Certificate::parse(&[blob, &[0]].concat()), None);
    }
}
