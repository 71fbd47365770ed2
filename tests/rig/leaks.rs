//! The promise that a killed harness leaks nothing, at every step of a node's life and at as many random moments as one
//! likes, with the API or the node's network cut at that moment too.
//!
//! EC2 is as hard as a seed makes it (`fixtures/ec2`), with lags as long as EC2's own; some harnesses' credentials expire.
//!
//! What is checked is the API's own account: that each instance ends by its lease, that is, soon after its harness has; at
//! the end, that nothing which costs money is left a minute after the time to live, and after one `gpu-harness reap` nothing
//! of any kind. The time to live is so long that it ends no instance, and is not waited for: the clock is put forward.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use gpu_harness::cloud::ec2::kinds;
use gpu_suites::event::{Event, NodeState, ResourceKind};
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::ec2::{BY_ITSELF, Ec2, Options, Weather};
use crate::process::HANG;
use crate::project::{Project, events_in};

/// Six minutes here: nothing lives so long.
const TTL: Duration = Duration::from_secs(60 * 60);
/// What the promise allows beyond the TTL.
const MINUTE: Duration = Duration::from_secs(60);
/// Hosts boot and end in this machine's time, some seconds of it where it is busy: with a faster clock nodes that are well
/// would be taken for hung, and those that end for leaks.
const FACTOR: f64 = 10.0;
/// The node counts this in this machine's time, as all that follow.
const LEASE: Duration = Duration::from_secs(20);
/// How long a node may run on when its harness has ended, in this machine's time. Where that was right after the launch: what
/// the fleet, the instance and its boot take on a bad day and a busy machine, and then the 30 s that are the shortest lease of
/// a node to which nobody has come.
const BY_LEASE: Duration = Duration::from_secs(100);
/// How long an instance may be shutting down (EC2 bills it no more): up to five minutes of EC2's, and then a busy machine
/// takes seconds to clear the host's namespaces away.
const ENDING: Duration = Duration::from_secs(60);
/// What is to be gone by then.
const COSTS: [&str; 6] = ["instances", "volumes", "spot_requests", "fleets", "hosts", "network_interfaces"];
/// How long past its expiry the reaper lets a thing be.
const GRACE: Duration = Duration::from_secs(60);
/// How much longer than its node a security group may live: it is made before any way of paying for one is tried.
const ASKING: Duration = Duration::from_secs(3 * 60);
/// How long a run goes on asking for a node.
const WAIT: Duration = Duration::from_secs(60);
/// The longest that a run goes on before it is killed.
const LONGEST: Duration = Duration::from_secs(30);
/// How long a run whose credentials have expired may take to give up, in this machine's time.
const GIVING_UP: Duration = Duration::from_secs(20);

const SUITE: &str = r#"
suite: s
cases:
  - { name: quick, command: { run: [sh, -c, "echo quick > $GPU_HARNESS_ARTIFACTS/it"] } }
  - { name: slow, command: { run: [sh, -c, "sleep 1"] } }
"#;

/// When a harness is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// So long after its start.
    After(Duration),
    /// Right after this step, and a while.
    Step(Step, Duration),
}

/// A step of a node's life, as the events tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Created,
    Made(ResourceKind),
    Node(NodeState),
    CaseStarted,
    Gone(ResourceKind),
}

const STEPS: [Step; 16] = [
    Step::Created,
    Step::Node(NodeState::Requested),
    Step::Made(kinds::SECURITY_GROUP),
    Step::Made(kinds::LAUNCH_TEMPLATE),
    Step::Made(kinds::FLEET),
    Step::Made(ResourceKind::INSTANCE),
    Step::Node(NodeState::Booting),
    Step::Gone(kinds::LAUNCH_TEMPLATE),
    Step::Node(NodeState::Reachable),
    Step::Node(NodeState::Healthy),
    Step::Node(NodeState::Running),
    Step::CaseStarted,
    Step::Node(NodeState::Draining),
    Step::Node(NodeState::Terminating),
    Step::Gone(ResourceKind::INSTANCE),
    Step::Gone(kinds::SECURITY_GROUP),
];

impl Step {
    fn is(self, event: &Event) -> bool {
        match (self, event) {
            (Self::Created, Event::RunCreated(_)) | (Self::CaseStarted, Event::CaseStarted(_)) => true,
            (Self::Made(kind), Event::ResourceMade(made)) => made.resource == kind,
            (Self::Gone(kind), Event::ResourceGone(gone)) => gone.resource == kind,
            (Self::Node(state), Event::Node(node)) => node.state == state,
            _ => false,
        }
    }
}

