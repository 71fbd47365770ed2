//! The program itself.

use std::process::Command;

use crate::rig::AGENT;

/// The shared libraries that an ELF file asks for, as `readelf -d` prints them.
fn needed(file: &str) -> Vec<String> {
    let output = Command::new("readelf")
        .args(["-dW", file])
        .output()
        .expect("readelf is in binutils, which Rust needs to link");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| line.contains("(NEEDED)"));
    lines.filter_map(|line| Some(line.split_once('[')?.1.trim_end_matches(']').to_owned())).collect()
}

#[test]
fn the_agent_links_nothing_but_libc() {
    let needed = needed(AGENT);
    assert!(needed.iter().any(|name| name.starts_with("libc.so")), "{needed:?}");
    let of_libc = |name: &String| ["libc.so", "ld-linux"].iter().any(|part| name.starts_with(part));
    assert!(needed.iter().all(of_libc), "{needed:?}");
}

#[test]
fn it_tells_its_version_and_refuses_nonsense() {
    let version = Command::new(AGENT).arg("--version").output().unwrap();
    assert_eq!(
        String::from_utf8(version.stdout).unwrap(),
        format!("gpu-agent {}\n", env!("CARGO_PKG_VERSION"))
    );
    let nonsense =
        Command::new(AGENT).args(["selfcheck", "--worker-blob", "../../etc/passwd"]).output().unwrap();
    assert_eq!(nonsense.status.code(), Some(64));
}
