//! A history in a bucket: the nights are kept and judged as in a folder, whatever the weather.

use std::fs;

use gpu_harness_tests::ec2::{Ec2, Options};
use gpu_harness_tests::project::{Finished, Project};
use gpu_harness_tests::s3::{BUCKET, Faults, KEYS, S3, Weather};
use serde_json::Value;

/// A case that measures what it is told.
const SUITE: &str = r#"
suite: s
cases:
  - name: rate
    command: { run: [sh, -c, "echo \"{\\\"items_per_second\\\": $(cat $RATE)}\" > $GPU_HARNESS_METRICS"] }
"#;

struct Nights {
    project: Project,
    place: String,
}

impl Nights {
    fn new(weather: &Weather) -> Self {
        let project = Project::with_suite(SUITE).env("AWS_ENDPOINT_URL_S3", weather.endpoint());
        let rate = project.path().join("rate").display().to_string();
        let project = KEYS.into_iter().fold(project, |project, (name, value)| project.env(name, value));
        Self { project: project.env("RATE", rate), place: format!("s3://{BUCKET}/nights") }
    }

    fn night(&self, rate: &str) -> Finished {
        fs::write(self.project.path().join("rate"), rate).unwrap();
        self.project.run(&["--history", &self.place])
    }
}

#[test]
fn nights_in_a_bucket_are_kept_and_judged_though_it_is_slow_to_answer() {
    let s3 = S3::start();
    let weather = Weather::on_the_way_to(&s3, 6);
    weather.set(Faults { slow_down: 0.2, ..Faults::default() });
    let nights = Nights::new(&weather);
    for rate in ["100", "101", "99", "100.5", "99.5", "100", "101", "99", "100.5", "99.5"] {
        let run = nights.night(rate);
        assert_eq!(run.code(), 0, "{run:?}");
        assert!(!run.stdout.contains("history in"), "{}", run.stdout);
    }
    let run = nights.night("80");
    assert_eq!(run.code(), 1, "{run:?}");
    assert!(run.stdout.contains("items_per_second"), "{}", run.stdout);

    let said = nights.project.gpu_harness(&["history", "--history", &nights.place, "--json"]);
    assert_eq!(said.code(), 0, "{said:?}");
    let entries: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(entries[0]["values"].as_array().unwrap().len(), 11, "{entries}");
    let all = format!("{run:?}{said:?}");
    let secret = KEYS.iter().find(|(name, _)| name.contains("SECRET")).unwrap().1;
    assert!(!all.contains(secret), "the secret is told");
}

#[test]
fn a_bucket_that_refuses_is_said_and_changes_no_outcome() {
    let s3 = S3::start();
    let weather = Weather::on_the_way_to(&s3, 7);
    let nights = Nights::new(&weather);
    let said = nights.project.gpu_harness(&["history", "--history", &nights.place]);
    assert_ne!(said.code(), 0);
    assert!(said.stderr.contains("begins one"), "{}", said.stderr);
    weather.set(Faults { read_only: true, ..Faults::default() });
    let run = nights.night("100");
    assert_eq!(run.code(), 0, "{run:?}");
    assert!(run.stdout.contains("this run is not in the history in s3://tiles/nights/"), "{}", run.stdout);
    assert!(run.stdout.contains("AccessDenied") && run.stdout.contains("s3:PutObject"), "{}", run.stdout);
}

#[test]
fn a_history_that_fails_from_any_call_on_keeps_no_node_from_being_given_back() {
    let (s3, ec2) = (S3::start(), Ec2::start(Options::default()));
    let weather = Weather::on_the_way_to(&s3, 9);
    assert_eq!(Nights::new(&weather).night("100").code(), 0, "a night before");
    let suite = SUITE.replace("cat $RATE", "echo 100");
    std::thread::scope(|scope| {
        // It is listed, the night before is read, and this one is put.
        for calls in 0..4 {
            let (s3, ec2, suite) = (&s3, &ec2, &suite);
            scope.spawn(move || {
                let weather = Weather::on_the_way_to(s3, calls);
                weather.set(Faults { refused_after: Some(calls), ..Faults::default() });
                let project = ec2.in_project(Project::with_suite(suite), "types: [g4dn.xlarge]");
                let project = project.env("AWS_ENDPOINT_URL_S3", weather.endpoint());
                let place = format!("s3://{BUCKET}/nights");
                let run = project.run(&["--node", "cloud", "--history", &place]);
                assert_eq!(run.code(), 0, "{calls} calls: {run:?}\n{}", ec2.log());
                assert!(run.stdout.contains("each confirmed gone"), "{calls} calls: {}", run.stdout);
                assert_eq!(run.stdout.contains("AccessDenied"), calls < 3, "{calls} calls: {}", run.stdout);
            });
        }
    });
    ec2.nothing_is_left();
}

#[test]
fn many_writers_add_the_same_runs_to_a_bucket_and_each_is_there_once() {
    let s3 = S3::start();
    let weather = Weather::on_the_way_to(&s3, 8);
    let nights = Nights::new(&weather);
    let folders = Vec::from_iter((100..104).map(|rate| {
        fs::write(nights.project.path().join("rate"), rate.to_string()).unwrap();
        nights.project.run(&["--history", "elsewhere"]).folder().display().to_string()
    }));
    // Some of what they ask is refused for a while, and asked again.
    weather.set(Faults { slow_down: 0.2, ..Faults::default() });
    let adders = Vec::from_iter((0..4).map(|shift| {
        let mut folders = folders.clone();
        folders.rotate_left(shift);
        let words = ["history", "add", "--history", &nights.place].into_iter();
        let words = Vec::from_iter(words.chain(folders.iter().map(String::as_str)));
        nights.project.command(&words).stdout(std::process::Stdio::piped()).spawn().unwrap()
    }));
    for adder in adders {
        let output = adder.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let said = nights.project.gpu_harness(&["history", "--history", &nights.place, "--json"]);
    let entries: Value = serde_json::from_str(&said.stdout).unwrap();
    let values =
        entries[0]["values"].as_array().unwrap().iter().map(|point| point["value"].as_f64().unwrap());
    let mut values = Vec::from_iter(values);
    values.sort_by(f64::total_cmp);
    assert_eq!(values, [100.0, 101.0, 102.0, 103.0], "{said:?}");
    assert!(!said.stderr.contains("left out"), "{said:?}");
}
