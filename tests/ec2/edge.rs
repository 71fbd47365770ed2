//! The way of one node through the cloud's API: looked up, asked for, followed, observed, given back, whatever goes
//! wrong on the way.

use std::time::Duration;

use aws_config::{BehaviorVersion, ConfigLoader};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{SharedCredentialsProvider, future::ProvideCredentials as Provided};
use gpu_harness::cloud::Purchase;
use gpu_harness::cloud::calls::{Call, in_sequence};
use gpu_harness::cloud::ec2::ask::{Preflight, Request, RequestedFleet, Requester};
use gpu_harness::cloud::ec2::cloud::{Cloud, Ec2Error};
use gpu_harness::cloud::ec2::fleet::{Followed, abandon, follow};
use gpu_harness::cloud::ec2::kinds;
use gpu_harness::cloud::ec2::look_up::look_up;
use gpu_harness::cloud::ec2::refusal::RefusalKind;
use gpu_harness::cloud::ec2::{self, Ec2Config, Ec2Settings};
use gpu_harness::cloud::error::{CloudError, Fault as _};
use gpu_harness::cloud::keys::NodeKeys;
use gpu_harness::cloud::labels::Labels;
use gpu_harness::cloud::ledger::Ledger;
use gpu_harness::cloud::life::InstanceState;
use gpu_harness::cloud::observe;
use gpu_harness::cloud::release::{Released, drop_what_launched, release};
use gpu_harness::cloud::user_data::{Life, UserData};
use gpu_harness::cloud::who::Who;
use gpu_harness::config::need::NodeNeed;
use gpu_harness_tests::ec2::{Ec2, Options};
use gpu_suites::event::Event;
use gpu_suites::id::{NodeName, RunId};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{sleep, timeout};

/// How much faster EC2's time runs than ours.
const FACTOR: f64 = 20.0;
/// How long a node may live, in EC2's time.
const TTL: Duration = Duration::from_secs(3600);

/// A run that wants one node of a test EC2.
pub(super) struct Run {
    pub(super) ec2: Ec2,
    pub(super) cloud: Cloud,
    settings: Ec2Settings,
    pub(super) labels: Labels,
    pub(super) ledger: Ledger,
    events: UnboundedReceiver<Event>,
    user_data: UserData,
}

impl Run {
    pub(super) async fn new(more: Value) -> Self {
        Self::of(Ec2::without_hosts(Options { clock_factor: FACTOR }), more).await
    }

    /// Of an EC2 that is kind: where calls are counted.
    pub(super) async fn kind(more: Value) -> Self {
        Self::of(Ec2::kind_without_hosts(Options { clock_factor: FACTOR }), more).await
    }

    async fn of(ec2: Ec2, more: Value) -> Self {
        let mut node = json!({
            "types": ["g6.xlarge", "g5.xlarge"],
            "caller-address": format!("{}/caller-address", ec2.endpoint()), "tags": {"team": "vision"},
        });
        node.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let settings = Ec2Settings::of(&serde_json::from_value::<Ec2Config>(node).unwrap()).unwrap();
        let cloud = Cloud::connect_by(loader(&ec2), Some("us-east-1")).await.unwrap();
        let name = NodeName("cloud".into());
        let who = Who { owner: "me@laptop".into(), pipeline: None };
        let (sink, events) = unbounded_channel();
        let ledger = Ledger::new(name.clone(), sink);
        let labels = Labels { run: RunId("run-1".into()), node: name, who };
        let user_data = UserData::new(Life { ttl: TTL, boot: TTL, lease: TTL }, &NodeKeys::new().unwrap());
        Self { ec2, cloud, settings, labels, ledger, events, user_data }
    }

    fn provider(&self) -> ec2::Ec2 {
        ec2::Ec2::new(self.cloud.clone(), &self.settings)
    }

