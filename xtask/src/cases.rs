//! Small inputs on which results, or what reached a node, were wrong once: each kind by a name, with the tests that hold
//! the right value. Most kinds are known from reports of other tools.

use std::process::ExitCode;
use std::sync::LazyLock;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::test;

/// A kind of input, and what is promised of it.
struct Case {
    name: &'static str,
    promise: &'static str,
    /// A program of tests (nextest's `binary-id`) and a test in it, each.
    tests: Vec<(&'static str, &'static str)>,
}

/// Those of `cases.txt`: a case and its promise, and below it, indented, its tests.
static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let mut cases: Vec<Case> = Vec::new();
    for line in include_str!("cases.txt").lines() {
        match (line.strip_prefix("  "), cases.last_mut()) {
            (Some(test), Some(case)) => case.tests.extend(test.split_once(' ')),
            _ => cases.extend(line.split_once(": ").map(|(name, promise)| Case {
                name,
                promise,
                tests: Vec::new(),
            })),
        }
    }
    cases
});

/// Passes the tests of the cases that are named, or of all; a case without a test is an error.
pub(crate) fn run(names: &[String]) -> Result<ExitCode> {
    let chosen = chosen(names)?;
    let filter = filter(&chosen);
    let ready = test::prepare()?;
    let listed = test::nextest(&ready, "list", &filter)?.args(["--message-format", "json"]).output();
    let listed = listed.context("failed to start `cargo nextest list`")?;
    if !listed.status.success() {
        bail!(
            "`cargo nextest list` failed ({}):\n{}",
            listed.status,
            String::from_utf8_lossy(&listed.stderr)
        );
    }
    let listed =
        serde_json::from_slice(&listed.stdout).context("failed to read what `cargo nextest list` says")?;
    let lost = lost(&chosen, &listed);
    if !lost.is_empty() {
        bail!("these cases name tests that are not there; mend xtask/src/cases.txt:\n{}", lost.join("\n"));
    }
    // All that went wrong at once, as in CI.
    let passed = test::nextest(&ready, "run", &filter)?.arg("--no-fail-fast").status();
    if !passed.context("failed to start `cargo nextest run`")?.success() {
        bail!("what these cases promise does not hold; above stands which tests failed");
    }
    for case in &chosen {
        println!("held: {:28} {}", case.name, case.promise);
    }
    Ok(ExitCode::SUCCESS)
}

fn chosen(names: &[String]) -> Result<Vec<&'static Case>> {
    if let Some(unknown) = names.iter().find(|name| CASES.iter().all(|case| case.name != **name)) {
        let known = Vec::from_iter(CASES.iter().map(|case| format!("  {:28} {}", case.name, case.promise)));
        bail!("there is no case named {unknown:?}; there are:\n{}", known.join("\n"));
    }
    let is_chosen = |case: &&Case| names.is_empty() || names.iter().any(|name| name == case.name);
    Ok(CASES.iter().filter(is_chosen).collect())
}

fn filter(cases: &[&Case]) -> String {
    let tests = cases.iter().flat_map(|case| &case.tests);
    let exactly = tests.map(|(program, test)| format!("(binary_id(={program}) & test(={test}))"));
    Vec::from_iter(exactly).join(" | ")
}

/// The tests of `cases` that nextest would not run.
fn lost(cases: &[&Case], listed: &Value) -> Vec<String> {
    let is_run = |program: &str, test: &str| {
        let found = &listed["rust-suites"][program]["testcases"][test];
        found["filter-match"]["status"] == "matches" && found["ignored"] == false
    };
    let named = cases.iter().flat_map(|case| case.tests.iter().map(move |test| (case.name, test)));
    let lost = named.filter(|(_, (program, test))| !is_run(program, test));
    lost.map(|(name, (program, test))| format!("  {name}: {program} {test}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Where the sources of a program of tests lie.
    fn sources(program: &str) -> &'static str {
        match program {
            "gpu-harness" => "harness/src",
            "gpu-harness-tests::integration" => "tests/integration",
            "gpu-worker::bin/gpu-worker" => "gpu-worker/src",
            "gpu-suites::checks" => "suites/tests/checks",
            "gpu-suites::metrics" => "suites/tests/metrics",
            "gpu-pixels" => "pixels/src",
            "gpu-suites" => "suites/src",
            "gpu-stores" => "stores/src",
            other => panic!("nobody has said where the sources of {other} are"),
        }
    }

    /// Whether a test is written in the file that its modules name, or in the one around them.
    fn is_written(program: &str, test: &str) -> bool {
        let (modules, name) = test.rsplit_once("::").unwrap_or(("", test));
        let around = modules.rsplit_once("::").map_or("", |(around, _)| around);
        [modules, around].iter().any(|modules| {
            let place = crate::cargo::root().join(sources(program)).join(modules.replace("::", "/"));
            let files = [place.with_extension("rs"), place.join("mod.rs"), place.join("main.rs")];
            let texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
            texts.into_iter().any(|text| text.contains(&format!("fn {name}(")))
        })
    }

    #[test]
    fn every_case_has_tests_that_are_written_where_it_says() {
        for case in CASES.iter() {
            assert!(!case.tests.is_empty(), "{}", case.name);
            for (program, test) in &case.tests {
                assert!(is_written(program, test), "{}: {program} {test}", case.name);
            }
        }
        assert!(!is_written("gpu-stores", "folder::tests::whatever_has_no_name"));
    }

    #[test]
    fn every_line_is_a_case_or_a_test_of_one() {
        let lines = include_str!("cases.txt").lines().count();
        assert_eq!(lines, CASES.iter().map(|case| 1 + case.tests.len()).sum::<usize>());
    }

    #[test]
    fn cases_are_in_the_order_of_their_names_none_twice() {
        assert!(CASES.is_sorted_by(|one, next| one.name < next.name));
    }

    #[test]
    fn a_test_that_is_not_there_or_not_run_is_told_with_its_case() {
        let case = CASES.first().expect("there are some");
        let (program, test) = case.tests.first().expect("it has some");
        let listed = |status: &str, ignored: bool| {
            let found = json!({ "ignored": ignored, "filter-match": { "status": status } });
            json!({ "rust-suites": { *program: { "testcases": { *test: found } } } })
        };
        let told = |listed: &Value| lost(&[case], listed).iter().any(|line| line.contains(test));
        assert!(!told(&listed("matches", false)));
        assert!(told(&listed("mismatch", false)) && told(&listed("matches", true)) && told(&json!({})));
    }

    #[test]
    fn a_name_that_is_no_case_says_which_there_are() {
        assert_eq!(chosen(&[]).unwrap().len(), CASES.len());
        assert_eq!(chosen(&["old-git".to_owned()]).unwrap().len(), 1);
        let said = chosen(&["old-gut".to_owned()]).err().expect("there is none").to_string();
        assert!(said.contains("old-gut") && said.contains("  old-git "), "{said}");
    }
}
