//! `cargo xtask soak fuzz`: libFuzzer at every door where bytes of other people's come in, for so long in all.
//!
//! cargo-fuzz would do the same; this needs nothing that does not come with Rust, a stable one too: the instrumentation is
//! LLVM's, without a sanitizer. What is found lies in `fuzz/artifacts`, and `fuzz/corpus` grows from one run to the next.

use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::cargo;

/// How long in all, unless it is said.
const SECONDS: u64 = 600;
/// What cargo-fuzz gives rustc where no sanitizer is wanted.
const INSTRUMENTED: [&str; 8] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Ccodegen-units=1",
];
/// What one input may take: seconds, MiB of memory, bytes.
const LIMITS: [&str; 3] = ["-timeout=20", "-rss_limit_mb=1024", "-max_len=65536"];

/// Runs every target in turn; the first finding ends it.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let seconds = match arguments {
        [] => SECONDS,
        [seconds] => seconds.parse().context("the argument is a number of seconds")?,
        _ => bail!("there is one argument: how many seconds"),
    };
    let folder = cargo::root().join("fuzz");
    // Named, so that programs which are built on the way to others are not instrumented.
    let host = host()?;
    cargo::run(
        cargo::plain()
            .args(["build", "--release", "--bins", "--target", &host])
            .current_dir(&folder)
            .env("CARGO_ENCODED_RUSTFLAGS", INSTRUMENTED.join("\x1f")),
    )?;
    let mut targets = Vec::from_iter(
        fs::read_dir(folder.join("targets"))?
            .filter_map(|file| Some(file.ok()?.path().file_stem()?.to_str()?.to_owned())),
    );
    targets.sort();
    let each = (seconds / targets.len().max(1) as u64).max(1);
    for target in &targets {
        let (corpus, found) = (folder.join("corpus").join(target), folder.join("artifacts").join(target));
        fs::create_dir_all(&corpus)?;
        fs::create_dir_all(&found)?;
        let mut command = Command::new(folder.join("target").join(&host).join("release").join(target));
        command.arg(&corpus).arg(folder.join("seeds").join(target)).args(LIMITS);
        command.arg(format!("-max_total_time={each}")).arg(format!("-artifact_prefix={}/", found.display()));
        command.args(["-print_final_stats=0", "-verbosity=0"]);
        eprintln!("fuzzing {target} for {each} s");
        let status = command.status().with_context(|| format!("failed to start the target {target}"))?;
        if !status.success() {
            bail!(
                "{target} breaks: {status}; the input is in {}, and the target takes it as its argument",
                found.display()
            );
        }
    }
    eprintln!("{} doors, {each} s each: nothing broke", targets.len());
    Ok(ExitCode::SUCCESS)
}

fn host() -> Result<String> {
    let said = Command::new("rustc").arg("-vV").output().context("failed to start rustc")?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    Ok(host.to_owned())
}
