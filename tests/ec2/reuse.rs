//! Runs of the same job that begin at once: they share nothing by accident, and where asked one node, in turns.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Output};
use std::time::{Duration, Instant};

use gpu_harness_tests::ec2::{Ec2, Options};
use gpu_harness_tests::project::{Project, events_in};
use gpu_suites::event::{Event, Record};
use serde_json::{Value, json};

const SUITE: &str = r#"
suite: s
cases:
  - { name: quick, timeout: 2m, command: { run: [sh, -c, "echo begun; sleep 1"] } }
  - { name: lasting, timeout: 2m, command: { run: [sh, -c, "echo begun; sleep 4"] } }
  - { name: long, timeout: 20m, command: { run: [sh, -c, "echo begun; sleep 600"] } }
"#;
const REUSE: &str = "types: [g4dn.xlarge]\nreuse: true\nttl: 60m";
/// How long a run may take to come to what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A run that was started beside others: its folder is not the newest one.
struct Run {
    harness: Child,
    out: PathBuf,
}

struct Ended {
    output: Output,
    events: Vec<Record>,
    receipt: Value,
}

fn cloud(settings: &str) -> (Ec2, Project) {
    // No faster: the hosts boot in seconds of this machine.
    let ec2 = Ec2::start(Options { clock_factor: 20.0 });
    let project = ec2.in_project(Project::with_suite(SUITE), settings);
    (ec2, project)
}

fn start(project: &Project, name: &str, case: &str) -> Run {
    let out = project.path().join(name);
    let harness = project.start(&["--node", "cloud", "--case", case, "--out", name]);
    Run { harness, out }
}

impl Run {
    fn folder(&self) -> Option<PathBuf> {
        std::fs::canonicalize(self.out.join("latest")).ok()
    }

    fn events(&self) -> Vec<Record> {
        self.folder().map(|folder| events_in(&folder)).unwrap_or_default()
    }

    fn await_event(&self, what: &str, wanted: impl Fn(&Event) -> bool) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.events().iter().any(|record| wanted(&record.event)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{what} has not come: {:#?}", self.events());
    }

    fn await_its_case(&self) {
        self.await_event("its case", |event| matches!(event, Event::Log(log) if log.text.contains("begun")));
    }

    fn await_its_waiting(&self) {
        let waits = |event: &Event| matches!(event, Event::Waiting(one) if one.reason.contains("another run of this job"));
        self.await_event("its waiting", waits);
    }

    fn end(self) -> Ended {
        let (folder, output) =
            (self.out.join("latest"), self.harness.wait_with_output().expect("its output"));
        let folder = std::fs::canonicalize(folder).expect("its folder");
        let receipt = std::fs::read_to_string(folder.join("receipt.json")).unwrap_or_else(|_| "null".into());
        Ended { output, events: events_in(&folder), receipt: serde_json::from_str(&receipt).expect("JSON") }
    }
}

impl Ended {
    fn passed(&self) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&self.output.stdout), text(&self.output.stderr));
        assert_eq!(self.output.status.into_raw(), 0, "{out}\n{err}\n{:#?}", self.events);
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    fn instances(&self) -> Vec<&str> {
        let had = self.events.iter().filter_map(|record| match &record.event {
            Event::NodeProvisioned(had) => Some(had.instance.as_str()),
            _ => None,
        });
        had.collect()
    }

    fn has(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(|record| wanted(&record.event))
    }

    /// What the receipt has confirmed gone.
    fn gone(&self) -> Vec<&str> {
        let resources = self.receipt["resources"].as_array().expect("resources").iter();
        resources.filter(|one| one["gone_at"].is_string()).filter_map(|one| one["id"].as_str()).collect()
    }
}

fn nothing_is_left(ec2: &Ec2) {
    ec2.wait_until_nothing_is_left(Duration::from_secs(20));
}

#[test]
fn two_runs_that_reuse_have_one_node_one_after_the_other_and_the_second_proves_it_gone() {
    let (ec2, project) = cloud(REUSE);
    let first = start(&project, "first", "lasting");
    first.await_its_case();
    let second = start(&project, "second", "quick");
    second.await_its_waiting();
    let (first, second) = (first.end(), second.end());
    first.passed();
    second.passed();
    nothing_is_left(&ec2);
    let instances = first.instances();
    assert_eq!((instances.len(), &instances), (1, &second.instances()));
    assert_eq!(ec2.state()["instances"].as_array().unwrap().len(), 1);
    // The first says where it went, the second has seen all of it go.
    assert!(first.has(|event| matches!(event, Event::HandedOn(_))));
    assert!(first.said().contains("handed on to the next run of this job"), "{}", first.said());
    assert!(!first.said().contains("NOT confirmed gone"), "{}", first.said());
    assert!(second.has(|event| matches!(event, Event::TakenOver(_))));
    let resources = second.receipt["resources"].as_array().unwrap();
    for kind in ["instance", "volume", "fleet", "spot-request", "security-group"] {
        assert!(resources.iter().any(|one| one["resource"] == kind), "{kind}: {:#}", second.receipt);
    }
    assert_eq!(second.gone().len(), resources.len(), "{:#}", second.receipt);
    // Each pays for the time in which the node was its own.
    let billed = |run: &Ended| run.receipt["nodes"][0]["seconds_billed"].as_f64().expect("a bill");
    let instance = &ec2.state()["instances"][0];
    assert!(billed(&first) > 0.0 && billed(&second) > 0.0, "{instance:#}");
    let before = &first.events.iter().find(|record| matches!(record.event, Event::HandedOn(_))).unwrap().at;
    let end = &second.events.last().unwrap().at;
    let most = before.duration_until(*end).as_secs_f64() * 20.0 + 60.0;
    assert!(billed(&second) <= most, "{} of at most {most}", billed(&second));
    // Nothing lies about that opens anything.
    let kept = project.cache().join("reuse");
    let jobs = std::fs::read_dir(kept).unwrap().map(|job| job.unwrap().path().join("node.json"));
    assert!(jobs.into_iter().all(|file| !file.exists()));
}

