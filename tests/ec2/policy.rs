//! docs/iam.md: its policy allows what a run, doctor, `nodes` and `reap` do, nothing of anybody else's, and no more; its
//! trust policies let in what the CI templates run for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use gpu_harness::cloud::Purchase;
use gpu_harness::cloud::ec2::fleet::{Followed, abandon};
use gpu_harness::cloud::who::Who;
use gpu_harness_tests::iam::{Request, allows, list};
use gpu_harness_tests::project::Project;
use serde_json::{Value, json};

use super::edge::Run;

/// In the policy, for the reader's own.
const OWNER: &str = "github:OWNER/REPOSITORY";
const TAG: &str = "gpu-harness:owner";
const ACCOUNT: &str = "123456789012";

type Tags = BTreeMap<String, String>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

/// The documentation's policies: the role's own, the trust policies of the three CI systems, and the statement for an
/// instance profile.
fn policies() -> [Value; 5] {
    let page = fs::read_to_string(root().join("docs/iam.md")).expect("docs/iam.md");
    let blocks = page.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    let parsed = blocks
        .map(|block| serde_json::from_str::<Value>(block).unwrap_or_else(|error| panic!("{error}: {block}")));
    Vec::from_iter(parsed).try_into().expect("five policies")
}

/// The role's policy as `owner` would write it, in a partition.
fn policy(owner: &str, partition: &str) -> Value {
    let [policy, ..] = policies();
    let text = policy.to_string().replace(OWNER, owner).replace("arn:aws:", &format!("arn:{partition}:"));
    serde_json::from_str(&text).expect("JSON")
}

/// What was recorded: the calls, and the tags of everything that there was.
struct Recorded {
    calls: Vec<Value>,
    tags: BTreeMap<String, Tags>,
    owner: String,
}

/// One node of each market from the wish to the receipt, and doctor, `nodes` and `reap` beside it.
async fn recorded() -> Recorded {
    let owner = format!("tester@{}", rustix::system::uname().nodename().to_string_lossy());
    let mut run = Run::kind(json!({})).await;
    run.labels.who = Who { owner: owner.clone(), pipeline: None };
    let mut tags = BTreeMap::new();
    run.running().await;
    tags.extend(tags_of(&run.ec2.state()));
    let project = run.ec2.in_project(Project::new(), "");
    // Doctor tries what ends things on those of the node that lives.
    for arguments in [&["doctor", "--node", "cloud"][..], &["nodes"], &["reap"]] {
        let said = project.gpu_harness(arguments);
        assert!([0, 3].contains(&said.code()), "{arguments:?}: {said:?}");
    }
    let mut preflight = run.preflight().await;
    let asked = run.ask(&mut preflight, Purchase::OnDemand).await.expect("a fleet");
    let Followed::Instance(_) = run.follow(&asked).await else { panic!("there is no instance") };
    abandon(&run.cloud, &run.ledger, &asked.fleet).await.expect("it can be given up");
    tags.extend(tags_of(&run.ec2.state()));
    run.has_nothing_left().await;
    let calls = run.ec2.calls().as_array().expect("a list").clone();
    Recorded { calls, tags, owner }
}

fn tags_of(state: &Value) -> BTreeMap<String, Tags> {
    let things = state.as_object().into_iter().flat_map(|kinds| kinds.values());
    let things = things.filter_map(Value::as_array).flatten();
    let named = things.filter_map(|thing| {
        let tags = thing["tags"].as_object()?.iter();
        let tags = tags.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        Some((thing["id"].as_str()?.to_owned(), tags.collect()))
    });
    named.collect()
}

/// What IAM is asked for a recorded call. The partition is that of the ARNs.
struct Asked<'a> {
    call: &'a Value,
    tags: &'a BTreeMap<String, Tags>,
    partition: &'a str,
}

