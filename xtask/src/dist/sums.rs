//! SHA256SUMS: what `sha256sum --check` reads.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::contents;
use crate::setup;

/// Writes the list of what is in `folder`.
pub(crate) fn write(folder: &Path) -> Result<()> {
    let mut text = String::new();
    for (name, _) in contents(folder)? {
        let file = folder.join(&name);
        let sum = setup::sha256_of(&file).with_context(|| format!("failed to read {}", file.display()))?;
        let _ = writeln!(text, "{sum}  {name}");
    }
    fs::write(folder.join("SHA256SUMS"), text).context("failed to write SHA256SUMS")
}
