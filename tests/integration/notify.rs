//! People are told when something changes from one night to the next, once, and left alone otherwise.

use std::fs;

use gpu_harness_tests::project::{Finished, Project};
use gpu_harness_tests::service::Service;
use serde_json::Value;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A case that measures the next line of a file each time it runs, and fails where that is no number.
const SUITE: &str = r#"
suite: s
cases:
  - name: rate
    command: { run: [sh, -c, "v=$(head -n 1 $RATES); sed -i 1d $RATES; test $v != bad && echo \"{\\\"items_per_second\\\": $v}\" > $GPU_HARNESS_METRICS"] }
"#;

/// A service on the far side of the webhook; it checks signatures by itself, and is busy for so many requests.
fn service(failures: &str) -> Service {
    Service::start("webhook/receiver.py", &[SECRET, failures])
}

struct Nights {
    project: Project,
}

impl Nights {
    fn new(service: &Service, settings: &str) -> Self {
        let settings = format!("history: history\nnotify:\n  - {settings}\n");
        let project = Project::with_suite(SUITE).file("gpu-harness.yaml", settings);
        let rates = project.path().join("rates").display().to_string();
        let project =
            project.env("RATES", rates).env("WEBHOOK", &service.address).env("WEBHOOK_SECRET", SECRET);
        Self { project }
    }

    fn night(&self, measurements: &[&str]) -> Finished {
        fs::write(self.project.path().join("rates"), measurements.join("\n") + "\n").unwrap();
        self.project.run(&[])
    }
}

/// `now` and `metric` of each change of each message.
fn changes(told: &[Value]) -> Vec<String> {
    let all = told.iter().flat_map(|told| told["body"]["changes"].as_array().expect("changes"));
    all.map(|change| format!("{} {}", change["now"].as_str().unwrap(), change["metric"])).collect()
}

#[test]
fn a_failure_is_told_once_and_its_end_once() {
    let service = service("0");
    let nights = Nights::new(&service, "{ url-env: WEBHOOK, secret-env: WEBHOOK_SECRET }");
    assert_eq!(nights.night(&["100"]).code(), 0);
    assert!(service.requests().is_empty(), "a first good night is no news");
    let run = nights.night(&["bad"]);
    assert_eq!(run.code(), 1, "{run:?}");
    let told = service.requests();
    assert_eq!(changes(&told), ["failing null"], "{told:?} {run:?}");
    assert_eq!(told[0]["signed"], true, "{told:?}");
    assert_eq!(told[0]["body"]["type"], "state-changed");
    assert!(run.stderr.contains("told WEBHOOK of 1 new problem"), "{}", run.stderr);
    assert_eq!(nights.night(&["bad"]).code(), 1);
    assert!(service.requests().is_empty(), "it fails as the night before");
    assert_eq!(nights.night(&["100"]).code(), 0);
    assert_eq!(changes(&service.requests()), ["passing null"]);
    assert_eq!(nights.night(&["100"]).code(), 0);
    assert!(service.requests().is_empty());

    let said = format!("{run:?}");
    let events = fs::read_to_string(run.run_dir.unwrap().join("events.ndjson")).unwrap();
    for secret in ["a-secret-path", SECRET] {
        assert!(!said.contains(secret) && !events.contains(secret), "{secret} is told");
    }
}

#[test]
fn a_regression_is_told_once_and_its_end_once() {
    let service = service("0");
    let nights = Nights::new(&service, "{ url-env: WEBHOOK }");
    for rate in ["100", "101", "99", "100.5", "99.5", "100", "101", "99", "100.5", "99.5", "100"] {
        assert_eq!(nights.night(&[rate]).code(), 0);
    }
    assert!(service.requests().is_empty(), "eleven quiet nights");
    assert_eq!(nights.night(&["80", "80.2", "79.9"]).code(), 1);
    let told = service.requests();
    assert_eq!(changes(&told), ["regressed \"items_per_second\""], "{told:?}");
    assert_eq!(told[0]["signed"], false, "no secret was named");
    assert_eq!(nights.night(&["80", "80.2", "79.9"]).code(), 1);
    assert!(service.requests().is_empty(), "it is as slow as the night before");
    assert_eq!(nights.night(&["100"]).code(), 0);
    assert_eq!(changes(&service.requests()), ["recovered \"items_per_second\""]);
}

#[test]
fn a_busy_service_is_told_again_by_the_same_id_and_a_chat_in_its_own_form() {
    let service = service("2");
    let nights = Nights::new(&service, "{ url-env: WEBHOOK, secret-env: WEBHOOK_SECRET, format: slack }");
    let run = nights.night(&["bad"]);
    assert_eq!(run.code(), 1, "{run:?}");
    let told = service.requests();
    assert_eq!(told.iter().filter(|told| told["refused"] == true).count(), 2, "{told:?}");
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.iter().all(|one| one["id"] == told[0]["id"] && one["signed"] == true), "{told:?}");
    let text = told[2]["body"]["text"].as_str().unwrap();
    assert!(text.contains("1 new problem") && text.contains("*s::rate* failed"), "{text}");
}

#[test]
fn who_cannot_be_told_costs_a_line_and_never_the_outcome() {
    let service = service("99");
    let nights = Nights::new(&service, "{ url-env: WEBHOOK }");
    let run = nights.night(&["bad"]);
    assert_eq!(run.code(), 1, "{run:?}");
    assert!(run.stderr.contains("WEBHOOK was not told: the service answers 503"), "{}", run.stderr);
    for (settings, says) in [
        ("{ url-env: NOBODY_SET_THIS }", "NOBODY_SET_THIS is not set"),
        ("{ url-env: RATES }", "RATES is no address that begins with https://"),
        ("{ url-env: WEBHOOK, secret-env: RATES }", "RATES is no secret"),
    ] {
        let run = Nights::new(&service, settings).night(&["bad"]);
        assert_eq!(run.code(), 1, "{run:?}");
        assert!(run.stderr.contains(says), "{}", run.stderr);
    }
}