impl Asked<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.call["parameters"][name].as_str()
    }

    /// The values of `Name.1`, `Name.2` and so on.
    fn parameters(&self, name: &str) -> Vec<&str> {
        (1..).map_while(|n| self.parameter(&format!("{name}.{n}"))).collect()
    }

    fn arn(&self, kind: &str, id: &str) -> String {
        let region = self.call["region"].as_str().expect("a region");
        // What AWS publishes is in no account.
        let account = if ["image", "snapshot"].contains(&kind) { "" } else { ACCOUNT };
        format!("arn:{}:ec2:{region}:{account}:{kind}/{id}", self.partition)
    }

    /// The tags that the call sets, by kind of resource, under this prefix.
    fn sets(&self, prefix: &str) -> BTreeMap<String, Tags> {
        let mut all = BTreeMap::new();
        for n in 1.. {
            let Some(kind) = self.parameter(&format!("{prefix}TagSpecification.{n}.ResourceType")) else {
                break;
            };
            let tag = |m, part| self.parameter(&format!("{prefix}TagSpecification.{n}.Tag.{m}.{part}"));
            let tags = (1..).map_while(|m| Some((tag(m, "Key")?.to_owned(), tag(m, "Value")?.to_owned())));
            all.insert(kind.to_owned(), tags.collect());
        }
        all
    }

    /// An action on something that is there.
    fn on(&self, action: &str, kind: &str, id: &str) -> Request {
        let tags = self.tags.get(id).cloned().unwrap_or_default();
        Request::new(action, &self.arn(kind, id)).on(&tags)
    }

    /// An action that makes something with tags, and the tagging that goes with it.
    fn makes(&self, operation: &str, kind: &str, tags: &Tags) -> [Request; 2] {
        let (action, arn) = (format!("ec2:{operation}"), self.arn(kind, "*"));
        let tagging = Request::new("ec2:CreateTags", &arn).setting(tags).with("ec2:CreateAction", operation);
        [Request::new(&action, &arn).setting(tags), tagging]
    }

    fn requests(&self) -> Vec<Request> {
        let text = |name: &str| self.call[name].as_str().unwrap_or_default();
        let (service, operation) = (text("service"), text("operation"));
        let action = format!("{service}:{operation}");
        let each = |kind: &str, name: &str| {
            let ids = self.parameters(name).into_iter().chain(self.parameter(name));
            // Doctor's dry runs on things that are not there ask for nothing of ours.
            let ours = ids.filter(|id| self.tags.contains_key(*id));
            Vec::from_iter(ours.map(|id| self.on(&action, kind, id)))
        };
        match operation {
            "GetCallerIdentity" => Vec::new(),
            "GetParameter" => {
                let region = text("region");
                let name = self.parameter("Name").expect("a name");
                vec![Request::new(&action, &format!("arn:{}:ssm:{region}::parameter{name}", self.partition))]
            }
            "GetRole" => {
                let name = self.parameter("RoleName").expect("a name");
                let service = if name.contains("Fleet") { "ec2fleet" } else { "spot" };
                let path = format!("role/aws-service-role/{service}.amazonaws.com/{name}");
                vec![Request::new(&action, &format!("arn:{}:iam::{ACCOUNT}:{path}", self.partition))]
            }
            "CreateSecurityGroup" => {
                let tags = self.sets("");
                let mut all = Vec::from(self.makes(operation, "security-group", &tags["security-group"]));
                all.extend(self.parameter("VpcId").map(|vpc| self.on(&action, "vpc", vpc)));
                all
            }
            "CreateLaunchTemplate" => {
                let mut all =
                    Vec::from(self.makes(operation, "launch-template", &self.sets("")["launch-template"]));
                all.extend(self.launches());
                all
            }
            "CreateFleet" => {
                let mut all = Vec::from(self.makes(operation, "fleet", &self.sets("")["fleet"]));
                let template = "LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateId";
                let template = self.parameter(template).filter(|id| self.tags.contains_key(*id));
                all.extend(template.map(|id| self.on(&action, "launch-template", id)));
                let of = |kind| Request::new(&action, &self.arn(kind, "x"));
                all.extend(["image", "instance", "subnet", "volume"].map(of));
                all
            }
            "RunInstances" => {
                let sets = self.sets("");
                let mut all = Vec::new();
                for kind in ["instance", "spot-instances-request", "volume"] {
                    all.extend(sets.get(kind).into_iter().flat_map(|tags| self.makes(operation, kind, tags)));
                }
                all.extend(
                    ["image", "network-interface", "snapshot", "subnet"]
                        .map(|kind| Request::new(&action, &self.arn(kind, "x"))),
                );
                all
            }
            "AuthorizeSecurityGroupIngress" | "DeleteSecurityGroup" => each("security-group", "GroupId"),
            "CancelSpotInstanceRequests" => each("spot-instances-request", "SpotInstanceRequestId"),
            "DeleteFleets" => each("fleet", "FleetId"),
            "DeleteLaunchTemplate" => each("launch-template", "LaunchTemplateId"),
            "DeleteVolume" => each("volume", "VolumeId"),
            "TerminateInstances" => each("instance", "InstanceId"),
            _ if operation.starts_with("Describe") || operation == "GetServiceQuota" => {
                vec![Request::new(&action, "*")]
            }
            other => panic!("{other} was called, and nobody has said what it touches"),
        }
    }

    /// What the launch of a template's content asks of whoever launches it: with our template, in our group.
    fn launches(&self) -> Vec<Request> {
        let sets = self.sets("LaunchTemplateData.");
        let mut all = Vec::new();
        for (kind, tags) in &sets {
            all.extend(self.makes("RunInstances", kind, tags));
        }
        let group = self.parameter("LaunchTemplateData.SecurityGroupId.1");
        all.extend(group.map(|group| self.on("ec2:RunInstances", "security-group", group)));
        let ours = self.tags.iter().find(|(id, _)| id.starts_with("lt-"));
        all.extend(ours.map(|(id, _)| self.on("ec2:RunInstances", "launch-template", id)));
        all
    }
}

