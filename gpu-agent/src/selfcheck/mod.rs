//! What does this node have? Facts for a person or for a program; what is absent is a fact too.

mod clock;
mod gpu;
mod machine;
mod text;
mod worker;

use std::io::{self, Write};

use serde::Serialize;

use crate::folder::Folder;
use crate::libtorch;

pub(crate) use worker::Worker;

use clock::Clock;
use gpu::Gpus;
use machine::{Machine, Place};

/// Everything that is known of the node.
#[derive(Debug, Serialize)]
struct Facts {
    /// Version of the agent.
    agent: &'static str,
    machine: Machine,
    /// The agent's folder.
    folder: Place,
    clock: Clock,
    gpus: Gpus,
    libtorch: Torch,
    /// What gpu-worker says of libtorch and CUDA, where it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<worker::Answer>,
}

/// The libtorch that a run would use.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Torch {
    Found { root: std::path::PathBuf, from: &'static str },
    Missing(String),
}

/// Prints the facts.
pub(crate) fn command(folder: &Folder, json: bool, worker: Option<&Worker>) -> io::Result<()> {
    let found = libtorch::find(None, folder);
    let facts = Facts {
        agent: env!("CARGO_PKG_VERSION"),
        machine: Machine::look(),
        folder: Place::look(folder),
        clock: Clock::look(),
        gpus: Gpus::look(),
        worker: worker.map(|worker| worker.ask(folder, found.as_ref().ok())),
        libtorch: match found {
            Ok(libtorch) => Torch::Found { root: libtorch.root, from: libtorch.from },
            Err(error) => Torch::Missing(error.to_string()),
        },
    };
    let said = if json { serde_json::to_string_pretty(&facts)? + "\n" } else { text::of(&facts) };
    io::stdout().lock().write_all(said.as_bytes())
}
