//! Runs made up for the reports' tests: one with every outcome, one whose node is hostile.

use std::collections::BTreeMap;

use gpu_suites::checks;
use gpu_suites::event::{
    self, CaseSummary, EndCause, Event, Finding, NodeState, Origin, Record, Stream, Verdict,
};
use gpu_suites::id::CheckName;
use gpu_suites::id::{CaseId, Sha256};
use gpu_suites::metrics::Value;
use gpu_suites::outcome::Outcome;
use jiff::{SignedDuration, Timestamp};

use super::RunState;

pub(crate) struct Script {
    pub(crate) records: Vec<Record>,
    now: Timestamp,
}

impl Script {
    fn new(cases: &[&str]) -> Self {
        let now = "2026-11-22T21:45:03Z".parse().unwrap();
        let mut script = Self { records: Vec::new(), now };
        script.own(event::RunCreated {
            run: "20261122-214503-7f3a9c01".into(),
            harness: "0.1.0".into(),
            node: "lab".into(),
            cases: cases.iter().zip(10..).map(|(case, line)| summary(case, line)).collect(),
            commit: Some("1f9d3c2".into()),
        });
        script
    }

    fn own(&mut self, event: impl Into<Event>) {
        let seq = self.records.len() as u64;
        self.records.push(Record { seq, at: self.now, from: None, event: event.into() });
    }

    fn node(&mut self, event: impl Into<Event>) {
        let seq = self.records.len() as u64;
        let from = Some(Origin { node: "lab".into(), seq });
        self.records.push(Record { seq, at: self.now, from, event: event.into() });
    }

    fn wait(&mut self, milliseconds: i64) {
        self.now += SignedDuration::from_millis(milliseconds);
    }

    fn start(&mut self, case: &str, attempt: u32) {
        self.node(event::CaseStarted { case: case.into(), attempt });
    }

    fn train(&mut self, case: &str, steps: u32, loss: impl Fn(f64) -> f64, pause: i64) {
        for step in 1..=steps {
            self.wait(pause);
            let share = f64::from(step) / f64::from(steps);
            let (case, steps) = (CaseId::from(case), Some(u64::from(steps)));
            let values = BTreeMap::from([("loss".to_owned(), Value::Number(loss(share)))]);
            self.node(event::Metrics { case: case.clone(), step: Some(step.into()), values });
            self.node(event::Progress { case, phase: Some("train".into()), step: step.into(), steps });
        }
    }

    fn metric(&mut self, case: &str, name: &str, value: f64) {
        let values = BTreeMap::from([(name.to_owned(), Value::Number(value))]);
        self.node(event::Metrics { case: case.into(), step: None, values });
    }

    fn log(&mut self, case: &str, stream: Stream, text: &str) {
        self.node(event::Log { case: case.into(), stream, text: text.to_owned(), raw: None });
    }

    fn check(&mut self, case: &str, check: CheckName, verdict: Verdict, observed: &str, wanted: &str) {
        let is_broken = verdict == Verdict::Broke;
        let finding = Finding {
            subject: (check == checks::Metric::NAME).then(|| "eval/iou".to_owned()),
            check,
            verdict,
            observed: observed.to_owned(),
            wanted: wanted.to_owned(),
            step: is_broken.then_some(120),
            cause: is_broken.then(|| "labels and inputs may be out of step".to_owned()),
        };
        self.node(event::Check { case: case.into(), attempt: 1, finding });
    }

    fn finish(&mut self, case: &str, attempt: u32, outcome: Outcome, reason: Option<&str>, seconds: f64) {
        let reason = reason.map(str::to_owned);
        self.node(event::CaseFinished { case: case.into(), attempt, outcome, reason, seconds });
    }
}

fn summary(case: &str, line: u32) -> CaseSummary {
    CaseSummary {
        id: case.into(),
        description: None,
        at: format!("suites/overfit-one-image.yaml:{line}"),
        junit: Vec::new(),
    }
}

