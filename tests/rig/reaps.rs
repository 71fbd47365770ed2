//! The promise that `gpu-harness reap` ends everything that is past its expiry and touches nothing that lives, however
//! often it runs and however many do at once.
//!
//! Twenty runs live all the time, and others leave their things behind meanwhile, with little time left or none. After
//! each reap the test EC2's account is compared with the clock: what was past its expiry (and the reaper's minute) when
//! the reap began is gone, and of what has time left when it ended nothing is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::ec2::{Ec2, Options, Weather, python};
use crate::project::Project;

/// How many runs live all the time.
const LIVE: usize = 20;
/// How many reapers run at once.
const AT_ONCE: usize = 2;
/// How long past its expiry the reaper lets a thing be.
const GRACE: SignedDuration = SignedDuration::from_secs(60);
/// EC2's longest lag, of five minutes, is five seconds here.
const FACTOR: f64 = 60.0;

/// Makes what runs leave in EC2, without gpu-harness: first the runs that live, then one after another that has from
/// minus an hour to ten minutes left, until its standard input ends. Prints each when it is made. Not faster than a reaper is
/// done with one, and sees that it is: a reaper goes on for as long as it finds something that is due.
const MAKER: &str = r#"
import boto3, datetime, json, os, random, select, sys, time, urllib.request
ec2 = boto3.client("ec2")
# As gpu-harness names whoever runs it here.
owner = os.environ["USER"] + "@" + os.uname().nodename

def ask(path):
    return json.load(urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + path))

image = ec2.describe_images(Filters=[{"Name": "architecture", "Values": ["x86_64"]}])["Images"][0]["ImageId"]

def make(run, seconds):
    now = datetime.datetime.fromisoformat(ask("/_test/clock")["now"].replace("Z", "+00:00"))
    expires = (now + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    tags = [{"Key": "gpu-harness:run", "Value": run}, {"Key": "gpu-harness:node", "Value": "cloud"},
            {"Key": "gpu-harness:owner", "Value": owner},
            {"Key": "gpu-harness:expires-at", "Value": expires}]
    on = lambda *kinds: [{"ResourceType": kind, "Tags": tags} for kind in kinds]
    group = ec2.create_security_group(
        GroupName="group-" + run, Description="made by a test", TagSpecifications=on("security-group"))["GroupId"]
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
    return expires

def things(run):
    left = ask("/_test/left")
    return sorted(one["id"] for all in left.values() for one in all if one.get("tags", {}).get("gpu-harness:run") == run)

live, seed, lag = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
chance = random.Random(seed)
number = 0
while True:
    seconds = 30 * 24 * 3600 if number < live else chance.choice([-3600, -120, 60, 200, 400, 600])
    run = f"run-{number}"
    expires = make(run, seconds)
    # What a reaper may have begun on is not waited for.
    while number < live and len(things(run)) < 7:
        time.sleep(0.02)
    print(json.dumps({"run": run, "expires": expires, "things": things(run) if number < live or seconds > 300 else []}),
          flush=True)
    number += 1
    if select.select([sys.stdin], [], [], 0 if number < live else chance.uniform(2.5, 5) + lag)[0]:
        break
"#;

#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub reaps: u64,
    /// Runs that lived all the time, and of which nothing is missing.
    pub live: usize,
    /// Runs that left their things behind, and of which nothing is left.
    pub expired: usize,
    /// How often a thing was looked at that had time left, and was there.
    pub spared: u64,
}

/// A run that left things behind.
struct Left {
    /// Since when all of it is there.
    since: Instant,
    expires_at: Timestamp,
    /// Its things, where it had so much time left that all of them were seen.
    things: BTreeSet<String>,
}

