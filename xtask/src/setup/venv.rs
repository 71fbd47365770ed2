//! Python environments, each made once from a list of packages.
//!
//! One is kept under the hash of its list, so that another list is another environment and branches do not fight over
//! one. `current` beside them leads to the latest: tests that are run without `cargo xtask test` find it there.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::cache::{self, Cache};
use super::network::Network;
use super::summary::Row;
use crate::cargo;

/// Written last: without it the folder is what a killed set-up left.
const COMPLETE: &str = "complete";

pub(super) struct Venv {
    /// What it is called in the summary.
    pub(super) what: &'static str,
    /// Its folder in the cache.
    pub(super) name: &'static str,
    /// Its list of packages, from the workspace's folder.
    pub(super) list: &'static str,
    /// How much it takes to make it.
    pub(super) megabytes: u32,
}

impl Venv {
    /// Its folder of programs, made where it is missing.
    pub(super) fn ensure(&self, cache: &Cache, network: &Network) -> Result<(PathBuf, Row)> {
        let list = cargo::root().join(self.list);
        let packages = fs::read(&list).with_context(|| format!("failed to read {}", list.display()))?;
        let key = hex::encode(&Sha256::digest(&packages)[..8]);
        let all = cache.root().join(self.name);
        let folder = all.join(&key);
        let new = !folder.join(COMPLETE).exists();
        if new {
            let failed = || format!("failed to make the Python environment of the {}", self.what);
            self.make(&folder, &list, network).with_context(failed)?;
        }
        let linked = point(&all.join("current"), &key);
        linked.with_context(|| format!("failed to link the environment of the {}", self.what))?;
        let row = Row { what: self.what, from: folder.display().to_string(), new };
        Ok((folder.join("bin"), row))
    }

    fn make(&self, folder: &Path, list: &Path, network: &Network) -> Result<()> {
        if network.is_off() {
            bail!("nothing is downloaded: --offline");
        }
        eprintln!("making {} (some {} MB, once)", folder.display(), self.megabytes);
        cache::remove(folder)?;
        quiet(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let mut install = Command::new(folder.join("bin/python"));
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        quiet(install.arg(list))?;
        fs::write(folder.join(COMPLETE), "")?;
        Ok(())
    }
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
