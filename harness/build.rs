//! Says what `gpu-harness --version` tells of its own making.
#![allow(clippy::print_stdout, reason = "cargo reads what it prints")]

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=GPU_HARNESS_COMMIT");
    let var = |name| env::var(name).unwrap_or_default();
    let is_release = var("PROFILE") == "release";
    // A build for development would be made anew with each commit.
    let commit = if is_release { commit() } else { None };
    let how = if is_release { "optimised" } else { "for development" };
    let compiler = said(Command::new(var("RUSTC")).arg("--version")).unwrap_or_default();
    // "rustc 1.92.0 (abc 2025-12-01)": the first two words name it.
    let compiler = compiler.split(' ').take(2).collect::<Vec<_>>().join(" ");
    println!("cargo:rustc-env=GPU_HARNESS_COMMIT={}", commit.as_deref().unwrap_or("commit unknown"));
    println!("cargo:rustc-env=GPU_HARNESS_BUILT={compiler}, {how}, {}", var("TARGET"));
    println!("cargo:rustc-env=GPU_HARNESS_FEATURES={}", features());
}

/// The commit that whoever builds it names, else the checkout's; none where there is no git, as in an archive of the source.
fn commit() -> Option<String> {
    if let Ok(named) = env::var("GPU_HARNESS_COMMIT") {
        return Some(named).filter(|named| !named.is_empty());
    }
    let git = |words: &[&str]| said(Command::new("git").args(words));
    // An archive of the source may lie in somebody else's repository.
    git(&["ls-files", "--error-unmatch", "build.rs"])?;
    println!(
        "cargo:rerun-if-changed={}",
        git(&["rev-parse", "--path-format=absolute", "--git-path", "HEAD"])?
    );
    println!(
        "cargo:rerun-if-changed={}",
        git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"])?
    );
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let has_changes =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|text| !text.is_empty());
    Some(if has_changes { format!("{commit}+") } else { commit })
}

/// What cargo says was asked for.
fn features() -> String {
    let mut names = Vec::from_iter(env::vars().filter_map(|(name, _)| {
        let name = name.strip_prefix("CARGO_FEATURE_")?.to_lowercase();
        (name != "default").then_some(name)
    }));
    names.sort();
    names.join(" ")
}

fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
