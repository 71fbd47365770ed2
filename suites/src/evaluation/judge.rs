//! From findings to the outcome of a case.

use crate::checks::{ExitStatus, Finite, TimeBudget, ValidWindows};
use crate::event::{Finding, Verdict};
use crate::id::CheckName;
use crate::outcome::Outcome;
use crate::spec::Case;

/// The case's outcome by its findings, and the reason where it did not pass.
///
/// A process that was ended from outside, or a worker that could not go on, is an error. A negative control
/// (`must-fail`) passes when each check that it lists broke; its other checks are reported and do not count, but for
/// those which show that the control itself ran as it should: `exit-status`, `finite` and `time-budget`. A case in
/// which nothing could be judged is an error, never a pass; so is one whose measurement was not valid, where nothing
/// else broke.
pub fn judge(case: &Case, findings: &[Finding]) -> (Outcome, Option<String>) {
    if let Some(finding) = findings.iter().find(|finding| is_from_outside(finding)) {
        let parts =
            Vec::from_iter([Some(finding.observed.as_str()), finding.cause.as_deref()].into_iter().flatten());
        return (Outcome::Errored, Some(parts.join("; ")));
    }
    let (outcome, reasons) =
        if case.must_fail.is_empty() { of_case(findings) } else { of_control(&case.must_fail, findings) };
    (outcome, (!reasons.is_empty()).then(|| reasons.join("\n")))
}

/// An `exit-status` that is not judged *and* has a cause was the doing of the node or of the worker.
fn is_from_outside(finding: &Finding) -> bool {
    finding.check == ExitStatus::NAME && finding.verdict == Verdict::Skipped && finding.cause.is_some()
}

fn of_case(findings: &[Finding]) -> (Outcome, Vec<String>) {
    let broken =
        Vec::from_iter(findings.iter().filter(|finding| finding.verdict == Verdict::Broke).map(sentence));
    let only_invalid = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Broke)
        .all(|finding| finding.check == ValidWindows::NAME);
    if !broken.is_empty() {
        (if only_invalid { Outcome::Errored } else { Outcome::Failed }, broken)
    } else if findings.iter().any(|finding| finding.verdict == Verdict::Held) {
        (Outcome::Passed, Vec::new())
    } else {
        let why = findings.iter().map(|finding| format!("{}: {}", name(finding), finding.observed));
        (Outcome::Errored, std::iter::once("no check could be judged".to_owned()).chain(why).collect())
    }
}

fn of_control(must_fail: &[CheckName], findings: &[Finding]) -> (Outcome, Vec<String>) {
    let decisive = [ExitStatus::NAME, Finite::NAME, TimeBudget::NAME];
    let spoilt = findings.iter().filter(|finding| {
        finding.verdict == Verdict::Broke
            && decisive.contains(&finding.check)
            && !must_fail.contains(&finding.check)
    });
    let spoilt =
        spoilt.map(|finding| format!("the control itself did not run as it should: {}", sentence(finding)));
    let reasons =
        Vec::from_iter(spoilt.chain(must_fail.iter().filter_map(|check| unnoticed(check, findings))));
    (if reasons.is_empty() { Outcome::Passed } else { Outcome::Failed }, reasons)
}

/// What to say of a check that had to break and did not.
fn unnoticed(check: &CheckName, findings: &[Finding]) -> Option<String> {
    let of_check = Vec::from_iter(findings.iter().filter(|finding| finding.check == *check));
    if of_check.iter().any(|finding| finding.verdict == Verdict::Broke) {
        return None;
    }
    Some(match of_check.iter().find(|finding| finding.verdict == Verdict::Held).or(of_check.first()) {
        Some(Finding { verdict: Verdict::Held, observed, .. }) => {
            format!("the control was not noticed: {check} held ({observed}), and it must not")
        }
        Some(Finding { observed, .. }) => {
            format!("the control was not noticed: {check} must break, and was not judged ({observed})")
        }
        None => format!("the control was not noticed: {check} must break, and was not run"),
    })
}

fn name(finding: &Finding) -> String {
    match &finding.subject {
        Some(subject) => format!("{} {subject}", finding.check),
        None => finding.check.to_string(),
    }
}

fn sentence(finding: &Finding) -> String {
    let text = format!("{}: {}, wanted {}", name(finding), finding.observed, finding.wanted);
    match &finding.cause {
        Some(cause) => format!("{text}; usual cause: {cause}"),
        None => text,
    }
}
