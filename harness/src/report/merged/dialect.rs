//! How one `<testcase>` or `<testsuite>` says how it ended: JUnit has no one to define it, and each writer its own habits.
//!
//! | who | habit |
//! | --- | --- |
//! | pytest, nextest, surefire | `<failure>`, `<error>`, `<skipped>` within |
//! | surefire, nextest | `<flakyFailure>` of a test that passed in the end, `<rerunFailure>` of one that did not |
//! | GoogleTest | several `<failure>`s; `status="notrun"`, `result="suppressed"` of what is disabled |
//! | CTest | `status="fail"`, `"notrun"`, `"disabled"` |
//! | pytest, jest, mocha | an `<error>` of the suite itself, where its file cannot be loaded |
//! | surefire | times with the thousands' comma; others with a decimal one |

use junit_report::{TestCase, TestResult};
use roxmltree::Node;

use super::decode::shown;
use super::duration;

/// The most of a test's own output that is kept.
const OUTPUT: usize = 64 << 10;
/// How flaky a test was is told in so many sentences.
const MOST_TRIES: usize = 10;

/// The test of a `<testcase>` within these suites.
pub(super) fn test(node: Node<'_, '_>, suites: &str, clean: &dyn Fn(&str) -> String) -> TestCase {
    let attribute = |name: &str| clean(&shown(node.attribute(name).unwrap_or_default()));
    let result = result(node, clean);
    let is_bad = matches!(result, TestResult::Failure { .. } | TestResult::Error { .. });
    let tries = node.children().filter(|child| is_any(*child, &["flakyFailure", "flakyError"]));
    let tries = tries.take(MOST_TRIES).map(|child| {
        let Problem { message, text, .. } = Problem::of(child, clean);
        format!("did not pass at first: {}", if message.is_empty() { clean(&text) } else { message })
    });
    let own = |name: &str| is_bad.then(|| output(node, name)).flatten();
    let out = Vec::from_iter(tries.chain(own("system-out")));
    let name = attribute("name");
    TestCase {
        name: if name.is_empty() { "(without a name)".to_owned() } else { name },
        time: duration(seconds(node.attribute("time").unwrap_or_default())),
        result,
        classname: Some(attribute("classname"))
            .filter(|name| !name.is_empty())
            .or_else(|| (!suites.is_empty()).then(|| clean(&shown(suites)))),
        filepath: Some(attribute("file")).filter(|name| !name.is_empty()),
        system_out: (!out.is_empty()).then(|| out.join("\n")),
        system_err: own("system-err"),
    }
}

/// What a suite says of itself: an error of its own, and failures that it counts and no test of it names.
pub(super) fn of_suite(node: Node<'_, '_>, suites: &str, clean: &dyn Fn(&str) -> String) -> Vec<TestCase> {
    let own = |tag: &'static str| node.children().filter(move |child| is_any(*child, &[tag]));
    let errors = own("error").chain(own("failure")).map(|child| {
        let mut said = Problem::of(child, clean);
        if said.text.trim().is_empty() {
            said.text = output(node, "system-err").unwrap_or_default();
        }
        said
    });
    let mut all = Vec::from_iter(errors);
    let is_innermost = !node.children().any(|child| is_any(child, &["testsuite"]));
    let count =
        |name: &str| node.attribute(name).and_then(|text| text.trim().parse::<usize>().ok()).unwrap_or(0);
    let counted = count("errors").saturating_add(count("failures"));
    if is_innermost && counted > 0 {
        let bad = node.children().filter(|child| is_any(*child, &["testcase"]));
        let bad = bad.filter(|test| {
            matches!(result(*test, clean), TestResult::Failure { .. } | TestResult::Error { .. })
        });
        let named = bad.count() + all.len();
        if counted > named {
            let message = format!("the suite counts {counted} errors and failures, and names {named}");
            all.push(Problem { type_: "error".to_owned(), message, text: String::new() });
        }
    }
    let name = clean(&shown(node.attribute("name").unwrap_or_default()));
    let name = if name.is_empty() { "(the suite itself)".to_owned() } else { name };
    let test = |Problem { type_, message, text }: Problem| TestCase {
        name: name.clone(),
        time: duration(0.0),
        result: TestResult::Error { type_, message, cause: Some(text) },
        classname: (!suites.is_empty()).then(|| clean(&shown(suites))),
        filepath: None,
        system_out: None,
        system_err: None,
    };
    all.into_iter().map(test).collect()
}

