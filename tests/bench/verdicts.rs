//! Whether each seeded fault is caught by the check that is named for it, and how often the sound versions pass.

use std::collections::BTreeSet;

use gpu_faults::catalogue::{CATALOGUE, Entry, Program};
use gpu_harness_tests::faults::{self, Judged};
use gpu_suites::outcome::Outcome;

use crate::table::Table;

/// Sound cases in one run.
const PER_RUN: u64 = 25;
/// The faults are run with one seed for each so many of the sound versions.
const PER_FAULT_SEED: u64 = 50;

/// Runs every fault with some seeds and every sound version with `seeds` of them, and prints the tables; whether all is
/// as it should be.
pub(crate) fn run(seeds: u64) -> bool {
    let mut wrong = of_faults((seeds / PER_FAULT_SEED).max(1));
    wrong.extend(of_sound(seeds));
    for wrong in &wrong {
        eprintln!("{wrong}\n");
    }
    wrong.is_empty()
}

/// What is wrong with the verdicts on the faults.
fn of_faults(seeds: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut rows: Vec<Row> = CATALOGUE
        .iter()
        .map(|entry| Row { entry, caught: 0, seconds: 0.0, others: BTreeSet::new() })
        .collect();
    for seed in 0..seeds {
        let judged = Program::ALL.into_iter().flat_map(|program| faults::every_fault(program, seed));
        for (entry, judged) in judged {
            let Some(row) = rows.iter_mut().find(|row| row.entry == entry) else { continue };
            let against = judged.against(entry).map(|against| format!("seed {seed}: {against}"));
            row.caught += u64::from(against.is_none());
            row.seconds += judged.seconds;
            row.others.extend(judged.others(entry).iter().map(|check| check.as_str().to_owned()));
            wrong.extend(against);
        }
    }
    let mut table = Table::new(["fault", "caught by", "caught", "seconds each", "others that broke"]);
    for Row { entry, caught, seconds, others } in rows {
        let by = [entry.caught_by.as_str(), entry.subject.unwrap_or_default()].join(" ");
        let seconds = format!("{:.1}", seconds / seeds as f64);
        let others = Vec::from_iter(others).join(", ");
        table.row([entry.name, by.trim(), &format!("{caught} of {seeds}"), &seconds, &others]);
    }
    table.print();
    wrong
}

/// A fault's row, over all seeds.
struct Row {
    entry: &'static Entry,
    caught: u64,
    seconds: f64,
    others: BTreeSet<String>,
}

/// What is wrong with the verdicts on the sound versions.
fn of_sound(seeds: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut table = Table::new(["sound version", "passed", "seconds each"]);
    for program in Program::ALL {
        let mut all: Vec<(u64, Judged)> = Vec::new();
        for first in (0..seeds).step_by(usize::try_from(PER_RUN).expect("a small number")) {
            let chunk = first..(first + PER_RUN).min(seeds);
            all.extend(chunk.clone().zip(faults::sound(program, chunk)));
        }
        let passed = all.iter().filter(|(_, judged)| judged.outcome == Outcome::Passed).count();
        let seconds = all.iter().map(|(_, judged)| judged.seconds).sum::<f64>() / seeds.max(1) as f64;
        table.row([program.name(), &format!("{passed} of {seeds}"), &format!("{seconds:.1}")]);
        let failed = all.iter().filter(|(_, judged)| judged.outcome != Outcome::Passed);
        wrong.extend(
            failed.map(|(seed, judged)| format!("{} with seed {seed}: {}", program.name(), judged.reason)),
        );
    }
    table.print();
    wrong
}
