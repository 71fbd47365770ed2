//! Finds the one libtorch that tch can use, or gets it, trying the cheapest way first.
//!
//! The order: $LIBTORCH; what an earlier set-up left in the cache; a Python torch of the version (the cache then holds
//! a link to it, nothing is copied); the wheels of PyPI, or of the index that pip uses here.

mod ways;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gpu_wheels::libtorch::VERSION;

use self::ways::{Machine, Ways};
use super::cache::{self, Cache};
use super::network::Network;
use super::summary::Row;

/// A libtorch that is ready to build against.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Libtorch {
    /// The folder with `lib` and `include`.
    pub(crate) path: PathBuf,
    from: String,
    new: bool,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LibtorchError {
    #[error(
        "no libtorch {VERSION}: {}; set LIBTORCH to one, or `pip install torch=={VERSION}` for the python3 on PATH",
        tried.join("; ")
    )]
    Nowhere { tried: Vec<String> },
    #[error("failed to put libtorch into {}", path.display())]
    Place {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Libtorch {
    pub(crate) fn row(&self) -> Row {
        Row { what: "libtorch", from: format!("{VERSION}, {}", self.from), new: self.new }
    }
}

/// The libtorch of this machine, got where it is missing.
pub(crate) fn ensure(cache: &Cache, network: &Network) -> Result<Libtorch, LibtorchError> {
    find_or_get(std::env::var_os("LIBTORCH"), &cache.libtorch(VERSION), &Machine { network })
}

fn find_or_get(
    variable: Option<OsString>,
    place: &Path,
    ways: &impl Ways,
) -> Result<Libtorch, LibtorchError> {
    let mut tried = Vec::new();
    if let Some(path) = variable.filter(|path| !path.is_empty()).map(PathBuf::from) {
        match check(&path) {
            Ok(()) => {
                return Ok(Libtorch { from: format!("$LIBTORCH: {}", path.display()), path, new: false });
            }
            Err(wrong) => {
                eprintln!("note: $LIBTORCH is not used: {wrong}");
                tried.push(format!("$LIBTORCH: {wrong}"));
            }
        }
    }
    if check(place).is_ok() {
        return Ok(Libtorch { from: origin(place), path: place.to_owned(), new: false });
    }
    let failed = |source| LibtorchError::Place { path: place.to_owned(), source };
    // A link to a Python that is gone, or a folder that something was deleted from.
    cache::remove(place).map_err(failed)?;
    match ways.python() {
        Ok(found) => match check(&found) {
            Ok(()) => {
                fs::create_dir_all(place.parent().unwrap_or(place)).map_err(failed)?;
                std::os::unix::fs::symlink(&found, place).map_err(failed)?;
                return Ok(Libtorch { from: origin(place), path: place.to_owned(), new: true });
            }
            Err(wrong) => tried.push(format!("the Python torch: {wrong}")),
        },
        Err(reason) => tried.push(reason),
    }
    match ways.wheels(place).and_then(|()| check(place)) {
        Ok(()) => return Ok(Libtorch { from: origin(place), path: place.to_owned(), new: true }),
        Err(reason) => tried.push(format!("the wheels: {reason}")),
    }
    Err(LibtorchError::Nowhere { tried })
}

/// Whether a folder is the wanted libtorch: version, libraries, headers. Says what is wrong.
fn check(folder: &Path) -> Result<(), String> {
    let version = version_of(folder).ok_or_else(|| format!("{} is no libtorch", folder.display()))?;
    // 2.11.0+cpu and 2.11.0+cu130 are builds of the same version; 2.11.0a0 is another one.
    if version.split('+').next() != Some(VERSION) {
        return Err(format!("{} is libtorch {version}, {VERSION} is needed", folder.display()));
    }
    let needed = ["lib/libtorch.so", "lib/libtorch_cpu.so", "lib/libc10.so", HEADER];
    match needed.iter().find(|file| !folder.join(file).is_file()) {
        Some(file) => Err(format!("{} has no {file}", folder.display())),
        None => Ok(()),
    }
}

/// A header that torch-sys includes; distributions that split packages leave it out.
const HEADER: &str = "include/torch/csrc/api/include/torch/torch.h";

/// The version that a folder says it is: an archive has `build-version`, a Python package `version.py`.
fn version_of(folder: &Path) -> Option<String> {
    let read = |file| fs::read_to_string(folder.join(file)).ok();
    if let Some(version) = read("build-version") {
        return Some(version.trim().to_owned());
    }
    let quoted = |text: String, line_has: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(line_has))?.to_owned();
        line.split(['\'', '"']).nth(1).map(str::to_owned)
    };
    read("version.py").and_then(|text| quoted(text, "__version__")).or_else(|| {
        // `#define TORCH_VERSION \` and the string on the next line.
        read("include/torch/headeronly/version.h").and_then(|text| quoted(text, "\""))
    })
}

/// Where the libtorch in the cache came from.
fn origin(place: &Path) -> String {
    if let Ok(target) = fs::read_link(place) {
        return format!("the Python torch in {}", target.display());
    }
    format!("the wheels of PyPI, in {}", place.display())
}

#[cfg(test)]
mod tests;
