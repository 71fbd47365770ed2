//! What is taken in from a node's journal: what an agent says of the cases that it was given, and no more than those can
//! make. Whatever a node sends, the disk, the memory and the terminal here are bounded by the plan.

use std::collections::HashMap;

use gpu_suites::budget;
use gpu_suites::event::{Event, Record};
use gpu_suites::id::CaseId;
use gpu_suites::outcome::Outcome;
use gpu_suites::plan::Plan;
use gpu_suites::seal::{Key, Sealing};

use crate::files::announced::Announced;

/// The longest line that is taken from a node. An event's text is at most 16 KiB, and JSON makes at most six
/// bytes of one; the longest is the answer that names each file of a tree that is missing.
pub(crate) const LONGEST_LINE: usize = 8 << 20;

#[derive(Debug, PartialEq)]
pub(crate) enum Taken {
    /// It is taken in.
    In(Box<Record>),
    /// It is of no case of the plan, or of a kind that no node has a say in: it is left out. Whether it is the first.
    LeftOut {
        /// Nothing was left out before.
        is_first: bool,
    },
}

#[derive(Debug)]
pub(crate) struct Intake {
    /// What each case may still begin and end.
    cases: HashMap<CaseId, Turns>,
    left: u64,
    pub(crate) left_out: u64,
    has_hello: bool,
    has_notice: bool,
    pub(crate) announced: Announced,
    sealing: Sealing,
    key: Key,
}

/// How often a case may be begun and ended, and the last number that an attempt may have.
#[derive(Debug)]
struct Turns {
    begun: u64,
    ended: u64,
    last: u32,
}

impl Intake {
    pub(crate) fn of(plan: &Plan, key: Key) -> Self {
        let attempts = budget::attempts(plan);
        let cases = plan.cases.iter().map(|case| {
            let last = case.attempts_before.saturating_add(u32::try_from(attempts).unwrap_or(u32::MAX));
            (case.id.clone(), Turns { begun: attempts, ended: attempts, last })
        });
        Self {
            cases: cases.collect(),
            left: budget::of(plan),
            left_out: 0,
            has_hello: false,
            has_notice: false,
            announced: Announced::default(),
            sealing: Sealing::default(),
            key,
        }
    }

    /// Takes a line that is no record off the budget.
    pub(crate) fn charge(&mut self, line: usize) -> Result<(), String> {
        self.spend(budget::cost(line))
    }

    /// Takes in the record of a line; an error says what no agent does.
    pub(crate) fn take(&mut self, record: Record, line: &[u8]) -> Result<Taken, String> {
        self.spend(budget::cost(line.len()))?;
        if let Event::RunFinished(finished) = &record.event
            && finished.seal.as_ref() != Some(&self.sealing.seal(&self.key))
        {
            return Err(
                "a journal that does not fit its seal: something there has written in it beside the agent"
                    .into(),
            );
        }
        self.sealing.line(line);
        let is_known = record.event.case().is_none_or(|case| self.cases.contains_key(case));
        if !is_known || record.event.is_of_the_harness() {
            self.left_out += 1;
            return Ok(Taken::LeftOut { is_first: self.left_out == 1 });
        }
        match &record.event {
            Event::Hello(_) if std::mem::replace(&mut self.has_hello, true) => {
                return Err("a second introduction".into());
            }
            Event::ReclaimNotice(_) if std::mem::replace(&mut self.has_notice, true) => {
                return Err("a second notice that it is being taken away".into());
            }
            Event::CaseStarted(event) => {
                self.turn(&event.case, event.attempt, |turns| &mut turns.begun)?;
                self.announced.part_with(&event.case);
            }
            Event::CaseFinished(event) if event.attempt == 0 && is_verdict(event.outcome) => {
                return Err(format!("how {} went, which was never begun", event.case));
            }
            Event::CaseFinished(event) => self.turn(&event.case, event.attempt, |turns| &mut turns.ended)?,
            Event::Artifact(artifact) => self.announced.take(artifact)?,
            _ => {}
        }
        Ok(Taken::In(Box::new(record)))
    }

    fn spend(&mut self, cost: u64) -> Result<(), String> {
        self.left = self.left.checked_sub(cost).ok_or(
            "more than the cases of its plan can make (`limits: log` of each, and what checks and metrics need)",
        )?;
        Ok(())
    }

    fn turn(&mut self, case: &CaseId, attempt: u32, of: fn(&mut Turns) -> &mut u64) -> Result<(), String> {
        let Some(turns) = self.cases.get_mut(case) else { return Ok(()) };
        let left = of(turns);
        if *left == 0 || attempt > turns.last {
            return Err(format!("one attempt more of {case} than the plan has"));
        }
        *of(turns) -= 1;
        Ok(())
    }
}

/// Whether it says how a case went, and not why it was not run.
fn is_verdict(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Passed | Outcome::Failed)
}

#[cfg(test)]
mod tests {
    use gpu_suites::event::{
        Artifact, CaseFinished, CaseStarted, Log, ReclaimNotice, RunClosed, RunFinished, Stream,
    };
    use gpu_suites::plan::{Lease, OnExpiry, PROTOCOL, PlannedCase};
    use gpu_suites::spec::{Case, Environment};
    use gpu_suites::unit::{ByteSize, Span};

    use super::*;

    /// What a record costs does not depend on what its line says.
    const LINE: &[u8] = &[b'x'; 200];