/// Reaps `rounds` times, two at once.
pub fn check(rounds: u64, seed: u64, weather: Weather) -> Tally {
    let ec2 = Ec2::without_hosts_in(weather, Options { clock_factor: FACTOR });
    let mut maker = Maker::start(&ec2, seed);
    let runs: Mutex<BTreeMap<String, Left>> = Mutex::default();
    let (next, spared) = (AtomicU64::new(0), AtomicU64::new(0));
    let project = ec2.in_project(Project::new(), "");
    let reap = || {
        // A run whose things come while the reaper looks, or that EC2 may not tell it of yet, is the next reaper's.
        let known = {
            let runs = runs.lock().unwrap_or_else(PoisonError::into_inner);
            let old = runs.iter().filter(|(_, made)| made.since.elapsed() >= ec2.longest_lag());
            BTreeSet::from_iter(old.map(|(run, _)| run.clone()))
        };
        let begun = ec2.now();
        let reaped = project.gpu_harness(&["reap"]);
        assert_eq!(reaped.code(), 0, "{reaped:?}\n{}", ec2.log());
        // Asked for in this order, so that what ends meanwhile is not taken for lost.
        let left = by_run(&ec2.left());
        let ended = ec2.now();
        let runs = runs.lock().unwrap_or_else(PoisonError::into_inner);
        for (run, made) in &*runs {
            let now = left.get(run).cloned().unwrap_or_default();
            if known.contains(run) && made.expires_at + GRACE < begun {
                assert!(
                    now.is_empty(),
                    "{run}, past its end at {}, was left: {now:?}; {reaped:?}",
                    made.expires_at
                );
            }
            if made.expires_at > ended {
                let missing = Vec::from_iter(made.things.difference(&now));
                assert!(
                    missing.is_empty(),
                    "{run}, alive until {}, lost {missing:?}; {reaped:?}",
                    made.expires_at
                );
                spared.fetch_add(made.things.len() as u64, Ordering::Relaxed);
            }
        }
    };
    let said = maker.said();
    std::thread::scope(|scope| {
        let (ready, live) = std::sync::mpsc::channel();
        let runs = &runs;
        scope.spawn(move || {
            for line in said.lines() {
                let (run, made) = read(&line.expect("UTF-8"));
                let mut runs = runs.lock().unwrap_or_else(PoisonError::into_inner);
                runs.insert(run, made);
                if runs.len() == LIVE {
                    let _ = ready.send(());
                }
            }
        });
        live.recv().expect("the live runs are made");
        let work = || {
            while next.fetch_add(1, Ordering::Relaxed) < rounds {
                reap();
            }
        };
        let reapers = Vec::from_iter((0..AT_ONCE).map(|_| scope.spawn(work)));
        let ends = Vec::from_iter(reapers.into_iter().map(std::thread::ScopedJoinHandle::join));
        maker.end();
        assert!(ends.iter().all(Result::is_ok), "a reaper broke");
    });
    // What was left last has had its time.
    let longest = std::time::Duration::from_secs(600 + 61);
    std::thread::sleep(ec2.real(longest) + ec2.longest_lag());
    reap();
    let runs = runs.lock().unwrap_or_else(PoisonError::into_inner);
    let left = by_run(&ec2.left());
    assert_eq!(left.len(), LIVE, "{left:#?}");
    Tally {
        reaps: rounds + 1,
        live: left.iter().filter(|(run, things)| runs[*run].things == **things).count(),
        expired: runs.len() - LIVE,
        spared: spared.load(Ordering::Relaxed),
    }
}

fn read(line: &str) -> (String, Left) {
    let made: Value = serde_json::from_str(line).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let things = made["things"].as_array().expect("a list").iter().map(text).collect();
    (
        text(&made["run"]),
        Left { since: Instant::now(), expires_at: text(&made["expires"]).parse().expect("a time"), things },
    )
}

/// The things that are left, by the run that their tags name.
fn by_run(left: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut runs = BTreeMap::<_, BTreeSet<_>>::new();
    let kinds = left.as_object().into_iter().flat_map(|kinds| kinds.values());
    for thing in kinds.filter_map(Value::as_array).flatten() {
        if let (Some(run), Some(id)) = (thing["tags"]["gpu-harness:run"].as_str(), thing["id"].as_str()) {
            runs.entry(run.to_owned()).or_default().insert(id.to_owned());
        }
    }
    runs
}

/// The process that plays the other runs.
struct Maker {
    process: Child,
    until: Option<ChildStdin>,
}

impl Maker {
    fn start(ec2: &Ec2, seed: u64) -> Self {
        let mut command = python();
        command.args(["-c", MAKER, &LIVE.to_string(), &seed.to_string()]);
        command.arg(ec2.longest_lag().as_secs_f64().to_string());
        command.envs(ec2.kind_environment()).env("AWS_DEFAULT_REGION", "us-east-1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let until = process.stdin.take();
        Self { process, until }
    }

    fn said(&mut self) -> BufReader<std::process::ChildStdout> {
        BufReader::new(self.process.stdout.take().expect("its standard output"))
    }

    /// Has it make no more, and waits until it has ended.
    fn end(&mut self) {
        drop(self.until.take());
        let status = self.process.wait().expect("a child can be waited for");
        assert!(status.success(), "the maker of runs failed: {status}");
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        drop(self.until.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
