//! JUnit: what every CI system reads. A test suite per suite, a test case per case.
//!
//! | outcome | element | why |
//! | --- | --- | --- |
//! | passed | none | |
//! | failed | `<failure type="CHECK">` | the code under test is at fault |
//! | errored, interrupted, timed out | `<error type="errored">`, `"interrupted"`, `"timed-out"` | it is not known whether the code is at fault |
//! | cancelled | `<error type="cancelled">` | as little known; viewers count `<skipped>` as harmless, which it is not |
//! | skipped | `<skipped>` | with the reason |
//! | not finished | `<error>` | a run that was killed is never a pass |
//!
//! Numbers go into `system-out` as `[[PROPERTY|name=value]]`, files as `[[ATTACHMENT|path]]`. The report follows
//! from the events alone (its times too) and is of bounded size. junit-report writes what it is given: all text is
//! cleaned before.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use gpu_suites::event::{Finding, Stream};
use gpu_suites::outcome::Blame;
use jiff::Timestamp;
use junit_report::{OffsetDateTime, ReportBuilder, TestCase, TestResult, TestSuite};

use super::case::CaseState;
use super::excerpt::Excerpt;
use super::fold::RunState;
use super::look::Look;
use super::merged::{self, Merged};
use super::standing::{Ending, Standing};
use super::{Report, ReportError, summary};
use crate::files::results;
use crate::report::words;
use crate::text::clean;
use crate::text::figures;
use crate::text::limits::{MESSAGE, NAME};

pub fn xml(state: &RunState, run_dir: &Path) -> Vec<u8> {
    let mut suites: Vec<TestSuite> = Vec::new();
    let mut places = BTreeMap::new();
    for case in state.cases() {
        let name = case.id().suite();
        let place = *places.entry(name).or_insert_with(|| {
            suites.push(suite(state, name, case.started));
            suites.len() - 1
        });
        suites[place].add_testcase(test_case(state, case, run_dir));
    }
    suites.extend(state.cases().iter().filter_map(|case| tests_within(state, case, run_dir)));
    if suites.is_empty() {
        let mut empty = suite(state, "gpu-harness", None);
        empty.add_testcase(nothing_ran(state));
        suites.push(empty);
    }
    suites[0].system_out = Some(cdata(&about_run(state)));
    let mut xml = Vec::new();
    let report = ReportBuilder::new().add_testsuites(suites).build();
    report
        .write_xml(&mut xml)
        .unwrap_or_else(|error| unreachable!("writing to memory does not fail: {error}"));
    xml.push(b'\n');
    xml
}

pub struct JUnit;

impl Report for JUnit {
    fn name(&self) -> &'static str {
        "junit.xml"
    }

    fn about(&self) -> &'static str {
        "for CI"
    }

    /// A thousand cases must not cost a thousand whole reports.
    fn pause(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }

    fn content(&self, state: &RunState, run_dir: &Path) -> Result<Vec<u8>, ReportError> {
        Ok(xml(state, run_dir))
    }
}

fn suite(state: &RunState, name: &str, started: Option<Timestamp>) -> TestSuite {
    let node = state.node.as_ref().map_or("", |node| node.as_str());
    let host = state.hello.as_ref().map_or(node, |hello| &hello.host);
    TestSuite {
        name: attribute(name, NAME),
        package: "gpu-harness".to_owned(),
        timestamp: time(started.or(state.began)),
        hostname: attribute(host, NAME),
        testcases: Vec::new(),
        system_out: None,
        system_err: None,
    }
}

