//! Where the cases run: on the node that is named, else on this machine.

use std::path::{Path, PathBuf};

use super::command_line::CommandLine;
use crate::config::Config;
use crate::here::Env;
use crate::holder::SOCKET;
use crate::holder::command::NODE;
use crate::node::{Endpoint, NodeError, NodeSpec, Origin};

/// Where, and by whose hand.
#[derive(Debug)]
pub(super) struct TestNode {
    pub(super) node: NodeSpec,
    pub(super) name: Option<String>,
    /// The holder that somebody started for these tests.
    pub(super) holder: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum TestNodeError {
    #[error(transparent)]
    Config(#[from] gpu_suites::load::LoadError),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error("--gpu-remote: name the node with --node or {NODE}, or as `default:` in gpu-harness.yaml")]
    NotRemote,
}

impl TestNode {
    /// `--node`, else `$GPU_HARNESS_NODE`, else with `--gpu-remote` the project's default, else this machine.
    pub(super) fn choose(arguments: &CommandLine, project: &Path, env: &Env) -> Result<Self, TestNodeError> {
        let named = arguments.node.clone().or_else(|| env.get(NODE));
        // Whoever names a node here does not mean the one that is held already.
        let holder = env.get(SOCKET).filter(|_| arguments.node.is_none()).map(PathBuf::from);
        let config = Config::find(project)?;
        let name = match named {
            Some(name) => Some(name),
            None if arguments.gpu_remote || holder.is_some() => None,
            None => Some("local".to_owned()),
        };
        let node = NodeSpec::choose(name.as_deref(), &config)?;
        let place = Self { node, name, holder };
        if arguments.gpu_remote && place.name.is_none() && place.is_here() && place.holder.is_none() {
            return Err(TestNodeError::NotRemote);
        }
        Ok(place)
    }

    pub(super) fn is_here(&self) -> bool {
        self.node.origin == Origin::There(Endpoint::Local)
    }
}
