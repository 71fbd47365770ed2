//! What goes wrong between the wish for a node and the node: told apart, waited for where that helps, and never a
//! failed test.

use std::os::unix::fs::PermissionsExt as _;

use gpu_harness_tests::ec2::{Ec2, Options};
use gpu_harness_tests::process::{HANG, within};
use gpu_harness_tests::project::{Finished, Project, events_in};
use gpu_harness_tests::xml;
use gpu_suites::event::Event;
use gpu_suites::plan::PROTOCOL;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const SUITE: &str = "suite: s\ncases: [{ name: quick, command: { run: ['true'] } }]";

fn cloud(settings: &str) -> (Ec2, Project) {
    let ec2 = Ec2::start(Options { clock_factor: 60.0 });
    let project = ec2.in_project(Project::with_suite(SUITE), settings);
    (ec2, project)
}

fn had(run: &Finished) -> Vec<(String, String)> {
    run.events()
        .iter()
        .filter_map(|record| match &record.event {
            Event::NodeProvisioned(had) => Some((had.instance_type.clone(), had.market.clone())),
            _ => None,
        })
        .collect()
}

#[test]
fn where_spot_is_refused_in_every_pool_on_demand_is_asked_for() {
    let (ec2, project) = cloud("types: [g6.xlarge, g4dn.xlarge]");
    ec2.fault(&json!({ "fault": "capacity", "market": "spot" }));
    let run = project.run(&["--node", "cloud"]);
    assert_eq!(run.code(), 0, "{run:?}\n{}", ec2.log());
    assert_eq!(had(&run)[0].1, "on-demand");
    ec2.nothing_is_left();
}

#[test]
fn where_one_type_is_refused_another_is_had_and_where_one_region_is_the_next() {
    let (ec2, project) =
        cloud("region: [us-east-1, eu-west-1]\ntypes: [g6.xlarge, g4dn.xlarge]\nmarket: spot");
    ec2.fault(&json!({ "fault": "capacity", "types": ["g6.xlarge"] }));
    let run = project.run(&["--node", "cloud"]);
    assert_eq!((run.code(), had(&run)[0].0.as_str()), (0, "g4dn.xlarge"), "{run:?}");
    ec2.fault(&json!({ "fault": "capacity", "zones": ["us-east-1a", "us-east-1b", "us-east-1c"] }));
    let run = project.run(&["--node", "cloud"]);
    assert_eq!(run.code(), 0, "{run:?}");
    let zone = run.events().iter().find_map(|record| match &record.event {
        Event::NodeProvisioned(had) => Some(had.zone.clone()),
        _ => None,
    });
    assert!(zone.unwrap().starts_with("eu-west-1"), "{run:?}");
    ec2.nothing_is_left();
}

#[test]
fn a_region_that_says_no_to_the_asking_itself_is_left_out_and_the_next_is_asked() {
    for (operation, code) in [
        ("DescribeSubnets", "OptInRequired"),
        ("CreateLaunchTemplate", "UnauthorizedOperation"),
        ("CreateFleet", "Unsupported"),
    ] {
        let (ec2, project) = cloud("region: [eu-west-1, us-east-1]\ntypes: [g4dn.xlarge]\nmarket: on-demand");
        ec2.fault(&json!({ "fault": "error", "operation": operation, "code": code, "times": 1 }));
        let run = project.run(&["--node", "cloud"]);
        assert_eq!(run.code(), 0, "{operation}: {run:?}\n{}", ec2.log());
        assert!(run.stdout.contains("eu-west-1 is left out"), "{operation}: {}", run.stdout);
        ec2.nothing_is_left();
    }
}

#[test]
fn where_every_region_says_no_the_run_ends_with_the_first_no() {
    let (ec2, project) = cloud("region: [eu-west-1, us-east-1]\ntypes: [g4dn.xlarge]");
    ec2.fault(&json!({ "fault": "error", "operation": "CreateFleet", "code": "OptInRequired" }));
    let run = project.run(&["--node", "cloud"]);
    assert_eq!(run.code(), 3, "{run:?}");
    for said in ["OptInRequired", "enable it, or name another in `region:`"] {
        assert!(run.stdout.contains(said), "{said} in {}", run.stdout);
    }
    ec2.nothing_is_left();
}

