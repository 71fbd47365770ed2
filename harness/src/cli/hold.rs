//! `gpu-harness hold`: holds a node for test processes. They start it; nobody types it.

use std::path::PathBuf;

use gpu_suites::exit::Exit;
use gpu_suites::unit::Span;

use super::failure::Failure;
use super::runtime;
use crate::holder::address::Address;
use crate::holder::owner::Owner;
use crate::holder::serve::{Order, serve};

/// Flags of `hold`.
#[derive(Debug, clap::Args)]
pub(super) struct Hold {
    /// What to listen on
    #[arg(long)]
    socket: PathBuf,
    /// For whom: process id and start
    #[arg(long)]
    owner: Owner,
    /// The project's folder
    #[arg(long)]
    project: PathBuf,
    /// The node
    #[arg(long)]
    node: Option<String>,
    /// Give back a node that nobody has used for so long
    #[arg(long)]
    idle: Option<Span>,
    /// Tell the CI service whose step this is what the run came to
    #[arg(long)]
    tell_ci: bool,
}

impl Hold {
    pub(super) fn execute(self) -> Result<Exit, Failure> {
        let order = Order {
            address: Address { socket: self.socket },
            owner: self.owner,
            node: self.node,
            project: self.project,
            idle: self.idle.map(|idle| idle.0),
            tells: self.tell_ci,
        };
        let runtime = runtime()?;
        let exit = tokio::task::LocalSet::new().block_on(&runtime, serve(order, &super::here()?));
        runtime.shutdown_background();
        Ok(exit?)
    }
}
