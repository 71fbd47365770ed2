//! A node is kept after a failure where that is asked for: somebody can get in, and it ends by itself.

use std::process::Command;

use gpu_harness_tests::ec2::{BY_ITSELF, Ec2, Options};
use gpu_harness_tests::project::Project;
use gpu_suites::event::Event;

const SUITE: &str = r#"
suite: s
cases:
  - { name: good, command: { run: ["true"] } }
  - { name: bad, command: { run: ["false"] } }
"#;

#[test]
fn a_failed_case_keeps_its_node_for_a_while_and_the_printed_command_gets_in() {
    let ec2 = Ec2::start(Options { clock_factor: 40.0 });
    let project = ec2.in_project(Project::with_suite(SUITE), "types: [g4dn.xlarge]\nttl: 4h");
    let kept = ["--node", "cloud", "--keep-node-on-failure", "10m"];
    let run = project.run(&[&kept[..], &["--case", "good"]].concat());
    assert_eq!(run.code(), 0, "{run:?}");
    ec2.nothing_is_left();

    let run = project.run(&[&kept[..], &["--case", "bad"]].concat());
    assert_eq!(run.code(), 1, "{run:?}");
    let command = run.events().iter().find_map(|record| match &record.event {
        Event::Kept(kept) => Some(kept.command.clone()),
        _ => None,
    });
    let command = command.unwrap_or_else(|| panic!("it was not kept: {run:?}"));
    assert!(run.stdout.contains(&command) && !run.stdout.contains("NOT confirmed gone"), "{}", run.stdout);
    let inside = Command::new("sh").arg("-c").arg(format!("{command} -n id -un")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&inside.stdout), "ubuntu\n", "{command}: {inside:?}");

    // By the ten minutes, a quarter of one here: its time to live is six minutes here.
    ec2.await_nothing_that_costs();
    let had = run.events().into_iter().find_map(|record| match record.event {
        Event::NodeProvisioned(had) => Some(had.instance),
        _ => None,
    });
    assert_eq!(ec2.why_ended(&had.unwrap()), BY_ITSELF);
}
