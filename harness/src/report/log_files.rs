//! The cases' logs as files, written as they come: `cases/SUITE.CASE/stdout.log` and `stderr.log`.

use std::collections::{HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use gpu_suites::event::{Event, Log, Record};
use gpu_suites::id::CaseId;

use super::ReportError;
use crate::files::results::{case_folder, log_name};

/// Files open at a time: a node that mixes the logs of all cases must not use up the process's descriptors.
const MOST_OPEN: usize = 16;

/// Writes the logs of a run's cases. Holds nothing of them but what is on its way to the files.
#[derive(Debug)]
pub struct LogFiles {
    run_dir: PathBuf,
    cases: HashMap<CaseId, u32>,
    open: HashMap<PathBuf, BufWriter<File>>,
    begun: HashSet<PathBuf>,
    lock: Lock,
}

/// Whether this is the only writer of the run's logs.
#[derive(Debug)]
enum Lock {
    Held {
        /// Locked as long as it is open.
        _folder: File,
    },
    /// The file system has no locks.
    Unknown,
    Elsewhere,
}

impl LogFiles {
    /// A writer for the run whose folder this is.
    pub fn new(run_dir: &Path) -> Self {
        let lock = match File::open(run_dir).map(|folder| (folder.try_lock(), folder)) {
            Ok((Ok(()), folder)) => Lock::Held { _folder: folder },
            Ok((Err(TryLockError::WouldBlock), _)) => Lock::Elsewhere,
            _ => Lock::Unknown,
        };
        Self {
            run_dir: run_dir.into(),
            cases: HashMap::new(),
            open: HashMap::new(),
            begun: HashSet::new(),
            lock,
        }
    }

    /// Whether another process writes these logs right now; then this one writes nothing.
    pub fn is_written_elsewhere(&self) -> bool {
        matches!(self.lock, Lock::Elsewhere)
    }

    /// Takes one more record; those of no interest are skipped.
    pub fn take(&mut self, record: &Record) -> Result<(), ReportError> {
        match &record.event {
            Event::RunCreated(event) if record.from.is_none() => {
                // Only cases that the harness itself named have files.
                self.cases.extend(event.cases.iter().map(|case| (case.id.clone(), 0)));
            }
            Event::CaseStarted(event) => {
                if let Some(attempt) = self.cases.get_mut(&event.case) {
                    *attempt = event.attempt;
                }
            }
            Event::Log(event) => return self.write(event),
            Event::CaseFinished(_) => return self.close(),
            _ => {}
        }
        Ok(())
    }

    fn write(&mut self, event: &Log) -> Result<(), ReportError> {
        let (Some(attempt), false) = (self.cases.get(&event.case), self.is_written_elsewhere()) else {
            return Ok(());
        };
        let Some(folder) = case_folder(&self.run_dir, &event.case) else { return Ok(()) };
        let path = folder.join(log_name(event.stream, *attempt));
        if !self.open.contains_key(&path) {
            if self.open.len() == MOST_OPEN {
                self.close()?;
            }
            let is_new = self.begun.insert(path.clone());
            let file = open(&folder, &path, is_new).map_err(|source| ReportError::new(&path, source))?;
            self.open.insert(path.clone(), BufWriter::new(file));
        }
        let Some(file) = self.open.get_mut(&path) else { return Ok(()) };
        file.write_all(event.bytes()).map_err(|source| ReportError::new(&path, source))
    }

    fn close(&mut self) -> Result<(), ReportError> {
        self.flush()?;
        self.open.clear();
        Ok(())
    }

    /// Hands everything to the operating system.
    pub fn flush(&mut self) -> Result<(), ReportError> {
        for (path, file) in &mut self.open {
            file.flush().map_err(|source| ReportError::new(path, source))?;
        }
        Ok(())
    }
}

fn open(folder: &Path, path: &Path, is_new: bool) -> io::Result<File> {
    std::fs::create_dir_all(folder)?;
    let mut options = File::options();
    if is_new { options.write(true).truncate(true) } else { options.append(true) }.create(true).open(path)
}
