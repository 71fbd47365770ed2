//! The images that are run on: three kinds, as they come in real buckets.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::rig::{self, Rig};

/// Of the images, the part that settings are tried on, and that Ray Data's short run has.
const PART: usize = 6;

/// Images of one kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set {
    /// Its prefix in the bucket.
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) count: usize,
    width: &'static str,
    height: &'static str,
    /// Rounds of all programs, Ray Data included, and of these without it.
    pub(super) rounds: usize,
    pub(super) rounds_of_ray: usize,
}

/// The size to which aerial images are cut most often, e.g. for DOTA.
pub(super) const TILES: Set = Set {
    name: "tiles",
    about: "tiles of 1,024 × 1,024 pixels, as aerial images are cut for models",
    count: 2000,
    width: "1024",
    height: "1024",
    rounds: 3,
    rounds_of_ray: 3,
};

/// Little to fetch and to decode: the model is nearly all of the work.
pub(super) const SMALL: Set = Set {
    name: "small",
    about: "small images, of 96 to 400 pixels a side",
    count: 2000,
    width: "96-400",
    height: "96-400",
    rounds: 3,
    rounds_of_ray: 1,
};

/// What a drone's camera writes.
pub(super) const FRAMES: Set = Set {
    name: "frames",
    about: "frames of 4,000 × 3,000 pixels, as a drone's camera writes them",
    count: 160,
    width: "4000",
    height: "3000",
    rounds: 3,
    rounds_of_ray: 1,
};

impl Set {
    /// With fewer images or more, for a quick look or a long one.
    pub(super) fn scaled(self, images: usize, of: usize) -> Self {
        Self { count: (self.count * images / of).max(2 * PART), ..self }
    }

    /// Images that settings are tried on.
    pub(super) fn part(&self) -> usize {
        self.count / PART
    }

    /// The prefix below which only [`Self::part`] of the images lie.
    pub(super) fn part_name(&self) -> String {
        format!("{}-part", self.name)
    }

    /// Puts the images into the bucket; gives the mean size of one in bytes.
    pub(super) fn make(&self, rig: &Rig) -> Result<f64> {
        let folder = rig.images().join(self.name);
        let _ = fs::remove_dir_all(&folder);
        let (tile, count) = (rig.tile.display().to_string(), self.count.to_string());
        let out = folder.display().to_string();
        let made = rig.python("images.py", &[&tile, &out, &count, self.width, self.height])?;
        let part = rig.images().join(self.part_name());
        link(&folder, &part, self.part())?;
        rig::figure(&made, "mean_bytes")
    }
}

/// Links the first `count` files of a folder into another.
pub(super) fn link(from: &Path, to: &Path, count: usize) -> Result<()> {
    let entries = fs::read_dir(from).with_context(|| format!("failed to read {}", from.display()))?;
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.sort();
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to)?;
    for file in files.iter().take(count) {
        fs::hard_link(file, to.join(file.file_name().unwrap_or_default()))?;
    }
    Ok(())
}