/// The state after some records.
pub(crate) fn state(records: &[Record]) -> RunState {
    let mut state = RunState::default();
    for record in records {
        state.apply(record);
    }
    state
}

const CASES: [&str; 11] = [
    "overfit-one-image::unet-crowns",
    "overfit-one-image::resnet18-batchnorm",
    "overfit-one-image::frozen-head",
    "overfit-one-image::script",
    "overfit-one-image::retried",
    "commands::taken-and-run-again",
    "commands::taken-for-good",
    "commands::pytest",
    "commands::endless",
    "commands::needs-bf16",
    "commands::never-reached",
];

/// A run in which a case ends in every way that there is.
#[expect(clippy::too_many_lines, reason = "one of each kind")]
pub(crate) fn every_outcome() -> Vec<Record> {
    use Outcome::{Cancelled, Errored, Failed, Interrupted, Passed, Skipped, TimedOut};
    use Verdict::{Broke, Held, Skipped as NotJudged};
    let [unet, resnet, frozen, script, retried, again, taken, pytest, endless, bf16, never] = CASES;
    let mut run = Script::new(&CASES);
    let sha256 = Sha256("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into());
    let source = Some("OSBS_029 of DeepForest 2.1.0 (MIT)".to_owned());
    run.own(event::Input {
        name: "osbs-029/image.png".into(),
        sha256: sha256.clone(),
        bytes: 419_430,
        source,
    });
    run.finish(bf16, 0, Skipped, Some("this CPU has no bf16 instructions"), 0.0);
    let node = |state, detail: &str| event::Node { node: "lab".into(), state, detail: detail.into() };
    run.own(node(NodeState::Requested, "ssh://ubuntu@lab:22"));
    run.wait(230);
    run.own(node(NodeState::Reachable, "gpu-agent 0.1.0"));
    run.own(event::Upload { sent: 3, present: 4, bytes: 12_900_000, seconds: 1.24 });
    run.wait(1_240);
    run.own(node(NodeState::Running, "11 cases"));
    let libtorch = Some("/opt/libtorch (2.11.0)".to_owned());
    run.node(event::Hello {
        protocol: 2,
        agent: "0.1.0".into(),
        host: "lab-7".into(),
        libtorch: libtorch.clone(),
    });

    run.start(unet, 1);
    let facts = [("name", "cpu".into()), ("threads", 2.into())].map(|(name, fact)| (name.to_owned(), fact));
    run.node(event::Device { case: unet.into(), facts: facts.into() });
    run.train(unet, 300, |share| 0.693 * (-6.0 * share).exp(), 41);
    run.metric(unet, "eval/iou", 0.9942);
    run.node(event::Artifact {
        case: unet.into(),
        path: "overlay.png".into(),
        bytes: 48_123,
        sha256,
        executable: false,
    });
    run.check(unet, checks::LossDrop::NAME, Held, "loss 0.0017 after 300 steps", "at most 0.035");
    run.check(unet, checks::Metric::NAME, Held, "eval/iou 0.9942", "at least 0.99");
    run.check(
        unet,
        checks::MixedPrecision::NAME,
        NotJudged,
        "this CPU has no bf16 instructions",
        "loss near 0.0017",
    );
    run.finish(unet, 1, Passed, None, 12.32);

    run.start(resnet, 1);
    run.log(resnet, Stream::Stdout, "loading weights\nlabels: 4\n");
    run.train(resnet, 200, |share| 0.31 + 1.1 * (-9.0 * share).exp(), 30);
    run.log(resnet, Stream::Stderr, "warning: plateau at step 120\nlast line without an end");
    run.check(
        resnet,
        checks::LossDrop::NAME,
        Broke,
        "loss 0.31 after 200 steps",
        "at most 0.035 (5% of 0.69)",
    );
    run.check(resnet, checks::Metric::NAME, Broke, "eval/iou 0.4", "at least 0.99");
    run.finish(resnet, 1, Failed, Some("2 of 9 checks did not hold"), 6.1);

    run.start(frozen, 1);
    run.train(frozen, 20, |_| 0.7, 30);
    run.check(frozen, checks::Gradients::NAME, Broke, "2 trainable tensors have no gradient", "none");
    run.finish(frozen, 1, Passed, None, 0.62);

    run.start(script, 1);
    run.own(event::ConnectionLost { error: "connection reset by peer".into() });
    run.wait(2_300);
    run.own(event::Reattached { from_seq: 1_050, seconds: 2.3 });
    run.log(
        script,
        Stream::Stderr,
        "Traceback (most recent call last):\n  File \"train.py\", line 3\nMemoryError\n",
    );
    run.finish(script, 1, Errored, Some("the worker was killed by SIGKILL (out of memory?)"), 2.31);

    run.start(retried, 1);
    run.wait(1_000);
    run.finish(retried, 1, Failed, Some("exit status 1"), 1.0);
    run.start(retried, 2);
    run.wait(800);
    run.finish(retried, 2, Passed, None, 0.8);

    let reclaim = Some("AWS takes the spot instance back at 21:49:05 UTC");
    run.start(again, 1);
    run.wait(2_000);
    let taken_at = Some("2026-11-22T21:49:05Z".parse().unwrap());
    run.node(event::ReclaimNotice { taken_at, action: "terminate".into() });
    run.finish(again, 1, Interrupted, reclaim, 2.0);
    run.node(event::RunFinished {
        reason: reclaim.map(str::to_owned),
        cause: Some(EndCause::Reclaimed),
        seal: None,
    });
    run.node(event::Hello { protocol: 2, agent: "0.1.0".into(), host: "lab-8".into(), libtorch });
    run.start(again, 2);
    run.wait(3_000);
    run.finish(again, 2, Passed, None, 3.0);
    run.start(taken, 1);
    run.wait(1_500);
    run.finish(taken, 1, Interrupted, reclaim, 1.5);

    run.start(pytest, 1);
    run.metric(pytest, "loss", f64::NAN);
    run.node(event::LogTruncated { case: pytest.into(), dropped: 1_073_741_824 });
    run.check(pytest, checks::Finite::NAME, Broke, "loss is NaN", "a finite number");
    run.wait(95_000);
    run.finish(pytest, 1, Failed, None, 95.0);

    run.start(endless, 1);
    run.wait(600_000);
    run.node(event::Warning { case: Some(endless.into()), message: "no output for 5 minutes".into() });
    run.finish(endless, 1, TimedOut, Some("ran into its limit of 10m"), 600.0);
    run.own(event::Interrupted { by: "SIGINT".into() });
    run.finish(never, 0, Cancelled, Some("interrupted by SIGINT"), 0.0);
    run.node(event::RunFinished {
        reason: Some("cancelled".into()),
        cause: Some(EndCause::Cancelled),
        seal: None,
    });
    run.own(node(NodeState::Gone, "left as it was found"));
    run.own(event::RunClosed { exit: 130, error: None });
    run.records
}

/// Text that tries everything.
pub(crate) const HOSTILE: &str = "\x1b[2J\x1b]0;owned\x07]]><script>alert(1)</script>\0&amp; \u{202e}txt.exe\u{fffe}\r\
    ::set-output name=x::y\n::error::no\n##[group]hidden\n##vso[task.setvariable variable=a]b\n\
    ##teamcity[testFailed name='a']\nsection_start:1700000000:x\r\x1b[0Kfold\n[[ATTACHMENT|/etc/passwd]]\n";

/// A run whose node says hostile things wherever it can.
pub(crate) fn hostile() -> Vec<Record> {
    let case = "overfit::victim";
    let mut run = Script::new(&[case]);
    let text = HOSTILE.to_owned();
    run.node(event::Hello {
        protocol: 1,
        agent: text.clone(),
        host: text.clone(),
        libtorch: Some(text.clone()),
    });
    // Only the harness speaks of the run, and only of cases that it listed.
    run.node(event::ReclaimNotice { taken_at: None, action: text.clone() });
    run.node(event::RunClosed { exit: 0, error: Some(text.clone()) });
    run.node(event::Interrupted { by: text.clone() });
    run.finish("../../etc::cron", 1, Outcome::Passed, None, 1.0);
    run.start(case, 1);
    let facts = BTreeMap::from([(text.clone(), serde_json::Value::String(text.clone()))]);
    run.node(event::Device { case: case.into(), facts });
    run.node(event::Progress {
        case: case.into(),
        phase: Some(text.clone()),
        step: u64::MAX,
        steps: Some(0),
    });
    run.wait(20_000);
    run.node(event::Progress { case: case.into(), phase: Some(text.clone()), step: 7, steps: Some(3) });
    let values = [(text.clone(), Value::Number(1e308)), ("fact".to_owned(), Value::Text(text.clone()))];
    run.node(event::Metrics { case: case.into(), step: Some(u64::MAX), values: values.into() });
    run.log(case, Stream::Stdout, &text);
    run.log(case, Stream::Stderr, &("x".repeat(10_000) + "\n" + &text));
    let path = "../../../etc/passwd".to_owned();
    run.node(event::Artifact {
        case: case.into(),
        path,
        bytes: u64::MAX,
        sha256: Sha256(text.clone()),
        executable: false,
    });
    run.node(event::Warning { case: Some(text.as_str().into()), message: text.clone() });
    let finding = Finding {
        check: checks::Metric::NAME,
        subject: Some(text.clone()),
        verdict: Verdict::Broke,
        observed: text.clone(),
        wanted: text.clone(),
        step: Some(u64::MAX),
        cause: Some(text.clone()),
    };
    run.node(event::Check { case: case.into(), attempt: 1, finding });
    run.finish(case, u32::MAX, Outcome::Failed, Some(&text), 1e300);
    run.records
}

/// What else is known of a case than its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Nothing,
    /// It failed at its first try.
    Stumble,
    /// An answer is another one than before, which fails the build.
    Change,
    /// It is in quarantine.
    Quarantine,
    ChangeInQuarantine,
}

