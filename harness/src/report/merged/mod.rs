//! The tests of a case's own JUnit reports, as part of ours: what pytest or a test runner on the node wrote.
//!
//! No test is lost without a word: whatever a report holds is taken in, or [`Merged::lost`] says what is not, and the case has
//! not passed. The files come from a node: entities are not expanded, texts are cleaned, sizes are bounded.
//!
//! | module | question it answers |
//! | --- | --- |
//! | `decode` | which text is in the file, and what of it is XML? |
//! | `dialect` | how does one `<testcase>` say how it ended? |

mod decode;
mod dialect;

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use gpu_suites::spec::InputPath;
use junit_report::{Duration, TestCase, TestResult};
use roxmltree::{Document, Node, ParsingOptions};

use super::case::CaseState;
use crate::files::results;
use crate::text::clean::one_line;

/// The most bytes of a report, and tests of all reports of a case, that are taken in.
const MOST_BYTES: u64 = 64 << 20;
const MOST_TESTS: usize = 200_000;
/// The most elements of a report: each takes a hundred bytes of memory.
const MOST_NODES: u32 = 5_000_000;
/// How many reports a case may leave, and how many suites within suites are told apart.
const MOST_REPORTS: usize = 1_000;
const MOST_NESTED: usize = 16;
/// How many tests that did not pass are named, and how much of a name is told.
const NAMED: usize = 3;
const NAME: usize = 120;

/// What the reports of a case hold.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) tests: Vec<TestCase>,
    pub(super) notes: Vec<String>,
    pub(super) lost: Vec<String>,
}

/// The tests of every report that a case names.
pub(super) fn tests(case: &CaseState, run_dir: &Path, clean: &dyn Fn(&str) -> String) -> Merged {
    let mut merged = Merged::default();
    let Some(folder) = results::case_folder(run_dir, case.id()).map(|folder| folder.join("artifacts")) else {
        return merged;
    };
    let mut known = BTreeSet::new();
    for wanted in &case.summary.junit {
        let found = reports(&folder, &InputPath(wanted.clone()));
        for path in found {
            if !known.insert(path.clone()) {
                continue;
            }
            if known.len() > MOST_REPORTS {
                merged.lost.push(format!("more than {MOST_REPORTS} JUnit reports"));
                return merged;
            }
            let name = one_line(&path.to_string_lossy(), 200);
            let read = read(&folder.join(&path)).map_err(|error| error.to_string());
            if let Err(why) = read.and_then(|bytes| parse(&bytes, &name, clean, &mut merged)) {
                merged.lost.push(format!("the JUnit report {name} is not taken in: {why}"));
            }
        }
    }
    merged
}

/// What the reports that a case names say against it.
pub(crate) struct Against {
    /// What of them cannot be taken in, in a sentence each.
    pub(crate) unread: Vec<String>,
    /// How many tests did not pass.
    pub(crate) failed: u64,
    /// The first of those, by class and name.
    pub(crate) named: Vec<String>,
}

/// Looks through the reports that a case names.
pub(crate) fn against(case: &CaseState, run_dir: &Path) -> Against {
    let Merged { tests, lost, .. } = tests(case, run_dir, &str::to_owned);
    let mut against = Against { unread: lost, failed: 0, named: Vec::new() };
    let is_bad =
        |test: &&TestCase| matches!(test.result, TestResult::Failure { .. } | TestResult::Error { .. });
    for test in tests.iter().filter(is_bad) {
        against.failed += 1;
        if against.named.len() < NAMED {
            let class = test.classname.as_deref().unwrap_or_default();
            against.named.push(one_line(&format!("{class} {}", test.name), NAME).trim().to_owned());
        }
    }
    against
}

