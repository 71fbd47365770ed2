//! The two programs that go to the node: `gpu-agent`, and `gpu-worker` where a case trains or infers.

use std::path::PathBuf;

use gpu_suites::exit::Exit;

use crate::files::content::Blob;
use crate::here::Env;
use crate::text::Explain;

/// A program that goes to the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Agent,
    Worker,
}

#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    #[error(
        "{name} is not beside gpu-harness ({}); build it with `{build}`, or name it in {variable}",
        looked_at.display()
    )]
    Missing { name: &'static str, looked_at: PathBuf, variable: &'static str, build: &'static str },
    #[error("failed to read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
}

impl Explain for ProgramError {
    fn exit(&self) -> Exit {
        match self {
            Self::Missing { .. } => Exit::Usage,
            Self::Read { .. } => Exit::Infrastructure,
        }
    }
}

impl Program {
    const fn name(self) -> &'static str {
        match self {
            Self::Agent => "gpu-agent",
            Self::Worker => "gpu-worker",
        }
    }

    /// The environment variable that names the program's file.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Agent => "GPU_HARNESS_AGENT",
            Self::Worker => "GPU_HARNESS_WORKER",
        }
    }

    const fn build(self) -> &'static str {
        match self {
            Self::Agent => "cargo build --release -p gpu-agent",
            Self::Worker => "cargo xtask build",
        }
    }

    /// Finds and hashes the program: the variable's file, else the file beside the running executable.
    pub fn find(self, env: &Env) -> Result<Blob, ProgramError> {
        let path = match env.get(self.variable()) {
            Some(path) => PathBuf::from(path),
            None => self.beside_us()?,
        };
        Blob::read(&path).map_err(|source| ProgramError::Read { path, source })
    }

    fn beside_us(self) -> Result<PathBuf, ProgramError> {
        let own = std::env::current_exe().unwrap_or_default();
        let beside = own.with_file_name(self.name());
        if beside.is_file() {
            return Ok(beside);
        }
        Err(ProgramError::Missing {
            name: self.name(),
            looked_at: beside,
            variable: self.variable(),
            build: self.build(),
        })
    }
}
