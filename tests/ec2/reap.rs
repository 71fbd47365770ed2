//! `gpu-harness reap` ends what is past its expiry and nothing else, whoever made it and whoever else reaps.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use gpu_harness_tests::ec2::{self, Ec2, Options};
use gpu_harness_tests::project::{Finished, Project};
use serde_json::{Value, json};

/// What a run leaves in EC2, made without gpu-harness: reap has nothing to go by but the tags.
const MAKE: &str = r#"
import boto3, datetime, json, os, sys, urllib.request
ec2 = boto3.client("ec2")
# As gpu-harness names whoever runs it here.
owner = os.environ["USER"] + "@" + os.uname().nodename
clock = json.load(urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/_test/clock"))["now"]
now = datetime.datetime.fromisoformat(clock.replace("Z", "+00:00"))

def make(run, expires):
    if isinstance(expires, int):
        expires = (now + datetime.timedelta(seconds=expires)).strftime("%Y-%m-%dT%H:%M:%SZ")
    tags = [{"Key": "gpu-harness:run", "Value": run}, {"Key": "gpu-harness:node", "Value": "cloud"},
            {"Key": "gpu-harness:owner", "Value": owner}]
    if expires is not None:
        tags.append({"Key": "gpu-harness:expires-at", "Value": expires})
    on = lambda *kinds: [{"ResourceType": kind, "Tags": tags} for kind in kinds]
    group = ec2.create_security_group(
        GroupName="group-" + run, Description="made by a test", TagSpecifications=on("security-group"))["GroupId"]
    image = ec2.describe_images(Filters=[{"Name": "architecture", "Values": ["x86_64"]}])["Images"][0]["ImageId"]
    template = ec2.create_launch_template(
        LaunchTemplateName="template-" + run, TagSpecifications=on("launch-template"),
        LaunchTemplateData={"ImageId": image, "InstanceType": "g6.xlarge", "SecurityGroupIds": [group],
                            "TagSpecifications": on("instance", "volume", "spot-instances-request")},
    )["LaunchTemplate"]["LaunchTemplateId"]
    ec2.create_fleet(
        Type="request", TagSpecifications=on("fleet"),
        LaunchTemplateConfigs=[{"LaunchTemplateSpecification": {"LaunchTemplateId": template, "Version": "$Latest"}}],
        TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"})
    ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, TagSpecifications=on("volume"))

for run, expires in json.loads(sys.argv[1]):
    make(run, expires)
"#;

/// The kinds of things that each run leaves; it leaves two volumes.
const KINDS: [&str; 6] =
    ["fleets", "instances", "launch_templates", "security_groups", "spot_requests", "volumes"];
const PAST: i64 = -3600;
const LATER: i64 = 36_000;

/// A test EC2 in which each of these runs has left everything that a run makes, and a project there.
fn account(runs: &Value) -> (Ec2, Project) {
    let ec2 = Ec2::without_hosts(Options { clock_factor: 30.0 });
    python(&ec2, MAKE, &runs.to_string());
    let project = ec2.in_project(Project::new(), "");
    // The instances of the fleets come a moment later.
    let wanted = runs.as_array().map_or(0, Vec::len);
    for _ in 0..600 {
        if ec2.left()["instances"].as_array().map_or(0, Vec::len) == wanted {
            ec2.settle();
            return (ec2, project);
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("the fleets have launched nothing: {:#}", ec2.left());
}

/// Runs a program with boto3 against the test EC2.
fn python(ec2: &Ec2, program: &str, argument: &str) {
    let mut python = ec2::python();
    python
        .args(["-c", program, argument])
        .envs(ec2.kind_environment())
        .env("AWS_DEFAULT_REGION", "us-east-1");
    let output = python.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{python:?}: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// How many things of a run are left, by kind.
fn left_of(ec2: &Ec2, run: &str) -> Vec<usize> {
    let left = ec2.left();
    let of_run = |kind: &&str| {
        let things = left[*kind].as_array().expect("a list");
        things.iter().filter(|thing| thing["tags"]["gpu-harness:run"] == run).count()
    };
    KINDS.iter().map(of_run).collect()
}

const ALL: [usize; 6] = [1, 1, 1, 1, 1, 2];
const NOTHING: [usize; 6] = [0; 6];

fn reap(project: &Project, flags: &[&str]) -> Finished {
    project.gpu_harness(&[&["reap"], flags].concat())
}

#[test]
fn reap_ends_exactly_what_is_past_its_expiry_and_a_dry_run_ends_nothing() {
    let (ec2, project) =
        account(&json!([["dead", PAST], ["alive", LATER], ["odd", "tomorrow"], ["bare", null]]));
    let dry = reap(&project, &["--dry-run", "--json"]);
    assert_eq!(dry.code(), 3, "{dry:?}");
    let told: Value = serde_json::from_str(&dry.stdout).expect("JSON");
    assert_eq!((&told["left"], &told["ended"], &told["unreadable"]), (&json!(7), &json!(0), &json!(14)));
    for run in ["dead", "alive", "odd", "bare"] {
        assert_eq!(left_of(&ec2, run), ALL, "{run}");
    }
    let reaped = reap(&project, &[]);
    assert_eq!(reaped.code(), 0, "{reaped:?}");
    assert_eq!(left_of(&ec2, "dead"), NOTHING, "{reaped:?}");
    for run in ["alive", "odd", "bare"] {
        assert_eq!(left_of(&ec2, run), ALL, "{run}: {reaped:?}");
    }
    assert!(reaped.stdout.contains("its expiry cannot be read"), "{}", reaped.stdout);

    // What a person names goes, also where its tags cannot be read or it has time left.
    for run in ["odd", "alive"] {
        let named = reap(&project, &["--run", run]);
        assert_eq!((named.code(), left_of(&ec2, run)), (0, NOTHING.to_vec()), "{named:?}");
    }
    assert_eq!(left_of(&ec2, "bare"), ALL);
}

#[test]
fn reaping_by_age_asks_first_and_spares_what_is_younger() {
    let (ec2, project) = account(&json!([["run", LATER], ["dead", PAST]]));
    let unasked = reap(&project, &["--older-than", "1s"]);
    assert_eq!(unasked.code(), 2, "nobody is there to be asked: {unasked:?}");
    let young = reap(&project, &["--older-than", "24h", "--yes"]);
    assert_eq!(young.code(), 0, "{young:?}");
    assert_eq!((left_of(&ec2, "run"), left_of(&ec2, "dead")), (ALL.to_vec(), ALL.to_vec()));
    let old = reap(&project, &["--older-than", "1s", "--yes"]);
    assert_eq!(old.code(), 0, "{old:?}");
    assert_eq!((left_of(&ec2, "run"), left_of(&ec2, "dead")), (NOTHING.to_vec(), NOTHING.to_vec()));
}

#[test]
fn reapers_at_once_end_the_same_things_and_none_of_them_fails() {
    let (ec2, project) = account(&json!([["one", PAST], ["two", PAST], ["alive", LATER]]));
    thread::scope(|scope| {
        let reapers = Vec::from_iter((0..4).map(|_| scope.spawn(|| reap(&project, &[]))));
        for reaper in reapers {
            let reaped = reaper.join().expect("a reaper");
            assert_eq!(reaped.code(), 0, "{reaped:?}");
        }
    });
    assert_eq!((left_of(&ec2, "one"), left_of(&ec2, "two")), (NOTHING.to_vec(), NOTHING.to_vec()));
    assert_eq!(left_of(&ec2, "alive"), ALL);
}

/// Moves the expiry of everything of a run to far in the future.
const MOVE: &str = r#"
import boto3, json, os, sys, urllib.request
ec2 = boto3.client("ec2")
state = json.load(urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/_test/state"))
ids = [thing["id"] for things in state.values() for thing in things if thing["tags"].get("gpu-harness:run") == sys.argv[1]]
ec2.create_tags(Resources=ids, Tags=[{"Key": "gpu-harness:expires-at", "Value": "2099-01-01T00:00:00Z"}])
"#;

#[test]
fn what_is_given_more_time_between_the_look_and_the_end_lives() {
    let (ec2, project) = account(&json!([["moved", PAST]]));
    // The look is over when the tags are read again, which now takes a while.
    ec2.fault(&json!({"fault": "slow-api", "operation": "DescribeTags", "seconds": 180}));
    let reaped = thread::scope(|scope| {
        let reaper = scope.spawn(|| reap(&project, &[]));
        let is_reading = |call: &Value| call["operation"] == "DescribeTags";
        for _ in 0..200 {
            if ec2.calls().as_array().expect("a list").iter().any(is_reading) {
                break;
            }
            thread::sleep(Duration::from_millis(25));
        }
        python(&ec2, MOVE, "moved");
        ec2.clear_faults();
        reaper.join().expect("the reaper")
    });
    assert_eq!(reaped.code(), 0, "{reaped:?}");
    assert_eq!(left_of(&ec2, "moved"), ALL, "{reaped:?}");
    assert!(reaped.stdout.contains("its expiry was moved"), "{}", reaped.stdout);
}

#[test]
fn what_cannot_be_ended_is_told_and_is_an_error_and_what_fails_for_a_while_is_ended() {
    let (ec2, project) = account(&json!([["dead", PAST]]));
    ec2.fault(&json!({"fault": "unauthorized", "operation": "DeleteSecurityGroup"}));
    ec2.fault(&json!({"fault": "terminate-fails", "times": 2}));
    let refused = reap(&project, &[]);
    assert_eq!(refused.code(), 3, "{refused:?}");
    assert!(refused.stdout.contains("DeleteSecurityGroup"), "{}", refused.stdout);
    assert_eq!(left_of(&ec2, "dead"), [0, 0, 0, 1, 0, 0], "{refused:?}");
    ec2.clear_faults();
    assert_eq!(reap(&project, &[]).code(), 0);
    ec2.nothing_is_left();
}

#[test]
fn what_another_owner_has_made_is_told_and_left_unless_it_is_asked_for() {
    let (ec2, project) = account(&json!([["dead", PAST], ["alive", LATER]]));
    let other = project.env("GITHUB_REPOSITORY", "acme/trees").env("GITHUB_RUN_ID", "7");
    let theirs = reap(&other, &[]);
    assert_eq!(theirs.code(), 0, "{theirs:?}");
    assert!(theirs.stdout.contains("left: made by tester@"), "{}", theirs.stdout);
    let named = reap(&other, &["--run", "alive"]);
    assert_eq!(named.code(), 3, "a run that was named and is left is no success: {named:?}");
    let dry = reap(&other, &["--older-than", "1s", "--yes"]);
    assert_eq!(dry.code(), 0, "{dry:?}");
    assert_eq!((left_of(&ec2, "dead"), left_of(&ec2, "alive")), (ALL.to_vec(), ALL.to_vec()));
    let hint =
        named.stdout.split("--owner '").nth(1).and_then(|rest| rest.split('\'').next()).expect("a hint");
    let asked = reap(&other, &["--run", "alive", "--owner", hint]);
    assert_eq!((asked.code(), left_of(&ec2, "alive")), (0, NOTHING.to_vec()), "{asked:?}");
    let all = reap(&other, &["--all-owners"]);
    assert_eq!((all.code(), left_of(&ec2, "dead")), (0, NOTHING.to_vec()), "{all:?}");
}

/// How often reap runs beside live runs.
fn rounds() -> usize {
    std::env::var("GPU_HARNESS_REAP_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(60)
}

#[test]
fn reapers_beside_twenty_live_runs_touch_none_of_them() {
    let mut runs = Vec::from_iter((0..20).map(|number| json!([format!("alive-{number}"), LATER])));
    runs.push(json!(["dead", PAST]));
    let (ec2, project) = account(&json!(runs));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..rounds() / 4 {
                    let reaped = reap(&project, &[]);
                    assert_eq!(reaped.code(), 0, "{reaped:?}");
                }
            });
        }
    });
    for number in 0..20 {
        assert_eq!(left_of(&ec2, &format!("alive-{number}")), ALL, "{number}");
    }
    assert_eq!(left_of(&ec2, "dead"), NOTHING);
}

#[test]
fn the_key_of_a_kept_node_goes_when_the_node_has_gone_and_not_before() {
    let (ec2, project) = account(&json!([["kept", LATER]]));
    let instance = ec2.left()["instances"][0]["id"].as_str().expect("an id").to_owned();
    let keys = project.cache().join("kept");
    for id in [instance.as_str(), "i-of-another-region"] {
        std::fs::create_dir_all(keys.join(id)).expect("a folder");
        std::fs::write(keys.join(id).join("id_ed25519"), "a key").expect("a key");
    }
    assert_eq!(reap(&project, &[]).code(), 0);
    assert!(keys.join(&instance).exists());
    assert_eq!(reap(&project, &["--run", "kept"]).code(), 0);
    assert!(!keys.join(&instance).exists());
    assert!(keys.join("i-of-another-region").exists(), "nobody was asked about it");
}

#[test]
fn the_nodes_that_live_are_listed_and_no_others() {
    let (_ec2, project) = account(&json!([["alive", LATER], ["dead", PAST]]));
    assert_eq!(reap(&project, &[]).code(), 0);
    let nodes = project.gpu_harness(&["nodes", "--json"]);
    assert_eq!(nodes.code(), 0, "{nodes:?}");
    let nodes: Value = serde_json::from_str(&nodes.stdout).expect("JSON");
    let nodes = nodes["nodes"].as_array().expect("a list");
    assert_eq!(nodes.len(), 1, "{nodes:?}");
    let node = &nodes[0];
    assert_eq!((&node["run"], &node["node"]), (&json!("alive"), &json!("cloud")));
    assert_eq!((&node["instance"]["market"], &node["state"]), (&json!("spot"), &json!("running")));
    assert!(node["remaining_seconds"].as_i64() > Some(30_000), "{node}");
    assert!(node["cost"].as_f64() > Some(0.0), "{node}");
}
