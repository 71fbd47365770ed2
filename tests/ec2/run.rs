//! A run on a node from EC2: had, used, given back, paid for, proved.

use gpu_harness_tests::ec2::{Ec2, Options};
use gpu_harness_tests::project::{Finished, Project};
use gpu_suites::event::{Event, NodeState};
use gpu_suites::outcome::Outcome;
use serde_json::{Value, json};

const SUITE: &str = r#"
suite: s
cases:
  - name: where
    command: { run: [sh, -c, "hostname; id -un; cat /run/gpu-harness-armed; echo made > $GPU_HARNESS_ARTIFACTS/it"] }
  - { name: lasting, command: { run: [sleep, "3"] } }
  - { name: wrong, command: { run: [sh, -c, "exit 3"] } }
"#;

fn receipt(run: &Finished) -> Value {
    let text = std::fs::read_to_string(run.folder().join("receipt.json")).expect("a receipt");
    serde_json::from_str(&text).expect("JSON")
}

use NodeState::{Booting, Draining, Gone, Healthy, Reachable, Requested, Running, Terminating};

#[test]
fn a_run_has_a_node_uses_it_gives_everything_back_and_proves_it() {
    let ec2 = Ec2::start(Options::default());
    let project = ec2.in_project(Project::with_suite(SUITE), "types: [g6.xlarge, g4dn.xlarge]");
    let run = project.run(&["--node", "cloud", "--case", "where", "--junit", "junit.xml"]);
    assert_eq!(run.code(), 0, "{run:?}\n{}", ec2.log());
    assert_eq!(run.outcome("where").0, Outcome::Passed);
    // The node is a machine of its own, with its own end armed, and the image's user.
    let log = run.log("where");
    assert!(log.contains("ubuntu") && log.contains("shutdown "), "{log}");
    assert!(run.folder().join("cases/s.where/artifacts/it").is_file(), "{run:?}");

    // Nothing is left, and not only after a while: the harness itself saw it go.
    let left = ec2.left();
    assert!(left.as_object().unwrap().values().all(|kind| kind.as_array().unwrap().is_empty()), "{left:#}");
    let receipt = receipt(&run);
    let resources = receipt["resources"].as_array().unwrap();
    for kind in ["instance", "volume", "fleet", "spot-request", "launch-template", "security-group"] {
        assert!(resources.iter().any(|one| one["resource"] == kind), "{kind} in {receipt:#}");
    }
    assert!(resources.iter().all(|one| one["gone_at"].is_string()), "{receipt:#}");
    let bill = &receipt["nodes"][0];
    assert!(bill["usd"].as_f64().unwrap() > 0.0 && bill["market"] == "spot", "{receipt:#}");
    for phase in ["look-up", "capacity", "pending", "boot", "ssh", "health", "deploy", "first-event"] {
        assert!(bill["start_up"][phase].is_number(), "{phase} in {receipt:#}");
    }
    for said in ["given back: ", "each confirmed gone", "started in "] {
        assert!(run.stdout.contains(said), "{said}: {}", run.stdout);
    }
    let page = std::fs::read_to_string(run.folder().join("report.html")).expect("a page");
    for said in ["each confirmed gone", bill["instance"].as_str().unwrap(), "first event", "Receipt <span"] {
        assert!(page.contains(said), "{said} on the page");
    }
    let states: Vec<NodeState> = run
        .events()
        .iter()
        .filter_map(|record| match &record.event {
            Event::Node(node) => Some(node.state),
            _ => None,
        })
        .collect();
    // It is asked for, and then said where, and to whom it is open.
    assert_eq!(
        states,
        [Requested, Requested, Booting, Reachable, Healthy, Running, Draining, Terminating, Gone]
    );
}

#[test]
fn a_failed_case_gives_the_node_back_too() {
    let ec2 = Ec2::start(Options::default());
    let project = ec2.in_project(Project::with_suite(SUITE), "types: [g4dn.xlarge]\nmarket: on-demand");
    let run = project.run(&["--node", "cloud", "--case", "wrong"]);
    assert_eq!(run.code(), 1, "{run:?}");
    ec2.nothing_is_left();
    assert_eq!(receipt(&run)["nodes"][0]["market"], "on-demand");
}

