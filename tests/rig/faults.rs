//! The promise that each fault of fixtures/faults is caught by the check that is named for it, and that the sound
//! versions pass whatever their seed.
//!
//! Each program runs as a user's would: `gpu-harness run` on the local node, metrics through the agent, the checks of
//! the suite, the case's outcome.

use std::collections::BTreeMap;

use gpu_faults::catalogue::{CATALOGUE, Entry, Program};
use gpu_faults::suite;
use gpu_suites::event::{Event, Finding, Verdict};
use gpu_suites::id::CheckName;
use gpu_suites::outcome::Outcome;
use gpu_suites::spec::{Case, Suite};

use crate::project::{Project, program};

#[derive(Debug)]
pub struct Judged {
    pub outcome: Outcome,
    /// Why, where it did not pass.
    pub reason: String,
    pub seconds: f64,
    /// The findings that broke.
    pub broke: Vec<Finding>,
}

impl Judged {
    /// The checks that broke, each once.
    pub fn checks(&self) -> Vec<CheckName> {
        let mut checks = Vec::from_iter(self.broke.iter().map(|finding| finding.check.clone()));
        checks.dedup();
        checks
    }

    /// The checks that broke besides the one that is named for the fault.
    pub fn others(&self, entry: &Entry) -> Vec<CheckName> {
        self.checks().into_iter().filter(|check| *check != entry.caught_by).collect()
    }

    /// What is wrong with the verdict on a fault, where it is not what the catalogue says.
    pub fn against(&self, entry: &Entry) -> Option<String> {
        let named = |finding: &&Finding| {
            finding.check == entry.caught_by
                && entry.subject.is_none_or(|subject| finding.subject.as_deref() == Some(subject))
        };
        let others = self.others(entry);
        let unforeseen = Vec::from_iter(others.iter().filter(|check| !entry.also.contains(check)));
        if self.outcome != Outcome::Failed {
            return Some(format!("{}: {}, and not failed: {}", entry.name, self.outcome, self.reason));
        }
        if !self.broke.iter().any(|finding| named(&finding)) {
            let subject = entry.subject.unwrap_or_default();
            return Some(format!(
                "{}: {} {subject} did not catch it: {}",
                entry.name, entry.caught_by, self.reason
            ));
        }
        if !unforeseen.is_empty() {
            return Some(format!("{}: {unforeseen:?} broke too: {}", entry.name, self.reason));
        }
        None
    }
}

/// Each fault of a program, once.
pub fn every_fault(of: Program, seed: u64) -> Vec<(&'static Entry, Judged)> {
    let path = program("faulty");
    let entries = Vec::from_iter(CATALOGUE.iter().filter(|entry| entry.program == of));
    let case = |entry: &&Entry| suite::case(of, Some(entry.fault), seed, &path);
    let judged = judged(entries.iter().map(case).collect());
    entries.into_iter().zip(judged).collect()
}

/// A sound version with each of these seeds.
pub fn sound(of: Program, seeds: impl Iterator<Item = u64>) -> Vec<Judged> {
    let path = program("faulty");
    judged(seeds.map(|seed| suite::case(of, None, seed, &path)).collect())
}

/// Runs the cases on the local node, one after another.
fn judged(cases: Vec<Case>) -> Vec<Judged> {
    let names = Vec::from_iter(cases.iter().map(|case| case.name.clone()));
    let suite = Suite { cases, ..suite::sound() };
    let mut project = Project::with_suite(&serde_json::to_string_pretty(&suite).expect("a suite is JSON"));
    if let Some(libtorch) = std::env::var_os("LIBTORCH") {
        let lib = std::path::Path::new(&libtorch).join("lib");
        project = project.env("LD_LIBRARY_PATH", lib.display().to_string());
    }
    let run = project.run(&["-q"]);
    let mut broke: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
    let mut ended = BTreeMap::new();
    for record in run.events() {
        match record.event {
            Event::Check(event) if event.finding.verdict == Verdict::Broke => {
                broke.entry(event.case.case().to_owned()).or_default().push(event.finding);
            }
            Event::CaseFinished(event) => {
                ended.insert(event.case.case().to_owned(), event);
            }
            _ => {}
        }
    }
    let of = |name: &String| {
        let ended = ended.remove(name).unwrap_or_else(|| panic!("{name} has no outcome: {}", run.stderr));
        Judged {
            outcome: ended.outcome,
            reason: ended.reason.unwrap_or_default(),
            seconds: ended.seconds,
            broke: broke.remove(name).unwrap_or_default(),
        }
    };
    names.iter().map(of).collect()
}
