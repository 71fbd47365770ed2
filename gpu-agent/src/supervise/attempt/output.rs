//! What a case writes becomes events: its log, its metrics, its artifacts.

use std::path::{Component, Path, PathBuf};
use std::time::Instant;

use gpu_suites::event::{
    self, Artifact, ArtifactPlace, Device, Event, LogTruncated, Metrics, Progress, Stream, Warning,
};
use gpu_suites::metrics::Line;

use super::super::intake::Taken;
use super::super::log::{Log, Piece};
use super::super::watch::Stop;
use super::{Attempt, BATCHING, gather};
use crate::artifacts;

/// The most files that a case can announce.
const MOST_ANNOUNCED: usize = 1000;

impl Attempt<'_, '_> {
    pub(super) fn log(&mut self, stream: Stream, bytes: &[u8]) {
        if stream == Stream::Stderr {
            self.stderr.push(bytes);
        }
        let kept = usize::try_from(self.log_left).unwrap_or(usize::MAX).min(bytes.len());
        self.log_left -= kept as u64;
        self.log_dropped += (bytes.len() - kept) as u64;
        // What came first stands first.
        let [mut this, mut other] = [0, 1];
        if self.logs[this].stream != stream {
            std::mem::swap(&mut this, &mut other);
        }
        self.emit_log(other, |log, emit| log.flush(emit));
        self.emit_log(this, |log, emit| log.push(&bytes[..kept], emit));
        if self.logs.iter().any(|log| !log.is_empty()) {
            self.soon();
        }
    }

    fn emit_log(&mut self, at: usize, act: impl FnOnce(&mut Log, &mut dyn FnMut(Piece))) {
        let stream = self.logs[at].stream;
        let (journal, case) = (&mut self.run.journal, self.case);
        let mut emitted = false;
        let (left, dropped) = (&mut self.output_left, &mut self.log_dropped);
        act(&mut self.logs[at], &mut |Piece { text, raw }| {
            emitted = true;
            // Where the disk is full, what cannot be kept is not piled up.
            if *left == 0 {
                *dropped += raw.map_or(text.len(), |raw| raw.0.len()) as u64;
            } else if journal.trouble().is_none() {
                let cost = journal.append(event::Log { case: case.id.clone(), stream, text, raw });
                *left = left.saturating_sub(cost);
            }
        });
        if emitted {
            self.soon();
        }
    }

    pub(super) fn metrics(&mut self, bytes: &[u8]) {
        let mut intake = std::mem::take(&mut self.intake);
        intake.push(bytes, |taken| self.taken(taken));
        self.intake = intake;
    }

    fn taken(&mut self, taken: Taken) {
        let line = match taken {
            Taken::Line(line) => line,
            Taken::Complaint(message) => return self.warn(message),
        };
        let abort = self.evaluator.observe(&line);
        let case = self.case.id.clone();
        match line {
            Line::Metrics { step, values } => self.append_output(Metrics { case, step, values }),
            Line::Progress { phase, step, steps } => {
                let of = steps.map_or(String::new(), |steps| format!(" of {steps}"));
                let during = phase.as_deref().map_or(String::new(), |phase| format!(" ({phase})"));
                self.progress = Some(format!("step {step}{of}{during}"));
                self.append_output(Progress { case, phase, step, steps });
            }
            Line::Device(facts) => self.append_output(Device { case, facts }),
            Line::Artifact(path) if self.announced.len() < MOST_ANNOUNCED => self.announced.push(path),
            // The evaluator has taken note of them.
            Line::Artifact(_) | Line::Skip { .. } | Line::Error { .. } => {}
        }
        if let (Some(abort), None) = (abort, &self.stop) {
            self.warn(format!("the case is stopped: {}", abort.reason));
            self.stop = Some(Stop::Aborted(abort.reason));
        }
    }

    /// Of output there is no end: what goes beyond the attempt's budget was judged, and is not kept.
    fn append_output(&mut self, event: impl Into<Event>) {
        if self.output_left == 0 {
            if !std::mem::replace(&mut self.output_cut, true) {
                self.warn(
                    "the case says more than is kept: from here on its metrics are judged, and no more"
                        .into(),
                );
            }
        } else if self.run.journal.trouble().is_none() {
            let cost = self.run.journal.append(event);
            self.output_left = self.output_left.saturating_sub(cost);
            self.soon();
        }
    }

    pub(super) fn append(&mut self, event: impl Into<Event>) {
        if self.run.journal.trouble().is_none() {
            self.run.journal.append(event);
            self.soon();
        }
    }

    pub(super) fn warn(&mut self, message: String) {
        self.append(Warning { case: Some(self.case.id.clone()), message });
    }

    fn soon(&mut self) {
        self.flush_at.get_or_insert_with(|| Instant::now() + BATCHING);
    }

    pub(super) fn flush(&mut self) {
        for at in 0..self.logs.len() {
            self.emit_log(at, |log, emit| log.flush(emit));
        }
        self.flush_at = None;
        if self.run.journal.trouble().is_none() {
            self.run.journal.flush();
        }
    }

    pub(super) fn finish_streams(&mut self) {
        for at in 0..self.logs.len() {
            self.emit_log(at, |log, emit| log.finish(emit));
        }
        let mut intake = std::mem::take(&mut self.intake);
        intake.finish(|taken| self.taken(taken));
        if self.log_dropped > 0 {
            self.append(LogTruncated { case: self.case.id.clone(), dropped: self.log_dropped });
        }
        self.flush();
    }

    pub(super) fn artifacts(&mut self) {
        if self.stop == Some(Stop::Lease) {
            return;
        }
        if let Some(command) = self.case.spec.work.command() {
            for left in gather::gather(&self.dir.work(), &self.dir.artifacts(), command, &self.before) {
                self.miss(left);
            }
        }
        let found = artifacts::of_case(&self.dir.artifacts(), &mut self.run.budget);
        for path in std::mem::take(&mut self.announced) {
            let announced = below(&self.dir.artifacts(), &path);
            // A folder is there where something is in it.
            if !found.files.iter().any(|file| file.path.starts_with(&announced)) {
                self.miss(format!("the case announced the artifact {path:?}, and there is no such file below its artifact folder"));
            }
        }
        for left_out in found.left_out {
            if found.is_cut {
                self.missing.push(left_out.clone());
            }
            self.warn(left_out);
        }
        let planned = self.case;
        let case = &planned.id;
        for artifacts::Place { path, link } in found.places {
            self.append(ArtifactPlace { case: case.clone(), path, link });
        }
        for file in found.files {
            match artifacts::hash(&file) {
                Ok((sha256, bytes)) => {
                    let path = file.path.display().to_string();
                    let executable = file.executable;
                    self.append(Artifact { case: case.clone(), path, bytes, sha256, executable });
                }
                Err(error) => {
                    self.miss(format!("the artifact {} cannot be read: {error}", file.path.display()));
                }
            }
        }
    }

    /// What should have come back and does not: a case without it has not passed.
    fn miss(&mut self, what: String) {
        self.warn(what.clone());
        self.missing.push(what);
    }
}

/// An announced path below the artifact folder, as a program may write it.
fn below(artifacts: &Path, announced: &str) -> PathBuf {
    let path = Path::new(announced);
    let path = path.strip_prefix(artifacts).unwrap_or(path);
    path.components().filter(|part| *part != Component::CurDir).collect()
}