/// A new account has a quota of zero for GPUs: its first run is on a machine without.
#[test]
fn a_node_without_gpus_runs_what_needs_none_and_errors_what_needs_one() {
    const NEEDY: &str = r#"
suite: s
cases:
  - { name: plain, command: { run: [sh, -c, "test ! -e /dev/nvidia0"] } }
  - { name: needy, gpu: {}, command: { run: ["true"] } }
"#;
    let ec2 = Ec2::start(Options::default());
    let project = ec2.in_project(Project::with_suite(NEEDY), "gpu: none\nmax-cost: 0.50");
    let run = project.run(&["--node", "cloud"]);
    assert_eq!(
        (run.outcome("plain").0, run.outcome("needy").0),
        (Outcome::Passed, Outcome::Errored),
        "{run:?}"
    );
    assert_eq!(run.code(), 3, "{run:?}\n{}", ec2.log());
    let why = run.outcome("needy").1;
    assert!(why.contains("the case needs 1 GPU, and this node has no GPU"), "{why}");

    // The cheapest with 4 vCPUs and 8 GiB, from Ubuntu's image: nothing of NVIDIA's was waited for, nor asked of the account.
    let bill = &receipt(&run)["nodes"][0];
    let kind = bill["instance_type"].as_str().unwrap();
    assert!(kind.ends_with(".xlarge") && kind.starts_with(['c', 'm']), "{bill:#}");
    let calls = ec2.calls();
    let images = calls.as_array().unwrap().iter().filter(|call| call["operation"] == "GetParameter");
    let images = Vec::from_iter(images.map(|call| call["parameters"]["Name"].as_str().unwrap()));
    assert!(
        !images.is_empty() && images.iter().all(|name| name.contains("/canonical/ubuntu/")),
        "{images:?}"
    );
    ec2.nothing_is_left();
}

#[test]
fn what_looks_slower_is_measured_again_on_the_same_node_before_it_is_given_back() {
    const RATE: &str = r#"
suite: s
cases:
  - name: rate
    command: { run: [sh, -c, "echo \"{\\\"items_per_second\\\": $(cat rate)}\" > $GPU_HARNESS_METRICS"], files: [rate] }
"#;
    let ec2 = Ec2::start(Options::default());
    let project = Project::with_suite(RATE).file("rate", "100");
    let nights = Nights { project: ec2.in_project(project, "types: [g6.xlarge]") };
    nights.ten(&ec2);
    std::fs::write(nights.project.path().join("rate"), "80").unwrap();
    let slow = nights.night();
    assert_eq!(slow.code(), 1, "{slow:?}\n{}", ec2.log());
    assert!(slow.stdout.contains("items_per_second regressed: 80"), "{}", slow.stdout);
    let started = slow.events().into_iter().filter(|record| matches!(record.event, Event::CaseStarted(_)));
    let nodes = std::collections::BTreeSet::from_iter(
        started.clone().map(|record| format!("{:?}", record.from.map(|origin| origin.node))),
    );
    assert_eq!((started.count(), nodes.len()), (3, 1), "three measurements on one node");
    assert_eq!(receipt(&slow)["nodes"].as_array().unwrap().len(), 1);
    ec2.nothing_is_left();
}

#[test]
fn a_slow_node_is_given_back_and_the_case_runs_on_another_one() {
    // As slow on the first node as a node that throttles: the device's own ceiling is lower too.
    const RATE: &str = r#"
suite: s
cases:
  - name: rate
    command:
      run: [sh, -c, "share=$(cat share); case $GPU_HARNESS_RUN in *-other-node) share=1;; esac; awk -v s=$share 'BEGIN { print \"{\\\"items_per_second\\\": \" 100 * s \", \\\"fp32/ceiling_gflops\\\": \" 900 * s \"}\" }' > $GPU_HARNESS_METRICS"]
      files: [share]
"#;
    let ec2 = Ec2::start(Options::default());
    let project = ec2.in_project(Project::with_suite(RATE).file("share", "1"), "types: [g6.xlarge]");
    let nights = Nights { project };
    nights.ten(&ec2);
    std::fs::write(nights.project.path().join("share"), "0.8").unwrap();
    let run = nights.night();
    assert_eq!(run.code(), 0, "{run:?}\n{}", ec2.log());
    assert!(run.stdout.contains("is slow or sick; another node is launched"), "{}", run.stdout);
    assert_eq!(receipt(&run)["nodes"].as_array().unwrap().len(), 2);
    let entries = nights.project.gpu_harness(&["history", "--history", "history", "--json"]);
    let entries: Value = serde_json::from_str(&entries.stdout).unwrap();
    let rate =
        entries.as_array().unwrap().iter().find(|entry| entry["metric"] == "items_per_second").unwrap();
    let last = rate["values"].as_array().unwrap().last().unwrap();
    assert!(last["value"] == 100.0 && last["healthy"] == true, "what the good node measured: {last}");
    ec2.nothing_is_left();
}