#[test]
fn two_runs_that_do_not_reuse_have_each_its_own_and_share_nothing() {
    let (ec2, project) = cloud("types: [g4dn.xlarge]");
    let runs = [start(&project, "first", "lasting"), start(&project, "second", "lasting")];
    runs.iter().for_each(Run::await_its_case);
    let left = ec2.left();
    for kind in ["instances", "volumes", "fleets", "security_groups"] {
        let all = left[kind].as_array().unwrap();
        let tags = |name: &str| {
            let tags = all.iter().map(|one| one["tags"][name].as_str().expect("a tag").to_owned());
            std::collections::BTreeSet::from_iter(tags)
        };
        assert_eq!((all.len(), tags("gpu-harness:run").len()), (2, 2), "{kind}: {left:#}");
    }
    let ended = runs.map(Run::end);
    ended.iter().for_each(Ended::passed);
    assert_ne!(ended[0].instances(), ended[1].instances());
    let gone = ended.each_ref().map(Ended::gone);
    assert!(gone[0].iter().all(|id| !gone[1].contains(id)), "{gone:?}");
    nothing_is_left(&ec2);
}

#[test]
fn a_run_whose_predecessor_was_killed_has_its_own_node() {
    let (ec2, project) = cloud("types: [g4dn.xlarge]\nreuse: true\nttl: 60m\nlease: 20s");
    let mut first = start(&project, "first", "long");
    first.await_its_case();
    let second = start(&project, "second", "quick");
    second.await_its_waiting();
    first.harness.kill().unwrap();
    first.harness.wait().unwrap();
    let instance = first.events().into_iter().find_map(|record| match record.event {
        Event::NodeProvisioned(had) => Some(had.instance),
        _ => None,
    });
    let second = second.end();
    second.passed();
    assert!(!second.has(|event| matches!(event, Event::TakenOver(_))));
    assert!(!second.instances().contains(&instance.unwrap().as_str()));
    // The first one's ends by its lease, as ever.
    let begun = Instant::now();
    while !ec2.left()["instances"].as_array().unwrap().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{:#}", ec2.left());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_node_with_too_little_life_left_for_the_next_run_is_given_back_and_the_next_has_its_own() {
    // Enough for the first case and what it has to be fetched in, not for another 20 minutes.
    let (ec2, project) = cloud("types: [g4dn.xlarge]\nreuse: true\nttl: 20m");
    let first = start(&project, "first", "lasting");
    first.await_its_case();
    let second = project.start(&["--node", "cloud", "--case", "long", "--timeout", "19m", "--out", "second"]);
    let second = Run { harness: second, out: project.path().join("second") };
    second.await_its_waiting();
    let first = first.end();
    first.passed();
    second.await_its_case();
    interrupt(&second.harness);
    let second = second.end();
    assert!(
        second.has(
            |event| matches!(event, Event::Warning(one) if one.message.contains("it lives for another"))
        )
    );
    assert_eq!(second.instances().len(), 1);
    assert_ne!(first.instances(), second.instances());
    // It has given the first one back too, and proves it.
    let gone = second.gone();
    assert!(gone.contains(&first.instances()[0]) && gone.contains(&second.instances()[0]), "{gone:?}");
    nothing_is_left(&ec2);
}

#[test]
fn a_node_that_was_left_and_is_no_more_is_forgotten_by_the_next_run_and_by_reap() {
    let (ec2, project) = cloud(REUSE);
    start(&project, "first", "quick").end().passed();
    let jobs = Vec::from_iter(std::fs::read_dir(project.cache().join("reuse")).unwrap());
    let [Ok(job)] = jobs.as_slice() else { panic!("one job: {jobs:?}") };
    let file = job.path().join("node.json");
    assert!(!file.exists(), "nobody waited");
    let leave = |expires_at: &str| {
        let left = json!({
            "run": "r-0", "region": "us-east-1", "instance": "i-0123456789abcdef0", "client_key": "",
            "host_key": "", "expires_at": expires_at, "usd_per_hour": null, "gpus": null, "resources": [],
        });
        std::fs::write(&file, left.to_string()).unwrap();
    };
    // EC2 shows neither: the one may only not be known yet, the other is past its end.
    for (expires_at, stays) in [("2099-01-01T00:00:00Z", true), ("2020-01-01T00:00:00Z", false)] {
        leave(expires_at);
        let reaped = project.gpu_harness(&["reap"]);
        assert_eq!((reaped.code(), file.exists()), (0, stays), "{expires_at}: {reaped:?}");
    }
    leave("2020-01-01T00:00:00Z");
    let run = start(&project, "second", "quick").end();
    run.passed();
    assert!(
        run.has(|event| matches!(event, Event::Warning(one) if one.message.contains("it no longer exists")))
    );
    assert_eq!((run.instances().len(), file.exists()), (1, false));
    nothing_is_left(&ec2);
}

fn interrupt(harness: &Child) {
    let pid = rustix::process::Pid::from_raw(harness.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}
