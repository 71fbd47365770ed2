//! Why a node cannot be reached, or was lost: one variant for each thing that was tried.
//!
//! Texts finish the sentence "failed to …". Where the user has to do something, the hint says what.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use gpu_suites::exit::Exit;

use super::ssh::HostKey;
use crate::text::Explain;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub user: String,
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, host, port } = self;
        write!(f, "{user}@{host} port {port}")
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    pub file: PathBuf,
    pub line: usize,
    pub key: HostKey,
    /// The name that it was found by.
    pub name: String,
}

impl fmt::Display for KnownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// What failed on the way to a command's end.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    #[error("read the address `{address}`: {reason}")]
    Address { address: String, reason: String },
    /// The ssh configuration cannot be read, or makes no sense.
    #[error("read the ssh configuration: {place}")]
    Config {
        /// The file, or the line with what is wrong there.
        place: String,
        source: Option<io::Error>,
    },
    /// The jumps of the ssh configuration lead in a circle.
    #[error("connect to {peer}: the way there (ProxyJump {over}) leads in a circle")]
    JumpLoop {
        peer: Peer,
        /// The machine that is jumped over once too often.
        over: String,
    },
    /// What carries the connection could not make it, or gave it up.
    #[error("connect to {peer} by {way}: {said}")]
    Way {
        peer: Peer,
        /// The program, or the machine in between.
        way: String,
        said: String,
    },
    #[error("find the address of {peer}")]
    Resolve { peer: Peer, source: io::Error },
    #[error("connect to {peer} (tried {})", .tried.join(", "))]
    Connect {
        peer: Peer,
        /// Each address, with what it answered.
        tried: Vec<String>,
        source: io::Error,
    },
    #[error("agree with {peer} on an ssh session")]
    Handshake { peer: Peer, source: ssh2::Error },
    /// A file of known host keys cannot be read.
    #[error("read the known host keys in {}", path.display())]
    KnownHosts { path: PathBuf, source: io::Error },
    #[error("trust {peer}: its host key is not known\n{unknown}")]
    HostKeyUnknown {
        peer: Peer,
        /// What it shows, and how it would be known.
        unknown: Box<UnknownKey>,
    },
    /// Another key than the known one: a new machine under an old name, or somebody in between.
    #[error(
        "trust {peer}: ITS HOST KEY HAS CHANGED\n\
         it shows {} {}\n\
         but {known} has {} {}\n\
         Somebody may be listening in, or the machine was set up anew. Nothing was sent to it.",
        .key.kind(), .key.fingerprint(), known.key.kind(), known.key.fingerprint()
    )]
    HostKeyChanged {
        peer: Peer,
        key: HostKey,
        /// Where another key is written.
        known: Box<KnownKey>,
    },
    #[error("trust {peer}: its host key {} {} is marked @revoked in {marked}", .key.kind(), .key.fingerprint())]
    HostKeyRevoked {
        peer: Peer,
        key: HostKey,
        /// Where it is marked.
        marked: Box<KnownKey>,
    },
    #[error("trust {peer}: it shows a certificate that does not hold: {reason}")]
    HostCertificate { peer: Peer, reason: String },
    /// Not the one key that this node was given.
    #[error(
        "trust {peer}: it shows the host key {} {}, and the node was given {} {}\n\
         This is another machine than the one that was made. Nothing was sent to it.",
        .key.kind(), .key.fingerprint(), pinned.kind(), pinned.fingerprint()
    )]
    HostKeyNotPinned {
        peer: Peer,
        key: HostKey,
        /// The only key that is accepted.
        pinned: HostKey,
    },
    #[error("log in to {peer}: {}", login(tried, looked_for))]
    Auth {
        peer: Peer,
        /// Each key, in the order of the attempts.
        tried: Vec<TriedKey>,
        /// The key files that the configuration names, or the usual ones.
        looked_for: Vec<PathBuf>,
    },
    /// The far side lets a connection have no command at all.
    #[error("start `{command}` at {peer}: the server lets no command run ({reason})")]
    OpenChannel { peer: Peer, command: String, reason: String },
    /// The far side lets a connection have no further command, and a further connection could not be made.
    #[error(
        "start `{command}` at {peer}: the server lets this connection have no further command (MaxSessions), \
         and of a second connection came: {reason}"
    )]
    SecondConnection {
        peer: Peer,
        command: String,
        /// What became of the second connection.
        reason: String,
    },
    /// A machine in between does not pass the connection on.
    #[error("have {peer} connect to {to}: {reason}")]
    Forward {
        /// The machine in between.
        peer: Peer,
        /// The machine behind it.
        to: String,
        reason: String,
    },
    #[error("start `{command}` at {peer}")]
    Start { peer: Peer, command: String, source: ssh2::Error },
    #[error("{0}")]
    ConnectionLost(Box<Lost>),
    /// A program on this machine could not be started.
    #[error("start `{program}` on this machine")]
    Spawn { program: String, source: io::Error },
    /// A program on this machine could not be waited for.
    #[error("wait for `{program}` on this machine")]
    Wait { program: String, source: io::Error },
    /// An operating system resource for the connection could not be had.
    #[error("set up the connection to {peer}")]
    Setup { peer: Peer, source: io::Error },
    /// The end of the command was told before, or its transport is gone.
    #[error("learn how the command ended: its connection is closed")]
    Gone,
}