/// A project whose runs on EC2 have a history.
struct Nights {
    project: Project,
}

impl Nights {
    fn night(&self) -> Finished {
        self.project.run(&["--node", "cloud", "--history", "history"])
    }

    /// One night, and nine more like it.
    fn ten(&self, ec2: &Ec2) {
        let first = self.night();
        assert_eq!(first.code(), 0, "{first:?}\n{}", ec2.log());
        let name = first.folder().file_name().unwrap().to_str().unwrap().to_owned();
        let history = self.project.path().join("history");
        let object = std::fs::read_to_string(history.join(format!("{name}.ndjson"))).unwrap();
        for number in 1..10 {
            let other = format!("20261101-00000{number}-0000000{number}");
            std::fs::write(history.join(format!("{other}.ndjson")), object.replace(&name, &other)).unwrap();
        }
    }
}

#[test]
fn from_the_start_to_the_launch_there_are_four_calls_in_sequence_at_most() {
    let ec2 = Ec2::start_kind(Options::default());
    let project = ec2.in_project(Project::with_suite(SUITE), "types: [g6.xlarge, g4dn.xlarge]");
    // Half a second of ours: calls that could be made side by side show that they are.
    ec2.fault(&json!({ "fault": "slow-api", "seconds": 30 }));
    let mut harness = project.start(&["--node", "cloud", "--case", "where"]);
    project.await_event(&mut harness, |event| matches!(event, Event::NodeProvisioned(_)));
    ec2.clear_faults();
    let run = project.collect(harness);
    assert_eq!(run.code(), 0, "{run:?}");
    let calls = ec2.calls();
    let calls: Vec<(&str, &str, &str)> = calls
        .as_array()
        .unwrap()
        .iter()
        .map(|call| {
            let text = |name: &str| call[name].as_str().unwrap_or("9");
            (text("begun"), text("ended"), text("operation"))
        })
        .collect();
    let launch = calls.iter().find(|call| call.2 == "CreateFleet").unwrap();
    // The longest chain of calls of which each begins when the one before has ended.
    let mut chains: Vec<usize> = Vec::new();
    let before: Vec<_> = calls.iter().filter(|call| call.0 <= launch.0).collect();
    for (at, call) in before.iter().enumerate() {
        let earlier = before[..at].iter().zip(&chains).filter(|(other, _)| other.1 <= call.0);
        chains.push(1 + earlier.map(|(_, length)| *length).max().unwrap_or(0));
    }
    assert!(chains.iter().max() <= Some(&4), "{before:?}");
}

#[test]
fn what_is_made_carries_its_tags_and_its_limits_from_the_call_that_makes_it() {
    let ec2 = Ec2::start(Options::default());
    let settings = "types: [g4dn.xlarge]\nvolume: 123GiB\ntags: { team: trees }";
    let project = ec2.in_project(Project::with_suite(SUITE), settings);
    let mut harness = project.start(&["--node", "cloud", "--case", "lasting"]);
    project.await_event(&mut harness, |event| matches!(event, Event::CaseStarted(_)));
    let state = ec2.state();
    let run = project.collect(harness);
    assert_eq!(run.code(), 0, "{run:?}");
    let id = run.folder().file_name().unwrap().to_string_lossy().into_owned();
    for kind in ["instances", "volumes", "spot_requests", "fleets", "security_groups"] {
        let all = state[kind].as_array().unwrap();
        assert!(!all.is_empty(), "{kind}: {state:#}");
        for one in all.iter().filter(|one| one["name"] != "default") {
            assert_eq!(one["tags"]["gpu-harness:run"], id.as_str(), "{kind}: {one:#}");
            assert_eq!(one["tags"]["team"], "trees", "{kind}: {one:#}");
            assert!(one["tags"]["gpu-harness:expires-at"].is_string(), "{kind}: {one:#}");
        }
    }
}
