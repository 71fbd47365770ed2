//! Proves to a node that we may use it: with keys, never with passwords.
//!
//! No list of methods is asked for first (that costs a round trip): each key is simply tried.

use std::path::{Path, PathBuf};
use std::time::Instant;

use ssh2::{Agent, ErrorCode, PublicKey, Session};

use super::identities::{AgentKey, Candidate, Keys};
use super::key_file::{CertificateFile, KeyFile};
use super::target::Target;
use super::{ClientKey, HostKey, SshOptions};
use crate::transport::{Lost, LostCause, Peer, TransportError, TriedKey};

/// Tries the key in memory and nothing else where there is one; else the keys that ssh would try, in its order.
pub(super) fn log_in(
    session: &Session,
    target: &Target,
    options: &SshOptions,
    made: Instant,
) -> Result<(), TransportError> {
    // What gpu-harness.yaml names is for the node, and not for the machines on the way to it.
    let named = options.identity.as_deref().filter(|_| !target.is_jump);
    let peer = target.peer.clone();
    let mut attempt = Attempt { session, user: &peer.user, tried: Vec::new(), hung_up: None };
    let is_in = match &options.key {
        Some(key) => attempt.memory(key),
        None => attempt.all(target, named) || attempt.nothing(),
    };
    if is_in {
        return Ok(());
    }
    let Attempt { mut tried, hung_up, .. } = attempt;
    match hung_up {
        // After keys that were refused, it is the server that has had enough.
        Some(how) if tried.is_empty() => return Err(cut(peer, how, made)),
        Some(_) => {
            let key = "then the server hung up".to_owned();
            let result =
                "it may allow only so many tries; name the right key to have it tried first".to_owned();
            tried.push(TriedKey { key, result });
        }
        None => {}
    }
    let looked_for = target.settings.identities.clone();
    Err(TransportError::Auth { peer, tried, looked_for })
}

fn cut(peer: Peer, how: String, made: Instant) -> TransportError {
    let (doing, cause) = ("logging in".to_owned(), LostCause::Closed(how));
    TransportError::ConnectionLost(Box::new(Lost { peer, doing, after: made.elapsed(), cause }))
}

struct Attempt<'a> {
    session: &'a Session,
    user: &'a str,
    tried: Vec<TriedKey>,
    /// The connection ended during an attempt.
    hung_up: Option<String>,
}

