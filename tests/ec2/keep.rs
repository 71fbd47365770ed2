//! A node is kept after a failure where that is asked for: somebody can get in, and it ends by itself.

use std::process::Command;
use std::time::Duration;

use gpu_harness_tests::ec2::{Ec2, Options};
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
    let project = ec2.in_project(Project::with_suite(SUITE), "types: [g4dn.xlarge]\nttl: 40m");
    let kept = ["--node", "cloud", "--keep-node-on-failure", "10m"];
    let run = project.run(&[&kept[..], &["--case", "good"]].concat());
    assert_eq!(run.code(), 0, "{run:?}");
    ec2.wait_until_nothing_is_left(Duration::from_secs(1));

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

    // Ten minutes, a boot that was long over, and what the cloud itself takes; well before the TTL.
    let begun = std::time::Instant::now();
    while !ec2.left()["instances"].as_array().unwrap().is_empty() {
        assert!(
            begun.elapsed() < ec2.real(Duration::from_secs(13 * 60) + ec2.hardship()),
            "{:#}",
            ec2.left()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}
