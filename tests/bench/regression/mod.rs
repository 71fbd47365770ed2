//! What the rule for regressions finds, and how often it cries for nothing, on simulated nights; beside other rules.
//!
//! Nothing is measured here but rules on numbers from a seeded generator, so the table is the same on every machine. Each
//! rule sees the same nights. Ours may measure a suspected night again, which the others do not do.

mod nights;
mod otava;
mod rules;
mod tally;

use nights::{History, World};
use rules::{Hud, Ours, Rule, SevenPercent};
use tally::Tally;

use crate::table::Table;

/// Where the numbers of docs/benchmarks.md begin. The rule was tuned with others.
const SEED: u64 = 20_261_123;
/// Steps for the worse, as shares of the level.
const STEPS: [f64; 3] = [0.03, 0.05, 0.10];
const NOISES: [f64; 4] = [0.005, 0.01, 0.02, 0.03];

/// Replays `histories` for each noise and each step, and prints the tables.
pub(crate) fn run(histories: u64, seed: Option<u64>) {
    let seed = seed.unwrap_or(SEED);
    println!("{histories} histories for each noise and each step, seed {seed}\n");
    steps(histories, seed);
    worlds(histories, seed);
    drifts(histories, seed);
}

fn rules() -> Vec<Box<dyn Rule>> {
    vec![Box::new(Ours::default()), Box::new(Hud::TwoInARow), Box::new(Hud::First), Box::new(SevenPercent)]
}

fn steps(histories: u64, seed: u64) {
    let mut table = Table::new([
        "noise",
        "rule",
        "3 % step, first night",
        "5 % step, first night",
        "10 % step, first night",
        "5 % step, within 3 nights",
        "false alarms per 1,000 nights",
    ]);
    for noise in NOISES {
        let world = World { noise, ..World::default() };
        for rule in rules() {
            let tallies = STEPS.map(|step| replay(rule.as_ref(), world, step, histories, seed));
            let all = Tally::sum(&tallies);
            let [three, five, ten] = &tallies;
            table.row([
                &format!("{} %", noise * 100.0),
                rule.name(),
                &three.first(),
                &five.first(),
                &ten.first(),
                &five.soon(),
                &all.false_alarms(),
            ]);
        }
        otava::row(&mut table, world, histories, seed);
    }
    table.print();
}

/// The same at 1 % noise, where the world is not as the rule would have it.
fn worlds(histories: u64, seed: u64) {
    let mut table = Table::new([
        "1 % noise, and",
        "rule",
        "5 % step, first night",
        "false alarms per 1,000 nights",
        "measured again, per 1,000 nights",
    ]);
    let one = World::default();
    for (name, world) in [
        ("3 % outlier nights (as above)", one),
        ("no outlier nights", World { outliers: 0.0, ..one }),
        ("10 % outlier nights", World { outliers: 0.10, ..one }),
        ("half of the noise's variance is the night's", World { shared: 0.5, ..one }),
        ("all of the noise is the night's", World { shared: 1.0, ..one }),
        ("1 % of nights on a sick node that passes for healthy", World { sick: 0.01, ..one }),
    ] {
        for rule in rules() {
            let tally = replay(rule.as_ref(), world, 0.05, histories, seed);
            table.row([name, rule.name(), &tally.first(), &tally.false_alarms(), &tally.measured_again()]);
        }
    }
    table.print();
}

/// A drift of 0.1 % a night over 30 nights: what one night's verdict says, and whether the change is told.
fn drifts(histories: u64, seed: u64) {
    let mut table = Table::new([
        "noise",
        "a change is told by the end of a 3 % drift",
        "nights on which the drift is taken for a regression, per 1,000",
        "a change is told without any, in 60 nights",
    ]);
    for noise in NOISES {
        let world = World { noise, ..World::default() };
        let ours = Ours::default();
        let (mut told, mut alarms, mut nights, mut false_ones) = (0_u64, 0_u64, 0_u64, 0_u64);
        for number in 0..histories {
            let mut history = History::new(world, seed ^ 0xD21F, number);
            let steady = Vec::from_iter((0..60).map(|_| history.night(0.0).first()));
            false_ones += u64::from(!gpu_suites::regression::changes(&steady).is_empty());
            let mut before = steady[30..].to_vec();
            for night in 1..=30 {
                let run_history = history.night(0.001 * f64::from(night));
                alarms += u64::from(ours.alarm(&before, &run_history).is_alarm);
                nights += 1;
                before.push(run_history.first());
            }
            told +=
                u64::from(gpu_suites::regression::changes(&before).iter().any(|change| change.share() < 0.0));
        }
        table.row([
            &format!("{} %", noise * 100.0),
            &tally::percent(told, histories),
            &tally::per_thousand(alarms, nights),
            &tally::percent(false_ones, histories),
        ]);
    }
    table.print();
}

/// Quiet nights, then a step: what the rule says of each.
fn replay(rule: &dyn Rule, world: World, step: f64, histories: u64, seed: u64) -> Tally {
    let mut tally = Tally::default();
    for number in 0..histories {
        let mut history = History::new(world, seed, number);
        let quiet = history.quiet_nights();
        let mut before = Vec::new();
        for night in 0..quiet {
            let run_history = history.night(0.0);
            if night >= nights::LEAST {
                tally.quiet(rule.alarm(&before, &run_history));
            }
            before.push(run_history.first());
        }
        let mut found = None;
        for night in 0..3 {
            let run_history = history.night(step);
            if found.is_none() && rule.alarm(&before, &run_history).is_alarm {
                found = Some(night);
            }
            before.push(run_history.first());
        }
        tally.step(found);
    }
    tally
}
