//! The machine itself: its name, kernel, cores, memory, and the folder that the agent writes to.

use std::path::PathBuf;

use serde::Serialize;

use crate::folder::Folder;

/// The machine.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub(super) host: String,
    pub(super) kernel: String,
    pub(super) cpu: Option<String>,
    /// What this process may use.
    pub(super) cores: Option<usize>,
    pub(super) memory_bytes: Option<u64>,
    pub(super) memory_available_bytes: Option<u64>,
}

impl Machine {
    pub(super) fn look() -> Self {
        let name = rustix::system::uname();
        let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Self {
            host: text(name.nodename()),
            kernel: format!("{} {} {}", text(name.sysname()), text(name.release()), text(name.machine())),
            cpu: field(&cpus, "model name").map(str::to_owned),
            cores: std::thread::available_parallelism().ok().map(usize::from),
            memory_bytes: kibibytes(&memory, "MemTotal"),
            memory_available_bytes: kibibytes(&memory, "MemAvailable"),
        }
    }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then_some(value.trim())
    })
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let number: u64 = field(text, name)?.split_whitespace().next()?.parse().ok()?;
    Some(number * 1024)
}

/// The agent's folder and the disk below it.
#[derive(Debug, Serialize)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) free_bytes: Option<u64>,
    /// Why nothing can be written there, if so.
    pub(super) unwritable: Option<String>,
}

impl Place {
    pub(super) fn look(folder: &Folder) -> Self {
        let prepared = folder.prepare();
        let stat = rustix::fs::statvfs(folder.path()).ok();
        Self {
            path: folder.path().to_owned(),
            free_bytes: stat.map(|stat| stat.f_bavail * stat.f_frsize),
            unwritable: prepared.err().map(|(path, error)| format!("{}: {error}", path.display())),
        }
    }
}
