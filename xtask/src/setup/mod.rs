//! Sets up what a clone needs beside Rust: libtorch, the aerial tile, the test EC2's Python, two of pytest, validators of CI
//! files and some programs, once, into one cache folder.
//!
//! Everything here is idempotent. What is there and right is used at once; what is missing is made beside its place
//! and renamed into it, so that a set-up that was killed at any moment is simply run again.

mod cache;
mod ec2;
mod index;
mod libtorch;
mod network;
mod programs;
mod progress;
mod pytests;
mod summary;
mod tile;
mod validators;
mod venv;
mod zig;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};

use self::cache::Cache;
use self::network::Network;
pub(crate) use self::network::sha256_of;
use self::summary::Row;

/// Options of `cargo xtask setup`.
#[derive(clap::Args, Clone, Copy, Default)]
pub(crate) struct Options {
    /// Download and install nothing: use what is here, say what is missing
    #[arg(long)]
    offline: bool,
    /// Draw the synthetic tile, even where the real one could be had
    #[arg(long)]
    synthetic_tile: bool,
}

/// What the set-up is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Compiling the workspace, which all others need too.
    Build,
    /// Checking the source and the CI files.
    Lint,
    /// Running the main job on this machine.
    Demo,
    /// Building the programs that are released.
    Dist,
    /// Passing the tests, which need all but that, and start an ssh server, an XML parser and the test EC2.
    Tests,
}

impl Needs {
    /// Whether it needs what `part` needs.
    fn cover(self, part: Self) -> bool {
        part == self || part == Self::Build || (self == Self::Tests && part != Self::Dist)
    }
}

/// What the set-up left in place.
pub(crate) struct Ready {
    /// The folder with libtorch's `lib` and `include`.
    pub(crate) libtorch: PathBuf,
    /// The cache folder.
    pub(crate) cache: PathBuf,
    /// The Python that starts the test EC2; `None`: it was not asked for, or there is no root here.
    pub(crate) ec2: Option<PathBuf>,
    /// The folder of actionlint, check-jsonschema and shellcheck; `None`: they were not asked for.
    pub(crate) validators: Option<PathBuf>,
    /// The folder of cargo-zigbuild and its Python; `None`: they were not asked for.
    pub(crate) zig: Option<PathBuf>,
    /// The Pythons that the plugin for pytest is tested with, where they were asked for.
    pub(crate) pytests: Vec<pytests::Named>,
}

/// The cache folder, for what needs nothing else that is set up.
pub(crate) fn cache_folder() -> Result<PathBuf> {
    Ok(cache::Cache::open()?.root().to_owned())
}

/// Whether this runs in CI, where nobody watches a progress bar.
pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

/// `cargo xtask setup`: everything, with a summary of what is used and where it came from.
pub(crate) fn command(options: Options) -> Result<ExitCode> {
    let (rows, outcome) = all(Needs::Tests, options, tile::Again::WhenSynthetic);
    summary::print(&rows);
    outcome.map(|_| ExitCode::SUCCESS)
}

/// Sets up what `needs` needs before another command; quiet about what was there already.
pub(crate) fn ensure(needs: Needs) -> Result<Ready> {
    let (rows, outcome) = all(needs, Options::default(), tile::Again::Never);
    if outcome.is_err() || rows.iter().any(|row| row.new) {
        summary::print(&rows);
    }
    outcome
}

/// Finds or installs the programs that compiling takes, for what links no libtorch.
pub(crate) fn ensure_compilers() -> Result<()> {
    let missing = programs::ensure(Needs::Build, &Network::On).missing;
    anyhow::ensure!(missing.is_empty(), "the set-up is not complete:\n  - {}", missing.join("\n  - "));
    Ok(())
}

fn all(needs: Needs, options: Options, again: tile::Again) -> (Vec<Row>, Result<Ready>) {
    let mut rows = Vec::new();
    let outcome = steps(needs, options, again, &mut rows);
    (rows, outcome)
}

/// Goes on after a step that failed, so that one run tells everything that is missing.
fn steps(needs: Needs, options: Options, again: tile::Again, rows: &mut Vec<Row>) -> Result<Ready> {
    let cache = Cache::open()?;
    let network = if options.offline { Network::Off } else { Network::On };
    let mut missing = Vec::new();

    let programs = programs::ensure(needs, &network);
    missing.extend(programs.missing);
    rows.extend(programs.rows);

    let libtorch = libtorch::ensure(&cache, &network);
    match &libtorch {
        Ok(found) => rows.push(found.row()),
        Err(error) => missing.push(chain(error)),
    }
    if needs.cover(Needs::Demo) {
        let wanted = if options.synthetic_tile { tile::Wanted::Synthetic } else { tile::Wanted::Real(again) };
        match tile::ensure(&cache, &network, wanted) {
            Ok(row) => rows.push(row),
            Err(error) => missing.push(format!("{error:#}")),
        }
    }
    let mut validators = None;
    if needs.cover(Needs::Lint) {
        match validators::ensure(&cache, &network) {
            Ok((programs, row)) => {
                validators = Some(programs);
                rows.push(row);
            }
            Err(error) => missing.push(format!("{error:#}")),
        }
    }
    let mut zig = None;
    if needs.cover(Needs::Dist) {
        match zig::ensure(&cache, &network) {
            Ok((programs, row)) => {
                zig = Some(programs);
                rows.push(row);
            }
            Err(error) => missing.push(format!("{error:#}")),
        }
    }
    let (mut ec2, mut pytests) = (None, Vec::new());
    if needs.cover(Needs::Tests) {
        match index::ensure(&cache, &network) {
            Ok(row) => rows.push(row),
            Err(error) => missing.push(format!("{error:#}")),
        }
        match ec2::ensure(&cache, &network) {
            Ok((python, row)) => {
                ec2 = python;
                rows.push(row);
            }
            Err(error) => missing.push(format!("{error:#}")),
        }
        match pytests::ensure(&cache, &network) {
            Ok(made) => {
                let (named, made): (Vec<_>, Vec<_>) = made.into_iter().unzip();
                pytests = named;
                rows.extend(made);
            }
            Err(error) => missing.push(format!("{error:#}")),
        }
    }
    rows.push(Row::present("cache", cache.root().display().to_string()));
    match libtorch {
        Ok(found) if missing.is_empty() => {
            Ok(Ready { libtorch: found.path, cache: cache.root().to_owned(), ec2, validators, zig, pytests })
        }
        _ => bail!("the set-up is not complete:\n  - {}", missing.join("\n  - ")),
    }
}

/// An error with its causes, `: ` between them.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
