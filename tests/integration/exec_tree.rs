//! What travels to a node is what is there, and what comes back is what was there: modes, links, files that are written
//! meanwhile. What cannot travel is told by name, and waited for by nobody.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gpu_harness_tests::project::{Finished, Project, program};
use gpu_harness_tests::sshd::Sshd;

fn git(folder: &Path, arguments: &[&str]) {
    let done = Command::new("git").args(arguments).current_dir(folder).output().expect("git runs");
    assert!(done.status.success(), "{done:?}");
}

fn tree() -> Project {
    let project = Project::new().file(".gitignore", "cache/\n");
    git(project.path(), &["init", "-q"]);
    project
}

fn exec(project: &Project, flags: &[&str], script: &str) -> Finished {
    project.gpu_harness(&[&["exec", "--sync"], flags, &["--", "sh", "-c", script]].concat())
}

fn make_executable(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}

#[test]
fn a_file_is_a_program_by_its_own_mode_whatever_has_the_same_content() {
    let project =
        tree().file("run.sh", "#!/bin/sh\necho it runs\n").file("copy.sh", "#!/bin/sh\necho it runs\n");
    let status = |name: &str| project.gpu_harness(&["exec", "--sync", "-q", "--", name]).status.code();
    make_executable(&project.path().join("run.sh"), 0o644);
    assert_eq!(status("./run.sh"), Some(126));
    make_executable(&project.path().join("run.sh"), 0o755);
    assert_eq!(status("./run.sh"), Some(0));
    assert_eq!(status("./copy.sh"), Some(126), "of the same content, and no program");
    make_executable(&project.path().join("run.sh"), 0o644);
    assert_eq!(status("./run.sh"), Some(126));
}

#[test]
fn links_travel_as_links_and_what_leads_out_stays_and_is_told() {
    let project = tree().file("data/n.txt", "7\n").file("sub/x", "x");
    for (link, target) in [
        ("sub/data", "../data"),
        ("sub/n.txt", "../data/n.txt"),
        ("loop", "loop"),
        ("out", "/etc"),
        ("zero", "/dev/zero"),
    ] {
        symlink(target, project.path().join(link)).expect("ours");
    }
    assert!(Command::new("mkfifo").arg(project.path().join("pipe")).status().expect("mkfifo").success());
    git(project.path(), &["add", "-A"]);
    fs::remove_file(project.path().join("sub/x")).expect("ours");
    assert!(Command::new("mkfifo").arg(project.path().join("sub/x")).status().expect("mkfifo").success());
    let run = exec(&project, &["-q"], "cat sub/data/n.txt sub/n.txt; readlink sub/data; ls");
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    assert_eq!(run.stdout, "7\n7\n../data\ndata\ngpu-harness.yaml\nsub\n");
    for told in
        ["loop: a link that leads back", "out: a link that leads out", "zero: a link", "sub/x: a named pipe"]
    {
        assert!(run.stderr.contains(told), "{told}: {}", run.stderr);
    }
    // From a folder within, its link to what lies beside it brings that along.
    let mut within = project.command(&["exec", "--sync", "-q", "--", "cat", "data/n.txt"]);
    let done = within.current_dir(project.path().join("sub")).output().expect("it starts");
    assert_eq!(done.stdout, b"7\n", "{done:?}");
}

#[test]
fn no_run_travels_with_the_next_one() {
    let project = tree();
    for flags in [&[][..], &["--out", "runs/here"]] {
        for _ in 0..2 {
            let run = exec(&project, &[&["-q"], flags].concat(), "find . -type f | sort");
            assert_eq!(run.stdout, "./.gitignore\n./gpu-harness.yaml\n", "{run:?}");
        }
    }
    git(project.path(), &["add", "-f", "gpu-harness-runs"]);
    assert_eq!(
        exec(&project, &["-q"], "find . -type f | wc -l").stdout.trim(),
        "2",
        "not even where git knows them"
    );
}

#[test]
fn files_that_are_written_while_they_are_sent_cost_no_run() {
    let sshd = Sshd::start();
    let mut project =
        tree().env("HOME", sshd.client_home().display().to_string()).env("GPU_HARNESS_NODE", sshd.address());
    for n in 0..20_u8 {
        project = project.file(&format!("f{n}"), vec![n; 300_000]);
    }
    let folder = project.path().to_owned();
    let over = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&over);
    let writer = std::thread::spawn(move || {
        let mut log = fs::File::create(folder.join("train.log")).expect("ours");
        for n in 0_u32.. {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            log.write_all(b"one more line of a log that grows\n").expect("ours");
            fs::write(folder.join("status.json"), n.to_string()).expect("ours");
            let noise = n.to_le_bytes().repeat(usize::try_from(n % 3000).expect("small"));
            fs::write(folder.join("cache.bin"), noise).expect("ours");
            fs::write(folder.join(format!("tmp.{n}")), "").expect("ours");
            let _ = fs::remove_file(folder.join(format!("tmp.{n}")));
            std::thread::sleep(Duration::from_micros(200));
        }
    });
    for n in 0..4_u8 {
        fs::write(project.path().join("f0"), vec![n + 100; 300_000]).expect("ours");
        let run = exec(&project, &["-q"], "cat f0 | head -c 1 | od -An -tu1; test -s train.log");
        assert_eq!(run.status.code(), Some(0), "{run:?}");
        assert_eq!(run.stdout.trim(), (n + 100).to_string());
    }
    over.store(true, Ordering::Relaxed);
    writer.join().expect("it writes");
}