/// What else breaks when a harness is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Besides {
    Nothing,
    /// The API answers nobody for a while.
    Api,
    /// The node's network is cut for good.
    Network,
    /// The harness lives on, with credentials that have expired, and is killed only if it does not give up.
    Credentials,
}

#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    /// Harnesses that were killed in mid-run.
    pub killed: u64,
    /// Harnesses that had ended before their moment came.
    pub ended: u64,
    pub instances: usize,
    /// Of these, ended by themselves: by their lease, since the other end that is armed at boot comes later.
    pub by_themselves: usize,
    /// The age of the oldest when it was last seen alive, in seconds of EC2's time.
    pub oldest: i64,
    /// Things that cost nothing and that the reaper had to remove.
    pub reaped: usize,
}

/// Kills the harness `rounds` times, several at once, and checks that nothing is left.
pub fn check(rounds: u64, seed: u64, at_once: u64, weather: Weather) -> Tally {
    let ec2 = Ec2::start_in(weather, Options { clock_factor: FACTOR });
    let (next, killed, ended) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let (done, orphans) = (AtomicBool::new(false), Orphans::default());
    let lives = std::thread::scope(|scope| {
        let watch = scope.spawn(|| watch(&ec2, &orphans, &done));
        let workers: Vec<_> = (0..at_once)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let round = next.fetch_add(1, Ordering::Relaxed);
                        if round >= rounds {
                            return;
                        }
                        let seed = seed.wrapping_add(round);
                        let was_killed = kill_one(&ec2, round, &orphans, &mut StdRng::seed_from_u64(seed));
                        if was_killed { &killed } else { &ended }.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let ends: Vec<_> = workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        // What was asked for last is launched by then.
        std::thread::sleep(ec2.real(MINUTE));
        // What outlives its lease, or is ending for ever, ends the watch.
        let lives = |left: &Value| left["hosts"] != json!([]) || left["instances"] != json!([]);
        while lives(&ec2.left()) && !watch.is_finished() {
            std::thread::sleep(Duration::from_millis(100));
        }
        done.store(true, Ordering::Relaxed);
        assert!(ends.iter().all(Result::is_ok), "a round broke");
        watch.join().expect("each instance ends by its lease")
    });
    let oldest = lives.values().map(|life| life.age).max().unwrap_or_default();
    assert!(
        oldest < SignedDuration::try_from(TTL).expect("a short time"),
        "the time to live ended some: {oldest}"
    );
    ec2.forward(TTL + MINUTE);
    let begun = Instant::now();
    let costs = |left: &Value| COSTS.iter().any(|kind| left[kind] != json!([]));
    while costs(&ec2.left()) && begun.elapsed() < HANG {
        std::thread::sleep(Duration::from_millis(100));
    }
    let left = ec2.left();
    for kind in COSTS {
        assert_eq!(
            left[kind],
            json!([]),
            "{kind} after the TTL and a minute, without a reaper\n{}",
            ec2.log()
        );
    }
    let free = ["security_groups", "launch_templates"].map(|kind| left[kind].as_array().map_or(0, Vec::len));
    await_expiry(&ec2, &left);
    let reap = project(&ec2, "reaper").gpu_harness(&["reap"]);
    assert_eq!(reap.code(), 0, "{reap:?}");
    ec2.nothing_is_left();
    Tally {
        killed: killed.into_inner(),
        ended: ended.into_inner(),
        instances: lives.len(),
        by_themselves: lives.values().filter(|life| life.reason == BY_ITSELF).count(),
        oldest: oldest.as_secs(),
        reaped: free.iter().sum(),
    }
}

/// Waits until everything that is left is past its expiry. What costs nothing may live as long as its run could have
/// gone on asking for a node, and then used it.
fn await_expiry(ec2: &Ec2, left: &Value) {
    let things =
        left.as_object().into_iter().flat_map(|kinds| kinds.values()).filter_map(Value::as_array).flatten();
    let expiries = things.filter_map(|thing| thing["tags"]["gpu-harness:expires-at"].as_str()?.parse().ok());
    let latest = expiries.max().unwrap_or(Timestamp::MIN);
    let still = Duration::try_from(ec2.now().duration_until(latest)).unwrap_or_default();
    assert!(still <= TTL + WAIT + ASKING, "{left:#} lasts {still:?} more");
    ec2.forward(still + GRACE + Duration::from_secs(1));
}

/// A project whose credentials nobody else has.
fn project(ec2: &Ec2, key: &str) -> Project {
    let [ttl, lease, wait] = [TTL, LEASE, WAIT].map(|time| time.as_secs());
    let settings = format!("types: [g4dn.xlarge, g6.xlarge]\nttl: {ttl}s\nlease: {lease}s\nwait: {wait}s");
    ec2.in_project(Project::with_suite(SUITE), &settings).env("AWS_ACCESS_KEY_ID", key)
}

