//! The two keys of a run: the one we log in with, and the one by which the node proves which machine it is.
//!
//! Both are made anew for every node and live in this process's memory. The public half of ours and the whole of the
//! node's go into its user data; so its host key is known before it boots, and no key pair is left behind in EC2.

use std::fmt;

use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, LineEnding, PrivateKey, PublicKey};
use zeroize::Zeroizing;

use crate::transport::{ClientKey, HostKey};

/// No key could be made.
#[derive(Debug, thiserror::Error)]
#[error("make or read an ed25519 key")]
pub struct KeyError(#[from] ssh_key::Error);

/// An ed25519 key; its private half is overwritten when it is dropped and shown by nothing but [`Self::private_pem`].
pub struct KeyPair {
    private: Zeroizing<String>,
    public: String,
}

impl KeyPair {
    /// A new key of the system's randomness.
    pub fn new(comment: &str) -> Result<Self, KeyError> {
        let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519)?;
        key.set_comment(comment);
        let private = key.to_openssh(LineEnding::LF)?;
        Ok(Self { private: Zeroizing::new(private.to_string()), public: key.public_key().to_openssh()? })
    }

    /// The private half as OpenSSH writes it to a file.
    pub fn private_pem(&self) -> &str {
        &self.private
    }

    /// The line of a `.pub` file, and of `authorized_keys`.
    pub fn public_line(&self) -> &str {
        &self.public
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("public", &self.public).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub struct NodeKeys {
    /// What we log in with.
    pub client: KeyPair,
    /// What the node proves itself with.
    pub host: KeyPair,
}

impl NodeKeys {
    pub fn new() -> Result<Self, KeyError> {
        Ok(Self { client: KeyPair::new("gpu-harness")?, host: KeyPair::new("gpu-harness-node")? })
    }

    /// The keys of a node that runs already, from our private half and its public one. Its private half is with nobody
    /// but the node.
    pub fn of_running(client_pem: &str, host_line: &str) -> Result<Self, KeyError> {
        let client = KeyPair {
            private: Zeroizing::new(client_pem.to_owned()),
            public: PrivateKey::from_openssh(client_pem)?.public_key().to_openssh()?,
        };
        let host = KeyPair {
            private: Zeroizing::default(),
            public: PublicKey::from_openssh(host_line)?.to_openssh()?,
        };
        Ok(Self { client, host })
    }

    /// What to log in with.
    pub fn client_key(&self) -> ClientKey {
        ClientKey::new(self.client.private.clone(), "the key that was made for this node")
    }

    /// The only host key to accept.
    pub fn pinned(&self) -> HostKey {
        HostKey::parse(self.host.public_line()).expect("a public key that was just written")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_keys_of_its_own_which_nothing_shows() {
        let (one, other) = (NodeKeys::new().unwrap(), NodeKeys::new().unwrap());
        let lines = [&one.client, &one.host, &other.client, &other.host].map(KeyPair::public_line);
        assert_eq!(std::collections::BTreeSet::from(lines).len(), 4);
        let secret = one.client.private_pem().lines().nth(2).unwrap();
        let shown = format!("{one:?} {:?}", one.client_key());
        assert!(!shown.contains(secret) && !shown.contains("PRIVATE"), "{shown}");
    }

    #[test]
    fn a_running_nodes_keys_are_our_private_and_its_public_half() {
        let keys = NodeKeys::new().unwrap();
        let same = NodeKeys::of_running(keys.client.private_pem(), keys.host.public_line()).unwrap();
        assert_eq!(same.pinned(), keys.pinned());
        assert_eq!(same.client.public_line(), keys.client.public_line());
        assert!(NodeKeys::of_running("no key", keys.host.public_line()).is_err());
        assert!(NodeKeys::of_running(keys.client.private_pem(), "no key").is_err());
    }

    #[test]
    fn openssh_reads_the_private_half_and_finds_the_public_half_in_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let keys = NodeKeys::new().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), keys.host.private_pem()).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
        let output = std::process::Command::new("ssh-keygen").arg("-yf").arg(file.path()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said.trim_end(), keys.host.public_line(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(HostKey::parse(&said).unwrap(), keys.pinned());
    }
}