/// The reports that a path, a folder or a pattern means, below the artifacts; links are not followed.
fn reports(folder: &Path, wanted: &InputPath) -> Vec<PathBuf> {
    let mut found = Vec::new();
    each_file(folder, Path::new(""), 0, &mut |path| {
        let within =
            path.ancestors().skip(1).any(|above| !above.as_os_str().is_empty() && wanted.matches(above));
        let is_xml = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xml"));
        if wanted.matches(path) || (within && is_xml) {
            found.push(path.to_owned());
        }
    });
    found.sort_unstable();
    found
}

fn each_file(folder: &Path, below: &Path, depth: usize, each: &mut impl FnMut(&Path)) {
    let Ok(entries) = std::fs::read_dir(folder.join(below)) else { return };
    for entry in entries.flatten() {
        let path = below.join(entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth < 64 => each_file(folder, &path, depth + 1, each),
            Ok(kind) if kind.is_file() => each(&path),
            _ => {}
        }
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    crate::files::content::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        let why = format!("it is larger than {}", crate::text::figures::bytes(MOST_BYTES));
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

fn parse(
    bytes: &[u8],
    name: &str,
    clean: &dyn Fn(&str) -> String,
    merged: &mut Merged,
) -> Result<(), String> {
    let text = decode::text(bytes)?;
    let options = ParsingOptions { allow_dtd: true, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document =
        Document::parse_with_options(&text, options).map_err(|error| format!("it is not XML: {error}"))?;
    let root = document.root_element().tag_name().name();
    if !matches!(root, "testsuites" | "testsuite") {
        return Err(format!("it begins with <{}>, not with <testsuites>", one_line(root, 50)));
    }
    let mut found = 0_usize;
    for node in document.descendants().filter(Node::is_element) {
        let tests = match node.tag_name().name() {
            "testcase" => vec![dialect::test(node, &suites(node), clean)],
            "testsuite" | "testsuites" => dialect::of_suite(node, &suites(node), clean),
            _ => continue,
        };
        for test in tests {
            if merged.tests.len() == MOST_TESTS {
                merged.lost.push(format!("the JUnit report {name} has more than {MOST_TESTS} tests"));
                return Ok(());
            }
            found += 1;
            merged.tests.push(test);
        }
    }
    let declared =
        outermost(&document).filter_map(|suite| suite.attribute("tests")?.trim().parse::<usize>().ok());
    let declared = declared.fold(0, usize::saturating_add);
    if declared > found {
        merged.notes.push(format!("the JUnit report {name} counts {declared} tests and names {found}"));
    } else if found == 0 {
        merged.notes.push(format!("the JUnit report {name} has no test"));
    }
    Ok(())
}

/// The suites that lie in no other.
fn outermost<'a>(document: &'a Document<'_>) -> impl Iterator<Item = Node<'a, 'a>> {
    let root = document.root_element();
    let is_suite = root.tag_name().name() == "testsuite";
    let within = root.children().filter(|node| node.tag_name().name() == "testsuite");
    is_suite.then_some(root).into_iter().chain(within.filter(move |_| !is_suite))
}

/// The names of the suites that a test lies in, the outermost first, with dots between them.
fn suites(node: Node<'_, '_>) -> String {
    let above =
        node.ancestors().skip(1).filter(|node| node.tag_name().name() == "testsuite").take(MOST_NESTED);
    let mut names = Vec::from_iter(above.filter_map(|suite| suite.attribute("name")));
    names.retain(|name| !name.is_empty());
    names.reverse();
    names.join(".")
}

fn duration(seconds: f64) -> Duration {
    Duration::seconds_f64(if seconds.is_finite() { seconds.clamp(0.0, 1e9) } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: impl AsRef<[u8]>) -> Result<Merged, String> {
        let mut merged = Merged::default();
        parse(text.as_ref(), "r.xml", &|text| crate::text::clean::one_line(text, 1000), &mut merged)?;
        Ok(merged)
    }

    /// Each test in a line: what it is called, how it ended, how long it took.
    fn told(text: impl AsRef<[u8]>) -> String {
        let merged = parsed(text).unwrap();
        let lines = merged.tests.iter().map(|test| {
            let ended = match &test.result {
                TestResult::Success => "passed".to_owned(),
                TestResult::Skipped => "skipped".to_owned(),
                TestResult::SkippedWithCause { type_, message, .. } => format!("skipped {type_}: {message}"),
                TestResult::Error { type_, message, cause } => format!("error {type_}: {message}: {cause:?}"),
                TestResult::Failure { type_, message, cause } => {
                    format!("failure {type_}: {message}: {cause:?}")
                }
            };
            let class = test.classname.as_deref().unwrap_or("-");
            format!("{class} | {} | {ended} | {}", test.name, test.time.as_seconds_f64())
        });
        lines.chain(merged.notes.iter().map(|note| format!("note: {note}"))).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_pytest_writes_is_taken_in() {
        insta::assert_snapshot!(told(
            r#"<?xml version="1.0"?><testsuites><testsuite name="pytest" tests="4"><testcase classname="t.a" name="ok" time="0.5"/>
            <testcase classname="t.a" name="bad" time="x"><failure message="assert 1 == 2">long
text</failure></testcase><testcase name="err"><error type="E" message="m"/></testcase>
            <testcase name="skip"><skipped type="pytest.skip" message="no GPU"/></testcase></testsuite></testsuites>"#,
        ));
    }

    #[test]
    fn every_dialect_says_how_its_tests_ended() {
        let report =
            |tests: &str| told(format!("<testsuites><testsuite name=\"s\">{tests}</testsuite></testsuites>"));
        insta::assert_snapshot!([
            report(r#"<testsuite name="inner"><testcase name="deep"/></testsuite><testcase name="deep" classname="x"/>"#),
            report(r#"<testcase name="disabled" status="notrun" result="suppressed"/><testcase name="off" status="disabled"/>"#),
            report(r#"<testcase name="ctest" status="fail"/><testcase name="x" status="FAILED"/><testcase name="y" result="error"/>"#),
            report(r#"<testcase name="ran" status="run" result="completed"/><testcase name="z" status="passed"/>"#),
            report(r#"<testcase name="flaky"><flakyFailure message="once">f</flakyFailure></testcase>"#),
            report(r#"<testcase name="again"><rerunFailure message="1">f</rerunFailure><failure message="2">g</failure></testcase>"#),
            report(r#"<testcase name="two"><failure message="a">1</failure><failure message="b">2</failure></testcase>"#),
            report(r#"<testcase name="both"><skipped/><error message="in teardown">t</error></testcase>"#),
            report(r#"<testcase name="cdata"><failure message="a &amp; b"><![CDATA[x ]]]]><![CDATA[> & y]]></failure></testcase>"#),
            report(r#"<testcase/><testcase name="same"/><testcase name="same"/>"#),
            report("<properties/><system-out>x</system-out>"),
        ].join("\n\n"));
    }

    #[test]
    fn a_suites_own_error_is_a_test_that_did_not_pass() {
        insta::assert_snapshot!([
            told(r#"<testsuite name="tests/test_a.py" tests="1" errors="1"><error message="ImportError"/><system-err>boom</system-err></testsuite>"#),
            told(r#"<testsuites><testsuite name="s" errors="2" failures="1"><testcase name="a"><failure/></testcase></testsuite></testsuites>"#),
            told(r#"<testsuites failures="1"><testsuite name="s" failures="1"><testcase name="a"><failure/></testcase></testsuite></testsuites>"#),
            told(r#"<testsuites errors="1"/>"#),
        ].join("\n\n"));
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for (time, seconds) in [
            ("0.5", 0.5),
            ("1,234.567", 1234.567),
            ("1.234,5", 1234.5),
            ("0,25", 0.25),
            ("1,234,567.8", 1_234_567.8),
            ("1,234,567", 1_234_567.0),
            ("12s", 12.0),
            ("1e3", 1000.0),
            (" 2 ", 2.0),
            ("-1", 0.0),
            ("NaN", 0.0),
            ("1e400", 0.0),
            ("soon", 0.0),
            ("", 0.0),
        ] {
            let merged =
                parsed(format!(r#"<testsuite><testcase name="t" time="{time}"/></testsuite>"#)).unwrap();
            assert!((merged.tests[0].time.as_seconds_f64() - seconds).abs() < 1e-6, "{time}");
        }
    }

    #[test]
    fn a_report_is_read_in_whatever_it_is_written() {
        let xml = |declared: &str| {
            format!(
                "<?xml version=\"1.0\" encoding=\"{declared}\"?>\n<testsuite><testcase name=\"Größe\"/></testsuite>"
            )
        };
        let wide =
            |text: &str, order: fn(u16) -> [u8; 2]| Vec::from_iter(text.encode_utf16().flat_map(order));
        let latin = |declared: &str| {
            Vec::from_iter(xml(declared).chars().map(|char| u8::try_from(u32::from(char)).unwrap()))
        };
        for bytes in [
            xml("UTF-8").into_bytes(),
            [b"\xef\xbb\xbf", xml("UTF-8").as_bytes()].concat(),
            [b"\n  ", xml("utf-8").as_bytes()].concat(),
            wide(&format!("\u{feff}{}", xml("UTF-16")), u16::to_le_bytes),
            wide(&format!("\u{feff}{}", xml("UTF-16")), u16::to_be_bytes),
            wide(&xml("UTF-16"), u16::to_le_bytes),
            latin("ISO-8859-1"),
            latin("windows-1252"),
            xml("no-such-encoding").into_bytes(),
            "<!DOCTYPE testsuites>\n<testsuite xmlns=\"http://example.org/j\"><testcase name=\"Größe\"/></testsuite>".into(),
        ] {
            assert_eq!(parsed(&bytes).unwrap().tests[0].name, "Größe", "{bytes:?}");
        }
    }

    #[test]
    fn characters_that_are_no_xml_cost_no_test() {
        for text in [
            "<testsuite><testcase name=\"t\"><failure message=\"m\">\u{1}\u{1b}[31mred\u{1b}[0m</failure></testcase></testsuite>",
            "<testsuite><testcase name=\"t\"><failure message=\"&#x1b;[31mm&#27;[0m\">red&#0;&#xFFFF;</failure></testcase></testsuite>",
            "<testsuite><testcase name=\"t\"><failure message=\"m &nbsp; a & b &\">red</failure></testcase></testsuite>",
            "<testsuite><testcase name=\"t\"><failure message=\"m\"><![CDATA[red & &nbsp; \u{8}]]></failure></testcase></testsuite>",
        ] {
            let merged = parsed(text).unwrap();
            let TestResult::Failure { message, cause: Some(cause), .. } = &merged.tests[0].result else {
                panic!("{text}")
            };
            assert!(message.starts_with('m') && !message.contains('\u{1b}'), "{message:?}");
            let clean = crate::text::clean::text(cause).into_owned();
            assert!(clean.starts_with("red"), "{clean:?}");
        }
        let kept = parsed("<testsuite><testcase name=\"a &nbsp; &lt; <![CDATA[\"/></testsuite>");
        assert!(kept.is_err(), "a tag in an attribute is no XML");
    }

    #[test]
    fn the_ten_thousand_and_first_test_is_one_too() {
        let tests = "<testcase name=\"t\"/>".repeat(10_001);
        assert_eq!(parsed(format!("<testsuite>{tests}</testsuite>")).unwrap().tests.len(), 10_001);
    }

    #[test]
    fn what_is_no_report_says_why_and_an_entity_bomb_is_one() {
        let why = |text: &str| parsed(text).unwrap_err();
        assert!(why("<html/>").contains("<html>"));
        assert!(why("nothing").contains("not XML"));
        assert!(why("").contains("it is empty"));
        assert!(why("<testsuite><testcase name=\"a\"/>").contains("not XML"), "half a report is none");
        let bomb = r#"<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><testsuites>&b;</testsuites>"#;
        assert!(why(bomb).contains("entities"));
    }
}
