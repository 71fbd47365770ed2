//! The JUnit reports that a command leaves become tests of the run: all of them, and only its own.

use std::fs;
use std::process::Command;

use gpu_harness_tests::project::{Finished, Project};
use gpu_harness_tests::xml;

fn exec(project: &Project, flags: &[&str], script: &str) -> Finished {
    project.gpu_harness(&[&["exec", "-q"], flags, &["--", "sh", "-c", script]].concat())
}

#[test]
fn a_report_of_the_run_before_is_none_of_this_one() {
    let project = Project::new();
    let made =
        Command::new("git").args(["init", "-q"]).current_dir(project.path()).status().expect("git runs");
    assert!(made.success());
    let script = "if [ -e broken ]; then kill -SEGV $$; fi; \
                  echo '<testsuite name=\"s\"><testcase name=\"trains\"/></testsuite>' > report.xml";
    let flags = ["--sync", "--junit-from", "report.xml"];
    let first = exec(&project, &flags, script);
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    assert_eq!(xml::cases(&first.junit())["trains"], "passed");
    assert!(project.path().join("report.xml").is_file(), "it came back");
    fs::write(project.path().join("broken"), "").expect("ours");
    let second = exec(&project, &flags, script);
    assert_eq!(second.status.code(), Some(128 + 11), "{second:?}");
    assert!(!second.junit().contains("name=\"trains\""), "{}", second.junit());
    assert!(
        second.stderr.contains("report.xml is to be brought back, and the program did not write it"),
        "{}",
        second.stderr
    );
    // Even where all went well: its tests are not known.
    let quiet = exec(&project, &flags, "true");
    assert_eq!(quiet.status.code(), Some(125), "{quiet:?}");
}

#[test]
fn what_is_not_taken_in_is_said_and_is_no_pass() {
    for (report, said) in [
        ("<html/>", "it begins with <html>"),
        ("", "it is empty"),
        ("<testsuite><testcase name=\"cut\"/>", "it is not XML"),
        ("<!DOCTYPE a [<!ENTITY b \"c\">]><testsuite/>", "entities"),
    ] {
        let project = Project::new().file("in.xml", report);
        let script = format!("cp {}/in.xml report.xml", project.path().display());
        let run = exec(&project, &["--junit-from", "report.xml"], &script);
        assert_eq!(run.status.code(), Some(125), "{report}: {run:?}");
        xml::check(&run.junit());
        assert!(run.junit().contains(said), "{report}: {}", run.junit());
        assert_eq!(xml::cases(&run.junit())["sh"], "failure", "{report}");
    }
    let suite = "suite: s\ncases:\n  - { name: c, command: { run: [sh, -c, echo nonsense > r.xml], junit: [r.xml] } }\n";
    let project = Project::with_suite(suite);
    let run = project.run(&["--node", "local"]);
    assert_eq!(run.code(), 1, "{run:?}");
    assert!(run.stdout.contains("failed s::c: the JUnit report r.xml is not taken in"), "{run:?}");
    let again = Command::new(gpu_harness_tests::project::program("gpu-harness"))
        .args(["report"])
        .arg(run.folder())
        .output()
        .expect("it starts");
    assert_eq!(again.status.code(), Some(1), "rebuilt from its events it is the same");
}

#[test]
fn reports_by_folder_and_by_pattern_are_all_taken_in() {
    let script = "mkdir -p out/deep; for n in a b; do echo \"<testsuite name='$n'><testcase name='$n'/></testsuite>\" > out/TEST-$n.xml; done; \
                  echo '<testsuite><testcase name=\"c\"/></testsuite>' > out/deep/c.xml; echo no > out/notes.txt";
    for (wanted, tests) in
        [("out", vec!["a", "b", "c"]), ("out/TEST-*.xml", vec!["a", "b"]), ("**/*.xml", vec!["a", "b", "c"])]
    {
        let project = Project::new();
        let run = exec(&project, &["--junit-from", wanted], script);
        assert_eq!(run.status.code(), Some(0), "{wanted}: {run:?}");
        let cases = xml::cases(&run.junit());
        assert_eq!(cases.len(), tests.len() + 1, "{wanted}: {cases:?}");
        assert!(tests.iter().all(|test| cases[*test] == "passed"), "{wanted}: {cases:?}");
    }
    let none = exec(&Project::new(), &["--junit-from", "out/*.xml"], "mkdir out");
    assert_eq!(none.status.code(), Some(125), "{none:?}");
}

