//! Brings members of wheels into a folder: ranges in parallel, unpacked while they come, going on where an earlier try stopped.
//!
//! What is wanted is grouped into batches, small neighbours together and a large member for itself; a batch is some pieces.
//! Some threads bring pieces in order, others unpack batches in order, so that the first waits for nothing. The folder is
//! the caller's to rename when all is there.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::num::NonZero;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::contents::{self, Member};
use crate::index::{Address, Index, IndexError};
use crate::parts::{PIECE, Piece, Pieces};
use crate::unpack::{Unpacked, Wanted, unpack};
use crate::web::{Answer, CONNECTIONS, Web, WebError};
use crate::wheel::Wheel;

/// Where pieces lie, in the folder that is filled.
const PIECES: &str = ".pieces";
/// What lies between two members is fetched too, rather than asking twice, where it is less than this.
const GAP: u64 = 64 << 10;
/// Threads that unpack; each takes a processor.
const UNPACKERS: usize = 4;
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// What a disk needs besides.
const SPARE: u64 = 64 << 20;

/// Where wheels are had.
#[derive(Debug, Clone)]
pub struct Source {
    /// The way there.
    pub web: Web,
    /// The index.
    pub index: Index,
}

/// Says where a member goes in the folder, by its name; `None`: it is not wanted.
pub type Place<'a> = &'a (dyn Fn(&str) -> Option<PathBuf> + Sync);

/// What is wanted of a wheel.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// The wheel.
    pub wheel: &'a Wheel,
    /// Where its members go.
    pub place: Place<'a>,
}

/// How far it is, in bytes as they travel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is here.
    pub bytes: u64,
    /// What that will be.
    pub total: u64,
    /// What of it an earlier try had left: it says nothing about the rate.
    pub found: u64,
}

/// Why files did not come.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The index does not have them.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// They do not come.
    #[error(transparent)]
    Web(#[from] WebError),
    /// What lies there is something else.
    #[error("{url} is not {file}: {wrong}")]
    Other {
        /// Where.
        url: String,
        /// The wheel.
        file: &'static str,
        /// What tells.
        wrong: String,
    },
    /// There is no room.
    #[error("{} has {} MiB left, and {} MiB are needed", path.display(), left >> 20, needed >> 20)]
    Full {
        /// Where.
        path: PathBuf,
        /// Bytes.
        left: u64,
        /// Bytes.
        needed: u64,
    },
    /// A file cannot be written or read.
    #[error("failed to write to {}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// The operating system's word.
        #[source]
        source: io::Error,
    },
}