/// The tests that a case ran itself and wrote a report of: a test suite of their own.
fn tests_within(state: &RunState, case: &CaseState, run_dir: &Path) -> Option<TestSuite> {
    let Merged { tests, notes, lost } = merged::tests(case, run_dir, &|text| attribute(text, MESSAGE));
    if tests.is_empty() && notes.is_empty() && lost.is_empty() {
        return None;
    }
    let mut within = suite(state, case.id().as_str(), case.started);
    for mut test in tests {
        if let TestResult::Failure { cause: Some(text), .. } | TestResult::Error { cause: Some(text), .. } =
            &mut test.result
        {
            *text = cdata(&disarmed(text));
        }
        for text in [&mut test.system_out, &mut test.system_err].into_iter().flatten() {
            *text = cdata(&disarmed(text));
        }
        within.add_testcase(test);
    }
    // What is not here is no test that passed.
    for lost in &lost {
        within.add_testcase(TestCase::error(
            "JUnit report",
            junit_report::Duration::ZERO,
            "lost",
            &attribute(lost, MESSAGE),
        ));
    }
    let said = Vec::from_iter(notes.iter().chain(&lost).map(|note| plain(note)));
    within.system_out = Some(cdata(&said.join("\n")));
    Some(within)
}

/// A run with no case is an error, and says so where CI looks.
fn nothing_ran(state: &RunState) -> TestCase {
    let error = state.closed.as_ref().and_then(|closed| closed.error.as_deref());
    let why = error.unwrap_or("no case was run");
    let mut case = TestCase::error("run", junit_report::Duration::ZERO, "errored", &attribute(why, MESSAGE));
    case.set_classname("gpu-harness");
    case
}

fn test_case(state: &RunState, case: &CaseState, run_dir: &Path) -> TestCase {
    let ending = state.ending(case);
    TestCase {
        name: attribute(case.id().case(), NAME),
        time: junit_report::Duration::seconds_f64(ending.seconds.clamp(0.0, 1e9)),
        result: result(state, case, &ending),
        classname: Some(attribute(&format!("gpu-harness.{}", case.id().suite()), NAME)),
        filepath: source_file(&case.summary.at).map(|file| attribute(file, MESSAGE)),
        system_out: Some(cdata(&system_out(state, case, &ending, run_dir))),
        system_err: (case.stderr.total() > 0).then(|| cdata(&log(&case.stderr))),
    }
}

/// `file` of `file:line`.
fn source_file(at: &str) -> Option<&str> {
    let file = at.rsplit_once(':').map_or(at, |(file, _)| file);
    (!file.is_empty()).then_some(file)
}

fn result(state: &RunState, case: &CaseState, ending: &Ending) -> TestResult {
    let reason = ending.reason.as_deref().unwrap_or_default();
    let skipped = |type_: &str, message: &str| TestResult::SkippedWithCause {
        type_: type_.to_owned(),
        message: attribute(message, MESSAGE),
        cause: None,
    };
    match ending.standing {
        Standing::Passed | Standing::Flaky => TestResult::Success,
        Standing::Skipped => skipped("skipped", reason),
        // Shown, and nothing that fails a build.
        Standing::Excused { .. } => {
            let why = ending.reason.as_deref().map(|reason| format!("; {reason}")).unwrap_or_default();
            let notes = summary::by_history(state, case, Look::PLAIN).join("; ");
            skipped("quarantined", &format!("{}; {notes}{why}", ending.word()))
        }
        Standing::Regressed => {
            let notes = summary::by_history(state, case, Look::PLAIN).join("\n");
            TestResult::Failure {
                type_: "regression".to_owned(),
                message: attribute(&regression(state, case), MESSAGE),
                cause: Some(cdata(&disarmed(&notes))),
            }
        }
        Standing::Bad(Blame::Code) => {
            let type_ = case.broken().next().map_or("failed", |finding| finding.check.as_str()).to_owned();
            let message = attribute(&summary::failure(case, ending), MESSAGE);
            TestResult::Failure { type_, message, cause: Some(cdata(&grounds(case, reason))) }
        }
        Standing::Bad(_) => {
            let outcome = ending.outcome.to_string();
            let message = if reason.is_empty() { outcome.clone() } else { attribute(reason, MESSAGE) };
            let cause = Some(cdata(&grounds(case, reason)));
            TestResult::Error { type_: outcome.replace(' ', "-"), message, cause }
        }
    }
}

