//! Bad input: each kind has its own message, that says what, where and what to do, and its exit code.

use std::os::unix::fs::symlink;

use gpu_harness_tests::project::Project;
use gpu_harness_tests::sshd::Sshd;

const TRAIN: &str = "suite: s\ncases:\n  - name: c\n    train:\n      model: MODEL\n      data: { image: tile.png, boxes: boxes.csv, task: segment, size: 64 }\n";

fn png() -> Vec<u8> {
    // The smallest PNG that there is: one pixel.
    let hex = "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301010018dd8db00000000049454e44ae426082";
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn train(model: &str) -> Project {
    Project::with_suite(&TRAIN.replace("MODEL", model))
        .file("tile.png", png())
        .file("boxes.csv", "xmin,ymin,xmax,ymax\n0,0,1,1\n")
}

fn command(case: &str) -> Project {
    Project::with_suite(&format!("suite: s\ncases:\n{case}"))
}

/// What the user sees, with what differs from run to run taken out.
fn told(project: &Project, arguments: &[&str], code: i32) -> String {
    let run = project.run(arguments);
    assert_eq!(run.code(), code, "{run:?}");
    let folder = project.path().display().to_string();
    run.stderr.replace(&folder, "PROJECT")
}

#[test]
fn each_mistake_in_what_is_written_is_said_with_its_place() {
    const GOOD: &str = "  - { name: a, command: { run: [\"true\"] } }\n";
    let cyclic = train("{ builtin: unet }");
    std::fs::remove_file(cyclic.path().join("tile.png")).unwrap();
    symlink("tile.png", cyclic.path().join("tile.png")).unwrap();
    let gone = train("{ builtin: unet }");
    std::fs::remove_file(gone.path().join("tile.png")).unwrap();
    let table: Vec<(&str, Project, Vec<&str>)> = vec![
        ("no such file", command(GOOD), vec!["suites/none.yaml"]),
        ("no suites at all", Project::new(), vec![]),
        ("empty file", Project::with_suite(""), vec![]),
        ("empty suite", Project::with_suite("suite: s\ncases: []\n"), vec![]),
        ("unknown key", command("  - { name: a, comand: { run: [x] } }\n"), vec![]),
        ("wrong type", command("  - { name: a, command: { run: [x] }, timeout: soon }\n"), vec![]),
        ("duplicate case", command(&format!("{GOOD}{GOOD}")), vec![]),
        ("syntax", Project::with_suite("suite: [s\n"), vec![]),
        ("no such case", command(GOOD), vec!["--case", "b*"]),
        ("bad pattern", command(GOOD), vec!["--case", "a["]),
        ("missing image", gone, vec![]),
        ("cyclic image", cyclic, vec![]),
        ("no image", train("{ builtin: unet }").file("tile.png", "GIF? no."), vec![]),
        ("no TorchScript", train("{ torchscript: model.pt }").file("model.pt", "weights"), vec![]),
        ("unknown node", command(GOOD), vec!["--node", "nowhere"]),
        (
            "bad settings",
            command(GOOD).file("gpu-harness.yaml", "nodes: { a: { provider: moon } }\n"),
            vec![],
        ),
        ("bad timeout", command(GOOD), vec!["--timeout", "soon"]),
    ];
    for (what, project, arguments) in table {
        insta::assert_snapshot!(what.replace(' ', "-"), told(&project, &arguments, 2));
        assert!(project.latest().is_none(), "{what}: nothing was run, so there is no run's folder");
    }
}

#[test]
fn a_node_that_cannot_be_written_to_is_trouble_of_the_infrastructure() {
    let project = command("  - { name: a, command: { run: [\"true\"] } }\n")
        .env("GPU_HARNESS_CACHE", "/proc/gpu-harness");
    let run = project.run(&[]);
    assert_eq!(run.code(), 3, "{run:?}");
    let (outcome, reason) = run.outcome("a");
    assert_eq!(outcome, gpu_suites::outcome::Outcome::Errored);
    assert!(reason.contains("/proc/gpu-harness"), "{reason}");
}

#[test]
fn an_agent_of_another_version_is_refused_before_anything_runs() {
    // The far side of the protocol, as an agent of a later version would answer.
    let answer = r#"{"reply":"refused","error":{"refusal":"protocol","agent":3,"harness":2}}"#;
    let project = command("  - { name: a, command: { run: [\"true\"] } }\n")
        .file("other-agent", format!("#!/bin/sh\nread line\necho '{answer}'\ncat > /dev/null\n"));
    let agent = project.path().join("other-agent");
    std::fs::set_permissions(&agent, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let project = project.env("GPU_HARNESS_AGENT", agent.display().to_string());
    let run = project.run(&[]);
    assert_eq!(run.code(), 3, "{run:?}");
    let (_, reason) = run.outcome("a");
    assert!(reason.contains("protocol 3") && reason.contains("that came with this gpu-harness"), "{reason}");
}

#[test]
fn a_host_that_cannot_be_reached_or_trusted_is_trouble_of_the_infrastructure() {
    let mut sshd = Sshd::start();
    let project = command("  - { name: a, command: { run: [\"true\"] } }\n")
        .env("HOME", sshd.client_home().display().to_string());
    let refused = |address: &str| {
        let run = project.run(&["--node", address]);
        assert_eq!(run.code(), 3, "{run:?}");
        run.outcome("a").1
    };
    let closed = refused("ssh://127.0.0.1:1");
    assert!(closed.contains("127.0.0.1 port 1") && closed.contains("refused"), "{closed}");
    sshd.rotate_host_key();
    let changed = refused(&sshd.address());
    assert!(changed.contains("HOST KEY HAS CHANGED") && changed.contains("ssh-keygen"), "{changed}");
    std::fs::write(sshd.known_hosts(), "").unwrap();
    let unknown = refused(&sshd.address());
    assert!(unknown.contains("SHA256:") && unknown.contains("ssh-keyscan"), "{unknown}");
}
