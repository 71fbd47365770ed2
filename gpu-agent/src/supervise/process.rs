//! The process of a case and everything that it starts: begun with its limits, ended to the last descendant.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use gpu_suites::process::Stat;
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, getpid, getppid, kill_process, kill_process_group,
    set_parent_process_death_signal, setrlimit, wait,
};

/// A process in the kernel's hands (a hanging disk or GPU driver) may not end even by SIGKILL.
const UNKILLABLE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pid: Pid,
}

impl Process {
    /// Starts a program in a process group of its own. Returns its output streams too.
    ///
    /// It must be called from the main thread: the kernel ends the process when the *thread* that started it dies.
    pub(super) fn start(
        argv: &[OsString],
        environment: BTreeMap<OsString, OsString>,
        folder: &Path,
        memory: Option<u64>,
    ) -> io::Result<(Self, [OwnedFd; 2])> {
        let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(environment).current_dir(folder).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let supervisor = getpid();
        // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
        unsafe {
            command.pre_exec(move || Ok(confine(supervisor, memory)?));
        }
        let mut child = command.spawn()?;
        let pid = Pid::from_child(&child);
        // Where memory runs out, the kernel is to end the case and not the agent.
        let _ = fs::write(format!("/proc/{pid}/oom_score_adj"), "500");
        let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        Ok((Self { child, pid }, [out.into(), err.into()]))
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    pub(super) fn terminate(&self) {
        let _ = kill_process_group(self.pid, Signal::TERM);
    }

    /// Ends the whole process group.
    pub(super) fn kill(&self) {
        let _ = kill_process_group(self.pid, Signal::KILL);
    }

    /// The process has ended and was not reaped: ends all that it left behind, and reaps. The second value is how
    /// many processes could not be ended.
    pub(super) fn reap(mut self) -> (io::Result<ExitStatus>, usize) {
        // Its number is taken until it is reaped, so this group is still its own.
        self.kill();
        let status = self.child.wait();
        let begun = Instant::now();
        loop {
            // Orphans of the case become this process's children.
            let left = children();
            for pid in &left {
                let _ = kill_process(*pid, Signal::KILL);
            }
            while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
            if left.is_empty() || begun.elapsed() > UNKILLABLE {
                return (status, left.len());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Runs in the new process.
fn confine(supervisor: Pid, memory: Option<u64>) -> rustix::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(supervisor) {
        // The supervisor died before the line above.
        return Err(rustix::io::Errno::SRCH);
    }
    let limit = |most| Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(Resource::Core, limit(0))?;
    if let Some(memory) = memory {
        setrlimit(Resource::As, limit(memory))?;
    }
    Ok(())
}

/// This process's children that have not been reaped.
fn children() -> Vec<Pid> {
    let own = getpid().as_raw_nonzero().get();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw));
    pids.filter(|pid| Stat::of(pid).is_ok_and(|stat| stat.parent == own)).collect()
}