fn regression(state: &RunState, case: &CaseState) -> String {
    let judged = state.judged.get(case.id());
    let regressed = judged.and_then(|judged| judged.metrics.iter().find(|metric| metric.fails));
    let changed = || {
        let answers = judged.and_then(|judged| judged.answers.iter().find(|answers| answers.fails));
        answers.map(|answers| format!("{} changed: {}", answers.metric, answers.said))
    };
    regressed.map(words::judgement).or_else(changed).unwrap_or_default()
}

/// The reason, then every check that did not hold.
fn grounds(case: &CaseState, reason: &str) -> String {
    let mut blocks = Vec::new();
    if !reason.is_empty() {
        blocks.push(reason.trim_end().to_owned());
    }
    blocks.extend(case.broken().map(finding));
    disarmed(&blocks.join("\n\n"))
}

fn finding(finding: &Finding) -> String {
    let mut text = format!("{}:", summary::check_name(finding));
    for (name, value) in [
        ("observed", Some(finding.observed.clone())),
        ("wanted", Some(finding.wanted.clone())),
        ("step", finding.step.map(|step| step.to_string())),
        ("usual cause", finding.cause.clone()),
    ] {
        if let Some(value) = value {
            text.extend(["\n  ", name, ": ", &clean::text(value.trim_end()).replace('\n', "\n    ")]);
        }
    }
    text
}

fn system_out(state: &RunState, case: &CaseState, ending: &Ending, run_dir: &Path) -> String {
    let mut lines = vec![property("outcome", &ending.outcome.to_string())];
    lines.extend(case.ran_on().map(|device| property("device", &device)));
    if case.ended.len() > 1 || case.stumbled {
        lines.push(property("attempts", &case.attempt.to_string()));
        lines.push(property("flaky", &case.is_flaky().to_string()));
    }
    if let Some(judged) = state.judged.get(case.id()) {
        lines.push(property("history.standing", judged.standing.name()));
        lines.extend(judged.degraded.as_ref().map(|why| property("history.degraded", why)));
    }
    lines.extend(summary::by_history(state, case, Look::PLAIN).iter().map(|note| plain(note)));
    lines.extend(case.device.iter().map(|(name, fact)| property(&format!("device.{name}"), fact)));
    for (name, series) in &case.metrics {
        lines.push(property(name, &figures::figure(series.last)));
        if series.count > 1 {
            for (what, value) in [("first", series.first), ("min", series.min), ("max", series.max)] {
                if !(value.is_infinite() && series.count == series.non_finite) {
                    lines.push(property(&format!("{name}.{what}"), &figures::figure(value)));
                }
            }
            lines.push(property(&format!("{name}.count"), &series.count.to_string()));
        }
        if series.non_finite > 0 {
            lines.push(property(&format!("{name}.non-finite"), &series.non_finite.to_string()));
        }
    }
    // What stands beside a hash of answers is for the history alone.
    let is_told = |name: &str| !["/sketch", "/sample"].iter().any(|end| name.ends_with(end));
    let facts = case.facts.iter().filter(|(name, _)| is_told(name));
    lines.extend(facts.map(|(name, fact)| property(name, fact)));
    lines.extend(attachments(case, run_dir));
    let before = case.ended.len().saturating_sub(usize::from(case.last_ended().is_some()));
    lines.extend(case.ended.iter().take(before).map(|attempt| {
        let reason = attempt.reason.as_deref().unwrap_or("no reason given");
        let took = figures::seconds(attempt.seconds);
        plain(&format!("attempt {} {} after {took}: {reason}", attempt.number, attempt.outcome))
    }));
    lines.extend(case.findings.iter().map(|finding| plain(&summary::finding(finding))));
    if case.log_dropped > 0 {
        lines.push(format!("log cut at its limit: {} dropped", figures::bytes(case.log_dropped)));
    }
    if case.stdout.total() > 0 {
        lines.push("--- standard output ---".to_owned());
        lines.push(log(&case.stdout));
    }
    lines.join("\n")
}