    fn plan() -> Plan {
        let mut spec: Case = serde_json::from_str(r#"{"name":"c","command":{"run":["true"]}}"#).unwrap();
        spec.limits.log = ByteSize(1 << 10);
        let case = PlannedCase {
            id: "s::c".into(),
            spec,
            inputs: std::collections::BTreeMap::new(),
            executable: std::collections::BTreeSet::new(),
            links: std::collections::BTreeMap::new(),
            attempts_before: 2,
            retries_used: 0,
        };
        Plan {
            protocol: PROTOCOL,
            run: "r".into(),
            cases: vec![case],
            lease: Lease { ttl: Span(std::time::Duration::from_secs(60)), on_expiry: OnExpiry::Exit },
            fail_fast: false,
            retries: 1,
            timeout: None,
            worker: None,
            reclaimable: false,
            libtorch: None,
            environment: Environment::default(),
        }
    }

    fn record(event: impl Into<Event>) -> Record {
        Record { seq: 0, at: jiff::Timestamp::UNIX_EPOCH, from: None, event: event.into() }
    }

    fn started(attempt: u32) -> Record {
        record(CaseStarted { case: "s::c".into(), attempt })
    }

    #[test]
    fn records_of_other_cases_and_of_the_harness_are_left_out_and_the_first_is_told() {
        let mut intake = Intake::of(&plan(), Key::default());
        let other = record(CaseStarted { case: "s::other".into(), attempt: 1 });
        assert_eq!(intake.take(other.clone(), LINE).unwrap(), Taken::LeftOut { is_first: true });
        assert_eq!(intake.take(other, LINE).unwrap(), Taken::LeftOut { is_first: false });
        let closed = record(RunClosed { exit: 0, error: None });
        assert_eq!(intake.take(closed, LINE).unwrap(), Taken::LeftOut { is_first: false });
        assert_eq!(intake.left_out, 3);
        assert!(matches!(intake.take(started(3), LINE).unwrap(), Taken::In(_)));
    }

    #[test]
    fn a_case_begins_and_ends_as_often_as_the_plan_has_it() {
        let mut intake = Intake::of(&plan(), Key::default());
        let finished = |attempt| {
            let case = "s::c".into();
            record(CaseFinished { case, attempt, outcome: Outcome::Failed, reason: None, seconds: 1.0 })
        };
        for attempt in [3, 4] {
            intake.take(started(attempt), LINE).unwrap();
            intake.take(finished(attempt), LINE).unwrap();
        }
        intake.take(started(4), LINE).unwrap_err();
        intake.take(finished(4), LINE).unwrap_err();
        Intake::of(&plan(), Key::default()).take(started(5), LINE).unwrap_err();
    }

    #[test]
    fn what_was_never_begun_has_neither_passed_nor_failed() {
        let ends = |outcome| {
            let finished =
                CaseFinished { case: "s::c".into(), attempt: 0, outcome, reason: None, seconds: 0.0 };
            Intake::of(&plan(), Key::default()).take(record(finished), LINE).is_ok()
        };
        assert!(ends(Outcome::Skipped) && ends(Outcome::Errored) && ends(Outcome::TimedOut));
        assert!(!ends(Outcome::Passed) && !ends(Outcome::Failed));
    }

    #[test]
    fn a_journal_that_somebody_else_has_written_in_is_refused_at_its_end() {
        let (key, lines) = (Key::new(), [started(3).to_line(), started(4).to_line()]);
        let mut sealing = Sealing::default();
        for line in &lines {
            sealing.line(line.as_bytes());
        }
        let end = |seal| record(RunFinished { reason: None, cause: None, seal });
        let ends = |lines: &[String], seal| {
            let mut intake = Intake::of(&plan(), key.clone());
            for line in lines {
                intake.take(Record::parse(line).unwrap(), line.as_bytes()).unwrap();
            }
            intake.take(end(seal), LINE)
        };
        let seal = sealing.seal(&key);
        assert!(matches!(ends(&lines, Some(seal.clone())), Ok(Taken::In(_))));
        ends(&lines[..1], Some(seal)).unwrap_err();
        ends(&lines, Some(sealing.seal(&Key::default()))).unwrap_err();
        ends(&lines, None).unwrap_err();
    }

    #[test]
    fn what_is_said_once_is_taken_once() {
        let mut intake = Intake::of(&plan(), Key::default());
        let notice = || record(ReclaimNotice { taken_at: None, action: "stop".into() });
        intake.take(notice(), LINE).unwrap();
        intake.take(notice(), LINE).unwrap_err();
    }

    #[test]
    fn the_budget_of_the_plan_ends_a_flood_of_whatever_kind() {
        let log = |text: &str| {
            record(Log { case: "s::c".into(), stream: Stream::Stdout, text: text.into(), raw: None })
        };
        let artifact = |n: u64| {
            let (case, path) = ("s::c".into(), format!("{}.bin", n % 100));
            record(Artifact { case, path, bytes: 1, sha256: "0".repeat(64).into(), executable: false })
        };
        let plan = plan();
        let floods: [&dyn Fn(u64) -> Record; 4] =
            [&|_| log("."), &|_| log(&"x".repeat(16 << 10)), &artifact, &|_| {
                record(CaseStarted { case: "s::other".into(), attempt: 1 })
            }];
        for flood in floods {
            let mut intake = Intake::of(&plan, Key::default());
            let mut taken = 0;
            while taken < 10_000_000 && intake.take(flood(taken), LINE).is_ok() {
                taken += 1;
            }
            assert!((100..10_000_000).contains(&taken), "{taken}");
        }
        let mut intake = Intake::of(&plan, Key::default());
        assert!((0..2000).any(|_| intake.charge(1 << 20).is_err()));
    }
}