impl Known {
    pub(crate) const ALL: [Self; 5] =
        [Self::Nothing, Self::Stumble, Self::Change, Self::Quarantine, Self::ChangeInQuarantine];
}

/// A run of one case, `suite::case`, that ended like this.
pub(crate) fn one(outcome: Outcome, known: Known) -> RunState {
    let case = "suite::case";
    let mut run = Script::new(&[case]);
    let tries = if known == Known::Stumble { 2 } else { 1 };
    for attempt in 1..=tries {
        run.start(case, attempt);
        run.wait(1000);
        let outcome = if attempt < tries { Outcome::Failed } else { outcome };
        run.finish(case, attempt, outcome, Some("why"), 1.0);
    }
    if matches!(known, Known::Change | Known::ChangeInQuarantine) {
        let answers = vec![gpu_suites::regression::answers::Changed {
            metric: "answers".into(),
            said: "3 of 10".into(),
            fails: true,
        }];
        run.own(event::Judged {
            case: case.into(),
            standing: gpu_suites::regression::Standing::Passing,
            steady: 0,
            metrics: Vec::new(),
            degraded: None,
            answers,
            vanished: Vec::new(),
        });
    }
    if matches!(known, Known::Quarantine | Known::ChangeInQuarantine) {
        let until = jiff::civil::date(2026, 12, 24);
        run.own(event::Quarantined { case: case.into(), reason: "known".into(), until });
    }
    let exit = state(&run.records).exit();
    run.own(event::RunClosed { exit: exit.code(), error: None });
    state(&run.records)
}