#[test]
fn what_comes_back_keeps_its_mode_its_links_and_its_empty_folders() {
    let project = tree();
    let script = "mkdir -p out/empty out/d; printf '#!/bin/sh\\necho hi\\n' > out/tool; chmod 755 out/tool; ln -s tool out/alias; \
                  ln -s d out/dir; ln -s $PWD/out/d/x out/absolute; echo x > out/d/x; ln -s /etc/passwd out/stolen; mkfifo out/pipe; \
                  echo a > a.pt; echo b > b.pt";
    let run = exec(&project, &["--bring", "out/", "--bring", "*.pt"], script);
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    let out = project.path().join("out");
    let tool = Command::new(out.join("alias")).output().expect("it is a program");
    assert_eq!(tool.stdout, b"hi\n");
    assert_eq!(fs::metadata(out.join("d/x")).expect("brought").permissions().mode() & 0o111, 0);
    assert_eq!(fs::read_link(out.join("dir")).expect("a link"), Path::new("d"));
    assert_eq!(fs::read_to_string(out.join("absolute")).expect("brought"), "x\n");
    assert!(
        out.join("empty").is_dir()
            && project.path().join("a.pt").is_file()
            && project.path().join("b.pt").is_file()
    );
    for told in ["out/stolen", "out/pipe"] {
        assert!(
            run.stderr.contains(told) && fs::symlink_metadata(project.path().join(told)).is_err(),
            "{}",
            run.stderr
        );
    }
    let artifacts = run.folder().join("cases/exec.sh/artifacts/out");
    assert_eq!(fs::metadata(artifacts.join("tool")).expect("kept").permissions().mode() & 0o100, 0o100);
    assert_eq!(fs::read_link(artifacts.join("alias")).expect("kept"), Path::new("tool"));
}

#[test]
fn what_was_to_come_back_and_does_not_is_no_success() {
    let project = tree();
    let run = exec(&project, &["-q", "--bring", "gone.pt"], "true");
    assert_eq!(run.status.code(), Some(125), "{run:?}");
    assert!(run.stderr.contains("gone.pt is to be brought back"), "{}", run.stderr);
    assert_eq!(
        exec(&project, &["-q", "--bring", "gone.pt"], "exit 3").status.code(),
        Some(3),
        "its own failure says more"
    );
    let suite = "suite: s\ncases:\n  - { name: left, command: { run: [\"true\"], bring: [gone.pt] } }\n  \
                 - name: announced\n    command: { run: [sh, -c, \"echo '{\\\"@artifact\\\": \\\"gone.png\\\"}' > $GPU_HARNESS_METRICS\"] }\n";
    let run = Project::with_suite(suite).run(&["--node", "local"]);
    assert_eq!(run.code(), 1, "{run:?}");
    for case in ["left", "announced"] {
        let (outcome, reason) = run.outcome(case);
        assert_eq!(outcome, gpu_suites::outcome::Outcome::Failed);
        assert!(reason.contains("gone.p"), "{reason}");
    }
}

#[test]
fn a_pipe_that_a_suite_names_is_refused_at_once() {
    let project = Project::with_suite(
        "suite: s\ncases:\n  - { name: c, command: { run: [cat, pipe], files: [pipe] } }\n",
    );
    assert!(Command::new("mkfifo").arg(project.path().join("pipe")).status().expect("mkfifo").success());
    let run = project.run(&["--node", "local"]);
    assert_eq!(run.code(), 2, "{run:?}");
    assert!(run.stderr.contains("a named pipe"), "{}", run.stderr);
}

#[test]
fn an_old_git_will_do_and_none_is_told() {
    let project = tree().file("a.txt", "a\n");
    let bin = project.path().join("cache/bin");
    fs::create_dir_all(&bin).expect("ours");
    let with_git = |script: &str| {
        fs::write(bin.join("git"), script).expect("ours");
        make_executable(&bin.join("git"), 0o755);
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = project.command(&["exec", "--sync", "-q", "--", "cat", "a.txt"]);
        command.env("PATH", path).output().expect("it starts")
    };
    // git 2.25 and 2.30 end so where an option is younger than they are.
    let real = Command::new("sh").args(["-c", "command -v git"]).output().expect("a shell").stdout;
    let real = String::from_utf8(real).expect("a path");
    let old = format!(
        "#!/bin/sh\nfor a in \"$@\"; do case $a in --deduplicate|--format*|--path-format*) echo 'error: unknown option' >&2; exit 129;; esac; \
         done\nexec {} \"$@\"\n",
        real.trim()
    );
    let done = with_git(&old);
    assert_eq!(done.stdout, b"a\n", "{done:?}");
    let empty = project.path().join("cache/none");
    fs::create_dir_all(&empty).expect("ours");
    let mut without = Command::new(program("gpu-harness"));
    without.args(["exec", "--sync", "--", "true"]).current_dir(project.path()).env("PATH", empty);
    let done = without
        .env("GPU_HARNESS_CACHE", project.cache())
        .env_remove("GPU_HARNESS_NODE")
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.code() == Some(2) && said.contains("failed to run git") && said.contains("install it"),
        "{said}"
    );
}
