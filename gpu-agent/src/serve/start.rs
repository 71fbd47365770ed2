//! Makes a run's folder and starts its supervisor, so that one run has one supervisor however often it is asked for.
//!
//! The folder appears whole, by a rename. The lock goes to the supervisor as an open file: from the moment that this
//! process takes it until the supervisor ends, somebody holds it.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use gpu_suites::plan::Plan;
use rustix::io::FdFlags;

use crate::folder::{self, RunDir};
use crate::lock::Lock;
use crate::orders::Orders;
use crate::{control, journal, store};

/// Starts the run unless it has been started.
pub(super) fn start(dir: &RunDir, orders: &Orders) -> io::Result<()> {
    if !dir.journal().is_file() {
        make(dir, &orders.plan)?;
    }
    // Whoever asked first may have been killed between making the folder and starting the supervisor.
    match Lock::take(dir)? {
        Some(lock) if fs::metadata(dir.journal())?.len() == 0 => spawn(dir, lock, orders),
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
    if dir.journal().is_file() { Ok(()) } else { filled }
}

fn fill(new: &RunDir, plan: &Plan) -> io::Result<()> {
    folder::make(&new.cases())?;
    File::create(new.journal())?;
    File::create(new.log())?;
    // Here, where a full disk can still be told.
    journal::set_aside(&new.reserve())?;
    if let Some(worker) = &plan.worker {
        store::make_executable(&new.folder().blob(worker))?;
    }
    Ok(())
}

fn spawn(dir: &RunDir, lock: Lock, orders: &Orders) -> io::Result<()> {
    // Before anybody sends to it.
    let control = control::bind(dir)?;
    let number = control.as_raw_fd();
    let mut command = Command::new("/proc/self/exe");
    command.arg0("gpu-agent").arg("supervise").arg(dir.path()).args(["--control", &number.to_string()]);
    command.current_dir(dir.path());
    command
        .stdin(orders.to_file()?)
        .stdout(OwnedFd::from(lock))
        .stderr(File::options().append(true).open(dir.log())?);
    // SAFETY: between fork and exec only system calls are made, and nothing is allocated; the socket is open meanwhile.
    unsafe {
        command.pre_exec(move || {
            // A session of its own: it outlives this process, the ssh connection and the terminal.
            rustix::process::setsid()?;
            rustix::io::fcntl_setfd(BorrowedFd::borrow_raw(number), FdFlags::empty())?;
            Ok(())
        });
    }
    command.spawn().map(drop)
}
