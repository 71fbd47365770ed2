//! The one folder that everything is set up into, and the lock that keeps two set-ups from meeting in it.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Names the cache folder; without it, `gpu-harness` under `$XDG_CACHE_HOME` or `~/.cache` is used.
const CACHE_VARIABLE: &str = "GPU_HARNESS_CACHE";

/// The cache folder, held by this process until dropped.
pub(crate) struct Cache {
    root: PathBuf,
    _lock: File,
}

impl Cache {
    /// Makes the folder where it is missing and waits for another set-up that is at work in it.
    pub(crate) fn open() -> Result<Self> {
        Self::open_at(folder()?)
    }

    pub(crate) fn open_at(root: PathBuf) -> Result<Self> {
        let failed = || format!("failed to make the cache folder {} (set {CACHE_VARIABLE})", root.display());
        fs::create_dir_all(&root).with_context(failed)?;
        let lock = File::create(root.join("setup.lock")).with_context(failed)?;
        if lock.try_lock().is_err() {
            eprintln!("note: another set-up is at work in {}: waiting for it", root.display());
            lock.lock().with_context(failed)?;
        }
        Ok(Self { root, _lock: lock })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where libtorch of one version lies: a folder, or a link to a Python torch.
    pub(crate) fn libtorch(&self, version: &str) -> PathBuf {
        self.root.join("libtorch").join(version)
    }

    /// An index of packages with the parts of wheels that a node takes, for tests of such nodes.
    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index")
    }

    /// Where the aerial tile lies: `cache:tiles/osbs-029` in a suite.
    pub(crate) fn tile(&self) -> PathBuf {
        self.root.join("data/tiles/osbs-029")
    }
}

fn folder() -> Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set(CACHE_VARIABLE)
        .or_else(|| set("XDG_CACHE_HOME").map(|base| base.join("gpu-harness")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/gpu-harness")))
        .with_context(|| format!("failed to find a cache folder: set {CACHE_VARIABLE}, or HOME"))?;
    std::path::absolute(&folder).with_context(|| format!("failed to make {} absolute", folder.display()))
}

/// A folder that is filled beside its place and appears there whole, or not at all.
pub(crate) struct Staging {
    staged: PathBuf,
    place: PathBuf,
}

impl Staging {
    /// Makes an empty folder beside `place`; what a killed set-up left there goes.
    pub(crate) fn beside(place: &Path) -> io::Result<Self> {
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let staged = place.with_file_name(name);
        remove(&staged)?;
        fs::create_dir_all(&staged)?;
        Ok(Self { staged, place: place.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.staged
    }

    /// Puts the folder in its place; what was there goes.
    pub(crate) fn commit(self) -> io::Result<()> {
        remove(&self.place)?;
        fs::rename(&self.staged, &self.place)
    }
}

/// Removes a folder or a link; nothing there is fine.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}
