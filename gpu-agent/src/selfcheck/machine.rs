//! The machine itself: its name, kernel, cores, memory, and the folder that the agent writes to.

use gpu_suites::facts::{FolderFacts, Machine};

use crate::folder::Folder;

pub(super) fn look() -> Machine {
    let name = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    Machine {
        host: text(name.nodename()),
        kernel: format!("{} {} {}", text(name.sysname()), text(name.release()), text(name.machine())),
        cpu: field(&cpus, "model name").map(str::to_owned),
        cores: std::thread::available_parallelism().ok().map(usize::from),
        memory_bytes: kibibytes(&memory, "MemTotal"),
        memory_available_bytes: kibibytes(&memory, "MemAvailable"),
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

pub(super) fn place(folder: &Folder) -> FolderFacts {
    let prepared = folder.prepare();
    let stat = rustix::fs::statvfs(folder.path()).ok();
    FolderFacts {
        path: folder.path().to_owned(),
        free_bytes: stat.map(|stat| stat.f_bavail * stat.f_frsize),
        unwritable: prepared.err().map(|(path, error)| format!("{}: {error}", path.display())),
    }
}
