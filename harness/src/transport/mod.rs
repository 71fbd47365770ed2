//! How a command is run on a node: on this machine, or on another one by ssh.
//!
//! A [`Transport`] starts commands, and an [`Exec`] is one of them with its streams. Both places look the same to the
//! caller: streams are bounded both ways, so a slow reader slows the command down and nothing piles up in memory;
//! dropping an [`Exec`] ends the command; the end of a command ([`ExitStatus`]) and the end of the connection
//! ([`TransportError::ConnectionLost`]) cannot be mistaken for one another.

mod command;
mod error;
mod exec;
mod local;
pub(crate) mod ssh;
mod upload;

pub use command::{Command, quote};
pub use error::{KnownKey, Lost, LostCause, Peer, TransportError, TriedKey, UnknownKey};
pub use exec::{Exec, ExitStatus, Stdin, StdinClosed, Stdout};
pub use ssh::{ClientKey, HostKey, HostKeyError, Link, SshOptions};
pub use upload::UploadError;

#[derive(Debug)]
pub enum Transport {
    Local,
    /// Another machine, over one ssh connection.
    Ssh(Box<Link>),
}

impl Transport {
    pub fn local() -> Self {
        Self::Local
    }

    /// Commands on the machine at `address`: `ssh://[user@]host[:port]`, where `host` may be an alias of the ssh
    /// configuration. The connection is made and authenticated when this returns.
    pub async fn ssh(address: &str, options: SshOptions) -> Result<Self, TransportError> {
        Ok(Self::Ssh(Box::new(Link::connect(address, options).await?)))
    }

    /// Starts a command. Over ssh this returns before the far side has answered; what is written meanwhile waits, and
    /// that a command could not be started is told by its output and by [`Exec::wait`].
    #[expect(clippy::unused_async, reason = "a transport that has to wait here must not change every caller")]
    pub async fn exec(&self, command: Command) -> Result<Exec, TransportError> {
        match self {
            Self::Local => local::exec(&command),
            Self::Ssh(link) => link.exec(&command),
        }
    }

    /// Makes the connection anew, to the same place in the same way. Commands of the old one end.
    pub async fn reconnect(&mut self) -> Result<(), TransportError> {
        match self {
            Self::Local => Ok(()),
            Self::Ssh(link) => link.reconnect().await,
        }
    }

    /// A second connection to the same place, made in the same way.
    pub async fn another(&self) -> Result<Self, TransportError> {
        match self {
            Self::Local => Ok(Self::Local),
            Self::Ssh(link) => Ok(Self::Ssh(Box::new(link.another().await?))),
        }
    }

    pub fn describe(&self) -> String {
        match self {
            Self::Local => "this machine".to_owned(),
            Self::Ssh(link) => link.peer().to_string(),
        }
    }
}
