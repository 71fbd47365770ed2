//! Which keys are shown to a server, and in which order: OpenSSH's (`pubkey_prepare` in its sshconnect2.c).
//!
//! A server hangs up after a few keys that it does not want, so the order decides who gets in.

use std::path::PathBuf;

use super::key_file::{CertificateFile, KeyFile, State};
use crate::transport::TriedKey;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Candidate {
    /// The agent's key of this index.
    Agent(usize),
    /// A key file, with the certificate to show in place of its public half.
    File { private: PathBuf, certificate: Option<PathBuf> },
    /// A key that is named and cannot be used.
    Unusable(TriedKey),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AgentKey {
    pub(super) blob: Vec<u8>,
    pub(super) comment: String,
}

impl AgentKey {
    /// libssh2 has an agent sign for such a one by SHA-1 alone (its `agent_sign` knows the names of plain keys), which no
    /// server takes any more.
    fn is_rsa_certificate(&self) -> bool {
        self.blob.get(4..).is_some_and(|rest| rest.starts_with(b"ssh-rsa-cert-v01@openssh.com"))
    }
}

/// Everything that may be shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    /// The one that gpu-harness.yaml names: first, as it is the user's word about this very node.
    pub(super) named: Option<KeyFile>,
    /// Those of the configuration, or the usual ones.
    pub(super) files: Vec<KeyFile>,
    /// `CertificateFile`, or why one is none.
    pub(super) certificates: Vec<Result<CertificateFile, TriedKey>>,
    /// The certificate that belongs to each key by its name, where the configuration names none.
    pub(super) beside: Vec<CertificateFile>,
    pub(super) agent: Vec<AgentKey>,
    /// `IdentitiesOnly`: the agent's other keys are kept back.
    pub(super) only: bool,
}

impl Keys {
    /// The order in which they are shown.
    pub(super) fn order(&self) -> Vec<Candidate> {
        let mut order = Vec::new();
        let mut put = |candidate: Candidate| {
            if !order.contains(&candidate) {
                order.push(candidate);
            }
        };
        if let Some(named) = &self.named {
            put(self.key(named));
            self.beside_of(named)
                .map(|certificate| self.certified(certificate))
                .into_iter()
                .for_each(&mut put);
        }
        for certificate in &self.certificates {
            put(match certificate {
                Ok(certificate) => self.certified(certificate),
                Err(why) => Candidate::Unusable(why.clone()),
            });
        }
        let is_named = |blob: &Vec<u8>| {
            self.files.iter().any(|file| file.public.as_ref() == Some(blob))
                || self.beside.iter().any(|certificate| certificate.blob == *blob)
        };
        let (ours, others): (Vec<usize>, Vec<usize>) =
            (0..self.agent.len()).partition(|index| is_named(&self.agent[*index].blob));
        ours.into_iter().map(|index| self.of_agent(index)).for_each(&mut put);
        if !self.only {
            others.into_iter().map(|index| self.of_agent(index)).for_each(&mut put);
        }
        for file in &self.files {
            // A usual file that is not there is no trouble.
            if file.state != State::Missing || file.public.is_some() {
                put(self.key(file));
            }
            self.beside_of(file)
                .map(|certificate| self.certified(certificate))
                .into_iter()
                .for_each(&mut put);
        }
        order
    }

    fn of_agent(&self, index: usize) -> Candidate {
        let key = &self.agent[index];
        if !key.is_rsa_certificate() {
            return Candidate::Agent(index);
        }
        let key = format!("ssh agent's certificate {}", key.comment);
        let result = "cannot be shown: an RSA certificate needs its key's file (IdentityFile); \
                      an agent's may be ed25519 or ECDSA";
        Candidate::Unusable(TriedKey { key, result: result.to_owned() })
    }

    fn key(&self, file: &KeyFile) -> Candidate {
        if let Some(index) = file.public.as_ref().and_then(|public| self.held(public)) {
            return Candidate::Agent(index);
        }
        match file.obstacle() {
            None => Candidate::File { private: file.path.clone(), certificate: None },
            Some(result) => Candidate::Unusable(TriedKey { key: file.path.display().to_string(), result }),
        }
    }