#[test]
fn control_characters_and_encodings_cost_no_test() {
    let script = "printf '<testsuite name=\"s\"><testcase name=\"ctl\"><failure message=\"m\">\\001\\033[31mred</failure></testcase></testsuite>' > a.xml; \
                  printf '<testsuite><testcase name=\"ref\"><failure message=\"&#x1b;[31m\">m</failure></testcase></testsuite>' > b.xml; \
                  printf '<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><testsuite><testcase name=\"gr\\374n\"/></testsuite>' > c.xml; \
                  printf '<testsuite name=\"own\" errors=\"1\"><error message=\"ImportError\"/></testsuite>' > d.xml";
    let project = Project::new();
    let run = exec(&project, &["--junit-from", "*.xml"], script);
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    xml::check(&run.junit());
    let cases = xml::cases(&run.junit());
    let wanted =
        [("ctl", "failure"), ("ref", "failure"), ("grün", "passed"), ("own", "error"), ("sh", "failure")];
    for (name, kind) in wanted {
        assert_eq!(cases[name], kind, "{cases:?}");
    }
}

#[test]
fn a_failed_test_in_the_report_of_a_command_that_ended_with_0_is_no_pass() {
    let report = "<testsuite name='t'><testcase name='a'/><testcase classname='t.m' name='bad'><failure message='1 == 2'/></testcase>\
                  <testcase name='worse'><error message='boom'/></testcase><testcase name='later'><skipped message='xfail'/></testcase></testsuite>";
    let suite = "
suite: s
cases:
  - { name: hidden, command: { run: [sh, -c, 'cp r.xml out.xml'], files: [r.xml], junit: [out.xml] } }
  - { name: told, command: { run: [sh, -c, 'cp r.xml out.xml; exit 3'], files: [r.xml], junit: [out.xml] } }
  - { name: control, must-fail: [exit-status], command: { run: [sh, -c, 'cp r.xml out.xml; exit 3'], files: [r.xml], junit: [out.xml] } }
  - { name: brought, command: { run: [sh, -c, 'cp r.xml out.xml'], files: [r.xml], bring: [out.xml] } }
";
    let project = Project::with_suite(suite).file("r.xml", report);
    let run = project.run(&["--node", "local"]);
    assert_eq!(run.code(), 1, "{run:?}");
    let said = "its report has 2 failed tests (t.m bad, t worse), although the command ended with 0";
    assert!(run.stdout.contains(&format!("failed s::hidden: {said}")), "{}", run.stdout);
    let cases = xml::cases(&run.junit());
    for (case, is) in
        [("hidden", "failure"), ("told", "failure"), ("control", "passed"), ("brought", "passed")]
    {
        assert_eq!(cases[case], is, "{cases:?}");
    }
    assert!(!run.stdout.contains("failed s::told: its report"), "{}", run.stdout);
    // A report that is made again from the events says the same.
    let again = project.gpu_harness(&["report", &run.folder().display().to_string()]);
    assert_eq!(again.code(), 1, "{again:?}");
    let summary = fs::read_to_string(run.folder().join("summary.txt")).expect("a summary");
    assert!(summary.contains(said), "{summary}");
    let script = format!("cp {}/r.xml out.xml", project.path().display());
    let command = exec(&project, &["--junit-from", "out.xml"], &script);
    assert_eq!(command.status.code(), Some(1), "{command:?}");
}
