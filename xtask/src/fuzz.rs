//! `cargo xtask soak fuzz`: libFuzzer at every door where bytes of other people's come in, for so long in all.
//!
//! cargo-fuzz would do the same; this needs nothing that does not come with Rust, a stable one too: the instrumentation is
//! LLVM's. Libraries in C (libjpeg-turbo, zstd, libyaml) are built with the C compiler's `AddressSanitizer`, which ends the
//! program at the first byte that they read or write beside a buffer. What is found lies in `fuzz/artifacts`, and
//! `fuzz/corpus` grows from one run to the next.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{cargo, setup};

/// How long in all, unless it is said.
const SECONDS: u64 = 600;
/// What cargo-fuzz gives rustc where no sanitizer of its is wanted, and the C compiler's, which links.
const INSTRUMENTED: [&str; 9] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Ccodegen-units=1",
    "-Clink-arg=-fsanitize=address",
];
/// The same for C.
const INSTRUMENTED_C: &str = "-fsanitize=address -fno-omit-frame-pointer -g1";
/// Files beside those of `fuzz/seeds` that a target begins with.
const MORE_SEEDS: [(&str, &str); 6] = [
    ("ssh_config", "fixtures/ssh/hosts.conf"),
    ("ssh_config", "fixtures/ssh/match.conf"),
    ("ssh_config", "fixtures/ssh/proxies.conf"),
    ("ssh_config", "fixtures/ssh/quotes.conf"),
    ("ssh_config", "fixtures/ssh/tokens.conf"),
    ("suite", "suites/tests/every_key.yaml"),
];
/// Where files cost no time.
const IN_MEMORY: &str = "/dev/shm";
/// What one input may take: seconds, MiB of memory, bytes.
const LIMITS: [&str; 3] = ["-timeout=20", "-rss_limit_mb=1024", "-max_len=65536"];

/// Runs every target in turn; the first finding ends it.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let seconds = match arguments {
        [] => SECONDS,
        [seconds] => seconds.parse().context("the argument is a number of seconds")?,
        _ => bail!("there is one argument: how many seconds"),
    };
    setup::ensure_compilers()?;
    let folder = cargo::root().join("fuzz");
    let mut build = cargo::plain();
    if let Some(archive) = gcc_sanitizer()? {
        build.env("FUZZ_ADDRESS_SANITIZER", archive);
    }
    // Named, so that programs which are built on the way to others are not instrumented.
    let host = host()?;
    cargo::run(
        build
            .args(["build", "--release", "--bins", "--target", &host])
            .current_dir(&folder)
            .env("CARGO_ENCODED_RUSTFLAGS", INSTRUMENTED.join("\x1f"))
            .env(format!("CFLAGS_{}", host.replace('-', "_")), INSTRUMENTED_C),
    )?;
    let mut targets = Vec::from_iter(
        fs::read_dir(folder.join("targets"))?
            .filter_map(|file| Some(file.ok()?.path().file_stem()?.to_str()?.to_owned())),
    );
    targets.sort();
    let each = (seconds / targets.len().max(1) as u64).max(1);
    for target in &targets {
        eprint!("{target}: ");
        let rate = fuzz(target, &folder, &host, each)?;
        eprintln!("{rate} inputs a second for {each} s, nothing broke");
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs one target; what it says is shown where it breaks.
fn fuzz(target: &str, folder: &Path, host: &str, seconds: u64) -> Result<u64> {
    let (corpus, found) = (folder.join("corpus").join(target), folder.join("artifacts").join(target));
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&found)?;
    let mut command = Command::new(folder.join("target").join(host).join("release").join(target));
    command.arg(&corpus).arg(folder.join("seeds").join(target)).args(LIMITS);
    let more = MORE_SEEDS.iter().filter(|(name, _)| *name == target);
    let more = Vec::from_iter(more.map(|(_, seed)| cargo::root().join(seed).display().to_string()));
    if !more.is_empty() {
        command.arg(format!("-seed_inputs={}", more.join(",")));
    }
    // Words that it would not come upon: comparisons of texts are calls, which are not instrumented.
    let words = folder.join("dictionaries").join(target);
    if words.is_file() {
        command.arg(format!("-dict={}", words.display()));
    }
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={}/", found.display()));
    command.args(["-print_final_stats=1", "-verbosity=0"]);
    // Most doors write files, and on a disk each of them is waited for.
    if Path::new(IN_MEMORY).is_dir() {
        command.env("TMPDIR", IN_MEMORY);
    }
    let ended = command.output().with_context(|| format!("failed to start the target {target}"))?;
    let said = String::from_utf8_lossy(&ended.stderr);
    if !ended.status.success() {
        eprintln!("it broke\n{said}");
        bail!(
            "{target} breaks: {}; the input is in {}, and the target takes it as its argument",
            ended.status,
            found.display()
        );
    }
    let rate = said.lines().find_map(|line| line.strip_prefix("stat::average_exec_per_sec:"));
    rate.and_then(|rate| rate.trim().parse().ok()).context("the target did not say how many inputs it took")
}

/// GCC's `AddressSanitizer`, which `fuzz/build.rs` links; clang links its own by the flag.
fn gcc_sanitizer() -> Result<Option<PathBuf>> {
    let said = |argument: &str| {
        let output = Command::new("cc").arg(argument).output().context("failed to start cc")?;
        anyhow::Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    if said("--version")?.contains("clang") {
        return Ok(None);
    }
    let archive = PathBuf::from(said("-print-file-name=libasan.a")?);
    ensure!(
        archive.is_file(),
        "cc has no `AddressSanitizer` (libasan.a): install the libgcc-VERSION-dev of its version"
    );
    Ok(Some(archive))
}

fn host() -> Result<String> {
    let said = Command::new("rustc").arg("-vV").output().context("failed to start rustc")?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    Ok(host.to_owned())
}
