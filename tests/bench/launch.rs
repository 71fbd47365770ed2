//! What a launch costs beyond what the cloud and the host take: calls in sequence, the harness's own time between the
//! launch and the first event, and the way from the end of the run to "confirmed gone".

use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gpu_harness_tests::ec2::{Ec2, Options};
use gpu_harness_tests::project::{Project, events_in};
use gpu_suites::event::{Event, NodeState, Record};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::overhead::middle;
use crate::table::Table;

const SUITE: &str = "suite: s\ncases:\n  - { name: trivial, command: { run: [\"true\"] } }\n";
/// What is added to every call's answer, once, to count calls in sequence by their time.
const DELAY: Duration = Duration::from_millis(100);

/// One run, in seconds.
struct Run {
    /// Calls up to and with the one that launches.
    calls: usize,
    /// Those of them of which each began when the one before had ended.
    chain: usize,
    /// From the first of these calls to the answer of the last.
    to_launch: f64,
    /// From that answer to the port's first answer: the cloud's and the host's time.
    cloud: f64,
    /// From there to the first event of the node.
    own: f64,
    /// From the decision to give back to "confirmed gone".
    release: f64,
    /// The part of it in which the cloud ended the instance.
    ending: f64,
}

/// Runs `runs` times as it is and as often with slow answers, and prints the figures.
pub(crate) fn run(runs: u64) {
    // Its clock is ours: what the cloud takes is what the test EC2 takes it to take.
    let ec2 = Ec2::start_kind(Options { clock_factor: 1.0 });
    let project = ec2.in_project(Project::with_suite(SUITE), "types: [g4dn.xlarge, g6.xlarge]\nmarket: spot");
    // The first one warms up.
    once(&ec2, &project);
    let plain = Vec::from_iter((0..runs).map(|_| once(&ec2, &project)));
    let slow = Vec::from_iter((0..runs).map(|_| {
        ec2.fault(&json!({ "fault": "slow-api", "seconds": DELAY.as_secs_f64() }));
        let run = once(&ec2, &project);
        ec2.clear_faults();
        run
    }));
    let of = |runs: &[Run], figure: fn(&Run) -> f64| middle(runs.iter().map(figure));
    let ms = |seconds: f64| format!("{:.0} ms", seconds * 1e3);
    // Only slow answers show which calls are under way together; quick ones end before the next call comes in.
    let most = |figure: fn(&Run) -> usize| slow.iter().map(figure).max().unwrap_or(0).to_string();
    let mut table = Table::new(["figure", "measured", "wanted"]);
    table.row(["API calls until the launch, its own included", &most(|run| run.calls), ""]);
    table.row(["of these in sequence, at most", &most(|run| run.chain), "4 at most"]);
    let (at_once, later) = (of(&plain, |run| run.to_launch), of(&slow, |run| run.to_launch));
    table.row(["first call to the launch's answer", &ms(at_once), ""]);
    table.row([&format!("the same, each answer {} later", ms(DELAY.as_secs_f64())), &ms(later), ""]);
    let trips = format!("{:.1} answers in sequence", (later - at_once) / DELAY.as_secs_f64());
    table.row(["difference", &trips, "4 at most"]);
    table.row(["launch to an open ssh port: the cloud and the host", &ms(of(&plain, |run| run.cloud)), ""]);
    table.row(["open ssh port to the node's first event: the harness", &ms(of(&plain, |run| run.own)), ""]);
    let release = of(&plain, |run| run.release);
    table.row(["giving back to confirmed gone", &ms(release), ""]);
    table.row(["of it the cloud's, ending the instance", &ms(of(&plain, |run| run.ending)), ""]);
    println!("medians of {runs} runs, and of {runs} with slow answers\n");
    table.print();
}