fn requests(recorded: &Recorded, partition: &str) -> BTreeSet<Request> {
    let asked = recorded.calls.iter().map(|call| Asked { call, tags: &recorded.tags, partition });
    asked.flat_map(|asked| asked.requests()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_allows_exactly_what_was_called_and_nothing_of_another_owners() {
    let recorded = recorded().await;
    for partition in ["aws", "aws-cn", "aws-us-gov"] {
        let (policy, requests) = (policy(&recorded.owner, partition), requests(&recorded, partition));
        let refused = Vec::from_iter(requests.iter().filter(|request| !allows(&policy, request)));
        assert_eq!(refused, Vec::<&Request>::new(), "{partition}");
    }
    let requests = requests(&recorded, "aws");
    no_part_is_too_many(&policy(&recorded.owner, "aws"), &requests);

    // Whatever is made with, or done to, another's tag is refused, and so is what has no tag at all.
    let theirs = policy("github:somebody/else", "aws");
    let mut tagged = 0;
    for request in &requests {
        let is_tagged = |key: &String| key.ends_with(TAG);
        if request.context.keys().any(is_tagged) {
            tagged += 1;
            assert!(!allows(&theirs, request), "{request:?}");
            let mut bare = request.clone();
            bare.context.retain(|key, _| !is_tagged(key));
            assert!(!allows(&policy(&recorded.owner, "aws"), &bare), "{bare:?}");
        }
    }
    let ends =
        ["TerminateInstances", "DeleteFleets", "DeleteVolume", "DeleteSecurityGroup", "DeleteLaunchTemplate"];
    for operation in ends {
        let action = format!("ec2:{operation}");
        assert!(requests.iter().any(|request| request.action == action), "{operation} was not recorded");
    }
    assert!(tagged > 20, "{tagged}");
    // No tag is set but in the call that makes the thing.
    let later = Request::new("ec2:CreateTags", &format!("arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-1"));
    let later = later.setting(&Tags::from([(TAG.to_owned(), recorded.owner.clone())]));
    assert!(!allows(&policy(&recorded.owner, "aws"), &later));
}

/// Takes one action, resource or creating call after another from the policy: something has to be refused then.
fn no_part_is_too_many(policy: &Value, requests: &BTreeSet<Request>) {
    let places = ["/Action", "/Resource", "/Condition/StringEquals/ec2:CreateAction"];
    for (number, statement) in list(&policy["Statement"]).into_iter().enumerate() {
        for place in places {
            for value in statement.pointer(place).map(list).unwrap_or_default() {
                let mut less = policy.clone();
                let kept = Vec::from_iter(
                    statement
                        .pointer(place)
                        .map(list)
                        .unwrap_or_default()
                        .into_iter()
                        .filter(|one| *one != value),
                );
                *less.pointer_mut(&format!("/Statement/{number}{place}")).expect("a place") = json!(kept);
                let is_needed = requests.iter().any(|request| !allows(&less, request));
                assert!(is_needed, "nothing needs {value} in {}", statement["Sid"]);
            }
        }
    }
}

fn allowed(policy: &Value) -> BTreeSet<String> {
    let statements = list(&policy["Statement"]).into_iter();
    let actions = statements.flat_map(|statement| list(&statement["Action"]));
    actions.map(|action| action.as_str().expect("an action").to_owned()).collect()
}

/// The actions that the calls in the sources of `harness/src/cloud/ec2` need: `.create_fleet()` is `ec2:CreateFleet`.
fn called() -> BTreeSet<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("harness").join("src/cloud/ec2");
    let mut called = BTreeSet::new();
    for folder in [sources.clone(), sources.join("doctor")] {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("a file").path();
            if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                called.extend(text.split('.').filter_map(action));
            }
        }
    }
    called
}

