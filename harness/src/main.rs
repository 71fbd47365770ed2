//! `gpu-harness`: see `gpu-harness --help` and README.md.

use std::process::ExitCode;

use clap::Parser as _;
use gpu_harness::cli::Cli;

fn main() -> ExitCode {
    let cli = match Cli::try_parse_from(gpu_harness::cli::words(std::env::args_os())) {
        Ok(cli) => cli,
        Err(error) => {
            // clap's own code for a wrong command line is 2, which is ours too; help and version are 0.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match cli.execute() {
        Ok(exit) => exit,
        Err(error) => gpu_harness::failure::tell(&error).into(),
    }
}
