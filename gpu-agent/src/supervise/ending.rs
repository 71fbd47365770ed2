//! How a case ended, and why, in words: from what was seen to an outcome.

use gpu_suites::checks::ProcessEnd;
use gpu_suites::evaluation::judge;
use gpu_suites::event::Finding;
use gpu_suites::outcome::Outcome;
use gpu_suites::spec::Case;

use super::watch::Stop;

/// What a program says that could not have the memory it asked for.
const NO_MEMORY: [&str; 5] =
    ["MemoryError", "bad_alloc", "Cannot allocate memory", "out of memory", "memory allocation of"];

/// What was seen of a case.
#[derive(Debug)]
pub(super) struct Observations<'a> {
    pub(super) case: &'a Case,
    pub(super) findings: &'a [Finding],
    pub(super) process: &'a ProcessEnd,
    pub(super) stderr: &'a str,
    /// The last progress that it told.
    pub(super) progress: Option<&'a str>,
    /// The kernel's OOM killer struck while it ran.
    pub(super) out_of_memory: bool,
    /// Why a GPU that it may have used is broken.
    pub(super) gpu_broke: Option<&'a str>,
    /// Why what it could not write is the node's fault.
    pub(super) disk_full: Option<&'a str>,
}

/// The outcome and the reason, unless the checks alone say that it passed.
pub(super) fn ending(seen: &Observations<'_>, stop: Option<&Stop>) -> (Outcome, Option<String>) {
    let (outcome, reason) = by_itself(seen, stop);
    // A test that fails on a broken GPU, or hangs on one, says nothing of the code; nor does one that fails on a full disk.
    let has_failed = outcome == Outcome::Failed;
    let is_blamed = has_failed || matches!(stop, Some(Stop::CaseLimit(_)));
    let gpu_broke = seen.gpu_broke.filter(|_| is_blamed);
    match gpu_broke.or(seen.disk_full.filter(|_| has_failed)) {
        Some(why) => {
            let reason = reason.map_or(String::new(), |reason| format!("\nthe case itself: {reason}"));
            (Outcome::Errored, Some(format!("{why}{reason}")))
        }
        None => (outcome, reason),
    }
}

fn by_itself(seen: &Observations<'_>, stop: Option<&Stop>) -> (Outcome, Option<String>) {
    let last = seen.progress.map_or(String::new(), |progress| format!("; last seen: {progress}"));
    match stop {
        Some(Stop::Lease) => (Outcome::Cancelled, Some("the lease ran out".into())),
        Some(Stop::Cancelled(reason)) => (Outcome::Cancelled, Some(reason.clone())),
        Some(Stop::Limit(reason)) => (Outcome::TimedOut, Some(reason.clone())),
        Some(Stop::Reclaimed(notice)) => (Outcome::Interrupted, Some(format!("{notice}{last}"))),
        Some(Stop::RunLimit(limit)) => (
            Outcome::TimedOut,
            Some(format!("the run reached its limit of {limit} while this case ran{last}")),
        ),
        Some(Stop::CaseLimit(limit)) => {
            (Outcome::TimedOut, Some(format!("it did not end within its timeout of {limit}{last}")))
        }
        Some(Stop::Disk(trouble)) => (Outcome::Errored, Some(trouble.clone())),
        Some(Stop::Aborted(_)) | None => judged(seen),
    }
}

fn judged(seen: &Observations<'_>) -> (Outcome, Option<String>) {
    let (outcome, reason) = judge(seen.case, seen.findings);
    if outcome == Outcome::Passed {
        return (outcome, reason);
    }
    let mut lines: Vec<String> = reason.into_iter().collect();
    if seen.out_of_memory {
        lines.push("the kernel ended a process here for lack of memory while the case ran".into());
    }
    if let Some(limit) = seen.case.limits.memory
        && NO_MEMORY.iter().any(|words| seen.stderr.contains(words))
    {
        lines
            .push(format!("it could not have the memory that it asked for: its `limits: memory` is {limit}"));
    }
    let died = !matches!(seen.process, ProcessEnd::Exited(0) | ProcessEnd::Aborted);
    if died && !seen.stderr.is_empty() {
        lines.push(format!("the last lines of its standard error:\n{}", seen.stderr));
    }
    (outcome, (!lines.is_empty()).then(|| lines.join("\n")))
}
