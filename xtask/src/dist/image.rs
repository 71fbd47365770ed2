//! The Dockerfile of an image for CI steps.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::deb;
use super::release::Release;

/// Writes it into `folder`, beside the package that it installs.
pub(crate) fn write(folder: &Path, release: &Release) -> Result<()> {
    let text = include_str!("image.Dockerfile")
        .replace("@DEB@", &deb::file_name(release))
        .replace("@VERSION@", &release.version);
    fs::write(folder.join("Dockerfile"), text).context("failed to write Dockerfile")
}
