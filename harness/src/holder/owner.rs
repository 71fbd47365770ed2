//! For whom a node is held: the cargo or nextest above a test, told by its process id and its start.
//!
//! A process id alone may be given to another process; the time of its start makes it one process.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::str::FromStr;
use std::time::Duration;

use gpu_suites::process::Stat;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;

/// The programs that start test processes.
const STARTERS: [&str; 2] = ["cargo-nextest", "cargo"];
/// How often a process is looked for where the kernel knows no other way.
const LOOK: Duration = Duration::from_millis(200);

/// A process that was there once, and may be there still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    pid: i32,
    /// In clock ticks since the machine's.
    start: u64,
}

impl Owner {
    /// The nearest cargo or nextest above this process, else this process itself.
    pub fn above() -> io::Result<Self> {
        let own = Self::this()?;
        let mut pid = own.pid;
        while let Ok(stat) = Stat::of(pid) {
            if pid != own.pid && STARTERS.contains(&stat.program.as_str()) {
                return Ok(Self { pid, start: stat.start });
            }
            if stat.parent <= 1 {
                break;
            }
            pid = stat.parent;
        }
        Ok(own)
    }

    pub fn this() -> io::Result<Self> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        Ok(Self { pid, start: Stat::of(pid)?.start })
    }

    /// Whether it has not ended.
    pub fn lives(&self) -> bool {
        Stat::of(self.pid).is_ok_and(|stat| stat.start == self.start && stat.lives())
    }

    /// Waits for its end, however it ends.
    pub async fn ended(&self) {
        if let Some(watched) = self.watched()
            && watched.readable().await.is_ok()
        {
            return;
        }
        while self.lives() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What becomes readable when it ends; `None` where it has, or where the kernel has no such thing.
    fn watched(&self) -> Option<AsyncFd<OwnedFd>> {
        let fd = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::NONBLOCK).ok()?;
        // The process may have ended, and another have got its id, before it was opened.
        if !self.lives() {
            return None;
        }
        // SAFETY: the descriptor is the value's own, and is closed by nothing but its drop.
        unsafe { AsyncFd::register(fd) }.ok()
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.pid, self.start)
    }
}

impl FromStr for Owner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is no PID:START");
        let (pid, start) = text.split_once(':').ok_or_else(wrong)?;
        Ok(Self { pid: pid.parse().map_err(|_| wrong())?, start: start.parse().map_err(|_| wrong())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_with_the_same_id_is_not_the_owner() {
        let own = Owner::this().unwrap();
        assert!(own.lives() && own.to_string().parse() == Ok(own));
        assert!(!Owner { start: own.start + 1, ..own }.lives());
    }

    #[tokio::test]
    async fn the_end_of_the_owner_is_noticed() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id().try_into().unwrap();
        let owner = Owner { pid, start: Stat::of(pid).unwrap().start };
        assert!(tokio::time::timeout(Duration::from_millis(100), owner.ended()).await.is_err());
        child.kill().unwrap();
        tokio::time::timeout(Duration::from_secs(5), owner.ended()).await.unwrap();
        child.wait().unwrap();
    }
}
