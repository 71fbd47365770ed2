//! What a supervisor is started with: the plan and the key, in memory from one process to the other.
//!
//! Neither is on disk, where a case could read what another one is given (environment variables are often secrets).

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};

use gpu_suites::plan::Plan;
use gpu_suites::seal::Key;
use rustix::fs::{MemfdFlags, memfd_create};
use serde::{Deserialize, Serialize};

/// The plan and the key of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) plan: Plan,
    pub(crate) key: Key,
}

impl Orders {
    /// Reads them from standard input, which is nothing from then on.
    pub(crate) fn from_stdin() -> io::Result<Self> {
        let mut text = Vec::new();
        io::stdin().lock().read_to_end(&mut text)?;
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// A file without a name that holds them, to be read from its start.
    pub(crate) fn to_file(&self) -> io::Result<File> {
        let mut file = File::from(memfd_create(c"orders", MemfdFlags::CLOEXEC)?);
        file.write_all(&serde_json::to_vec(self)?)?;
        file.rewind()?;
        Ok(file)
    }
}