fn is_any(node: Node<'_, '_>, names: &[&str]) -> bool {
    node.is_element() && names.contains(&node.tag_name().name())
}

/// What an element says of what went wrong.
struct Problem {
    type_: String,
    message: String,
    text: String,
}

impl Problem {
    fn of(node: Node<'_, '_>, clean: &dyn Fn(&str) -> String) -> Self {
        let attribute = |name: &str| node.attribute(name).map(|text| clean(&shown(text)));
        let text: String =
            node.descendants().filter(Node::is_text).filter_map(|child| child.text()).collect();
        let text = shown(&text);
        let first = || clean(text.trim().lines().next().unwrap_or_default());
        let message = attribute("message").filter(|message| !message.is_empty()).unwrap_or_else(first);
        let type_ = attribute("type").filter(|type_| !type_.is_empty());
        Self { type_: type_.unwrap_or_else(|| node.tag_name().name().to_owned()), message, text }
    }

    /// All of one kind within a test, as one.
    fn all(node: Node<'_, '_>, names: &[&str], clean: &dyn Fn(&str) -> String) -> Option<Self> {
        let all = node.children().filter(|child| is_any(*child, names)).map(|child| Self::of(child, clean));
        all.reduce(|one, next| Self {
            type_: one.type_,
            message: format!("{}; {}", one.message, next.message),
            text: format!("{}\n\n{}", one.text, next.text),
        })
    }
}

fn result(node: Node<'_, '_>, clean: &dyn Fn(&str) -> String) -> TestResult {
    if let Some(Problem { type_, message, text }) = Problem::all(node, &["failure"], clean) {
        return TestResult::Failure { type_, message, cause: Some(text) };
    }
    if let Some(Problem { type_, message, text }) = Problem::all(node, &["error"], clean) {
        return TestResult::Error { type_, message, cause: Some(text) };
    }
    // Where nothing within says so, an attribute may.
    let words =
        ["status", "result"].map(|name| node.attribute(name).unwrap_or_default().trim().to_ascii_lowercase());
    let is = |known: &[&str]| words.iter().find(|word| known.contains(&word.as_str()));
    let message = |word: &str| format!("its report says `{}`", clean(word));
    if let Some(word) = is(&["fail", "failed", "failure"]) {
        return TestResult::Failure { type_: "failure".to_owned(), message: message(word), cause: None };
    }
    if let Some(word) = is(&["error", "errored", "broken", "timeout", "timedout", "crashed", "aborted"]) {
        return TestResult::Error { type_: "error".to_owned(), message: message(word), cause: None };
    }
    if let Some(Problem { type_, message, .. }) =
        Problem::all(node, &["skipped", "disabled", "ignored"], clean)
    {
        return TestResult::SkippedWithCause { type_, message, cause: None };
    }
    match is(&["notrun", "disabled", "skipped", "skip", "ignored", "suppressed", "inconclusive", "pending"]) {
        Some(word) => {
            TestResult::SkippedWithCause { type_: "skipped".to_owned(), message: message(word), cause: None }
        }
        None => TestResult::Success,
    }
}

/// The end of what a test or a suite printed.
fn output(node: Node<'_, '_>, name: &str) -> Option<String> {
    let text: String =
        node.children().filter(|child| is_any(*child, &[name])).filter_map(|child| child.text()).collect();
    let text = shown(text.trim());
    let start = text.len().saturating_sub(OUTPUT);
    let start = (start..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    (!text.is_empty()).then(|| text[start..].to_owned())
}

/// Seconds as people write them; what cannot be read is none.
fn seconds(text: &str) -> f64 {
    let text = text.trim().trim_end_matches(['s', 'S']).trim_end();
    let (commas, points) = (text.matches(',').count(), text.matches('.').count());
    let plain = match (text.rfind(','), text.rfind('.')) {
        (Some(comma), Some(point)) if comma > point => text.replace('.', "").replace(',', "."),
        // One alone is the decimal one, several are of thousands.
        (Some(_), None) if commas == 1 => text.replace(',', "."),
        (Some(_), _) => text.replace(',', ""),
        (None, Some(_)) if points > 1 => text.replace('.', ""),
        _ => text.to_owned(),
    };
    plain.parse::<f64>().ok().filter(|seconds| seconds.is_finite()).unwrap_or(0.0)
}