    fn certified(&self, certificate: &CertificateFile) -> Candidate {
        if let Some(index) = self.held(&certificate.blob) {
            return Candidate::Agent(index);
        }
        let of = |file: &&KeyFile| file.public.as_ref() == Some(&certificate.of);
        let key = self.named.iter().chain(&self.files).find(of);
        if let Some(file) = key.filter(|file| file.state == State::Private) {
            return Candidate::File {
                private: file.path.clone(),
                certificate: Some(certificate.path.clone()),
            };
        }
        let result = match (key, self.held(&certificate.of)) {
            (_, Some(_)) => {
                "cannot be shown: the agent has its key, and not the certificate; `ssh-add KEY` takes both where they lie side by side"
                    .to_owned()
            }
            (Some(file), None) => {
                format!("needs {}, which {}", file.path.display(), file.obstacle().unwrap_or_default())
            }
            (None, None) => "belongs to none of the key files (IdentityFile)".to_owned(),
        };
        Candidate::Unusable(TriedKey { key: certificate.path.display().to_string(), result })
    }

    fn beside_of(&self, file: &KeyFile) -> Option<&CertificateFile> {
        let name = format!("{}-cert.pub", file.path.display());
        self.beside.iter().find(|certificate| certificate.path.as_os_str() == name.as_str())
    }

    fn held(&self, blob: &Vec<u8>) -> Option<usize> {
        self.agent.iter().position(|key| key.blob == *blob && !key.is_rsa_certificate())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, state: State) -> KeyFile {
        KeyFile { path: name.into(), public: Some(name.trim_end_matches(".pub").into()), state }
    }

    fn agent(names: &[&str]) -> Vec<AgentKey> {
        names.iter().map(|name| AgentKey { blob: (*name).into(), comment: (*name).into() }).collect()
    }

    fn certificate(path: &str, of: &str) -> CertificateFile {
        CertificateFile { path: path.into(), blob: format!("cert {of}").into(), of: of.into() }
    }

    fn private(name: &str) -> Candidate {
        Candidate::File { private: name.into(), certificate: None }
    }

    fn certified(name: &str, certificate: &str) -> Candidate {
        Candidate::File { private: name.into(), certificate: Some(certificate.into()) }
    }

    #[test]
    fn the_agents_keys_that_are_named_come_first_then_its_others_then_the_files() {
        let keys = Keys {
            files: vec![file("a", State::Private), file("c", State::Encrypted)],
            agent: agent(&["b", "c"]),
            ..Keys::default()
        };
        assert_eq!(keys.order(), [Candidate::Agent(1), Candidate::Agent(0), private("a")]);
        let only = Keys { only: true, ..keys };
        assert_eq!(only.order(), [Candidate::Agent(1), private("a")]);
    }

    #[test]
    fn the_key_of_gpu_harness_yaml_comes_before_all() {
        let keys = Keys {
            named: Some(file("z", State::Private)),
            files: vec![file("a", State::Private)],
            agent: agent(&["b"]),
            ..Keys::default()
        };
        assert_eq!(keys.order(), [private("z"), Candidate::Agent(0), private("a")]);
        let held = Keys { agent: agent(&["b", "z"]), ..keys };
        assert_eq!(held.order(), [Candidate::Agent(1), Candidate::Agent(0), private("a")]);
    }

    #[test]
    fn a_public_file_stands_for_the_agents_key_and_says_so_where_the_agent_has_none() {
        let keys = Keys {
            files: vec![file("a.pub", State::Public)],
            agent: agent(&["x", "a"]),
            only: true,
            ..Keys::default()
        };
        assert_eq!(keys.order(), [Candidate::Agent(1)]);
        let Candidate::Unusable(tried) = &Keys { agent: Vec::new(), ..keys }.order()[0] else { panic!() };
        assert!(tried.result.starts_with("holds the public half alone"), "{tried:?}");
    }

    #[test]
    fn a_usual_file_that_is_not_there_is_not_mentioned() {
        let missing = KeyFile { path: "id_rsa".into(), public: None, state: State::Missing };
        assert_eq!(Keys { files: vec![missing], ..Keys::default() }.order(), []);
    }

    #[test]
    fn a_certificate_is_shown_for_its_key_where_that_can_sign() {
        let keys = Keys {
            files: vec![file("a", State::Private), file("b", State::Encrypted)],
            certificates: vec![
                Ok(certificate("ca", "a")),
                Ok(certificate("cb", "b")),
                Ok(certificate("cc", "c")),
            ],
            agent: agent(&["cert b"]),
            ..Keys::default()
        };
        let order = keys.order();
        assert_eq!(order[..2], [certified("a", "ca"), Candidate::Agent(0)]);
        let Candidate::Unusable(tried) = &order[2] else { panic!() };
        assert_eq!(tried.result, "belongs to none of the key files (IdentityFile)");
        assert_eq!(order[3], private("a"));
        let beside = Keys {
            files: vec![file("a", State::Private)],
            beside: vec![certificate("a-cert.pub", "a")],
            ..Keys::default()
        };
        assert_eq!(beside.order(), [private("a"), certified("a", "a-cert.pub")]);
    }
}