/// Makes `into` have what is wanted of the wheels, besides what it has; `tell` hears how far it is.
pub fn fetch(
    orders: &[Order<'_>],
    into: &Path,
    source: &Source,
    tell: &mut dyn FnMut(Progress),
) -> Result<(), FetchError> {
    let disk = |source| FetchError::Disk { path: into.to_owned(), source };
    let pieces = into.join(PIECES);
    fs::create_dir_all(&pieces).map_err(disk)?;
    let opened = open_all(orders, source)?;
    let job = Job::plan(orders, &opened, into, &pieces);
    job.has_room(into)?;
    job.run(source, tell)?;
    fs::remove_dir_all(&pieces).map_err(disk)
}

/// The bytes of a wheel that an order takes, table of contents included, by where they lie.
pub(crate) fn wanted(order: Order<'_>, source: &Source) -> Result<Vec<(u64, Vec<u8>)>, FetchError> {
    let Opened { at, members, .. } = open(order.wheel, source)?;
    let ranges = members.iter().filter(|member| (order.place)(&member.name).is_some());
    let ranges = ranges.map(|member| member.range.clone()).chain(std::iter::once(order.wheel.tail()));
    let taken = ranges.map(|range| {
        let (begin, mut taken) = (range.start, Vec::new());
        source.web.range(&at, range, &mut |bytes| {
            taken.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok((begin, taken))
    });
    taken.collect()
}

/// A wheel that was found.
struct Opened {
    at: Address,
    members: Vec<Member>,
    /// Whether its server gives parts; else the whole comes once.
    in_parts: bool,
}

/// Finds the wheels and reads what they have, several at a time.
fn open_all(orders: &[Order<'_>], source: &Source) -> Result<Vec<Opened>, FetchError> {
    let mut opened = Vec::new();
    for orders in orders.chunks(CONNECTIONS) {
        let some = thread::scope(|scope| {
            let asked = orders.iter().map(|order| scope.spawn(move || open(order.wheel, source)));
            let asked = Vec::from_iter(asked);
            asked.into_iter().map(joined).collect::<Result<Vec<_>, _>>()
        })?;
        opened.extend(some);
    }
    Ok(opened)
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn open(wheel: &Wheel, source: &Source) -> Result<Opened, FetchError> {
    let at = source.index.find(&source.web, wheel)?;
    let mut tail = Vec::new();
    let answer = source.web.range(&at, wheel.tail(), &mut |bytes| {
        tail.extend_from_slice(bytes);
        Ok(())
    })?;
    let members = contents::read(wheel, &tail).map_err(|wrong| FetchError::Other {
        url: at.to_string(),
        file: wheel.file,
        wrong: wrong.to_owned(),
    })?;
    Ok(Opened { at, members, in_parts: answer == Answer::Part })
}

/// Members that are unpacked one after the other.
struct Batch<'a> {
    wheel: &'a Wheel,
    at: &'a Address,
    wanted: Vec<Wanted>,
    pieces: Range<usize>,
    /// Whether no other batch reads these pieces.
    own: bool,
}

/// All that is to be done.
struct Job<'a> {
    pieces: Vec<Piece>,
    addresses: Vec<&'a Address>,
    batches: Vec<Batch<'a>>,
    state: Mutex<State>,
    changed: Condvar,
}

/// How far it is.
struct State {
    /// Pieces that nobody fetches yet.
    to_fetch: VecDeque<usize>,
    to_unpack: VecDeque<usize>,
    /// Which pieces are on the disk.
    there: Vec<bool>,
    /// Of which an earlier try left something: that may be damaged.
    old: Vec<bool>,
    unpacked: usize,
    progress: Progress,
    failed: Option<FetchError>,
}

impl<'a> Job<'a> {
    fn plan(orders: &[Order<'a>], opened: &'a [Opened], into: &Path, folder: &Path) -> Self {
        let (mut pieces, mut batches) = (Vec::new(), Vec::new());
        for (number, (order, opened)) in orders.iter().zip(opened).enumerate() {
            let wanted = opened.members.iter().filter_map(|member| {
                let path = into.join((order.place)(&member.name)?);
                Some(Wanted { member: member.clone(), path })
            });
            let groups = grouped(wanted.filter(|wanted| !wanted.is_there()).collect());
            let file = order.wheel.file;
            let of = |range: &Range<u64>, longest| Piece::of(number, file, range, longest, folder);
            let whole = pieces.len();
            if !opened.in_parts && !groups.is_empty() {
                pieces.extend(of(&(0..order.wheel.bytes), u64::MAX));
            }
            for wanted in groups {
                let first = pieces.len();
                if opened.in_parts {
                    pieces.extend(of(&span(&wanted), PIECE));
                }
                let own = if opened.in_parts { first..pieces.len() } else { whole..whole + 1 };
                let (wheel, at) = (order.wheel, &opened.at);
                batches.push(Batch { wheel, at, wanted, pieces: own, own: opened.in_parts });
            }
        }
        let there = Vec::from_iter(pieces.iter().map(Piece::is_there));
        let old = Vec::from_iter(pieces.iter().map(|piece| piece.found() > 0));
        let found = pieces.iter().map(Piece::found).sum();
        let total = pieces.iter().map(Piece::bytes).sum();
        let state = State {
            to_fetch: (0..pieces.len()).filter(|index| !there[*index]).collect(),
            to_unpack: (0..batches.len()).collect(),
            old,
            unpacked: 0,
            progress: Progress { bytes: found, total, found },
            failed: None,
            there,
        };
        let addresses = opened.iter().map(|opened| &opened.at).collect();
        Self { pieces, addresses, batches, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Packed and unpacked, all lies there at once for a moment.
    fn has_room(&self, into: &Path) -> Result<(), FetchError> {
        let disk =
            |source: rustix::io::Errno| FetchError::Disk { path: into.to_owned(), source: source.into() };
        let unpacked: u64 =
            self.batches.iter().flat_map(|batch| &batch.wanted).map(|wanted| wanted.member.bytes).sum();
        let progress = self.state().progress;
        let needed = unpacked + progress.total - progress.found + SPARE;
        let found = rustix::fs::statvfs(into).map_err(disk)?;
        let left = found.f_bavail.saturating_mul(found.f_frsize);
        if unpacked == 0 || left >= needed {
            return Ok(());
        }
        Err(FetchError::Full { path: into.to_owned(), left, needed })
    }

    fn run(&self, source: &Source, tell: &mut dyn FnMut(Progress)) -> Result<(), FetchError> {
        thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| self.fetch(source));
            }
            for _ in 0..thread::available_parallelism().map_or(1, NonZero::get).min(UNPACKERS) {
                scope.spawn(|| self.unpack(source));
            }
            let is_over = |state: &State| state.failed.is_some() || state.unpacked == self.batches.len();
            let mut state = self.state();
            while !is_over(&state) {
                let progress = state.progress;
                drop(state);
                tell(progress);
                let waited =
                    self.changed.wait_timeout_while(self.state(), TELL_EVERY, |state| !is_over(state));
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            let progress = state.progress;
            drop(state);
            tell(progress);
        });
        self.state().failed.take().map_or(Ok(()), Err)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, error: FetchError) {
        self.state().failed.get_or_insert(error);
        self.changed.notify_all();
    }

    /// One thread's share of the pieces.
    fn fetch(&self, source: &Source) {
        loop {
            let next = {
                let mut state = self.state();
                if state.failed.is_some() { None } else { state.to_fetch.pop_front() }
            };
            let Some(index) = next else { return };
            if let Err(error) = self.bring(index, source) {
                return self.fail(error.into());
            }
        }
    }

    fn bring(&self, index: usize, source: &Source) -> Result<(), WebError> {
        let piece = &self.pieces[index];
        piece.fetch(&source.web, self.addresses[piece.wheel], &|bytes| {
            let mut state = self.state();
            state.progress.bytes += bytes as u64;
            // Whatever the error was, the first one is told.
            if state.failed.is_some() { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
        })?;
        self.state().there[index] = true;
        self.changed.notify_all();
        Ok(())
    }

    /// One thread's share of the batches.
    fn unpack(&self, source: &Source) {
        loop {
            let next = {
                let mut state = self.state();
                if state.failed.is_some() { None } else { state.to_unpack.pop_front() }
            };
            let Some(batch) = next.map(|next| &self.batches[next]) else { return };
            match self.batch(batch, source) {
                Ok(()) => {
                    self.state().unpacked += 1;
                    self.changed.notify_all();
                }
                Err(error) => return self.fail(error),
            }
        }
    }

    fn batch(&self, batch: &Batch<'_>, source: &Source) -> Result<(), FetchError> {
        let path = || batch.wanted.first().map(|wanted| wanted.path.clone()).unwrap_or_default();
        let disk = |source| FetchError::Disk { path: path(), source };
        let mut unpacked = self.unpack_once(batch);
        if matches!(unpacked, Err(Unpacked::Other)) && self.forget_old(batch).map_err(disk)? {
            // What an earlier try left is damaged; only a fresh copy tells about the server.
            for index in batch.pieces.clone() {
                if !self.state().there[index] {
                    self.bring(index, source)?;
                }
            }
            unpacked = self.unpack_once(batch);
        }
        let pieces = &self.pieces[batch.pieces.clone()];
        match unpacked {
            Ok(()) => {
                if batch.own {
                    pieces.iter().for_each(Piece::forget);
                }
                Ok(())
            }
            Err(Unpacked::Other) => {
                pieces.iter().for_each(Piece::forget);
                let wrong =
                    "a file in it has not the SHA-256 that its RECORD names, so it is not used".to_owned();
                Err(FetchError::Other { url: batch.at.to_string(), file: batch.wheel.file, wrong })
            }
            Err(Unpacked::Read(source) | Unpacked::Write(source)) => Err(disk(source)),
        }
    }

    fn unpack_once(&self, batch: &Batch<'_>) -> Result<(), Unpacked> {
        let pieces = &self.pieces[batch.pieces.clone()];
        let wait = |piece: &Piece| self.wait_for(piece);
        let begin = span(&batch.wanted).start;
        unpack(&batch.wanted, &mut Pieces::read(pieces, begin, &wait))
    }

    /// Waits until a piece is on the disk.
    fn wait_for(&self, piece: &Piece) -> io::Result<()> {
        let index = self.pieces.iter().position(|other| std::ptr::eq(other, piece)).unwrap_or_default();
        let mut state = self.state();
        while !state.there[index] {
            if state.failed.is_some() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Removes the pieces of a batch of which an earlier try left something; whether there were any.
    fn forget_old(&self, batch: &Batch<'_>) -> io::Result<bool> {
        // None of them is being fetched then.
        self.pieces[batch.pieces.clone()].iter().try_for_each(|piece| self.wait_for(piece))?;
        let mut state = self.state();
        let old = Vec::from_iter(batch.pieces.clone().filter(|index| state.old[*index]));
        for index in &old {
            self.pieces[*index].forget();
            (state.there[*index], state.old[*index]) = (false, false);
            state.progress.bytes = state.progress.bytes.saturating_sub(self.pieces[*index].bytes());
        }
        Ok(!old.is_empty())
    }
}

/// Neighbours together, up to a piece; a larger member for itself.
fn grouped(wanted: Vec<Wanted>) -> Vec<Vec<Wanted>> {
    let mut groups: Vec<Vec<Wanted>> = Vec::new();
    for wanted in wanted {
        let range = wanted.member.range.clone();
        match groups.last_mut() {
            Some(group) if range.start - span(group).end <= GAP && range.end - span(group).start <= PIECE => {
                group.push(wanted);
            }
            _ => groups.push(vec![wanted]),
        }
    }
    groups
}

/// From the first member to the last.
fn span(wanted: &[Wanted]) -> Range<u64> {
    let start = wanted.first().map_or(0, |wanted| wanted.member.range.start);
    start..wanted.last().map_or(start, |wanted| wanted.member.range.end)
}

#[cfg(test)]
mod tests;
