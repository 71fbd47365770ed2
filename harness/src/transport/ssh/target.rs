//! A machine to connect to: where it is, what it is known by, and what is shown to it.

use std::path::PathBuf;
use std::time::Duration;

use super::SshOptions;
use super::address::Address;
use super::config::{ConfigError, Settings};
use super::program::shell;
use crate::transport::{Peer, TransportError};

/// A machine with everything that the configuration says about it.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) peer: Peer,
    /// The name that known keys are looked up by.
    pub(super) key_name: String,
    /// The name that they may be known by as well: without the port.
    pub(super) short_name: Option<String>,
    /// Files of known keys, in order; the first is the one to add to.
    pub(super) known_hosts: Vec<PathBuf>,
    pub(super) settings: Settings,
    /// It is on the way to the node, and not the node.
    pub(super) is_jump: bool,
    /// How long each step to an authenticated session may take.
    pub(super) limit: Duration,
    /// What runs a `ProxyCommand`.
    pub(super) shell: PathBuf,
}

impl Target {
    /// What the user's configuration says about an address: the node's, or that of a machine on the way to it.
    pub(super) fn find(
        address: &Address,
        options: &SshOptions,
        is_jump: bool,
    ) -> Result<Self, TransportError> {
        let settings = Settings::find(address, options).map_err(TransportError::from)?;
        let peer = Peer { user: settings.user.clone(), host: settings.host.clone(), port: settings.port };
        let (key_name, short_name) = match (&settings.key_alias, peer.port) {
            (Some(alias), _) => (alias.clone(), None),
            (None, 22) => (peer.host.clone(), None),
            (None, port) => (format!("[{}]:{port}", peer.host), Some(peer.host.clone())),
        };
        let known_hosts = match &options.known_hosts {
            Some(file) if is_jump => [file].into_iter().chain(&settings.known_hosts).cloned().collect(),
            Some(file) => vec![file.clone()],
            None => settings.known_hosts.clone(),
        };
        let limit = settings.connect_timeout.unwrap_or(options.connect_timeout);
        let shell = shell(&options.env);
        Ok(Self { peer, key_name, short_name, known_hosts, settings, is_jump, limit, shell })
    }
}

impl From<ConfigError> for TransportError {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Unreadable { path, source } => {
                Self::Config { place: path.display().to_string(), source: Some(source) }
            }
            other => Self::Config { place: other.to_string(), source: None },
        }
    }
}
