//! What does this node have? Facts for a person or for a program; what is absent is a fact too.

mod clock;
pub(crate) mod gpu;
mod kernel;
mod machine;
mod stand_in;
mod text;
mod worker;

use std::io::{self, Read, Write};
use std::path::Path;

use gpu_suites::facts::{ARMED, Libtorch, NodeFacts};

use crate::folder::Folder;
use crate::install::Wanted;
use crate::libtorch;

pub(crate) use worker::Worker;

/// The longest account of the machine's end that is passed on.
const LONGEST: u64 = 4 << 10;

pub(crate) fn command(folder: &Folder, json: bool, worker: Option<&Worker>) -> io::Result<()> {
    let facts = stand_in::applied(look(folder, worker))?;
    let said = if json { serde_json::to_string_pretty(&facts)? + "\n" } else { text::of(&facts) };
    io::stdout().lock().write_all(said.as_bytes())
}

/// Prints what the driver says of its GPUs, or never comes back: see [`gpu`].
pub(crate) fn gpus() -> io::Result<()> {
    let said = serde_json::to_string(&gpu::ask())?;
    io::stdout().lock().write_all(said.as_bytes())
}

fn look(folder: &Folder, worker: Option<&Worker>) -> NodeFacts {
    let found = libtorch::find(None, folder, Wanted::on_this_node(true));
    NodeFacts {
        agent: env!("CARGO_PKG_VERSION").to_owned(),
        machine: machine::look(),
        folder: machine::place(folder),
        clock: clock::look(),
        // Before the worker is asked, which would be seen computing here.
        gpus: gpu::look(),
        kernel_log: kernel::look(),
        armed: armed(Path::new(ARMED)),
        worker: worker.map(|worker| worker.ask(folder, found.as_ref().ok())),
        libtorch: match found {
            Ok(libtorch) => Libtorch::Found { root: libtorch.root, from: libtorch.from.to_owned() },
            Err(error) => Libtorch::Missing(error.to_string()),
        },
        clock_skew_ms: None,
    }
}

/// How the machine will end by itself, where that was set up when it was started.
fn armed(path: &Path) -> Option<String> {
    let mut said = Vec::new();
    std::fs::File::open(path).ok()?.take(LONGEST).read_to_end(&mut said).ok()?;
    Some(String::from_utf8_lossy(&said).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_that_was_armed_at_boot_is_told_in_its_own_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("armed");
        assert_eq!(armed(&path), None);
        std::fs::write(&path, "systemd-run in 3600 s\n").unwrap();
        assert_eq!(armed(&path).as_deref(), Some("systemd-run in 3600 s"));
    }
}
