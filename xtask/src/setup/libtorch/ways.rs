//! The ways to a libtorch that is not there yet. Each either works or says in one line why it does not.

use std::path::{Path, PathBuf};
use std::process::Command;

use gpu_wheels::libtorch::{Build, Purpose, VERSION, install};

use crate::setup::network::Network;
use crate::setup::progress::Progress;

/// Prints version and folder of the Python's torch. Importing it is the only test that it works.
const ASK_PYTHON: &str =
    "import os, torch; print(torch.__version__); print(os.path.dirname(os.path.abspath(torch.__file__)))";

/// How to come by a libtorch; the tests have their own.
pub(crate) trait Ways {
    /// The folder of a Python torch of the version.
    fn python(&self) -> Result<PathBuf, String>;
    /// Makes a folder one, from the wheels.
    fn wheels(&self, place: &Path) -> Result<(), String>;
}

pub(crate) struct Machine<'a> {
    pub(crate) network: &'a Network,
}

impl Ways for Machine<'_> {
    fn python(&self) -> Result<PathBuf, String> {
        let output = Command::new("python3").args(["-c", ASK_PYTHON]).output();
        let output = output.map_err(|_| "there is no python3".to_owned())?;
        if !output.status.success() {
            return Err("python3 has no torch".to_owned());
        }
        let answer = String::from_utf8_lossy(&output.stdout);
        // A sitecustomize may print before us.
        let mut lines = answer.lines().rev();
        match (lines.next(), lines.next()) {
            (Some(folder), Some(version)) if version.split('+').next() == Some(VERSION) => {
                Ok(PathBuf::from(folder))
            }
            (_, Some(version)) => Err(format!("python3 has torch {version}")),
            _ => Err("python3 does not say which torch it has".to_owned()),
        }
    }

    fn wheels(&self, place: &Path) -> Result<(), String> {
        let source = self.network.wheels().map_err(|error| format!("{error:#}"))?;
        let installed =
            Progress::of("libtorch", |tell| install(Build::Cpu, Purpose::Link, place, &source, tell));
        installed.map_err(|error| crate::setup::chain(&error))
    }
}
