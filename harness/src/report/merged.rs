//! The tests of a case's own JUnit report, as part of ours: what pytest or a test runner on the node wrote.
//!
//! The file comes from a node: it is parsed without entities, its texts are cleaned, and its size is bounded.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use junit_report::{Duration, TestCase, TestResult};
use roxmltree::{Document, Node};

use super::case::CaseState;
use super::files;

/// The most bytes of a report, and tests of it, that are taken in.
const MOST_BYTES: u64 = 16 << 20;
const MOST_TESTS: usize = 10_000;

/// The tests of every report that a case names, and what is to be said of those that cannot be read.
pub(super) fn tests(
    case: &CaseState,
    run_dir: &Path,
    clean: &dyn Fn(&str) -> String,
) -> (Vec<TestCase>, Vec<String>) {
    let (mut tests, mut notes) = (Vec::new(), Vec::new());
    for name in &case.summary.junit {
        let Some(path) = files::artifact(run_dir, case.id(), name.trim_start_matches("./")) else { continue };
        match read(&path).map_err(|error| error.to_string()).and_then(|text| parse(&text, clean)) {
            Ok(found) => tests.extend(found),
            Err(why) => notes.push(format!("the JUnit report {name} is not taken in: {why}")),
        }
    }
    (tests, notes)
}

/// What cannot be taken in of the reports that a case names, in a sentence each.
pub(crate) fn unread(case: &CaseState, run_dir: &Path) -> Vec<String> {
    tests(case, run_dir, &str::to_owned).1
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        let why = format!("it is larger than {}", super::figures::bytes(MOST_BYTES));
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, why));
    }
    Ok(text)
}

fn parse(text: &str, clean: &dyn Fn(&str) -> String) -> Result<Vec<TestCase>, String> {
    let document = Document::parse(text).map_err(|error| format!("it is not XML: {error}"))?;
    let root = document.root_element().tag_name().name();
    if !matches!(root, "testsuites" | "testsuite") {
        return Err(format!("it begins with <{root}>, not with <testsuites>"));
    }
    let cases = document.descendants().filter(|node| node.has_tag_name("testcase")).take(MOST_TESTS);
    Ok(cases.map(|node| test(node, clean)).collect())
}

fn test(node: Node<'_, '_>, clean: &dyn Fn(&str) -> String) -> TestCase {
    let attribute = |name: &str| node.attribute(name).unwrap_or_default();
    let seconds = attribute("time").parse::<f64>().ok().filter(|seconds| seconds.is_finite()).unwrap_or(0.0);
    let child = |names: &[&str]| node.children().find(|child| names.contains(&child.tag_name().name()));
    let said = |child: Node<'_, '_>| {
        let message = child.attribute("message").unwrap_or_default();
        let type_ = child.attribute("type").unwrap_or_else(|| child.tag_name().name());
        let text: String = child.children().filter_map(|child| child.text()).collect();
        (clean(type_), clean(message), text)
    };
    let result = if let Some(failure) = child(&["failure"]) {
        let (type_, message, text) = said(failure);
        TestResult::Failure { type_, message, cause: Some(text) }
    } else if let Some(error) = child(&["error"]) {
        let (type_, message, text) = said(error);
        TestResult::Error { type_, message, cause: Some(text) }
    } else if let Some(skipped) = child(&["skipped"]) {
        let (type_, message, _) = said(skipped);
        TestResult::SkippedWithCause { type_, message, cause: None }
    } else {
        TestResult::Success
    };
    TestCase {
        name: clean(attribute("name")),
        time: Duration::seconds_f64(seconds.clamp(0.0, 1e9)),
        result,
        classname: Some(clean(attribute("classname"))).filter(|name| !name.is_empty()),
        filepath: Some(clean(attribute("file"))).filter(|name| !name.is_empty()),
        system_out: None,
        system_err: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<TestCase>, String> {
        parse(text, &str::to_owned)
    }

    #[test]
    fn what_pytest_writes_is_taken_in() {
        let tests = parsed(
            r#"<?xml version="1.0"?><testsuites><testsuite name="pytest" tests="4"><testcase classname="t.a" name="ok" time="0.5"/>
            <testcase classname="t.a" name="bad" time="x"><failure message="assert 1 == 2">long
text</failure></testcase><testcase name="err"><error type="E" message="m"/></testcase>
            <testcase name="skip"><skipped type="pytest.skip" message="no GPU"/></testcase></testsuite></testsuites>"#,
        )
        .unwrap();
        assert_eq!(tests.len(), 4);
        assert!(matches!(&tests[1].result, TestResult::Failure { message, cause: Some(text), .. }
            if message == "assert 1 == 2" && text == "long\ntext"));
        assert!(matches!(&tests[2].result, TestResult::Error { .. }));
        assert!(
            matches!(&tests[3].result, TestResult::SkippedWithCause { message, .. } if message == "no GPU")
        );
    }

    #[test]
    fn what_is_no_report_says_why_and_an_entity_bomb_is_one() {
        assert!(parsed("<html/>").unwrap_err().contains("<html>"));
        assert!(parsed("nothing").unwrap_err().contains("not XML"));
        let bomb = r#"<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><testsuites>&b;</testsuites>"#;
        assert!(parsed(bomb).unwrap_err().contains("DTD"));
    }
}
