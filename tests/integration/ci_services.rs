//! GitHub and Bitbucket are told what a run came to, where in the files something is wrong, and nothing that a node made up.

use std::process::Command;

use gpu_harness_tests::fixture::{Fixture, ended, said};
use gpu_harness_tests::project::Project;
use gpu_harness_tests::service::Service;
use serde_json::Value;

const SUITE: &str = "suite: s
cases:
  - { name: good, command: { run: [\"true\"] } }
  - name: bad
    command:
      run: [sh, -c, 'echo \"::error::made up\"; echo \"::stop-commands::x\"; echo \"<img src=x> ]( ![a](http://x)\"; exit 3']
  - { name: gone, command: { run: [sh, -c, 'kill -9 $$'] } }
";

fn lines_with<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.starts_with(start)).collect()
}

#[test]
fn github_shows_each_failure_at_its_line_and_a_page_of_the_run() {
    let project = Project::with_suite(SUITE).file("summary.md", "");
    let page = project.path().join("summary.md");
    let root = project.path().display().to_string();
    let project = project
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", page.display().to_string())
        .env("GITHUB_WORKSPACE", root);
    let run = project.run(&[]);
    assert_eq!(run.code(), 1, "{}\n{}", run.stdout, run.stderr);
    let errors = lines_with(&run.stdout, "::error ");
    assert_eq!(errors.len(), 2, "{}", run.stdout);
    assert!(
        errors[0].starts_with("::error file=suites/s.yaml,line=4,title=s%3A%3Abad failed::"),
        "{}",
        errors[0]
    );
    assert!(
        errors[1].starts_with("::error file=suites/s.yaml,line=7,") && errors[1].contains("infrastructure")
    );
    assert!(lines_with(&run.stdout, "::error::").is_empty(), "a node's words are no command: {}", run.stdout);

    // What the node wrote stands between the word that stops commands and the one that lets them through again.
    let all = Vec::from_iter(run.stdout.lines());
    let stop = all.iter().position(|line| line.starts_with("::stop-commands::gpu-harness-")).expect("hushed");
    let word = all[stop].trim_start_matches("::stop-commands::");
    let end = all.iter().position(|line| *line == format!("::{word}::")).expect("and not for good");
    let made_up = all.iter().position(|line| line.contains("made up")).expect("the log is shown");
    assert!(stop < made_up && made_up < end, "{}", run.stdout);

    let page = std::fs::read_to_string(page).expect("the page");
    assert!(page.contains("| ✗ failed |") && page.contains("| ✓ passed |"), "{page}");
    assert!(!page.contains("<img") && !page.contains("]("), "{page}");
}

#[test]
fn github_shows_mistakes_in_a_suite_at_their_lines() {
    let project = Project::with_suite("suite: s\ncases:\n  - { name: a, comand: { run: [x] } }\n");
    let root = project.path().display().to_string();
    let run = project.env("GITHUB_ACTIONS", "true").env("GITHUB_WORKSPACE", root).run(&[]);
    assert_eq!(run.code(), 2, "{run:?}");
    let errors = lines_with(&run.stdout, "::error file=suites/s.yaml,line=3,");
    assert!(errors.iter().any(|line| line.contains("did you mean `command`?")), "{}", run.stdout);
}

#[test]
fn a_command_with_a_node_tells_github_at_its_end_and_its_tests_do_not_tell_it_twice() {
    let project = Project::with_suite(SUITE);
    let (page, root) = (project.path().join("summary.md"), project.path().display().to_string());
    let project = project
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", page.display().to_string())
        .env("GITHUB_WORKSPACE", root);
    let run = ended(Fixture { project: &project }.nextest_with_a_node("local", &[]));
    let told = said(&run);
    assert_eq!(run.status.code(), Some(100), "{told}");
    let errors = Vec::from_iter(told.lines().filter(|line| line.contains("::error file=")));
    assert_eq!(errors.len(), 2, "{told}");
    let bad = errors.iter().find(|line| line.contains("bad failed")).expect("a note of it");
    assert!(bad.starts_with("::error file=suites/s.yaml,line=4,title=s%3A%3Abad failed::"), "{told}");
    let page = std::fs::read_to_string(page).expect("the page");
    assert!(page.contains("| ✗ failed |") && page.contains("| ✓ passed |"), "{page}");
}

#[test]
fn tests_that_have_a_node_by_themselves_annotate_where_they_fail_and_their_holder_writes_the_page() {
    let project = Project::with_suite(SUITE);
    let (page, root) = (project.path().join("summary.md"), project.path().display().to_string());
    let project = project
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", page.display().to_string())
        .env("GITHUB_WORKSPACE", root);
    let fixture = Fixture { project: &project };
    let run = ended(fixture.nextest(&["--failure-output", "final"]));
    let told = said(&run);
    let errors =
        Vec::from_iter(told.lines().map(str::trim_start).filter(|line| line.starts_with("::error ")));
    assert_eq!(errors.len(), 2, "{told}");
    let bad = errors.iter().find(|line| line.contains("bad failed")).expect("a note of it");
    assert!(bad.starts_with("::error file=suites/s.yaml,line=4,"), "{told}");
    fixture.the_run();
    assert!(std::fs::read_to_string(page).expect("the page").contains("| ✗ failed |"));
}

#[test]
fn elsewhere_nothing_is_told() {
    let run = Project::with_suite(SUITE).run(&[]);
    assert!(lines_with(&run.stdout, "::").is_empty(), "{}", run.stdout);
    assert!(!run.stderr.contains("Bitbucket"), "{}", run.stderr);
}

/// Bitbucket's side of the proxy.
struct Bitbucket(Service);

impl Bitbucket {
    fn start(fault: &str) -> Self {
        Self(Service::start("bitbucket/server.py", &[fault]))
    }

    /// A step of a pipeline with this proxy beside it.
    fn step(&self, project: Project) -> Project {
        let root = project.path().display().to_string();
        [
            ("BITBUCKET_BUILD_NUMBER", "17"),
            ("BITBUCKET_STEP_UUID", "{0aa1-7}"),
            ("BITBUCKET_WORKSPACE", "team"),
            ("BITBUCKET_REPO_SLUG", "models"),
            ("BITBUCKET_COMMIT", "1f9d3c2"),
            ("BITBUCKET_CLONE_DIR", root.as_str()),
            ("GPU_HARNESS_BITBUCKET_PROXY", self.0.address.as_str()),
        ]
        .into_iter()
        .fold(project, |project, (name, value)| project.env(name, value))
    }

    fn requests(&self) -> Vec<Value> {
        self.0.requests()
    }
}

#[test]
fn bitbucket_gets_a_report_on_the_commit_with_a_note_at_each_line() {
    let bitbucket = Bitbucket::start("none");
    let project = bitbucket.step(Project::with_suite(SUITE));
    let run = project.run(&[]);
    assert_eq!(run.code(), 1, "{}\n{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("reported to Bitbucket's Code Insights (2 annotations)"), "{}", run.stderr);
    let requests = bitbucket.requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert!(requests.iter().all(|request| request["wrong"].is_null()), "{requests:?}");
    let url =
        "http://api.bitbucket.org/2.0/repositories/team/models/commit/1f9d3c2/reports/gpu-harness-17-0aa1-7";
    assert_eq!(requests[0]["url"], url);
    assert_eq!(requests[0]["body"]["result"], "FAILED");
    let notes = requests[1]["body"].as_array().expect("annotations");
    assert_eq!((&notes[0]["path"], &notes[0]["line"]), (&"suites/s.yaml".into(), &4.into()));
    assert_eq!((&notes[0]["result"], &notes[1]["result"]), (&"FAILED".into(), &"IGNORED".into()));
}

#[test]
fn bitbucket_is_told_once_of_tests_that_share_a_node_whoever_holds_it() {
    for with_a_command in [true, false] {
        let bitbucket = Bitbucket::start("none");
        let project = bitbucket.step(Project::with_suite(SUITE));
        let fixture = Fixture { project: &project };
        let run = if with_a_command {
            ended(fixture.nextest_with_a_node("local", &[]))
        } else {
            ended(fixture.nextest(&[]))
        };
        assert_eq!(run.status.code(), Some(100), "{}", said(&run));
        fixture.the_run();
        let requests = bitbucket.requests();
        assert_eq!(requests.len(), 2, "{with_a_command}: {requests:?}");
        let notes = requests[1]["body"].as_array().expect("annotations");
        let lines = Vec::from_iter(notes.iter().map(|note| (&note["path"], &note["line"])));
        assert!(lines.contains(&(&"suites/s.yaml".into(), &4.into())), "{notes:?}");
    }
}

#[test]
fn a_hundred_and_more_failures_are_reported_in_lots_that_bitbucket_takes() {
    let cases = (0..130).map(|n| format!("  - {{ name: c{n}, command: {{ run: [\"false\"] }} }}\n"));
    let bitbucket = Bitbucket::start("none");
    let project =
        bitbucket.step(Project::with_suite(&format!("suite: s\ncases:\n{}", cases.collect::<String>())));
    let run = project.run(&["--quiet"]);
    assert_eq!(run.code(), 1);
    let requests = bitbucket.requests();
    assert!(requests.iter().all(|request| request["wrong"].is_null()), "{requests:?}");
    let lots = requests[1..].iter().map(|request| request["body"].as_array().expect("a list").len());
    assert_eq!(Vec::from_iter(lots), [100, 30]);
}

#[test]
fn a_busy_bitbucket_is_asked_again_and_the_report_can_be_told_later() {
    let bitbucket = Bitbucket::start("busy");
    let project = bitbucket
        .step(Project::with_suite("suite: s\ncases:\n  - { name: a, command: { run: [\"true\"] } }\n"));
    let run = project.run(&[]);
    assert_eq!(run.code(), 0);
    assert!(run.stderr.contains("(0 annotations)"), "{}", run.stderr);
    let again = project.gpu_harness(&["report", "gpu-harness-runs/latest", "--ci"]);
    assert!(again.stderr.contains("(0 annotations)"), "{}", again.stderr);
    assert_eq!(bitbucket.requests().len(), 2);
}

#[test]
fn a_bitbucket_that_does_not_listen_costs_a_line_and_a_while_and_never_the_verdict() {
    for (fault, said) in [
        ("forbidden", "does not allow it (403)"),
        ("unauthorized", "does not allow it (401)"),
        ("broken", "failed to reach"),
        ("slow", "did not take it within 15s"),
    ] {
        let bitbucket = Bitbucket::start(fault);
        let project = bitbucket.step(Project::with_suite(SUITE));
        let run = project.run(&["--case", "good"]);
        assert_eq!(run.code(), 0, "{fault}: {}", run.stderr);
        let notes = lines_with(&run.stderr, "note: not reported to Bitbucket's Code Insights: ");
        assert!(notes.len() == 1 && notes[0].contains(said), "{fault}: {}", run.stderr);
    }
}

#[test]
fn a_token_goes_to_bitbucket_only_and_into_no_file_or_log() {
    const TOKEN: &str = "ATCTT3xFfGN0-not-a-token";
    let bitbucket = Bitbucket::start("none");
    // With a token the API itself is spoken to, which this machine's tests must not reach: a proxy for all is set, which
    // refuses the tunnel.
    let project = bitbucket
        .step(Project::with_suite(SUITE))
        .env("GPU_HARNESS_BITBUCKET_TOKEN", TOKEN)
        .env("HTTPS_PROXY", bitbucket.0.address.clone());
    let run = project.run(&["-v"]);
    assert!(run.stderr.contains("not reported to Bitbucket's Code Insights"), "{}", run.stderr);
    assert!(!run.stdout.contains(TOKEN) && !run.stderr.contains(TOKEN));
    let found = Command::new("grep").args(["-r", TOKEN]).arg(project.path()).output().expect("grep runs");
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}