    fn asker(&self) -> Requester<'_> {
        Requester { cloud: &self.cloud, settings: &self.settings, labels: &self.labels, ledger: &self.ledger }
    }

    pub(super) async fn preflight(&self) -> Preflight {
        self.asker().preflight(&NodeNeed::default(), 2 * TTL).await.unwrap()
    }

    fn expires_at(&self) -> Timestamp {
        self.cloud.now().checked_add(SignedDuration::try_from(TTL).unwrap()).unwrap()
    }

    pub(super) async fn ask(
        &self,
        preflight: &mut Preflight,
        purchase: Purchase,
    ) -> Result<RequestedFleet, CloudError> {
        let choice = preflight.catalog.choose(&self.settings, &NodeNeed::default(), purchase, None).unwrap();
        let (expires_at, user_data) = (self.expires_at(), &self.user_data);
        self.asker().ask(preflight, &Request { purchase, choice: &choice, expires_at, user_data }).await
    }

    pub(super) async fn follow(&self, asked: &RequestedFleet) -> Followed {
        follow(&self.cloud, &self.ledger, asked, Duration::from_secs(15)).await.unwrap()
    }

    /// A node that runs.
    pub(super) async fn running(&self) -> String {
        let asked = self.ask(&mut self.preflight().await, Purchase::Spot).await.unwrap();
        let Followed::Instance(id) = self.follow(&asked).await else { panic!("there is no instance") };
        loop {
            let seen = observe::instance(&self.provider(), &id).await.unwrap();
            if seen.state == InstanceState::Running {
                seen.note(&self.ledger, self.cloud.region());
                return id;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn release(&self) -> Released {
        release(&self.provider(), &self.ledger, self.expires_at()).await
    }

    /// Gives everything back, and asks EC2 itself whether that is so.
    pub(super) async fn has_nothing_left(&mut self) -> Released {
        let released = self.release().await;
        assert_eq!(released.left, []);
        assert!(self.ledger.is_clear());
        self.ec2.nothing_is_left();
        let (mut made, mut gone) = (Vec::new(), Vec::new());
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::ResourceMade(event) => made.push((event.resource, event.id)),
                Event::ResourceGone(event) => gone.push((event.resource, event.id)),
                other => panic!("{other:?}"),
            }
        }
        made.sort();
        gone.sort();
        assert_eq!(made, gone, "what was made is told to be gone");
        released
    }

    fn calls(&self, operation: &str) -> Vec<Call> {
        self.cloud.calls().into_iter().filter(|call| call.operation == operation).collect()
    }
}

