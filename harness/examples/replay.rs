//! Replays the events of a run: `cargo run -p gpu-harness --example replay -- RUN_DIR [SPEED]`.
//!
//! Shows the live view on a terminal and plain lines elsewhere, as `gpu-harness run` does. SPEED 10 is ten times as
//! fast as the run was; no wait is longer than two seconds.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use gpu_harness::report::terminal::{self, Verbosity};
use gpu_harness::report::{RunState, case::seconds_between, events};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let run_dir = PathBuf::from(arguments.next().ok_or("name the folder of a run")?);
    let speed: f64 = arguments.next().map_or(Ok(1.0), |speed| speed.to_string_lossy().parse())?;
    let verbosity = if arguments.next().is_some() { Verbosity::Verbose } else { Verbosity::Normal };
    let mut reporter =
        terminal::reporter(std::io::stdout().is_terminal(), verbosity, &gpu_harness::here::Env::of_process());
    let mut state = RunState::default();
    events::read(&run_dir.join("events.ndjson"), |record| {
        let pause = state.latest.map_or(0.0, |latest| seconds_between(latest, record.at));
        std::thread::sleep(Duration::from_secs_f64((pause / speed).min(2.0)));
        state.apply(&record);
        reporter.event(&record, &state);
        Ok(())
    })?;
    state.cut_off();
    let exit = state.exit();
    reporter.finish(&state, &run_dir, exit);
    Ok(())
}
