//! The libtorch that gpu-worker links: one version, for the CPU or with CUDA, in a folder that is there whole or not at all.

mod pinned;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::fetch::{self, FetchError, Order, Progress, Source};
use crate::wheel::Wheel;
use pinned::{ALL, TORCH};

/// The version that tch 0.24 is written for; its build refuses any other.
pub const VERSION: &str = "2.11.0";

/// The oldest driver of NVIDIA's that can do with CUDA 13, by its major version.
pub const OLDEST_DRIVER: u32 = 580;

/// What it computes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// The CPU alone: some 125 MB to fetch, 460 MB on the disk.
    Cpu,
    /// NVIDIA's GPUs too: 2.3 GB to fetch, 3.5 GB on the disk.
    Cuda,
}

/// What it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Running programs that link it.
    Run,
    /// Building them, which takes its headers.
    Link,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// This machine is none that it is built for.
    #[error("{name} is built for Linux on x86_64, and this is {os} on {machine}", name = Build::NAME)]
    Machine {
        /// Its system.
        os: &'static str,
        /// Its processor.
        machine: &'static str,
    },
    /// It does not come.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It came without this.
    #[error("the wheels have no {file}")]
    Lacks {
        /// The file.
        file: String,
    },
    /// Its folder cannot be made.
    #[error("failed to write to {}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// The operating system's word.
        #[source]
        source: io::Error,
    },
}

impl Build {
    const NAME: &'static str = "libtorch 2.11.0";

    /// As it names itself, and as its folder is called.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Cpu => "2.11.0+cpu",
            Self::Cuda => "2.11.0+cu130",
        }
    }

    /// Its place in a cache folder.
    pub fn place(self, cache: &Path) -> PathBuf {
        cache.join("libtorch").join(self.version())
    }

    /// The libraries of a wheel that it needs.
    fn libraries(self, of: &pinned::Libraries) -> impl Iterator<Item = &'static str> + use<> {
        let cuda = if self == Self::Cuda { of.cuda } else { &[] };
        of.cpu.iter().chain(cuda).copied()
    }

    fn parts(self) -> impl Iterator<Item = &'static pinned::Libraries> {
        ALL.iter().filter(move |of| self.libraries(of).next().is_some())
    }

    /// The wheels that it is in.
    pub(crate) fn wheels(self) -> impl Iterator<Item = &'static Wheel> {
        self.parts().map(|of| &of.wheel)
    }

    /// What is wanted of each wheel goes to `with`.
    pub(crate) fn ordered<T>(self, purpose: Purpose, with: impl FnOnce(&[Order<'_>]) -> T) -> T {
        let place = |of: &'static pinned::Libraries, member: &str| {
            if self.libraries(of).any(|library| library == member) {
                return Some(Path::new("lib").join(member.rsplit('/').next()?));
            }
            let headers = purpose == Purpose::Link && of.wheel.project == TORCH;
            let header = member.strip_prefix("torch/").filter(|path| headers && path.starts_with("include/"));
            header.filter(|path| !path.split('/').any(|part| part == "..")).map(PathBuf::from)
        };
        let places = Vec::from_iter(self.parts().map(|of| (of, move |member: &str| place(of, member))));
        let orders = places.iter().map(|(of, place)| Order { wheel: &of.wheel, place });
        with(&Vec::from_iter(orders))
    }

    /// The first of its libraries that a folder lacks, if any.
    pub fn lacking(self, folder: &Path) -> Option<String> {
        let libraries = self.parts().flat_map(|of| self.libraries(of));
        let names = libraries.filter_map(|library| library.rsplit('/').next());
        names.map(|name| format!("lib/{name}")).find(|file| !folder.join(file).is_file())
    }
}

/// Makes `place` a libtorch, unless it is one; `tell` hears how far it is. Whoever does the same at a time waits.
pub fn install(
    build: Build,
    purpose: Purpose,
    place: &Path,
    source: &Source,
    tell: &mut dyn FnMut(Progress),
) -> Result<(), InstallError> {
    let (os, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    if (os, machine) != ("linux", "x86_64") {
        return Err(InstallError::Machine { os, machine });
    }
    let disk = |path: &Path| {
        let path = path.to_owned();
        |source| InstallError::Disk { path, source }
    };
    let beside = |ending: &str| {
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(ending);
        place.with_file_name(name)
    };
    let (lock, new) = (beside(".lock"), beside(".new"));
    fs::create_dir_all(place.parent().unwrap_or(place)).map_err(disk(place))?;
    let held = File::create(&lock).and_then(|file| file.lock().map(|()| file)).map_err(disk(&lock))?;
    if place.exists() {
        if build.lacking(place).is_none() {
            return Ok(());
        }
        // Somebody took a file out of it.
        fs::remove_dir_all(place).map_err(disk(place))?;
    }
    build.ordered(purpose, |orders| fetch::fetch(orders, &new, source, tell))?;
    if let Some(file) = build.lacking(&new) {
        return Err(InstallError::Lacks { file });
    }
    finish(build, purpose, &new).map_err(disk(&new))?;
    fs::rename(&new, place).map_err(disk(place))?;
    drop(held);
    Ok(())
}

/// Writes what no wheel has, and has all of it on the disk before it gets its name.
fn finish(build: Build, purpose: Purpose, folder: &Path) -> io::Result<()> {
    if purpose == Purpose::Link {
        // The wheel's own libtorch.so wants the CUDA half; for the linker a script that names the CPU half will do.
        fs::write(folder.join("lib/libtorch.so"), "INPUT(libtorch_cpu.so)\n")?;
    }
    fs::write(folder.join("build-version"), format!("{}\n", build.version()))?;
    Ok(rustix::fs::syncfs(File::open(folder)?)?)
}
