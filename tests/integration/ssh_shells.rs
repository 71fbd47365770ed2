//! A login shell of any kind, that says whatever it likes, does not come between us and a node.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use gpu_harness::transport::{Command, ExitStatus};
use gpu_harness_tests::project::Project;
use gpu_harness_tests::sshd::{Sshd, bytes_of, output_of};

/// A script that every command of the server is given to, as a login shell is.
fn forced(folder: &Path, script: &str) -> String {
    let file = folder.join("shell");
    std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("ForceCommand {}", file.display())
}

/// The login shells that there are; the others are left out with a note.
#[expect(clippy::print_stderr, reason = "what a test leaves out is said")]
fn shells() -> Vec<(&'static str, PathBuf)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let find = |name: &'static str| {
        let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
        if found.is_none() {
            eprintln!("left out: {name} is not installed (`cargo xtask setup` installs it)");
        }
        Some((name, found?))
    };
    ["sh", "dash", "bash", "zsh", "fish", "tcsh", "csh"].into_iter().filter_map(find).collect()
}

#[tokio::test]
async fn words_reach_the_program_whatever_the_login_shell() {
    for (name, shell) in shells() {
        let folder = tempfile::tempdir().unwrap();
        let force = forced(folder.path(), &format!("exec {} -c \"$SSH_ORIGINAL_COMMAND\"", shell.display()));
        let sshd = Sshd::with(&[&force]);
        let node = sshd.connect().await;
        let argv =
            ["sh", "-c", "printf '%s|' \"$@\" \"$A\"; exit 5", "sh", "it's", "b!c\nd", "$HOME \\n `id`", "ü"];
        let env = vec![("A".to_owned(), "a 'b' \"c\" 100%".to_owned())];
        let mut exec = node.exec(Command::argv(argv.map(String::from).to_vec(), env)).await.unwrap();
        let said = output_of(&mut exec).await;
        assert_eq!(said, "it's|b!c\nd|$HOME \\n `id`|ü|a 'b' \"c\" 100%|", "{name}");
        assert_eq!(exec.wait().await.unwrap(), ExitStatus::Code(5), "{name}");
    }
}

#[tokio::test]
async fn what_a_login_shell_says_before_is_not_the_commands_output() {
    let folder = tempfile::tempdir().unwrap();
    let noise = "echo 'Welcome to the lab. GPU 3 is reserved.'; printf 'no newline'; echo 'stty: not a tty' >&2; \
                 set -x; exec sh -vc \"$SSH_ORIGINAL_COMMAND\"";
    let sshd = Sshd::with(&[&forced(folder.path(), noise)]);
    let node = sshd.connect().await;
    let mut exec = node.exec(Command::shell("cat; exit 4")).await.unwrap();
    exec.stdin.write(b"exactly this".as_slice()).await.unwrap();
    exec.stdin.close();
    let said = bytes_of(&mut exec).await;
    assert_eq!(said, b"exactly this");
    assert_eq!(exec.wait().await.unwrap(), ExitStatus::Code(4));
    assert!(!exec.stderr_text().contains("Welcome"), "{}", exec.stderr_text());
}

#[test]
fn a_run_works_on_a_node_whose_shell_greets() {
    let folder = tempfile::tempdir().unwrap();
    let force = forced(folder.path(), "echo 'Welcome to the lab.'; exec sh -c \"$SSH_ORIGINAL_COMMAND\"");
    let sshd = Sshd::with(&[&force]);
    let project = Project::new().env("HOME", sshd.client_home().display().to_string());
    let run = project.gpu_harness(&["exec", "--node", &sshd.address(), "-q", "--", "echo", "there"]);
    assert_eq!((run.status.code(), run.stdout.as_str()), (Some(0), "there\n"), "{run:?}");
}

#[test]
fn a_run_works_whatever_the_login_shell_and_the_name_of_its_folder() {
    // More than goes in one channel.
    let big: Vec<u8> =
        (0..6_000_000_u32).map(|index| index.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for (name, shell) in shells() {
        let folder = tempfile::tempdir().unwrap();
        let force = forced(folder.path(), &format!("exec {} -c \"$SSH_ORIGINAL_COMMAND\"", shell.display()));
        let sshd = Sshd::with(&[&force]);
        let cache = folder.path().join("it's a \"cache\" of $HOME");
        let settings = serde_json::json!({
            "nodes": { "n": { "provider": "ssh", "address": sshd.address(), "cache": cache } }
        });
        let project = Project::new().env("HOME", sshd.client_home().display().to_string());
        let project = project.file("gpu-harness.yaml", settings.to_string()).file("big.bin", &big);
        let git = std::process::Command::new("git").args(["init", "-q"]).current_dir(project.path()).status();
        assert!(git.unwrap().success());
        let script = "cmp big.bin copy.bin && printf '%s|' \"$A\" && pwd";
        let arguments = ["exec", "--node", "n", "--sync", "-q", "--env", "A=b!c\nd 'e'", "--", "sh", "-c"];
        let script = format!("cp big.bin copy.bin && {script}");
        let run = project.gpu_harness(&[&arguments[..], &[&script]].concat());
        assert_eq!(run.status.code(), Some(0), "{name}: {run:?}");
        let there = run.stdout.strip_prefix("b!c\nd 'e'|").unwrap_or_else(|| panic!("{name}: {run:?}"));
        assert!(Path::new(there).starts_with(&cache), "{name}: {there}");
    }
}

#[test]
fn what_an_account_says_that_runs_no_command_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let sshd =
        Sshd::with(&[&forced(folder.path(), "echo 'This account is currently not available.'; exit 1")]);
    let project = Project::new().env("HOME", sshd.client_home().display().to_string());
    let run = project.gpu_harness(&["exec", "--node", &sshd.address(), "-q", "--", "echo", "there"]);
    assert_eq!(run.status.code(), Some(125), "{run:?}");
    assert!(run.stderr.contains("This account is currently not available."), "{}", run.stderr);
}