impl TransportError {
    /// Whether trying again, with nothing changed, may do better.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Resolve { .. }
            | Self::Connect { .. }
            // libssh2 does not say whether the server hung up or the two agree on no method.
            | Self::Handshake { .. }
            | Self::Way { .. }
            | Self::SecondConnection { .. }
            | Self::Forward { .. }
            | Self::ConnectionLost(_)
            | Self::Setup { .. }
            | Self::Gone => true,
            _ => false,
        }
    }
}

/// A connection that ended too early.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "keep the connection to {peer}: {cause}, {} after it was made, while {doing}",
    seconds(*after)
)]
pub struct Lost {
    pub peer: Peer,
    /// What it was used for at that moment.
    pub doing: String,
    pub after: Duration,
    pub cause: LostCause,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LostCause {
    /// The other end closed it, or something in between did.
    Closed(String),
    /// Nothing was heard for this long, not even an answer to "are you there".
    Silent(Duration),
}

impl fmt::Display for LostCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(how) => write!(f, "it was cut ({how})"),
            Self::Silent(limit) => write!(f, "no answer for {}", seconds(*limit)),
        }
    }
}

fn seconds(duration: Duration) -> String {
    let all = duration.as_secs();
    match (all / 3600, all / 60 % 60, all % 60) {
        (0, 0, _) => format!("{:.1} s", duration.as_secs_f64()),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// A key that was tried, or could not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriedKey {
    /// The key file, or the agent and the key's comment.
    pub key: String,
    pub result: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey {
    /// The name that it would be known by.
    pub name: String,
    pub key: HostKey,
    pub file: PathBuf,
    /// Whether ssh-keyscan would ask the same machine, by the same name.
    pub scan: bool,
    /// Why ssh may know it, and we do not.
    pub note: Option<String>,
}

impl fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, note, .. } = self;
        write!(f, "it shows {} {}", key.kind(), key.fingerprint())?;
        note.iter().try_for_each(|note| write!(f, "\n{note}"))
    }
}

impl UnknownKey {
    fn hint(&self) -> String {
        let Self { name, key, file, scan, .. } = self;
        format!(
            "compare that with what `ssh-keygen -lf /etc/ssh/ssh_host_{}_key.pub` prints on the machine itself; \
             where they are equal, trust it with\n    {}",
            key.family(),
            add(name, key, file, *scan)
        )
    }
}

impl Explain for TransportError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Address { .. } => "write ssh://[user@]host[:port]".to_owned(),
            Self::JumpLoop { over, .. } => format!("`ProxyJump none` for {over} in the ssh configuration"),
            Self::HostKeyUnknown { unknown, .. } => unknown.hint(),
            Self::HostKeyChanged { known, .. } => format!(
                "compare the key with the machine's own; where the change is right, remove the old one with\n    {}",
                forget(&known.name, &known.file)
            ),
            Self::HostCertificate { .. } => {
                "have the host's certificate made anew, or list its own key in known_hosts".to_owned()
            }
            Self::Auth { peer, .. } => format!(
                "add the public half of a key to ~/.ssh/authorized_keys of {} there, or name the right key: \
                 `identity:` for this node in gpu-harness.yaml, IdentityFile in ~/.ssh/config, or `ssh-add KEY`",
                peer.user
            ),
            Self::OpenChannel { .. } => {
                "`MaxSessions` in its sshd_config must be 1 or more, and the account must be one \
                                         for commands, not for forwarding alone"
                    .to_owned()
            }
            _ => return None,
        })
    }

    fn exit(&self) -> Exit {
        Exit::Infrastructure
    }
}

fn login(tried: &[TriedKey], looked_for: &[PathBuf]) -> String {
    if tried.is_empty() {
        let files = Vec::from_iter(looked_for.iter().map(|file| file.display().to_string()));
        let files = if files.is_empty() {
            "the configuration names no key file".to_owned()
        } else {
            format!("none of the key files is there ({})", files.join(", "))
        };
        return format!("there is no key to try: no agent has one, and {files}");
    }
    let lines: Vec<String> =
        tried.iter().map(|TriedKey { key, result }| format!("  {key}: {result}")).collect();
    format!("no key is accepted; tried\n{}", lines.join("\n"))
}

/// The command that adds a key to the known ones.
fn add(name: &str, key: &HostKey, file: &std::path::Path, scan: bool) -> String {
    let file = super::quote(&file.display().to_string());
    if !scan {
        return format!("echo {} >> {file}", super::quote(&format!("{name} {key}")));
    }
    let (host, port) = match name.strip_prefix('[').and_then(|name| name.rsplit_once("]:")) {
        Some((host, port)) => (host, format!(" -p {port}")),
        None => (name, String::new()),
    };
    format!("ssh-keyscan{port} -t {} {} >> {file}", key.family(), super::quote(host))
}

fn forget(name: &str, file: &std::path::Path) -> String {
    format!("ssh-keygen -f {} -R {}", super::quote(&file.display().to_string()), super::quote(name))
}
