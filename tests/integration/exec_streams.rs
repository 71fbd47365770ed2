//! What a command prints on a node is what comes here, byte for byte, for as long as somebody reads it; how it ends, too.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use gpu_harness_tests::process::{lives, within};
use gpu_harness_tests::project::{Project, program};

/// What a script prints when it runs here, and what it prints on a node.
fn both(script: &str) -> [(Option<i32>, Vec<u8>, Vec<u8>); 2] {
    let project = Project::new();
    let here = Command::new("sh").args(["-c", script]).stdin(Stdio::null()).output().expect("a shell");
    let there = project.command(&["exec", "-q", "--", "sh", "-c", script]).output().expect("it starts");
    [here, there].map(|done| (done.status.code(), done.stdout, done.stderr))
}

#[test]
fn output_is_the_commands_own_byte_for_byte() {
    for script in [
        "printf 'a\\tb\\n\\n  c'",
        "printf '50%%\\r100%%\\r'; printf 'e\\033[31mr\\033[0mr' >&2",
        "printf '\\000\\001\\377\\303('; sleep 0.1; printf '\\244\\n'",
        "head -c 300000 /dev/zero | tr '\\0' x; printf '\\nend'",
        "printf '::error::x\\n##[group]y\\nsection_start:1:z\\n'",
        "head -c 200000 /dev/urandom > /tmp/gpu-harness-noise.$$; cksum < /tmp/gpu-harness-noise.$$; rm /tmp/gpu-harness-noise.$$",
        "for i in 1 2 3; do echo out $i; echo err $i >&2; done; exit 3",
        "",
    ] {
        let [mut here, mut there] = both(script);
        if script.contains("urandom") {
            // Its own noise differs; that of a file does not.
            [here, there] = both("seq 100000 | gzip -n");
        }
        assert_eq!(here.0, there.0, "{script}");
        assert!(here.1 == there.1 && here.2 == there.2, "{script}: {:?}", String::from_utf8_lossy(&there.2));
    }
}

#[test]
fn on_a_persons_screen_it_steers_nothing() {
    let project = Project::new();
    let own = program("gpu-harness").display().to_string();
    let line = format!("{own} exec -q -- printf '\\033[2Jclear\\n10%%\\r20%%\\rend\\n'");
    let mut screen = Command::new("script");
    screen
        .args(["-qec", &line, "/dev/null"])
        .current_dir(project.path())
        .env("GPU_HARNESS_CACHE", project.cache());
    screen.env_remove("GPU_HARNESS_NODE").env_remove("GITHUB_ACTIONS").stdin(Stdio::null());
    let Ok(done) = screen.output() else { return };
    let shown = String::from_utf8_lossy(&done.stdout);
    assert!(
        shown.contains("clear") && shown.contains("10%\r20%\rend") && !shown.contains('\x1b'),
        "{shown:?}"
    );
}

#[test]
fn on_github_it_is_not_taken_for_commands() {
    let project = Project::new();
    let mut command = project.command(&["exec", "-q", "--", "echo", "::error::x"]);
    let done = command.env("GITHUB_ACTIONS", "true").output().expect("it starts");
    let said = String::from_utf8_lossy(&done.stderr);
    let token =
        said.lines().next().and_then(|line| line.strip_prefix("::stop-commands::")).expect("told to stop");
    assert!(said.lines().any(|line| line == format!("::{token}::")), "{said}");
    assert_eq!(done.stdout, b"::error::x\n");
}

#[test]
fn a_program_that_cannot_be_started_ends_as_in_a_shell() {
    let project = Project::new().file("plain.txt", "no program\n");
    let status = |words: &[&str]| {
        let run = project.gpu_harness(&[&["exec", "-q", "--"], words].concat());
        assert!(run.stderr.contains("cannot be started") || words[0] == "sh", "{run:?}");
        run.status.code()
    };
    assert_eq!(status(&["no-such-program"]), Some(127));
    assert_eq!(status(&["/no/such/program"]), Some(127));
    assert_eq!(status(&["/etc"]), Some(126));
    assert_eq!(status(&["/etc/passwd"]), Some(126));
    for code in [0, 1, 125, 126, 127, 255] {
        assert_eq!(status(&["sh", "-c", &format!("exit {code}")]), Some(code));
    }
}

#[test]
fn it_ends_soon_when_its_reader_goes_whether_it_prints_or_not() {
    for script in ["yes", "echo once; exec sleep 600"] {
        let project = Project::new();
        let mut child = project
            .command(&["exec", "-q", "--", "sh", "-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut out = child.stdout.take().expect("piped");
        out.read_exact(&mut [0; 2]).expect("a line");
        drop(out);
        let pid = child.id().to_string();
        within(Duration::from_secs(30), script, || !lives(&pid));
        assert_eq!(child.wait().expect("it ended").code(), Some(141), "{script}");
        let mut said = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn a_full_disk_is_no_success_and_the_command_goes_on() {
    let project = Project::new();
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let mark = project.path().join("went-on");
    let script = format!("echo x; sleep 0.2; echo y; touch {}", mark.display());
    let done = project
        .command(&["exec", "-q", "--", "sh", "-c", &script])
        .stdout(full())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(125), "{said}");
    assert!(said.contains("No space left") && !said.contains("panicked"), "{said}");
    assert!(mark.exists());
    let failed = project.command(&["exec", "-q", "--", "sh", "-c", "echo x; exit 7"]).stdout(full()).output();
    assert_eq!(failed.expect("it starts").status.code(), Some(7), "its own failure says more");
}
