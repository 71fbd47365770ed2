//! What of a wheel is on the disk: its pieces, each a file that has its name once it is whole.
//!
//! They lie in the folder that is being filled, so that a set-up that was killed goes on with what had come, to the byte.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::index::Address;
use crate::web::{Web, WebError};

/// A cut costs no more than this, and unpacking begins when as much has come.
pub(crate) const PIECE: u64 = 8 << 20;

/// Consecutive bytes of a wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) wheel: usize,
    pub(crate) range: Range<u64>,
    pub(crate) path: PathBuf,
}

impl Piece {
    /// The pieces of a range, which lie in `folder`.
    pub(crate) fn of(wheel: usize, file: &str, range: &Range<u64>, longest: u64, folder: &Path) -> Vec<Self> {
        let mut pieces = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let end = range.end.min(at.saturating_add(longest));
            pieces.push(Self { wheel, range: at..end, path: folder.join(format!("{file}.{at}-{end}")) });
            at = end;
        }
        pieces
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Whether an earlier try left it.
    pub(crate) fn is_there(&self) -> bool {
        self.path.metadata().is_ok_and(|data| data.len() == self.bytes())
    }

    /// How many of its bytes an earlier try left.
    pub(crate) fn found(&self) -> u64 {
        if self.is_there() {
            return self.bytes();
        }
        self.partial().metadata().map_or(0, |data| data.len().min(self.bytes()))
    }

    fn partial(&self) -> PathBuf {
        self.path.with_added_extension("part")
    }

    /// Brings what is not there of it; `arrived` hears of the bytes, and ends it by an error.
    pub(crate) fn fetch(
        &self,
        web: &Web,
        from: &Address,
        arrived: &dyn Fn(usize) -> io::Result<()>,
    ) -> Result<(), WebError> {
        let keep = |source| WebError::Keep { url: from.to_string(), source };
        let (partial, found) = (self.partial(), self.found());
        let mut file = OpenOptions::new().create(true).append(true).open(&partial).map_err(keep)?;
        web.range(from, self.range.start + found..self.range.end, &mut |bytes| {
            file.write_all(bytes)?;
            arrived(bytes.len())
        })?;
        drop(file);
        fs::rename(&partial, &self.path).map_err(keep)
    }

    pub(crate) fn forget(&self) {
        for path in [&self.path, &self.partial()] {
            let _ = fs::remove_file(path);
        }
    }
}

/// The bytes of pieces one after the other, each as soon as `wait` says that it is there.
pub(crate) struct Pieces<'a> {
    rest: std::slice::Iter<'a, Piece>,
    wait: &'a dyn Fn(&Piece) -> io::Result<()>,
    open: Option<File>,
    /// Where in the first of them to begin.
    skip: u64,
}

impl<'a> Pieces<'a> {
    /// Reads from `at` on, which lies in the first piece.
    pub(crate) fn read(pieces: &'a [Piece], at: u64, wait: &'a dyn Fn(&Piece) -> io::Result<()>) -> Self {
        let skip = pieces.first().map_or(0, |first| at.saturating_sub(first.range.start));
        Self { rest: pieces.iter(), wait, open: None, skip }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(file) = &mut self.open {
                match file.read(into)? {
                    0 => self.open = None,
                    count => return Ok(count),
                }
            }
            let Some(next) = self.rest.next() else { return Ok(0) };
            (self.wait)(next)?;
            let mut file = File::open(&next.path)?;
            file.seek(SeekFrom::Start(std::mem::take(&mut self.skip)))?;
            self.open = Some(file);
        }
    }
}