fn attachments(case: &CaseState, run_dir: &Path) -> Vec<String> {
    let logs = [Stream::Stdout, Stream::Stderr].into_iter().filter(|stream| case.log(*stream).total() > 0);
    let logs = logs.filter_map(|stream| {
        Some(results::case_folder(run_dir, case.id())?.join(results::log_name(stream, case.attempt)))
    });
    let artifacts =
        case.artifacts.iter().filter_map(|made| results::artifact(run_dir, case.id(), &made.path));
    let paths = logs.chain(artifacts).filter_map(|path| path.to_str().map(str::to_owned));
    paths
        .filter(|path| !path.contains("]]"))
        .map(|path| format!("[[ATTACHMENT|{}]]", clean::text(&path)))
        .collect()
}

/// What is said once: the run, the node, the inputs and what went on around the cases.
fn about_run(state: &RunState) -> String {
    let mut lines = Vec::new();
    let mut say = |name: &str, value: Option<&str>| lines.extend(value.map(|value| property(name, value)));
    say("run", state.run.as_ref().map(gpu_suites::id::RunId::as_str));
    say("node", state.node.as_ref().map(gpu_suites::id::NodeName::as_str));
    say("gpu-harness", state.harness.as_deref());
    say("gpu-agent", state.hello.as_ref().map(|hello| hello.agent.as_str()));
    say("libtorch", state.hello.as_ref().and_then(|hello| hello.libtorch.as_deref()));
    say("commit", state.commit.as_deref());
    for input in &state.inputs {
        say(&format!("input.{}", input.name), Some(input.sha256.as_str()));
    }
    for loss in &state.losses {
        let back = loss
            .seconds
            .map_or("not back".to_owned(), |away| format!("back after {}", figures::seconds(away)));
        lines.push(plain(&format!("connection lost: {} ({back})", loss.error)));
    }
    let run = state.run.as_ref().map_or("?", |run| run.as_str());
    lines.extend(state.receipt.lines(run, Look::PLAIN).iter().map(|line| plain(line)));
    if let Some(usd) = state.receipt.usd().filter(|_| !state.receipt.nodes.is_empty()) {
        lines.push(property("cost.usd", &format!("{usd:.6}")));
    }
    lines.extend(state.reclaims.iter().map(|notice| plain(&notice.to_string())));
    for warning in &state.warnings {
        let about = warning.case.as_ref().map(|case| format!("{case}: ")).unwrap_or_default();
        lines.push(plain(&format!("warning: {about}{}", warning.message)));
    }
    lines.join("\n")
}

/// Text of an attribute: one line, harmless too where a CI step prints it.
fn attribute(text: &str, most: usize) -> String {
    disarmed(&clean::log_line(&clean::one_line(text, most)))
}

/// Text of an element. A CDATA section cannot hold `]]>`: it ends within it, and another one goes on.
fn cdata(text: &str) -> String {
    clean::text(text).replace("]]>", "]]]]><![CDATA[>")
}

/// A line in which nothing is taken for a property or an attachment.
fn plain(text: &str) -> String {
    attribute(text, MESSAGE)
}

fn log(excerpt: &Excerpt) -> String {
    disarmed(&clean::text(&excerpt.text()))
}

/// A log that says `[[ATTACHMENT|/etc/passwd]]` must not make CI publish that file.
fn disarmed(text: &str) -> String {
    text.replace("[[", "[ [")
}

fn property(name: &str, value: &str) -> String {
    let name = clean::one_line(name, NAME).replace(['|', '=', '[', ']'], "_");
    let value = clean::one_line(value, MESSAGE).replace("]]", "] ]");
    format!("[[PROPERTY|{name}={}]]", disarmed(&value))
}

/// A time that RFC 3339 can write.
fn time(at: Option<Timestamp>) -> OffsetDateTime {
    let seconds = at.unwrap_or(Timestamp::UNIX_EPOCH).as_second().clamp(0, 253_402_300_799);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