/// The action of a call's name, where `text` begins with one: only what is sent is made by these words.
fn action(text: &str) -> Option<String> {
    let (name, _) = text.split_once("()")?;
    let verbs = [
        "authorize",
        "cancel",
        "create",
        "delete",
        "describe",
        "modify",
        "release",
        "revoke",
        "run",
        "terminate",
    ];
    let service = match name {
        "get_parameter" => "ssm",
        "get_service_quota" => "servicequotas",
        "get_role" => "iam",
        // Accessors of answers.
        "create_time" | "delete_on_termination" => return None,
        _ if verbs.contains(&name.split_once('_')?.0) => "ec2",
        _ => return None,
    };
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let words = name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
    plain.then(|| format!("{service}:{}", words.collect::<String>()))
}

#[test]
fn the_policy_names_exactly_the_actions_that_the_code_calls() {
    // It is part of each call that makes something with tags.
    let mut called = called();
    called.insert("ec2:CreateTags".to_owned());
    assert_eq!(allowed(&policies()[0]), called);
}

#[test]
fn the_trust_policies_let_in_what_the_templates_run_for_and_no_other_repository() {
    let [_, bitbucket, github, gitlab, _] = policies();
    let trusts = |policy: &Value, keys: &[(&str, &str)]| {
        // A trust policy has a principal in place of a resource.
        let mut policy = policy.clone();
        let statement = policy["Statement"][0].as_object_mut().expect("a statement");
        statement.remove("Principal").expect("a principal");
        statement.insert("Resource".to_owned(), json!("*"));
        let request = Request::new("sts:AssumeRoleWithWebIdentity", "*");
        allows(&policy, &keys.iter().fold(request, |request, (key, value)| request.with(key, value)))
    };
    let template = fs::read_to_string(root().join("harness/src/init/github.yml")).expect("the template");
    let events = template.split("\non:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("on:");
    let events = events.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    for event in events.map(|line| line.trim().trim_end_matches(':')) {
        let subject = match event {
            "pull_request" => "repo:OWNER/REPOSITORY:pull_request",
            // Both run on a branch: schedules on the default one.
            "workflow_dispatch" | "schedule" => "repo:OWNER/REPOSITORY:ref:refs/heads/main",
            other => panic!("{other} has no subject in this test"),
        };
        for (subject, is_let_in) in
            [(subject.to_owned(), true), (subject.replace("OWNER", "somebody"), false)]
        {
            let keys = [
                ("token.actions.githubusercontent.com:aud", "sts.amazonaws.com"),
                ("token.actions.githubusercontent.com:sub", subject.as_str()),
            ];
            assert_eq!(trusts(&github, &keys), is_let_in, "{event}: {subject}");
        }
    }
    let (aud, sub) = ("gitlab.com:aud", "gitlab.com:sub");
    let template = fs::read_to_string(root().join("harness/src/init/gitlab.yml")).expect("the template");
    assert!(template.contains("aud: https://gitlab.com\n"), "the audience that the job asks for");
    for (subject, is_let_in) in [
        ("project_path:GROUP/PROJECT:ref_type:branch:ref:feature", true),
        ("project_path:GROUP/OTHER:ref_type:branch:ref:main", false),
    ] {
        assert_eq!(trusts(&gitlab, &[(aud, "https://gitlab.com"), (sub, subject)]), is_let_in, "{subject}");
    }
    let provider = "api.bitbucket.org/2.0/workspaces/WORKSPACE/pipelines-config/identity/oidc";
    let (aud, sub) = (format!("{provider}:aud"), format!("{provider}:sub"));
    for (subject, is_let_in) in [("{REPOSITORY_UUID}:{1}", true), ("{ANOTHER_UUID}:{1}", false)] {
        let keys = [(aud.as_str(), "ari:cloud:bitbucket::workspace/WORKSPACE_UUID"), (sub.as_str(), subject)];
        assert_eq!(trusts(&bitbucket, &keys), is_let_in, "{subject}");
    }
}
