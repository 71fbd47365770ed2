//! The project's own commands: `cargo xtask demo` shows the main job, `cargo xtask test` passes the tests, and each
//! sets up what is missing first.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what it prints is for whoever develops this project"
)]

mod bench;
mod build;
mod cargo;
mod cases;
mod demo;
mod dist;
mod ec2;
mod fuzz;
mod lint;
mod pipeline;
mod python;
mod rig;
mod rooms;
mod setup;
mod soak;
mod step;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sets up what is missing: libtorch, the aerial tile, programs. Once, into one cache folder
    #[command(after_help = "The cache folder is $GPU_HARNESS_CACHE, else $XDG_CACHE_HOME/gpu-harness, \
                            else ~/.cache/gpu-harness.")]
    Setup(setup::Options),
    /// Builds gpu-harness, gpu-agent and gpu-worker for use, into target/release
    Build,
    /// Makes what is released, into dist/: a wheel, a Debian package and a tar of programs that start on other machines
    Dist(dist::Options),
    /// Overfits a real aerial image on this machine and reports it: the main job
    Demo {
        /// Passed on to `gpu-harness run`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Passes the tests, with cargo-nextest where it is installed
    Test {
        /// Passed on to `cargo nextest run` (or `cargo test`): `-p PACKAGE`, a part of a test's name, …
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Passes the tests of inputs on which results were wrong once, each kind by its name
    Cases {
        /// Which of them; all where none is named, and a name that does not exist lists those that do
        names: Vec<String>,
    },
    /// Starts the test EC2, a stand-in whose instances are real hosts on this machine, and keeps it until Ctrl-C
    Ec2(ec2::Options),
    /// Checks formatting, clippy's warnings, licences, advisories and CI files
    Lint,
    /// Measures a figure of docs/benchmarks.md
    #[command(
        after_help = "gpu-worker against others: `pipeline` [IMAGES=2000] [MODEL=resnet18] (a DataLoader and Ray Data), \
                            `step` [STEPS=40] (Python's eager torch)."
    )]
    Bench {
        /// Which figure; a name that does not exist lists those that do
        name: String,
        /// Passed on to the measurement
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs a hardship at its full count, where `.ci/run` runs a slice
    #[command(
        after_help = "Two more are `fuzz` [SECONDS=600], a fuzzer at every door where bytes of other people's come in, and `dist`: \
                      what is released starts where there is nothing else."
    )]
    Soak {
        /// Which hardship; a name that does not exist lists those that do
        name: String,
        /// Passed on to the hardship
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Setup(options) => setup::command(options),
        Command::Build => build::run(),
        Command::Dist(options) => dist::run(&options),
        Command::Demo { arguments } => demo::run(&arguments),
        Command::Test { arguments } => test::run(&arguments),
        Command::Cases { names } => cases::run(&names),
        Command::Ec2(options) => ec2::run(&options),
        Command::Lint => lint::run(),
        Command::Bench { name, arguments } => bench::run(&name, &arguments),
        Command::Soak { name, arguments } => soak::run(&name, &arguments),
    };
    done.unwrap_or_else(|error| {
        // The whole chain on one line: each part says what it failed to do, the last one why.
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
