//! `gpu-harness doctor` names what an EC2 node lacks, asks for nothing that docs/iam.md does not allow, and changes nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use gpu_harness_tests::ec2::{Ec2, Options};
use gpu_harness_tests::project::Project;
use serde_json::{Value, json};

/// Time runs as it does here: doctor holds the clocks against one another.
fn test_ec2() -> Ec2 {
    Ec2::without_hosts(Options { clock_factor: 1.0 })
}

/// What doctor says of a node with these settings: its exit code and its findings.
fn examine(ec2: &Ec2, settings: &str) -> (i32, Vec<Value>) {
    let project = ec2.in_project(Project::new(), settings);
    let said = project.gpu_harness(&["doctor", "--node", "cloud", "--json"]);
    let told: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    (said.code(), told["findings"].as_array().expect("a list").clone())
}

/// What is not well, with what is to be done about it.
fn failures(findings: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let failed = findings.iter().filter(|finding| finding["state"] == "failed");
    failed.map(|finding| (text(&finding["about"]), text(&finding["hint"]))).collect()
}

#[test]
fn an_account_that_has_everything_is_well_and_nothing_was_made_in_it() {
    let ec2 = test_ec2();
    let (code, findings) = examine(&ec2, "max-cost: 1.00");
    assert_eq!((failures(&findings), code), (vec![], 0), "{findings:#?}");
    for wanted in
        ["credentials", "clock", "image", "price, spot", "quota, on-demand", "permissions", "role EC2Fleet"]
    {
        assert!(
            findings.iter().any(|one| one["about"] == wanted && one["state"] == "ok"),
            "{wanted}: {findings:#?}"
        );
    }
    ec2.wait_until_nothing_is_left(std::time::Duration::ZERO);
}

#[test]
fn the_text_fits_80_columns_and_says_what_was_not_looked_at() {
    let ec2 = test_ec2();
    let project = ec2.in_project(Project::new(), "");
    let said = project.gpu_harness(&["doctor", "--node", "cloud"]);
    assert_eq!(said.code(), 0, "{said:?}");
    for line in said.stdout.lines() {
        let words = line.split_whitespace().count();
        assert!(line.chars().count() <= 80 || words <= 2, "{line}");
    }
    assert!(said.stdout.contains("port 22 of the node was not tried"), "{}", said.stdout);
}

#[test]
fn each_thing_that_is_missing_is_named_with_what_to_do() {
    let ec2 = test_ec2();
    for (fault, settings, about, hint) in [
        (
            json!({"fault": "unauthorized", "operation": "RunInstances"}),
            "",
            "ec2:RunInstances",
            "docs/iam.md",
        ),
        (
            json!({"fault": "unauthorized", "operation": "CreateSecurityGroup"}),
            "",
            "ec2:CreateSecurityGroup",
            "allow",
        ),
        (
            json!({"fault": "unauthorized", "operation": "TerminateInstances"}),
            "",
            "ec2:TerminateInstances",
            "allow",
        ),
        (json!({"fault": "unauthorized", "operation": "DescribeFleets"}), "", "ec2:DescribeFleets", "allow"),
        (json!({"fault": "unauthorized", "operation": "GetParameter"}), "", "ssm:GetParameter", "allow"),
        (
            json!({"fault": "unauthorized", "operation": "DescribeSubnets"}),
            "",
            "ec2:DescribeSubnets",
            "allow",
        ),
        (
            json!({"fault": "error", "operation": "GetCallerIdentity", "code": "InvalidClientTokenId"}),
            "",
            "credentials",
            "AWS_",
        ),
        (
            json!({"fault": "error", "operation": "GetRole", "code": "NoSuchEntity"}),
            "",
            "role EC2Spot",
            "create-service-linked-role",
        ),
        (json!({"fault": "quota", "market": "spot"}), "", "quota, spot", "L-3819A6DF"),
        (json!(null), "image: { id: ami-00000000000000000 }", "image", ""),
        (json!(null), "types: [g9.huge]", "types", ""),
        (json!(null), "max-price: 0.01\nmarket: on-demand", "types", ""),
        (json!(null), "max-cost: 0.01", "price, on-demand", "max-cost"),
    ] {
        if !fault.is_null() {
            ec2.fault(&fault);
        }
        let (code, findings) = examine(&ec2, settings);
        ec2.clear_faults();
        let failed = failures(&findings);
        let named = failed.iter().any(|(name, what)| name == about && what.contains(hint));
        assert!(named && code == 3, "{fault} {settings}: {failed:#?}");
    }
}

