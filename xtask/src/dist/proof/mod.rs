//! `cargo xtask soak dist`: what is released starts, and does its work, where there is nothing else. A Debian that is older than
//! any that is supported, from its package: a whole run. A Debian with nothing but the system, from the tar: a training. A fresh
//! Python environment, from the wheel. An image with Python and nothing else, by the CI files that `gpu-harness init` writes: runs
//! on the test EC2.

mod ci;
mod root;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use self::root::Root;
use super::release::Release;
use super::{deb, make, wheel};
use crate::cargo;
use crate::setup;

/// glibc 2.31, no OpenSSL 3: the oldest that Debian's servers still have.
const OLD: &str = "bullseye";
/// glibc 2.36, with the C++ library that libtorch takes.
const NODE: &str = "bookworm";

/// What the image of a CI step has besides: `python:3.12-slim-bookworm` has as much.
const PYTHON: &str = "python3,python3-venv,ca-certificates";

/// A case that takes nothing but a shell.
const SUITE: &str =
    "suite: proof\ncases:\n  - name: starts\n    command: { run: [sh, -c, \"echo started\"] }\n";

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    ensure!(arguments.is_empty(), "`cargo xtask soak dist` takes no arguments");
    ensure!(rustix::process::geteuid().is_root(), "a root folder of another system is entered by root alone");
    let ready = setup::ensure(setup::Needs::Tests)?;
    let release = Release::of_checkout()?;
    let dist = make(&release)?;
    let roots = ready.cache.join("roots");

    let old = Root::ensure(&roots, OLD, "")?;
    let package = deb::file_name(&release);
    old.put(&dist.join(&package), &package)?;
    old.run(&["dpkg", "--install", &format!("/{package}")])?;
    says_version(&mut old.command("/", &["gpu-harness", "--version"]), &release)?;
    let suites = old.clear("proof/suites")?;
    fs::write(suites.join("proof.yaml"), SUITE).context("failed to write the suite")?;
    old.run(&["sh", "-c", "cd /proof && gpu-harness run"])?;
    println!("{OLD}: the package is installed, and a run of it passed");

    let node = Root::ensure(&roots, NODE, "")?;
    node.unpack(&dist.join(format!("gpu-harness-{}-x86_64-linux.tar.zst", release.version)))?;
    node.put(&cargo::root().join("suites"), "proof/suites")?;
    node.put(&ready.cache.join("data"), "root/.cache/gpu-harness/data")?;
    node.put(&ready.libtorch.join("lib"), "libtorch/lib")?;
    let train = "cd /proof && export HOME=/root LIBTORCH=/libtorch PATH=/programs:$PATH && \
                 gpu-harness run suites/overfit-one-image.yaml --case 'resnet18*'";
    node.run(&["sh", "-c", train])?;
    println!("{NODE}: a training passed with libtorch alone");

    let python = install(&dist.join(wheel::file_name(&release)), &release)?;
    ci::prove(&Root::ensure(&roots, NODE, PYTHON)?, &dist, &release, &ready)?;
    println!("the wheel: from `pip install` to `gpu-harness --version` {python:.1} s");
    Ok(ExitCode::SUCCESS)
}

fn says_version(command: &mut Command, release: &Release) -> Result<()> {
    let output = command.output().with_context(|| format!("failed to start {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let wanted = format!("gpu-harness {} ({})", release.version, release.commit);
    if !output.status.success() || !said.starts_with(&wanted) {
        bail!("{command:?} said {said:?} and not {wanted:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Installs the wheel into fresh environments, as its own programs and beside a folder; gives the seconds that the first took.
fn install(wheel: &Path, release: &Release) -> Result<f64> {
    let folder = std::env::temp_dir().join(format!("gpu-harness-proof-{}", std::process::id()));
    let venv = folder.join("venv");
    cargo::run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let python = venv.join("bin/python");
    let pip = |target: Option<&Path>| {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check"]);
        pip.args(target.into_iter().flat_map(|target| [Path::new("--target"), target])).arg(wheel);
        cargo::run(&mut pip)
    };
    let begun = Instant::now();
    pip(None)?;
    says_version(Command::new(venv.join("bin/gpu-harness")).arg("--version"), release)?;
    let seconds = begun.elapsed().as_secs_f64();
    says_version(Command::new(&python).args(["-m", "gpu_harness", "--version"]).env_clear(), release)?;
    let target = folder.join("target");
    pip(Some(&target))?;
    let mut elsewhere = Command::new("python3");
    elsewhere.args(["-m", "gpu_harness", "--version"]).env("PYTHONPATH", &target);
    says_version(&mut elsewhere, release)?;
    fs::remove_dir_all(&folder).with_context(|| format!("failed to clear {}", folder.display()))?;
    Ok(seconds)
}
