//! `gpu-harness doctor` names what an EC2 node lacks, and changes nothing.

use gpu_harness_tests::ec2::{Ec2, Options};
use gpu_harness_tests::project::Project;
use serde_json::{Value, json};

/// Time runs as it does here: doctor holds the clocks against one another.
fn test_ec2() -> Ec2 {
    Ec2::kind_without_hosts(Options { clock_factor: 1.0 })
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
    ec2.nothing_is_left();
}

#[test]
fn a_node_without_gpus_counts_against_the_quota_that_a_new_account_has() {
    let ec2 = test_ec2();
    let (code, findings) = examine(&ec2, "gpu: none\nmax-cost: 1.00");
    assert_eq!((failures(&findings), code), (vec![], 0), "{findings:#?}");
    let said = |about: &str| {
        let finding = findings.iter().find(|one| one["about"] == about);
        finding.and_then(|one| one["said"].as_str()).unwrap_or_else(|| panic!("{about}: {findings:#?}"))
    };
    for (about, wanted) in [
        ("quota, spot", "L-34B43A08"),
        ("quota, on-demand", "L-1216C47A"),
        ("types, spot", "vCPUs, "),
        ("image", "ubuntu-noble"),
    ] {
        assert!(said(about).contains(wanted), "{about}: {}", said(about));
    }
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