#[test]
fn where_spot_itself_is_refused_on_demand_is_asked_for() {
    let (ec2, project) = cloud("types: [g4dn.xlarge]");
    let code = "AuthFailure.ServiceLinkedRoleCreationNotPermitted";
    ec2.fault(&json!({ "fault": "error", "operation": "CreateFleet", "code": code, "times": 1 }));
    let run = project.run(&["--node", "cloud"]);
    assert_eq!((run.code(), had(&run)[0].1.as_str()), (0, "on-demand"), "{run:?}");
    ec2.nothing_is_left();
}

#[test]
fn no_capacity_is_waited_for_and_said_and_then_it_is_infrastructure() {
    let (ec2, project) = cloud("types: [g6.xlarge, g4dn.xlarge]\nmarket: spot");
    ec2.fault(&json!({ "fault": "capacity" }));
    let run = project.run(&["--node", "cloud", "--wait", "12s", "--junit", "junit.xml"]);
    assert_eq!(run.code(), 3, "{run:?}");
    let waits = run.events().iter().filter(|record| matches!(record.event, Event::Waiting(_))).count();
    assert!(waits >= 1, "{run:?}");
    for said in ["no spot capacity for g6.xlarge, g4dn.xlarge in 3 zones of us-east-1", "giving up at"] {
        assert!(run.stdout.contains(said), "{said} in {}", run.stdout);
    }
    assert_eq!(xml::cases(&run.junit())["quick"], "error", "no capacity is no failed test");
    ec2.nothing_is_left();
}

#[test]
fn capacity_that_comes_while_it_is_waited_for_is_taken() {
    let (ec2, project) = cloud("types: [g4dn.xlarge]\nmarket: spot");
    ec2.fault(&json!({ "fault": "capacity" }));
    let mut harness = project.start(&["--node", "cloud", "--wait", "1m"]);
    project.await_event(&mut harness, |event| matches!(event, Event::Waiting(_)));
    ec2.clear_faults();
    let run = project.collect(harness);
    assert_eq!(run.code(), 0, "{run:?}");
    ec2.nothing_is_left();
}

#[test]
fn a_quota_ends_the_run_at_once_and_says_which_one_and_where_to_raise_it() {
    let (ec2, project) = cloud("types: [g4dn.xlarge]\nmarket: on-demand");
    ec2.fault(&json!({ "fault": "quota" }));
    let run = project.run(&["--node", "cloud", "--wait", "10m"]);
    assert_eq!(run.code(), 3, "{run:?}");
    // Waiting raises no quota: nothing was waited for, and one fleet was all that was tried.
    let waited = run.events().iter().any(|record| matches!(record.event, Event::Waiting(_)));
    let fleets = ec2.state()["fleets"].as_array().unwrap().len();
    assert_eq!((waited, fleets), (false, 1), "{run:?}");
    for said in ["the quota for on-demand g4dn.xlarge", "L-DB2E81BA", "servicequotas"] {
        assert!(run.stdout.contains(said), "{said} in {}", run.stdout);
    }
    ec2.nothing_is_left();
}

#[test]
fn a_missing_permission_is_named_and_nothing_is_left_of_what_was_made_before_it() {
    for operation in
        ["CreateFleet", "CreateLaunchTemplate", "AuthorizeSecurityGroupIngress", "DescribeImages"]
    {
        let (ec2, project) = cloud("types: [g4dn.xlarge]");
        ec2.fault(&json!({ "fault": "unauthorized", "operation": operation }));
        let run = project.run(&["--node", "cloud"]);
        assert_eq!(run.code(), 3, "{operation}: {run:?}");
        assert!(run.stdout.contains(operation), "{operation} in {}", run.stdout);
        ec2.nothing_is_left();
    }
}

#[test]
fn throttling_and_the_clouds_own_trouble_are_sat_out() {
    let (ec2, project) = cloud("types: [g4dn.xlarge]");
    for operation in ["DescribeInstanceTypes", "CreateFleet", "TerminateInstances", "DescribeInstances"] {
        ec2.fault(&json!({ "fault": "throttle", "operation": operation, "times": 2 }));
        ec2.fault(&json!({ "fault": "error-5xx", "operation": operation, "times": 1 }));
    }
    let run = project.run(&["--node", "cloud"]);
    assert_eq!(run.code(), 0, "{run:?}\n{}", ec2.log());
    ec2.nothing_is_left();
}

