//! The cases of suite files as tests of a crate: `cargo test` and `cargo nextest run` list, run and report each.
//!
//! ```toml
//! [[test]]
//! name = "gpu"
//! harness = false
//! ```
//!
//! ```no_run
//! // tests/gpu.rs
//! fn main() -> std::process::ExitCode {
//!     gpu_harness::libtest::main()
//! }
//! ```
//!
//! Listing is done here and makes nothing. A case is run by the holder of the test run ([`crate::holder`]), so that a
//! thousand test processes have one node between them. docs/cargo.md tells how it is used.

mod command_line;
mod need;
mod test_node;
mod trial;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use gpu_suites::exit::Exit;
use gpu_suites::id::CaseId;
use gpu_suites::spec::Case;

use crate::here::Env;
use crate::plan::Selection;
use crate::text::chain;
use command_line::CommandLine;
use test_node::TestNode;

/// The tests are the cases of the folder `suites` of this package, or of the nearest folder above that has one.
pub fn main() -> ExitCode {
    let package = Env::of_process().get("CARGO_MANIFEST_DIR").map(PathBuf::from);
    Suites::above(package.unwrap_or_else(|| PathBuf::from("."))).main()
}

/// Which suites are tests.
#[derive(Debug, Clone)]
pub struct Suites {
    folder: PathBuf,
    files: Vec<PathBuf>,
}

/// Why there are no tests.
#[derive(Debug, thiserror::Error)]
pub enum TestsError {
    /// No suites are found.
    #[error("neither {} nor a folder above it has a folder `suites`", folder.display())]
    NoSuites {
        /// Where the search began.
        folder: PathBuf,
    },
    /// The suites are wrong.
    #[error(transparent)]
    Plan(#[from] crate::plan::PlanError),
    /// There is no such node.
    #[error(transparent)]
    TestNode(#[from] test_node::TestNodeError),
    /// A runner that asks for one test has to get that one.
    #[error("--exact {name}: {count} tests have this name, not one; list them again")]
    NotOne {
        /// The name.
        name: String,
        /// How many there are.
        count: usize,
    },
}

impl Suites {
    /// The folder `suites` in this folder, or in the nearest above it that has one.
    pub fn above(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), files: Vec::new() }
    }

    /// These suite files, and folders of them, in place of `suites`; relative to the folder.
    #[must_use]
    pub fn files<P: Into<PathBuf>>(mut self, files: impl IntoIterator<Item = P>) -> Self {
        self.files = files.into_iter().map(Into::into).collect();
        self
    }

    /// Does what the command line says: lists the tests, or runs some.
    pub fn main(self) -> ExitCode {
        match self.execute(&CommandLine::parse(), &Env::of_process()) {
            Ok(code) => code,
            Err(error) => {
                crate::text::streams::tell(&format!("Error: {}", crate::text::clean::text(&chain(&error))));
                Exit::Usage.into()
            }
        }
    }

    fn execute(self, arguments: &CommandLine, env: &Env) -> Result<ExitCode, TestsError> {
        let project = self.project()?;
        let selection = Selection::read(&self.files, &[], &project)?;
        let place = TestNode::choose(arguments, &project, env)?;
        let says = arguments.says_what_it_ignores(env);
        let trials = trial::Trials::new(&place, &project, self.files, arguments.streams(env), env.clone());
        let trials = Arc::new(trials);
        let test = |(id, case): (CaseId, &Case)| {
            let ignored = need::reason_to_ignore(case, &place);
            if let (Some(reason), true) = (&ignored, arguments.libtest.list) {
                crate::text::streams::tell(&format!(
                    "ignored: {id}: {}",
                    crate::text::clean::one_line(reason, need::LONGEST)
                ));
            }
            let is_ignored = ignored.is_some();
            trials.trial(id, ignored.filter(|_| says)).with_ignored_flag(is_ignored)
        };
        let tests = Vec::from_iter(selection.specs().map(test));
        arguments.check_exact(&tests, env)?;
        Ok(libtest_mimic::run(&arguments.libtest, tests).exit_code())
    }

    /// The folder that the suites and the settings are looked for in.
    fn project(&self) -> Result<PathBuf, TestsError> {
        let folder = std::path::absolute(&self.folder).unwrap_or_else(|_| self.folder.clone());
        if !self.files.is_empty() {
            return Ok(folder);
        }
        let found = folder.ancestors().find(|folder| folder.join("suites").is_dir()).map(Path::to_owned);
        found.ok_or(TestsError::NoSuites { folder })
    }
}