/// Runs once, and looks from outside when the node's port answers and when the instance has ended.
fn once(ec2: &Ec2, project: &Project) -> Run {
    let before = ec2.calls().as_array().map_or(0, Vec::len);
    let known = Vec::from_iter(instances(ec2).iter().map(|one| one["id"].clone()));
    let mut harness = project.start(&["--node", "cloud", "-q"]);
    let is_over = AtomicBool::new(false);
    let (opened, (ending, ended)) = std::thread::scope(|scope| {
        let port = scope.spawn(|| opened(ec2, &known, &is_over));
        let end = scope.spawn(|| ended(ec2, &known, &is_over));
        let status = harness.wait().expect("a child can be waited for");
        is_over.store(true, Ordering::Relaxed);
        assert!(status.success(), "{status}\n{}", ec2.log());
        (port.join().expect("the port's time"), end.join().expect("the end's times"))
    });
    let events = events_in(&project.latest().expect("a run's folder"));
    let calls = ec2.calls();
    let calls = &calls.as_array().expect("a list")[before..];
    let launch = calls.iter().position(|call| call["operation"] == "CreateFleet").expect("a launch");
    let launched = time(&calls[launch]["ended"]);
    let to_launch: Vec<&Value> = calls[..=launch].iter().collect();
    let first_event = events.iter().find(|record| record.from.is_some()).expect("an event of the node").at;
    Run {
        calls: to_launch.len(),
        chain: chain(&to_launch),
        to_launch: seconds(time(&calls[0]["begun"]), launched),
        cloud: seconds(launched, opened),
        own: seconds(opened, first_event),
        release: seconds(state(&events, NodeState::Terminating), state(&events, NodeState::Gone)),
        ending: seconds(ending, ended),
    }
}

/// The longest chain of calls of which each begins when the one before has ended.
fn chain(calls: &[&Value]) -> usize {
    let mut lengths: Vec<usize> = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        let begun = time(&call["begun"]);
        let earlier = calls[..at].iter().zip(&lengths);
        // One that is still under way has not ended.
        let ended = earlier.filter(|(other, _)| other["ended"].is_string() && time(&other["ended"]) <= begun);
        lengths.push(1 + ended.map(|(_, length)| *length).max().unwrap_or(0));
    }
    lengths.into_iter().max().unwrap_or(0)
}

fn instances(ec2: &Ec2) -> Vec<Value> {
    ec2.state()["instances"].as_array().cloned().unwrap_or_default()
}

fn new_instance(ec2: &Ec2, known: &[Value]) -> Option<Value> {
    instances(ec2).into_iter().find(|one| !known.contains(&one["id"]))
}

/// When the ssh port of the new instance first answered.
fn opened(ec2: &Ec2, known: &[Value], is_over: &AtomicBool) -> Timestamp {
    let mut address = None;
    while !is_over.load(Ordering::Relaxed) {
        if address.is_none() {
            address = new_instance(ec2, known)
                .and_then(|one| format!("{}:22", one["address"].as_str()?).to_socket_addrs().ok()?.next());
        } else if let Some(address) = &address
            && TcpStream::connect_timeout(address, Duration::from_millis(20)).is_ok()
        {
            return Timestamp::now();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("no port opened\n{}", ec2.log())
}

/// When the new instance began to end, and when it had ended.
fn ended(ec2: &Ec2, known: &[Value], is_over: &AtomicBool) -> (Timestamp, Timestamp) {
    let mut ending = None;
    loop {
        let was_over = is_over.load(Ordering::Relaxed);
        let instance = new_instance(ec2, known).unwrap_or_default();
        match instance["state"].as_str() {
            Some("shutting-down") => drop(ending.get_or_insert_with(Timestamp::now)),
            Some("terminated") => {
                let now = Timestamp::now();
                return (ending.unwrap_or(now), now);
            }
            _ => {}
        }
        assert!(!was_over, "the run is over and its instance is {instance:#}\n{}", ec2.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn state(events: &[Record], wanted: NodeState) -> Timestamp {
    let found =
        events.iter().find(|record| matches!(&record.event, Event::Node(node) if node.state == wanted));
    found.unwrap_or_else(|| panic!("the node was never {wanted:?}")).at
}

fn time(text: &Value) -> Timestamp {
    text.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{text} is no time"))
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    from.duration_until(to).as_secs_f64()
}