#[test]
fn an_answer_that_is_lost_on_its_way_costs_no_second_node() {
    let (ec2, project) = cloud("types: [g4dn.xlarge]");
    ec2.fault(&json!({ "fault": "answer-lost", "operation": "CreateFleet", "times": 1 }));
    let run = project.run(&["--node", "cloud"]);
    assert_eq!(run.code(), 0, "{run:?}\n{}", ec2.log());
    let fleets = ec2.state()["fleets"].as_array().unwrap().len();
    assert_eq!(fleets, 1, "the ClientToken makes the second try the first: {:#}", ec2.state());
    ec2.nothing_is_left();
}

/// A bad node is given back and another is launched; the run passes on it.
fn is_replaced(fault: &Value, why: &str) {
    let (ec2, project) = cloud("types: [g4dn.xlarge]");
    let mut fault = fault.clone();
    fault["times"] = json!(1);
    ec2.fault(&fault);
    let run = project.run(&["--node", "cloud"]);
    assert_eq!(run.code(), 0, "{fault}: {run:?}\n{}", ec2.log());
    assert_eq!(had(&run).len(), 2, "{fault}: {run:?}");
    assert!(run.stdout.contains(why), "{why} in {}", run.stdout);
    ec2.nothing_is_left();
}

#[test]
fn a_node_that_never_boots_is_replaced() {
    is_replaced(&json!({ "fault": "never-boots" }), "could not be reached in the time that booting may take");
}

#[test]
fn a_node_whose_ssh_never_answers_is_replaced() {
    is_replaced(&json!({ "fault": "ssh-silent" }), "could not be reached in the time that booting may take");
}

#[test]
fn a_node_with_another_host_key_is_not_talked_to_and_is_replaced() {
    is_replaced(&json!({ "fault": "wrong-host-key" }), "another machine answers");
}

#[test]
fn a_node_whose_user_data_never_ran_is_replaced() {
    is_replaced(&json!({ "fault": "skip-user-data" }), "another machine answers");
}

#[test]
fn a_node_without_its_gpu_is_replaced() {
    is_replaced(&json!({ "fault": "gpu", "gpu": { "absent": true } }), "is not usable");
}

#[test]
fn a_node_whose_driver_hangs_is_replaced_and_one_whose_driver_hangs_under_its_case_is_given_back_too() {
    let ec2 = Ec2::start(Options { clock_factor: 10.0 });
    let hangs = "echo 'hang 1' | sudo -n tee -a /etc/gpu-harness-ec2/gpus; sleep 1";
    let suite = format!(
        "suite: s\ncases: [{{ name: hangs, command: {{ run: [sh, -c, \"{hangs}\"] }} }}, {{ name: after, command: {{ run: ['true'] }} }}]"
    );
    let project = ec2.in_project(Project::with_suite(&suite), "types: [g4dn.xlarge]\nttl: 2h");
    ec2.fault(&json!({ "fault": "gpu", "gpu": { "hang": true }, "times": 1 }));
    let run = project.run(&["--node", "cloud"]);
    assert_eq!(run.code(), 0, "{run:?}\n{}", ec2.log());
    assert!(had(&run).len() >= 2, "{run:?}");
    assert!(run.stdout.contains("the NVIDIA driver does not answer: "), "{}", run.stdout);
    let watched = run.events().into_iter().filter_map(|record| match record.event {
        Event::GpusWatched(watched) => Some(watched.broken.concat()),
        _ => None,
    });
    let watched = Vec::from_iter(watched);
    assert!(watched.iter().any(|broken| broken.contains("the driver does not answer")), "{watched:?}");
    assert!(run.stdout.contains("each confirmed gone"), "{}", run.stdout);
    ec2.nothing_is_left();
}

#[test]
fn a_node_with_a_sick_gpu_is_replaced() {
    is_replaced(&json!({ "fault": "gpu", "gpu": { "ecc_uncorrected": 3 } }), "is not usable");
}

