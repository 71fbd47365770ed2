//! `gpu-harness`: see `gpu-harness --help` and README.md.

use std::process::ExitCode;

use clap::Parser as _;
use gpu_harness::cli::Cli;
use gpu_harness::text::streams;
use gpu_suites::exit::Exit;

fn main() -> ExitCode {
    let cli = match Cli::try_parse_from(gpu_harness::cli::words(std::env::args_os())) {
        Ok(cli) => cli,
        Err(error) => {
            // clap's own code for a wrong command line is 2, which is ours too; help and version are 0, and text for
            // standard output, without colours where that is no terminal.
            if !error.use_stderr() {
                let text = error.render();
                streams::say(&if console::colors_enabled() {
                    text.ansi().to_string()
                } else {
                    text.to_string()
                });
                return written(ExitCode::SUCCESS);
            }
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    written(match cli.execute() {
        Ok(exit) => exit,
        Err(failure) => failure.tell().into(),
    })
}

/// A success that could not be said is none.
fn written(exit: ExitCode) -> ExitCode {
    match streams::lost() {
        Some(error) if exit == ExitCode::SUCCESS => {
            streams::tell(&format!("error: failed to write to standard output: {error}"));
            Exit::Infrastructure.into()
        }
        _ => exit,
    }
}
