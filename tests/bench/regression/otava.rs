//! Apache Otava on the same nights, by its own Python code, where there is one that has it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::nights::{self, History, World};
use super::tally::{per_thousand, percent};
use crate::table::Table;

/// A Python that has the package apache-otava: `cargo xtask bench` makes one.
const PYTHON: &str = "GPU_HARNESS_BENCH_OTAVA";
/// Nights from the step on.
const AFTER: usize = 3;

/// The row of 5 % steps.
pub(super) fn row(table: &mut Table, world: World, histories: u64, seed: u64) {
    let noise = format!("{} %", world.noise * 100.0);
    let Some(python) = std::env::var_os(PYTHON) else {
        let why = format!("not run: {PYTHON} names no Python that has it");
        table.row([&noise, "Apache Otava", "", &why, "", "", ""]);
        return;
    };
    let series = Vec::from_iter((0..histories).map(|number| {
        let mut history = History::new(world, seed, number);
        let quiet = history.quiet_nights();
        let step = |night| if night < quiet { 0.0 } else { 0.05 };
        (quiet, Vec::from_iter((0..quiet + AFTER).map(|night| history.night(step(night)).first())))
    }));
    let (mut first, mut soon, mut alarms, mut nights) = (0, 0, 0, 0);
    for ((quiet, _), said) in series.iter().zip(ask(Path::new(&python), &series)) {
        let on =
            |from: usize, to: usize| said.iter().filter(|night| (from..to).contains(*night)).count() as u64;
        first += u64::from(on(*quiet, quiet + 1) > 0);
        soon += u64::from(on(*quiet, quiet + AFTER) > 0);
        alarms += on(0, *quiet);
        nights += (quiet - nights::LEAST) as u64;
    }
    let (first, soon) = (percent(first, histories), percent(soon, histories));
    table.row([&noise, "Apache Otava", "", &first, "", &soon, &per_thousand(alarms, nights)]);
}

/// The nights on which Otava tells of something new, for each series.
fn ask(python: &Path, series: &[(usize, Vec<f64>)]) -> Vec<Vec<usize>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("bench").join("otava_nights.py");
    let mut command = Command::new(python);
    command.arg(script).arg(nights::LEAST.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{} starts: {error}", python.display()));
    let mut input = child.stdin.take().expect("it was asked for");
    let lines = series.iter().map(|(_, values)| serde_json::json!(values).to_string() + "\n");
    let lines = lines.collect::<String>();
    // It answers as it reads: two threads, so that neither waits for the other.
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("its output can be read");
    writer.join().expect("the writer does not panic").expect("Otava reads every series");
    assert!(output.status.success(), "bench/otava_nights.py: {}", output.status);
    let answers = String::from_utf8_lossy(&output.stdout);
    let night = |line| -> Vec<(usize, usize)> { serde_json::from_str(line).expect("pairs of numbers") };
    answers.lines().map(|line| night(line).into_iter().map(|(night, _)| night).collect()).collect()
}