/// An agent that greets, and then never tells what its node has, as where a dead GPU's driver holds it.
const HANGS: &str = r#"#!/bin/sh
case $1 in
  selfcheck) exec sleep 1000 ;;
  serve) printf '{"reply":"hello","protocol":PROTOCOL,"agent":"hung","at":"%s"}\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)"; cat >/dev/null ;;
esac
"#;

#[test]
fn a_node_that_lets_us_in_and_never_tells_what_it_has_is_given_back() {
    let ec2 = Ec2::start(Options { clock_factor: 1.0 });
    let project =
        ec2.in_project(Project::with_suite(SUITE), "types: [g4dn.xlarge]\nlease: 10m\nboot-timeout: 30s");
    let project = project.file("agent.sh", HANGS.replace("PROTOCOL", &PROTOCOL.to_string()));
    let agent = project.path().join("agent.sh");
    std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755)).unwrap();
    let project = project.env("GPU_HARNESS_AGENT", agent.display().to_string());
    let harness = project.start(&["--node", "cloud"]);
    let is_replaced = |event: &Event| {
        let said = "did not tell what it has within 30s; another node is launched";
        matches!(event, Event::Warning(warning) if warning.message.contains(said))
    };
    within(HANG, "the node is found out", || {
        let folder = project.latest();
        folder.is_some_and(|folder| events_in(&folder).iter().any(|record| is_replaced(&record.event)))
    });
    kill_process(Pid::from_child(&harness), Signal::INT).unwrap();
    let run = project.collect(harness);
    assert_eq!(run.code(), 130, "{run:?}\n{}", ec2.log());
    ec2.nothing_is_left();
}

#[test]
fn nodes_that_are_all_bad_are_infrastructure_and_all_given_back() {
    let (ec2, project) = cloud("types: [g4dn.xlarge]");
    ec2.fault(&json!({ "fault": "gpu", "gpu": { "ecc_uncorrected": 3 } }));
    let run = project.run(&["--node", "cloud", "--junit", "junit.xml"]);
    assert_eq!(run.code(), 3, "{run:?}");
    assert_eq!(xml::cases(&run.junit())["quick"], "error");
    ec2.nothing_is_left();
}

#[test]
fn nodes_that_take_their_time_to_end_are_waited_for_beyond_their_time_to_live() {
    let (ec2, project) = cloud("types: [g4dn.xlarge]\nboot-timeout: 4m\nttl: 5m");
    ec2.fault(&json!({ "fault": "never-boots" }));
    ec2.fault(&json!({ "fault": "slow-end", "seconds": 280 }));
    let run = project.run(&["--node", "cloud"]);
    assert_eq!((run.code(), had(&run).len()), (3, 3), "{run:?}\n{}", ec2.log());
    for said in ["none of them was usable", "each confirmed gone"] {
        assert!(run.stdout.contains(said), "{said} in {}", run.stdout);
    }
    ec2.nothing_is_left();
}

#[test]
fn an_api_that_is_down_while_the_node_is_given_back_is_asked_until_it_answers() {
    let (ec2, project) = cloud("types: [g4dn.xlarge]\nttl: 30m");
    ec2.fault(&json!({ "fault": "terminate-fails", "times": 3 }));
    let run = project.run(&["--node", "cloud"]);
    assert_eq!(run.code(), 0, "{run:?}");
    assert!(run.stdout.contains("each confirmed gone"), "{}", run.stdout);
    ec2.nothing_is_left();
}

#[test]
fn types_that_do_not_fit_what_the_suites_ask_for_are_not_asked_for() {
    let (ec2, project) = cloud("types: [g4dn.xlarge, g6.xlarge]");
    let project = project.file(
        "suites/s.yaml",
        "suite: s\ncases: [{ name: quick, gpu: { arch: [ada], memory: 20GiB }, command: { run: ['true'] } }]",
    );
    let run = project.run(&["--node", "cloud"]);
    assert_eq!((run.code(), had(&run)[0].0.as_str()), (0, "g6.xlarge"), "{run:?}");
    let project = ec2.in_project(project, "types: [g4dn.xlarge]");
    let run = project.run(&["--node", "cloud"]);
    assert_eq!(run.code(), 3, "{run:?}");
    assert!(run.stdout.contains("g4dn.xlarge") && run.stdout.contains("20.0 GiB needed"), "{}", run.stdout);
    ec2.nothing_is_left();
}
