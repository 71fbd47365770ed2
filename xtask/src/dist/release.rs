//! Which version is made, of which commit: in the names of the files, in `gpu-harness --version`, and as the time of all that is
//! packed, so that the same checkout packs the same bytes.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cargo;

pub(crate) struct Release {
    /// As in Cargo.toml.
    pub(crate) version: String,
    pub(crate) description: String,
    /// The commit's first twelve digits; with `+` behind them where the checkout has changes.
    pub(crate) commit: String,
    /// The commit's time, in seconds since 1970.
    pub(crate) time: u64,
}

impl Release {
    pub(crate) fn of_checkout() -> Result<Self> {
        let metadata = cargo::metadata()?;
        let packages = metadata["packages"].as_array().context("`cargo metadata` lists no packages")?;
        let harness = packages.iter().find(|package| package["name"] == "gpu-harness");
        let harness = harness.context("`cargo metadata` does not list gpu-harness")?;
        let text = |key: &str| harness[key].as_str().map(str::to_owned).with_context(|| format!("no {key}"));
        let mut commit = git(&["rev-parse", "--short=12", "HEAD"])?;
        if !git(&["status", "--porcelain"])?.is_empty() {
            commit.push('+');
        }
        let time = git(&["log", "-1", "--format=%ct"])?;
        Ok(Self {
            version: text("version")?,
            description: text("description")?,
            commit,
            time: time.parse().context("git tells a time that is no number")?,
        })
    }

    pub(crate) fn has_changes(&self) -> bool {
        self.commit.ends_with('+')
    }
}

fn git(words: &[&str]) -> Result<String> {
    let output = Command::new("git").args(words).current_dir(cargo::root()).output();
    let output = output.context("failed to start git, which says what is released")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`git {}` failed: {}", words.join(" "), said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
