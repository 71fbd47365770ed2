//! A node that can be reached and on which nothing gets on is given up, and is not logged in to without end.

use std::os::unix::fs::PermissionsExt as _;

use gpu_harness_tests::project::{Finished, Project};
use gpu_harness_tests::sshd::Sshd;

fn project(sshd: &Sshd, lease: &str) -> Project {
    let yaml = format!("nodes:\n  n: {{ provider: ssh, address: \"{}\", lease: {lease} }}\n", sshd.address());
    Project::new().env("HOME", sshd.client_home().display().to_string()).file("gpu-harness.yaml", yaml)
}

fn exec(project: &Project, flags: &[&str], command: &[&str]) -> Finished {
    project.gpu_harness(&[&["exec", "--node", "n"], flags, &["--"], command].concat())
}

#[test]
fn a_node_that_lets_us_in_and_cuts_every_command_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let cutter = folder.path().join("cutter");
    std::fs::write(&cutter, "#!/bin/sh\nkill -9 $PPID\n").unwrap();
    std::fs::set_permissions(&cutter, std::fs::Permissions::from_mode(0o755)).unwrap();
    let sshd = Sshd::with(&[&format!("ForceCommand {}", cutter.display())]);
    let run = exec(&project(&sshd, "2s"), &[], &["echo", "there"]);
    assert_eq!(run.status.code(), Some(125), "{run:?}");
    let logins = sshd.log().matches("Accepted publickey").count();
    assert!((3..=12).contains(&logins), "{logins} logins");
    assert!(run.stderr.contains("n can be reached, and nothing gets on: "), "{}", run.stderr);
    assert!(run.stderr.contains("it was cut ("), "what was seen last: {}", run.stderr);
}

#[test]
fn a_server_that_allows_one_command_at_a_time_is_used_by_several_connections() {
    let sshd = Sshd::with(&["MaxSessions 1"]);
    let project = project(&sshd, "20s");
    let big: Vec<u8> =
        (0..6_000_000_u32).map(|index| index.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let project = project.file("big.bin", &big);
    let git =
        std::process::Command::new("git").args(["init", "-q"]).current_dir(project.path()).status().unwrap();
    assert!(git.success());
    let run = exec(&project, &["--sync", "--bring", "copy.bin", "-q"], &["cp", "big.bin", "copy.bin"]);
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    assert!(std::fs::read(project.path().join("copy.bin")).unwrap() == big);
}

#[test]
fn a_server_that_allows_no_command_is_told_by_the_setting_that_says_so() {
    let sshd = Sshd::with(&["MaxSessions 0"]);
    let run = exec(&project(&sshd, "20s"), &["-q"], &["true"]);
    assert_eq!(run.status.code(), Some(125), "{run:?}");
    assert!(
        run.stderr.contains("hint: `MaxSessions` in its sshd_config must be 1 or more"),
        "{}",
        run.stderr
    );
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 1);
}
