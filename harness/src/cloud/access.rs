//! The way into a node that was made for the run, for whoever needs a connection of its own.

use std::sync::Arc;

use super::CloudSettings;
use super::keys::NodeKeys;
use crate::node::{Endpoint, Node, NodeSpec};
use crate::transport::{SshOptions, Transport, TransportError};

/// Its address, and the keys that it was given.
#[derive(Debug, Clone)]
pub(super) struct Access {
    address: String,
    keys: Arc<NodeKeys>,
}

impl Access {
    /// To the machine at `host`.
    pub(super) fn new(settings: &CloudSettings, host: &str, keys: Arc<NodeKeys>) -> Self {
        Self { address: address(&settings.user, host, settings.port), keys }
    }

    /// A connection to the machine that shows the host key that it was given, and to no other.
    pub(super) async fn connect(&self) -> Result<Transport, TransportError> {
        let options = SshOptions::of_new_node(self.keys.client_key(), self.keys.pinned());
        Transport::ssh(&self.address, options).await
    }

    /// The node, as one that is there.
    pub(super) fn node(&self, node: &NodeSpec) -> Node {
        node.at(Endpoint::Ssh { address: self.address.clone(), identity: None, known_hosts: None })
    }
}

/// `ssh://user@host:port`, with an IPv6 address in brackets.
fn address(user: &str, host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("ssh://{user}@[{host}]:{port}")
    } else {
        format!("ssh://{user}@{host}:{port}")
    }
}
