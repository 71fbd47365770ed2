//! What goes along with the programs wherever they go: licences, and the list of what is in them.

use std::fs;

use anyhow::{Context, Result};

use super::parts::Resolved;
use super::release::Release;
use super::{notices, sbom};
use crate::cargo;

pub(crate) struct Papers {
    /// This project's own licences, and those of what is in the programs, by the names of their files.
    pub(crate) licenses: Vec<(&'static str, String)>,
    /// As CycloneDX.
    pub(crate) sbom: String,
}

impl Papers {
    pub(crate) fn of(release: &Release) -> Result<Self> {
        let resolved = Resolved::of_checkout()?;
        let mut licenses = Vec::new();
        for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
            let text = fs::read_to_string(cargo::root().join(name));
            licenses.push((name, text.with_context(|| format!("failed to read {name}"))?));
        }
        licenses.push((notices::NAME, notices::text(&resolved)?));
        Ok(Self { licenses, sbom: sbom::text(release, &resolved)? })
    }
}
