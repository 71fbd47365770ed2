//! Root folders of other systems, by debootstrap, kept in the cache folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::cargo;

/// A Debian with the least that it can have.
pub(super) struct Root {
    /// Its name as debootstrap knows it.
    suite: &'static str,
    pub(super) folder: PathBuf,
}

impl Root {
    /// The root in the cache folder, made where it is missing.
    pub(super) fn ensure(roots: &Path, suite: &'static str, more: &str) -> Result<Self> {
        let folder = roots.join(if more.is_empty() { suite.to_owned() } else { format!("{suite}-{more}") });
        if !folder.join("complete").exists() {
            eprintln!("making {} (some 300 MB, once)", folder.display());
            if folder.exists() {
                fs::remove_dir_all(&folder)
                    .with_context(|| format!("failed to clear {}", folder.display()))?;
            }
            fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
            let mut make = Command::new("debootstrap");
            make.arg("--variant=minbase");
            if !more.is_empty() {
                make.arg(format!("--include={more}"));
            }
            make.arg(suite).arg(&folder).stdout(Stdio::null());
            cargo::run(&mut make).context("failed to make a root folder (`apt-get install debootstrap`)")?;
            fs::write(folder.join("complete"), "")?;
        }
        Ok(Self { suite, folder })
    }

    /// Copies a file or a folder there, in place of what was.
    pub(super) fn put(&self, from: &Path, to: &str) -> Result<()> {
        let to = self.folder.join(to);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).with_context(|| format!("failed to make {}", parent.display()))?;
        }
        cargo::run(Command::new("rm").arg("-rf").arg(&to))?;
        cargo::run(
            Command::new("cp").args(["--recursive", "--dereference", "--preserve=mode"]).arg(from).arg(&to),
        )
    }

    /// Unpacks the programs into /programs.
    pub(super) fn unpack(&self, archive: &Path) -> Result<()> {
        let failed = || format!("failed to unpack {}", archive.display());
        let file = fs::File::open(archive).with_context(failed)?;
        let mut tar = tar::Archive::new(zstd::Decoder::new(file).with_context(failed)?);
        for entry in tar.entries().with_context(failed)? {
            let mut entry = entry.with_context(failed)?;
            let name =
                entry.path().with_context(failed)?.file_name().context("a file has a name")?.to_owned();
            let place = self.folder.join("programs");
            fs::create_dir_all(&place).with_context(failed)?;
            entry.unpack(place.join(name)).with_context(failed)?;
        }
        Ok(())
    }

    /// Makes a folder there, in place of what was, and gives its path as this machine sees it.
    pub(super) fn clear(&self, folder: &str) -> Result<PathBuf> {
        let folder = self.folder.join(folder);
        cargo::run(Command::new("rm").arg("-rf").arg(&folder))?;
        fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
        Ok(folder)
    }

    /// A command in it, in a folder of it, with processes and a /proc of its own and none of this machine's environment.
    pub(super) fn command(&self, folder: &str, words: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--root"]).arg(&self.folder);
        command.args(["--mount-proc", "--wd", folder]).args(words).env_clear();
        command
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root");
        command
    }

    pub(super) fn run(&self, words: &[&str]) -> Result<()> {
        cargo::run(&mut self.command("/", words))
            .with_context(|| format!("in a root folder of {}", self.suite))
    }
}
