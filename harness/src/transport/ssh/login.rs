//! Proves to a node that we may use it: with keys, never with passwords.
//!
//! No list of methods is asked for first (that costs a round trip): each key is simply tried.

use std::path::Path;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ssh2::{ErrorCode, Session};

use super::options::Target;
use super::{ClientKey, SshOptions};
use crate::transport::{Lost, LostCause, TransportError, TriedKey};

/// Tries the key in memory and nothing else where there is one; else the given key file, then the agent's keys, then the key files of the configuration.
pub(super) fn log_in(
    session: &Session,
    target: &Target,
    options: &SshOptions,
    made: Instant,
) -> Result<(), TransportError> {
    let peer = target.peer.clone();
    let mut attempt = Attempt { session, user: &peer.user, tried: Vec::new(), hung_up: None };
    if attempt.all(target, options) {
        return Ok(());
    }
    let Attempt { tried, hung_up, .. } = attempt;
    match hung_up {
        // After keys that were refused, it is the server that has had enough.
        Some(how) if tried.is_empty() => {
            let (doing, cause) = ("logging in".to_owned(), LostCause::Closed(how));
            Err(TransportError::ConnectionLost(Box::new(Lost { peer, doing, after: made.elapsed(), cause })))
        }
        Some(_) => {
            let key = "then the server hung up".to_owned();
            let result =
                "it may allow only so many tries; name the right key to have it tried first".to_owned();
            Err(TransportError::Auth {
                peer,
                tried: tried.into_iter().chain([TriedKey { key, result }]).collect(),
            })
        }
        None => Err(TransportError::Auth { peer, tried }),
    }
}

/// Whether a key file that is not there is worth a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needed {
    Yes,
    No,
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
    fn all(&mut self, target: &Target, options: &SshOptions) -> bool {
        if let Some(key) = &options.key {
            return self.memory(key);
        }
        options.identity.as_ref().is_some_and(|file| self.file(file, Needed::Yes))
            || options.agent.as_ref().is_some_and(|socket| self.agent(socket))
            || (target.identities.iter())
                .filter(|file| Some(*file) != options.identity.as_ref())
                .any(|file| self.file(file, Needed::No))
    }

    fn memory(&mut self, key: &ClientKey) -> bool {
        match self.session.userauth_pubkey_memory(self.user, None, key.pem(), None) {
            Ok(()) => true,
            Err(error) => self.refused(key.name().to_owned(), &error),
        }
    }

    fn file(&mut self, file: &Path, needed: Needed) -> bool {
        if self.hung_up.is_some() {
            return false;
        }
        let key = file.display().to_string();
        let result = match std::fs::read_to_string(file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && needed == Needed::No => {
                return false;
            }
            Err(error) => format!("cannot be read: {error}"),
            Ok(text) if is_encrypted(&text) => {
                format!("is protected by a passphrase; load it into an agent with `ssh-add {key}`")
            }
            Ok(_) => match self.session.userauth_pubkey_file(self.user, None, file, None) {
                Ok(()) => return true,
                Err(error) => return self.refused(key, &error),
            },
        };
        self.tried.push(TriedKey { key, result });
        false
    }

    fn agent(&mut self, socket: &Path) -> bool {
        if self.hung_up.is_some() {
            return false;
        }
        let connected = self.session.agent().and_then(|mut agent| {
            agent.set_identity_path(socket)?;
            agent.connect()?;
            agent.list_identities()?;
            let keys = agent.identities()?;
            Ok((agent, keys))
        });
        let (agent, keys) = match connected {
            Ok(connected) => connected,
            Err(error) => {
                let key = format!("ssh agent at {}", socket.display());
                self.tried.push(TriedKey { key, result: error.message().to_owned() });
                return false;
            }
        };
        keys.iter().any(|key| {
            if self.hung_up.is_some() {
                return false;
            }
            match agent.userauth(self.user, key) {
                Ok(()) => true,
                Err(error) => {
                    let comment: String = key.comment().chars().filter(|c| !c.is_control()).collect();
                    self.refused(format!("ssh agent's {comment}"), &error)
                }
            }
        })
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

/// Whether a private key file needs a passphrase. libssh2 would only say that it cannot read it.
fn is_encrypted(text: &str) -> bool {
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return true;
    }
    let body: String = text
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN OPENSSH PRIVATE KEY"))
        .skip(1)
        .take_while(|line| !line.starts_with('-'))
        .collect();
    let Ok(bytes) = STANDARD.decode(body) else { return false };
    // The cipher's name follows the magic bytes.
    bytes
        .strip_prefix(b"openssh-key-v1\0")
        .and_then(|rest| rest.get(4..8))
        .is_some_and(|cipher| cipher != b"none")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keygen(folder: &Path, arguments: &[&str]) -> String {
        let file = folder.join("key");
        let output = std::process::Command::new("ssh-keygen")
            .args(["-q", "-f"])
            .arg(&file)
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        std::fs::read_to_string(file).unwrap()
    }

    #[test]
    fn a_passphrase_is_noticed_in_each_format_and_only_there() {
        for (arguments, encrypted) in [
            (&["-t", "ed25519", "-N", ""][..], false),
            (&["-t", "ed25519", "-N", "secret"], true),
            (&["-t", "ecdsa", "-m", "PEM", "-N", "secret"], true),
            (&["-t", "ecdsa", "-m", "PKCS8", "-N", "secret"], true),
            (&["-t", "ecdsa", "-m", "PEM", "-N", ""], false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            assert_eq!(is_encrypted(&keygen(folder.path(), arguments)), encrypted, "{arguments:?}");
        }
    }
}