fn loader(ec2: &Ec2) -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(ec2.endpoint())
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_asked_for_in_four_round_trips_and_everything_is_given_back() {
    let mut run = Run::kind(json!({})).await;
    let mut preflight = run.preflight().await;
    let asked = run.ask(&mut preflight, Purchase::Spot).await.unwrap();
    let calls = run.cloud.calls();
    assert_eq!(in_sequence(&calls), 4, "{calls:#?}");

    let Followed::Instance(id) = run.follow(&asked).await else { panic!("there is no instance") };
    drop_what_launched(&run.provider(), &run.ledger).await.unwrap();
    assert_eq!(run.ledger.left_of(kinds::LAUNCH_TEMPLATE), [""; 0]);
    let seen = observe::instance(&run.provider(), &id).await.unwrap();
    assert_eq!((seen.purchase, seen.volumes.len(), seen.others.len()), (Purchase::Spot, 1, 1));
    assert!(preflight.catalog.spot.contains_key(&(seen.instance_type, seen.zone)));

    let left = run.ec2.left();
    for kind in ["fleets", "instances", "volumes", "spot_requests", "security_groups"] {
        let things = left[kind].as_array().unwrap();
        assert_eq!(things.len(), 1, "{kind}: {left:#}");
        let tags = &things[0]["tags"];
        if kind != "security_groups" {
            assert!(tags["gpu-harness:launch"].is_string(), "{kind}: {tags}");
        }
        let names = ["gpu-harness:run", "gpu-harness:node", "gpu-harness:owner", "team"];
        assert_eq!(
            names.map(|name| tags[name].as_str().unwrap_or("")),
            ["run-1", "cloud", "me@laptop", "vision"]
        );
        let expires_at: Timestamp = tags["gpu-harness:expires-at"].as_str().unwrap().parse().unwrap();
        assert!(
            run.cloud.now().duration_until(expires_at) > SignedDuration::from_mins(50),
            "{kind}: {expires_at}"
        );
    }

    let released = run.has_nothing_left().await;
    let [bill] = released.bills.as_slice() else { panic!("{released:?}") };
    assert_eq!(bill.instance, id);
    assert!(bill.lasted() > Duration::ZERO && bill.lasted() < Duration::from_secs(600), "{bill:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_pools_no_is_told_and_the_next_attempt_uses_what_the_first_has_made() {
    let mut run = Run::kind(json!({})).await;
    let mut preflight = run.preflight().await;
    let refusing = [
        (json!({"fault": "capacity", "market": "spot"}), RefusalKind::Capacity),
        (json!({"fault": "quota", "market": "spot"}), RefusalKind::Quota),
        (json!({"fault": "price"}), RefusalKind::Price),
    ];
    for (fault, kind) in refusing {
        run.ec2.clear_faults();
        run.ec2.fault(&fault);
        let asked = run.ask(&mut preflight, Purchase::Spot).await.unwrap();
        let Followed::Refused(refused) = run.follow(&asked).await else { panic!("{fault} was no hindrance") };
        assert!(!refused.by_pool.is_empty(), "{fault}");
        for pool in &refused.by_pool {
            assert_eq!(pool.refusal.kind, kind, "{pool:?}");
        }
        abandon(&run.cloud, &run.ledger, &asked.fleet).await.unwrap();
        assert_eq!(run.ledger.left_of(kinds::FLEET), [""; 0], "{fault}");
    }
    run.ec2.clear_faults();
    let asked = run.ask(&mut preflight, Purchase::OnDemand).await.unwrap();
    let Followed::Instance(id) = run.follow(&asked).await else { panic!("there is no instance") };
    assert_eq!(observe::instance(&run.provider(), &id).await.unwrap().purchase, Purchase::OnDemand);
    assert_eq!(run.calls("CreateSecurityGroup").len(), 1);
    assert_eq!(run.calls("AuthorizeSecurityGroupIngress").len(), 1);
    run.has_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_is_waited_out() {
    let mut run = Run::new(json!({})).await;
    let mut preflight = run.preflight().await;
    run.ec2.fault(&json!({"fault": "throttle", "operation": "CreateFleet", "times": 2}));
    run.ask(&mut preflight, Purchase::Spot).await.unwrap();
    let [call] = run.calls("CreateFleet").try_into().unwrap();
    assert_eq!((call.attempts, call.error), (3, None));
    run.has_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_whose_asker_goes_away_is_written_down_and_given_back() {
    for operation in ["CreateSecurityGroup", "CreateLaunchTemplate", "CreateFleet"] {
        let mut run = Run::new(json!({})).await;
        run.ec2.fault(&json!({"fault": "slow-api", "operation": operation, "seconds": 2.0 * FACTOR}));
        let mut asking = Box::pin(async {
            let mut preflight = run.preflight().await;
            run.ask(&mut preflight, Purchase::Spot).await.unwrap();
        });
        loop {
            // Dropped right after the call has gone out.
            assert!(
                timeout(Duration::from_millis(20), &mut asking).await.is_err(),
                "{operation}: it was not slow"
            );
            let calls = run.ec2.calls();
            if calls.as_array().unwrap().iter().any(|call| call["operation"] == operation) {
                break;
            }
        }
        let kinds = [kinds::SECURITY_GROUP, kinds::LAUNCH_TEMPLATE, kinds::FLEET];
        let before = kinds.map(|kind| run.ledger.left_of(kind).len());
        drop(asking);
        assert!(run.ledger.settle(Duration::from_secs(20)).await);
        let after = kinds.map(|kind| run.ledger.left_of(kind).len());
        assert_eq!(after.iter().sum::<usize>(), before.iter().sum::<usize>() + 1, "{operation}");
        run.has_nothing_left().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_has_made_whose_answer_was_lost_is_found_and_given_back() {
    for operation in ["CreateLaunchTemplate", "CreateFleet"] {
        let mut run = Run::new(json!({})).await;
        let mut preflight = run.preflight().await;
        run.ec2.fault(&json!({"fault": "answer-lost", "operation": operation}));
        let error = run.ask(&mut preflight, Purchase::Spot).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert_eq!(run.ledger.doubts().len(), 1);
        run.ec2.clear_faults();
        run.has_nothing_left().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_is_down_or_fails_for_a_while_only_delays_the_release() {
    let faults = [
        json!({"fault": "api-down", "seconds": 3.0 * FACTOR}),
        json!({"fault": "terminate-fails", "times": 8}),
        json!({"fault": "error-5xx", "times": 12}),
    ];
    for fault in faults {
        let mut run = Run::new(json!({})).await;
        run.running().await;
        run.ec2.fault(&fault);
        run.has_nothing_left().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_ended_is_told_with_the_clouds_words_and_never_called_gone() {
    let run = Run::new(json!({})).await;
    let id = run.running().await;
    for operation in ["TerminateInstances", "DeleteFleets"] {
        run.ec2.fault(&json!({"fault": "unauthorized", "operation": operation}));
    }
    let released = run.release().await;
    let instance = released.left.iter().find(|left| left.id == id).expect("it is still there");
    assert!(instance.why.contains("UnauthorizedOperation"), "{instance:?}");
    assert_eq!(run.ec2.left()["instances"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lives_in_a_group_that_is_in_use_is_found_by_the_group_and_ended() {
    let run = Run::kind(json!({})).await;
    let id = run.running().await;
    // No look at the fleet has shown what it launched.
    let (sink, _events) = unbounded_channel();
    let ledger = Ledger::new(run.labels.node.clone(), sink);
    for group in run.ledger.left_of(kinds::SECURITY_GROUP) {
        ledger.made(kinds::SECURITY_GROUP, &group, run.cloud.region());
    }
    let soon = run.cloud.now().checked_add(SignedDuration::from_mins(10)).unwrap();
    let released = release(&run.provider(), &ledger, soon).await;
    assert_eq!(released.left, []);
    assert_eq!(released.bills.iter().map(|bill| bill.instance.as_str()).collect::<Vec<_>>(), [id.as_str()]);
    for kind in ["instances", "volumes", "security_groups"] {
        assert_eq!(run.ec2.left()[kind], json!([]), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_ec2_takes_no_forced_end_an_instance_is_ended_without() {
    let run = Run::kind(json!({})).await;
    let id = run.running().await;
    run.ec2.fault(&json!({"fault": "unauthorized", "operation": "DeleteFleets"}));
    let refused =
        json!({"fault": "error", "operation": "TerminateInstances", "code": "UnsupportedOperation"});
    let mut once = refused.clone();
    once["times"] = json!(1);
    run.ec2.fault(&once);
    let released = run.release().await;
    assert!(released.left.iter().all(|left| left.id != id), "{released:?}");
    let calls = run.ec2.calls();
    let forced = calls.as_array().unwrap().iter().filter(|call| call["operation"] == "TerminateInstances");
    let forced = Vec::from_iter(forced.map(|call| call["parameters"]["Force"] == "true").take(2));
    assert_eq!(forced, [true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_answer_was_lost_is_the_one_that_the_second_try_finds_taken() {
    let mut run = Run::new(json!({})).await;
    run.ec2.fault(&json!({"fault": "answer-lost", "operation": "CreateSecurityGroup", "times": 1}));
    let mut preflight = run.preflight().await;
    assert_eq!(run.ledger.doubts(), []);
    assert_eq!(run.ec2.left()["security_groups"].as_array().unwrap().len(), 1);
    run.ask(&mut preflight, Purchase::Spot).await.unwrap();
    run.has_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_group_of_a_node_does_not_expire_before_it() {
    let run = Run::new(json!({})).await;
    let preflight = run.preflight().await;
    let groups = run.ec2.left()["security_groups"].clone();
    let tag = groups[0]["tags"]["gpu-harness:expires-at"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let off = tag.duration_until(preflight.latest()).abs();
    assert!(off <= SignedDuration::from_secs(1), "{tag} and {}", preflight.latest());
    assert!(preflight.latest() > run.expires_at());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_is_the_clouds_also_where_it_runs_faster() {
    let run = Run::new(json!({})).await;
    let before = run.cloud.time().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let took = before.duration_until(run.cloud.time().await.unwrap());
    assert!(took > SignedDuration::from_secs(18) && took < SignedDuration::from_secs(60), "{took}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_a_launch_impossible_is_told_before_anything_is_made() {
    let run = Run::new(json!({})).await;
    let cases = [
        (json!({"image": {"id": "ami-0d1a2b3c4d5e6f702"}}), "gpu-agent is built for x86_64 only"),
        (json!({"image": {"id": "ami-00000000000000000"}}), "us-east-1 has no image ami-00000000000000000"),
        (json!({"image": {"ssm": "/no/such"}}), "check the name of the SSM parameter"),
        (json!({"image": {"name": "nothing*", "owner": "self"}}), "check `name:` and `owner:`"),
        (json!({"subnets": ["subnet-0123456789abcdef0"]}), "InvalidSubnetID.NotFound"),
        (json!({"types": ["g6.imaginary"]}), "not offered in this region"),
        (json!({"caller-address": "nowhere"}), "security-group:"),
    ];
    for (more, said) in cases {
        let endpoint = format!("{}/caller-address", run.ec2.endpoint());
        let mut node = json!({"caller-address": endpoint});
        node.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let settings = Ec2Settings::of(&serde_json::from_value::<Ec2Config>(node).unwrap()).unwrap();
        let error = look_up(&run.cloud, &settings, &NodeNeed::default()).await.unwrap_err();
        let error = gpu_harness::text::explained(&error);
        assert!(error.contains(said), "{more}: {error}");
    }
    assert_eq!(run.ec2.left()["security_groups"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_credentials_are_told_with_what_to_do() {
    #[derive(Debug)]
    struct Nothing;
    impl aws_credential_types::provider::ProvideCredentials for Nothing {
        fn provide_credentials<'a>(&'a self) -> Provided<'a>
        where
            Self: 'a,
        {
            Provided::ready(Err(CredentialsError::not_loaded("nothing is set")))
        }
    }
    let ec2 = Ec2::without_hosts(Options { clock_factor: FACTOR });
    let loader = loader(&ec2).credentials_provider(SharedCredentialsProvider::new(Nothing));
    let cloud = Cloud::connect_by(loader, Some("us-east-1")).await.unwrap();
    let error = cloud.time().await.unwrap_err();
    assert!(matches!(error, Ec2Error::NoCredentials { .. }), "{error:?}");
    let said = gpu_harness::text::explained(&error);
    assert!(said.contains("AWS_ROLE_ARN") && !error.is_transient(), "{said}");
}