/// Since when there is no harness, by the run that it was for.
type Orphans = Mutex<BTreeMap<String, Instant>>;

/// Whether the harness was killed before it had ended by itself.
fn kill_one(ec2: &Ec2, round: u64, orphans: &Orphans, random: &mut StdRng) -> bool {
    let key = format!("round-{round}");
    let project = project(ec2, &key);
    let while_after = Duration::from_millis(random.random_range(0..250));
    // The named steps come first, one round each, then again and again between random moments.
    let moment = match usize::try_from(round).ok().and_then(|round| STEPS.get(round)) {
        Some(step) => Moment::Step(*step, Duration::ZERO),
        None if random.random_bool(0.5) => {
            Moment::Step(STEPS[random.random_range(0..STEPS.len())], while_after)
        }
        None => Moment::After(Duration::from_millis(random.random_range(0..12_000))),
    };
    let besides = match random.random_range(0..8) {
        0 | 1 => Besides::Api,
        2 | 3 => Besides::Network,
        4 => Besides::Credentials,
        _ => Besides::Nothing,
    };
    let mut harness = project.start(&["--node", "cloud", "-q"]);
    let begun = Instant::now();
    let events = || project.latest().map(|folder| events_in(&folder)).unwrap_or_default();
    loop {
        let is_time = match moment {
            Moment::After(time) => begun.elapsed() >= time,
            Moment::Step(step, _) => events().iter().any(|record| step.is(&record.event)),
        };
        let has_ended = harness.try_wait().expect("a child can be waited for").is_some();
        if is_time || has_ended || begun.elapsed() > LONGEST {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    if let Moment::Step(_, after) = moment {
        std::thread::sleep(after);
    }
    let mut runs = || harness.try_wait().expect("a child can be waited for").is_none();
    let was_running = runs();
    if besides == Besides::Credentials {
        ec2.fault(&json!({ "fault": "expired", "caller": key }));
        let begun = Instant::now();
        while runs() && begun.elapsed() < GIVING_UP {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    harness.kill().expect("a child can be killed");
    harness.wait().expect("a child can be waited for");
    if let Some(run) = project.latest().as_deref().and_then(Path::file_name) {
        let mut orphans = orphans.lock().unwrap_or_else(PoisonError::into_inner);
        orphans.insert(run.to_string_lossy().into_owned(), Instant::now());
    }
    let instance = events().iter().find_map(|record| match &record.event {
        Event::NodeProvisioned(had) => Some(had.instance.clone()),
        _ => None,
    });
    match (besides, instance) {
        (Besides::Api, _) => ec2.fault(&json!({ "fault": "api-down", "seconds": 30 })),
        (Besides::Network, Some(instance)) => ec2.try_network(&instance, false),
        _ => {}
    }
    was_running
}

/// What was seen of an instance.
#[derive(Debug)]
struct Life {
    /// When it was last seen and had not ended.
    age: SignedDuration,
    /// Why it ended, or ends.
    reason: String,
    /// Since when it is shutting down.
    ending: Option<Instant>,
}

/// Looks all the time whether an instance lives on for longer without its harness than it may; all instances that it saw.
fn watch(ec2: &Ec2, orphans: &Orphans, done: &AtomicBool) -> BTreeMap<String, Life> {
    let mut lives = BTreeMap::new();
    while !done.load(Ordering::Relaxed) {
        // Asked for first: nothing seems older than it is.
        let now = ec2.now();
        for instance in ec2.state()["instances"].as_array().into_iter().flatten() {
            let text = |name: &str| instance[name].as_str().unwrap_or_default().to_owned();
            let life = lives.entry(text("id")).or_insert(Life {
                age: SignedDuration::ZERO,
                reason: String::new(),
                ending: None,
            });
            life.reason = text("reason");
            match text("state").as_str() {
                "terminated" => continue,
                "shutting-down" => {
                    let since = life.ending.get_or_insert_with(Instant::now).elapsed();
                    assert!(since < ENDING, "{instance:#} is ending for {since:?}\n{}", ec2.log());
                    continue;
                }
                _ => {}
            }
            let launched: Timestamp = text("launched").parse().expect("the time of a launch");
            life.age = launched.duration_until(now);
            let orphans = orphans.lock().unwrap_or_else(PoisonError::into_inner);
            let run = instance["tags"]["gpu-harness:run"].as_str().expect("whose it is");
            let alone = orphans.get(run).map(Instant::elapsed).unwrap_or_default();
            assert!(
                alone < BY_LEASE,
                "{instance:#} runs on for {alone:?} without its harness\n{}",
                ec2.log()
            );
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    lives
}
