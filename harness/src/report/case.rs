//! What is known of one case so far.

use std::collections::{BTreeMap, VecDeque};

use gpu_suites::event::{CaseSummary, Finding, Stream, Verdict};
use gpu_suites::gpu_watch::GpuSeen;
use gpu_suites::id::{CaseId, Sha256};
use gpu_suites::outcome::Outcome;
use jiff::Timestamp;

use super::excerpt::Excerpt;
use super::series::Series;

#[derive(Debug, Clone, PartialEq)]
pub struct CaseState {
    /// The case, its description and where it is written.
    pub summary: CaseSummary,
    pub phase: Phase,
    /// The latest attempt: 0 before the first.
    pub attempt: u32,
    /// Attempts that ended, oldest first; of very many, the latest.
    pub ended: VecDeque<Attempt>,
    /// Whether an attempt before the latest had not been good; one whose node was taken away does not count.
    pub stumbled: bool,
    pub started: Option<Timestamp>,
    /// How the process of the latest attempt ended, where it did.
    pub exit: Option<Exited>,
    pub findings: Vec<Finding>,
    pub metrics: BTreeMap<String, Series>,
    /// The facts (texts and flags) among the metrics of the latest attempt: the last value of each.
    pub facts: BTreeMap<String, String>,
    /// What the latest attempt runs on.
    pub device: BTreeMap<String, String>,
    pub progress: Option<Progress>,
    /// What was seen of the GPUs during the latest attempt.
    pub gpus: Vec<GpuSeen>,
    /// What was wrong with the GPUs during the latest attempt.
    pub unwell: Option<String>,
    pub stdout: Excerpt,
    pub stderr: Excerpt,
    /// Bytes of log that the node dropped, over all attempts.
    pub log_dropped: u64,
    pub artifacts: Vec<Artifact>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exited {
    /// By itself, with this code.
    Code(i32),
    Signal(i32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Waiting,
    Running,
    Finished,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// 1 for the first, 0 where the case was never started.
    pub number: u32,
    pub outcome: Outcome,
    pub reason: Option<String>,
    /// Its wall time, from 0 to 10⁹.
    pub seconds: f64,
    pub at: Timestamp,
    pub figures: BTreeMap<String, f64>,
    /// Whether its node was found to be slower than such nodes are.
    pub on_slow_node: bool,
    /// What was wrong with the GPUs meanwhile.
    pub unwell: Option<String>,
}

impl Attempt {
    /// Whether it passed on a node that was well, so that its figures count.
    pub fn is_well(&self) -> bool {
        self.outcome == Outcome::Passed && !self.on_slow_node && self.unwell.is_none()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Path below the case's artifact folder, as the node gave it.
    pub path: String,
    pub bytes: u64,
    pub sha256: Sha256,
}

/// How far an attempt has come, and how fast.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    pub phase: Option<String>,
    pub step: u64,
    pub steps: Option<u64>,
    /// Whether the case reports progress itself; else the steps of its metrics are taken.
    pub(super) told: bool,
    recent: VecDeque<(Timestamp, u64)>,
}

const RECENT: usize = 32;

impl Progress {
    pub(super) fn new(
        at: Timestamp,
        phase: Option<String>,
        step: u64,
        steps: Option<u64>,
        told: bool,
    ) -> Self {
        Self { phase, step, steps, told, recent: VecDeque::from([(at, step)]) }
    }

    /// Whether `step` of `phase` goes on where this is.
    pub(super) fn goes_on(&self, phase: Option<&String>, step: u64) -> bool {
        self.phase.as_ref() == phase && step >= self.step
    }

    pub(super) fn advance(&mut self, at: Timestamp, step: u64, steps: Option<u64>) {
        self.step = step;
        self.steps = steps.or(self.steps);
        // Samples closer than 100 ms replace each other, so that the window spans seconds at any rate.
        let crowded = self.recent.len() > 1
            && self.recent.iter().nth_back(1).is_some_and(|(before, _)| seconds_between(*before, at) < 0.1);
        if crowded {
            self.recent.pop_back();
        } else if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((at, step));
    }

    /// Steps per second over the last few seconds.
    pub fn rate(&self) -> Option<f64> {
        let (&(from, first), &(to, last)) = (self.recent.front()?, self.recent.back()?);
        let seconds = seconds_between(from, to);
        (seconds > 0.0 && last > first).then(|| (last - first) as f64 / seconds)
    }

    pub fn seconds_left(&self) -> Option<f64> {
        let left = self.steps?.checked_sub(self.step)?;
        Some(left as f64 / self.rate()?)
    }

    /// The share that is done, 0 to 1.
    pub fn share(&self) -> Option<f64> {
        let steps = self.steps.filter(|steps| *steps > 0)?;
        Some((self.step as f64 / steps as f64).min(1.0))
    }
}

/// Seconds from one time to a later one; 0 where the clock went back.
pub fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

impl CaseState {
    pub fn new(summary: CaseSummary) -> Self {
        Self {
            summary,
            phase: Phase::Waiting,
            attempt: 0,
            ended: VecDeque::new(),
            stumbled: false,
            started: None,
            exit: None,
            findings: Vec::new(),
            metrics: BTreeMap::new(),
            facts: BTreeMap::new(),
            device: BTreeMap::new(),
            progress: None,
            gpus: Vec::new(),
            unwell: None,
            stdout: Excerpt::default(),
            stderr: Excerpt::default(),
            log_dropped: 0,
            artifacts: Vec::new(),
        }
    }

    pub fn id(&self) -> &CaseId {
        &self.summary.id
    }

    pub fn log(&self, stream: Stream) -> &Excerpt {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }

    /// The end of the latest attempt, where it has ended.
    pub fn last_ended(&self) -> Option<&Attempt> {
        (self.phase == Phase::Finished).then(|| self.ended.back()).flatten()
    }

    /// Whether it passed, but not at once.
    pub fn is_flaky(&self) -> bool {
        self.stumbled && self.last_ended().is_some_and(|end| end.outcome == Outcome::Passed)
    }

    /// The attempts before the latest whose node was taken away.
    pub fn interruptions(&self) -> impl Iterator<Item = &Attempt> {
        let before = self.ended.len().saturating_sub(usize::from(self.last_ended().is_some()));
        self.ended.iter().take(before).filter(|attempt| attempt.outcome == Outcome::Interrupted)
    }

    pub fn broken(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.verdict == Verdict::Broke)
    }

    /// What the latest attempt ran on, for a person: the GPU's name, or `CPU`; where it says so itself, or the node does.
    pub fn ran_on(&self) -> Option<String> {
        let fact = |name: &str| self.device.get(name).map(String::as_str).filter(|fact| !fact.is_empty());
        let named = match fact("name") {
            Some("cpu") => Some("CPU"),
            Some("cuda") => Some("CUDA"),
            _ => None,
        };
        fact("gpu").or(named).or_else(|| fact("ran_on")).map(str::to_owned)
    }

    pub fn loss(&self) -> Option<&Series> {
        self.metrics.get("loss")
    }

    /// The metric that says most about the result: the evaluated one before the trained one, or the best rate.
    pub fn headline(&self) -> Option<(&str, &Series)> {
        let quality = ["eval/", "train/"]
            .iter()
            .find_map(|prefix| self.metrics.iter().find(|(name, _)| name.starts_with(prefix)));
        // `fp32/items_per_second` is that of the dtype's fastest batch size; a name with two slashes is one of many.
        let rates = self
            .metrics
            .iter()
            .filter(|(name, _)| name.ends_with("items_per_second") && name.matches('/').count() < 2);
        let rate = || rates.max_by(|(_, one), (_, other)| one.last.total_cmp(&other.last));
        quality.or_else(rate).map(|(name, series)| (name.as_str(), series))
    }
}