/// The documentation's policy.
fn policy() -> Value {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs").join("iam.md");
    let page = fs::read_to_string(page).expect("docs/iam.md");
    let blocks = page.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    let parsed = blocks
        .map(|block| serde_json::from_str::<Value>(block).unwrap_or_else(|error| panic!("{error}: {block}")));
    let all = Vec::from_iter(parsed);
    assert_eq!(all.len(), 4, "the policy, two trust policies, and the statement for an instance profile");
    all[0].clone()
}

/// The actions that a policy allows.
fn allowed(policy: &Value) -> BTreeSet<String> {
    let statements = policy["Statement"].as_array().expect("statements").iter();
    let actions = statements.flat_map(|statement| match &statement["Action"] {
        Value::Array(many) => many.clone(),
        one => vec![one.clone()],
    });
    actions.map(|action| action.as_str().expect("an action").to_owned()).collect()
}

/// The actions that the calls in the sources of `harness/src/ec2` need: `.create_fleet()` is `ec2:CreateFleet`.
fn called() -> BTreeSet<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("harness").join("src/ec2");
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
fn the_policy_of_the_documentation_names_exactly_the_actions_that_the_code_calls() {
    // It is part of each call that makes something with tags.
    let mut called = called();
    called.insert("ec2:CreateTags".to_owned());
    assert_eq!(allowed(&policy()), called);
}

#[test]
fn nothing_is_called_that_the_policy_does_not_allow() {
    let ec2 = test_ec2();
    examine(&ec2, "");
    let project = ec2.in_project(Project::new(), "");
    assert_eq!(project.gpu_harness(&["reap"]).code(), 0);
    assert_eq!(project.gpu_harness(&["nodes"]).code(), 0);
    let calls = ec2.calls();
    let seen = calls.as_array().expect("a list").iter().map(|call| {
        let text = |name: &str| call[name].as_str().unwrap_or_default();
        format!("{}:{}", text("service"), text("operation"))
    });
    let mut seen = BTreeSet::from_iter(seen);
    assert!(seen.len() > 25, "{seen:?}");
    // It needs no permission.
    seen.remove("sts:GetCallerIdentity");
    let allowed = allowed(&policy());
    let more = Vec::from_iter(seen.difference(&allowed));
    assert!(more.is_empty(), "{more:?}");
}

#[test]
fn nothing_is_ended_and_no_tag_is_set_but_where_the_policy_asks_for_our_tag() {
    let policy = policy();
    for statement in policy["Statement"].as_array().expect("statements") {
        let actions = allowed(&json!({ "Statement": [statement] }));
        let ends = ["Delete", "Terminate", "Cancel", "Authorize"];
        if actions.iter().any(|action| ends.iter().any(|verb| action.contains(verb))) {
            assert_eq!(
                statement["Condition"]["Null"]["aws:ResourceTag/gpu-harness:run"], "false",
                "{statement}"
            );
        }
        if actions.contains("ec2:CreateTags") {
            assert!(statement["Condition"]["StringEquals"]["ec2:CreateAction"].is_array(), "{statement}");
        }
        if actions.contains("ec2:CreateLaunchTemplate") {
            assert_eq!(
                statement["Condition"]["Null"]["aws:RequestTag/gpu-harness:run"], "false",
                "{statement}"
            );
        }
    }
}
