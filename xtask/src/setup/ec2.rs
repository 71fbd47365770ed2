//! A Python environment with what the test EC2 (moto) and the readers of Parquet files import, made once from
//! `fixtures/ec2/requirements.txt`.
//!
//! It is kept under the hash of that file, so that another list is another environment and branches do not fight over
//! one. `current` beside them leads to the latest: tests that are run without `cargo xtask test` find it there.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::cache::{self, Cache};
use super::download::Network;
use super::programs;
use super::summary::Row;
use crate::cargo;

/// Written last: without it the folder is what a killed set-up left.
const COMPLETE: &str = "complete";

/// The environment's Python, made where it is missing; `None` where there is no root, without which nothing needs it.
pub(super) fn ensure(cache: &Cache, network: &Network) -> Result<(Option<PathBuf>, Row)> {
    if !programs::can_be_root() {
        let why = "left out: its hosts need root, or a sudo that asks no password";
        return Ok((None, Row::present("test EC2", why.to_owned())));
    }
    let list = cargo::root().join("fixtures/ec2/requirements.txt");
    let packages = fs::read(&list).with_context(|| format!("failed to read {}", list.display()))?;
    let key = hex::encode(&Sha256::digest(&packages)[..8]);
    let folder = cache.ec2_python().join(&key);
    let new = !folder.join(COMPLETE).exists();
    if new {
        make(&folder, &list, network).context("failed to make the Python environment of the test EC2")?;
    }
    point(&cache.ec2_python().join("current"), &key).context("failed to link the test EC2's environment")?;
    let row = Row { what: "test EC2", from: folder.display().to_string(), new };
    Ok((Some(folder.join("bin/python")), row))
}

fn make(folder: &Path, list: &Path, network: &Network) -> Result<()> {
    if network.is_off() {
        bail!("nothing is downloaded: --offline");
    }
    eprintln!("making {} (some 550 MB, once)", folder.display());
    cache::remove(folder)?;
    quiet(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let mut install = Command::new(folder.join("bin/python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    quiet(install.arg(list))?;
    fs::write(folder.join(COMPLETE), "")?;
    Ok(())
}

/// Runs a command; what it said is the error where it fails.
fn quiet(command: &mut Command) -> Result<()> {
    let output =
        command.output().with_context(|| format!("failed to start {}", command.get_program().display()))?;
    if !output.status.success() {
        let said = [output.stderr, output.stdout].concat();
        bail!("{}", String::from_utf8_lossy(&said).trim());
    }
    Ok(())
}

/// Makes `link` lead to `target` at once.
fn point(link: &Path, target: &str) -> io::Result<()> {
    if fs::read_link(link).is_ok_and(|found| found == Path::new(target)) {
        return Ok(());
    }
    let beside = link.with_extension("new");
    cache::remove(&beside)?;
    symlink(target, &beside)?;
    fs::rename(beside, link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_follows_the_latest_environment() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let link = folder.path().join("current");
        for target in ["first", "first", "second"] {
            point(&link, target).expect("a link");
            assert_eq!(fs::read_link(&link).expect("a link"), Path::new(target));
        }
    }
}
