//! Whether each seeded fault is caught by the check that is named for it, and how often the sound versions pass.

use gpu_faults::catalogue::Program;
use gpu_harness_tests::faults::{self, Judged};
use gpu_suites::outcome::Outcome;

use crate::table::Table;

/// The seed of the faults.
const SEED: u64 = 1;
/// Sound cases in one run.
const PER_RUN: u64 = 25;

/// Runs every fault once and every sound version with `seeds` seeds, and prints the tables; whether all is as it should
/// be.
pub(crate) fn run(seeds: u64) -> bool {
    let mut wrong = Vec::new();
    let mut table = Table::new(["fault", "what is wrong", "caught by", "seconds", "others that broke"]);
    for (entry, judged) in faults::every_fault(SEED) {
        let others = Vec::from_iter(judged.others(entry).iter().map(ToString::to_string)).join(", ");
        let against = judged.against(entry);
        let by = match &against {
            None => [entry.caught_by.as_str(), entry.subject.unwrap_or_default()].join(" "),
            Some(_) => "**not as it should be**".to_owned(),
        };
        table.row([entry.name, entry.what, by.trim(), &format!("{:.1}", judged.seconds), &others]);
        wrong.extend(against);
    }
    table.print();
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
    wrong.iter().for_each(|wrong| eprintln!("{wrong}\n"));
    wrong.is_empty()
}
