//! Makes a run's folder and starts its supervisor, so that one run has one supervisor however often it is asked for.
//!
//! The folder appears whole, by a rename. The lock goes to the supervisor as an open file: from the moment that this
//! process takes it until the supervisor ends, somebody holds it.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use gpu_suites::plan::Plan;

use crate::folder::{self, RunDir};
use crate::lock::Lock;
use crate::{control, journal, store};

/// Starts the run unless it has been started.
pub(super) fn start(dir: &RunDir, plan: &Plan) -> io::Result<()> {
    if !dir.plan().is_file() {
        make(dir, plan)?;
    }
    // Whoever asked first may have been killed between making the folder and starting the supervisor.
    match Lock::take(dir)? {
        Some(lock) if fs::metadata(dir.journal())?.len() == 0 => spawn(dir, lock),
        _ => Ok(()),
    }
}

fn make(dir: &RunDir, plan: &Plan) -> io::Result<()> {
    let run = dir.run();
    let parent = dir.folder().runs();
    let new = RunDir::at(parent.join(format!(".new-{run}-{}", std::process::id())));
    folder::make(new.path())?;
    let filled = fill(&new, plan).and_then(|()| fs::rename(new.path(), dir.path()));
    if filled.is_err() {
        let _ = fs::remove_dir_all(new.path());
    }
    // Somebody else was faster: the same run.
    if dir.plan().is_file() { Ok(()) } else { filled }
}

fn fill(new: &RunDir, plan: &Plan) -> io::Result<()> {
    folder::make(&new.cases())?;
    File::create(new.journal())?;
    File::create(new.log())?;
    // Here, where a full disk can still be told.
    journal::set_aside(&new.reserve())?;
    control::make(new)?;
    if let Some(worker) = &plan.worker {
        store::make_executable(&new.folder().blob(worker))?;
    }
    fs::write(new.plan(), serde_json::to_vec(plan)?)
}

fn spawn(dir: &RunDir, lock: Lock) -> io::Result<()> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("gpu-agent").arg("supervise").arg(dir.path()).current_dir(dir.path());
    command
        .stdin(OwnedFd::from(lock))
        .stdout(Stdio::null())
        .stderr(File::options().append(true).open(dir.log())?);
    // SAFETY: between fork and exec only one system call is made, and nothing is allocated.
    unsafe {
        command.pre_exec(|| {
            // A session of its own: it outlives this process, the ssh connection and the terminal.
            rustix::process::setsid()?;
            Ok(())
        });
    }
    command.spawn().map(drop)
}