impl Attempt<'_> {
    /// Whether one of all keys is accepted.
    fn all(&mut self, target: &Target, named: Option<&Path>) -> bool {
        let settings = &target.settings;
        let is_other = |file: &&PathBuf| Some(file.as_path()) != named;
        let files =
            Vec::from_iter(settings.identities.iter().filter(is_other).map(|file| KeyFile::read(file)));
        let named = named.map(KeyFile::read);
        if let (Some(option), None) = (settings.no_keys, &named) {
            let result =
                format!("{option} of the ssh configuration forbids them, and nothing else is used here");
            self.tried.push(TriedKey { key: "keys".to_owned(), result });
            return false;
        }
        let agent = settings.agent.as_deref().and_then(|socket| self.agent(socket));
        let certificates = settings.certificates.iter().map(|path| {
            CertificateFile::read(path)
                .map_err(|result| TriedKey { key: format!("the certificate {}", path.display()), result })
        });
        let beside = named.iter().chain(&files).filter(|_| settings.certificates.is_empty());
        let beside = Vec::from_iter(beside.filter_map(|file| CertificateFile::beside(&file.path)));
        let held = agent.iter().flat_map(|(_, keys)| keys).map(|key| AgentKey {
            blob: key.blob().to_owned(),
            comment: key.comment().chars().filter(|c| !c.is_control()).collect(),
        });
        let keys = Keys {
            named,
            certificates: certificates.collect(),
            beside,
            agent: held.collect(),
            only: settings.identities_only,
            files,
        };
        keys.order().into_iter().any(|candidate| self.try_one(candidate, &keys, agent.as_ref()))
    }

    fn try_one(
        &mut self,
        candidate: Candidate,
        keys: &Keys,
        agent: Option<&(Agent, Vec<PublicKey>)>,
    ) -> bool {
        if self.hung_up.is_some() {
            return false;
        }
        let (name, shown) = match candidate {
            Candidate::Unusable(key) => {
                self.tried.push(key);
                return false;
            }
            Candidate::Agent(index) => {
                let Some((agent, held)) = agent else { return false };
                let AgentKey { blob, comment } = &keys.agent[index];
                // Its agent would have to be asked for another kind of signature than libssh2 asks for.
                let is_rsa = HostKey::from_blob(blob.as_slice()).kind() == "ssh-rsa-cert-v01@openssh.com";
                let note = if is_rsa {
                    " (an RSA certificate, which cannot be shown from an agent here)"
                } else {
                    ""
                };
                let name = format!("ssh agent's {comment}{note}");
                (name, agent.userauth(self.user, &held[index]))
            }
            Candidate::File { private, certificate } => {
                let name = match &certificate {
                    Some(certificate) => {
                        format!("{} with the certificate {}", private.display(), certificate.display())
                    }
                    None => private.display().to_string(),
                };
                (name, self.session.userauth_pubkey_file(self.user, certificate.as_deref(), &private, None))
            }
        };
        match shown {
            Ok(()) => true,
            Err(error) => self.refused(name, &error),
        }
    }

    fn memory(&mut self, key: &ClientKey) -> bool {
        match self.session.userauth_pubkey_memory(self.user, None, key.pem(), None) {
            Ok(()) => true,
            Err(error) => self.refused(key.name().to_owned(), &error),
        }
    }

    /// Some servers know who we are by other means and ask for no key; others say what they ask for besides.
    fn nothing(&mut self) -> bool {
        if self.hung_up.is_some() {
            return false;
        }
        let methods = self.session.auth_methods(self.user).unwrap_or_default();
        if self.session.authenticated() {
            return true;
        }
        if !methods.is_empty() && !methods.split(',').any(|method| method == "publickey") {
            let methods: String = methods.chars().filter(char::is_ascii_graphic).take(100).collect();
            let result = format!("no key alone opens it; it asks for {methods}");
            self.tried.push(TriedKey { key: "the server".to_owned(), result });
        }
        false
    }

    /// The agent with its keys.
    fn agent(&mut self, socket: &Path) -> Option<(Agent, Vec<PublicKey>)> {
        let connected = self.session.agent().and_then(|mut agent| {
            agent.set_identity_path(socket)?;
            agent.connect()?;
            agent.list_identities()?;
            let keys = agent.identities()?;
            Ok((agent, keys))
        });
        match connected {
            Ok(connected) => Some(connected),
            Err(error) => {
                let key = format!("ssh agent at {}", socket.display());
                self.tried.push(TriedKey { key, result: error.message().to_owned() });
                None
            }
        }
    }

    fn refused(&mut self, key: String, error: &ssh2::Error) -> bool {
        let message = error.message();
        let refused = matches!(error.code(), ErrorCode::Session(code) if REFUSED.contains(&code));
        // libssh2 has one code for a refused key and for an answer that never came.
        if message.starts_with("Waiting for")
            || matches!(error.code(), ErrorCode::Session(code) if CUT.contains(&code))
        {
            self.hung_up = Some(message.to_owned());
            return false;
        }
        let result = if refused { "not accepted".to_owned() } else { message.to_owned() };
        self.tried.push(TriedKey { key, result });
        false
    }
}

/// libssh2's `LIBSSH2_ERROR_AUTHENTICATION_FAILED` and `LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED`.
const REFUSED: [i32; 2] = [-18, -19];
/// libssh2's `LIBSSH2_ERROR_SOCKET_SEND`, `_TIMEOUT`, `_SOCKET_DISCONNECT` and `_SOCKET_RECV`.
const CUT: [i32; 4] = [-7, -9, -13, -43];
