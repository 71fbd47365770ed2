//! One file on a package index, and what is pinned of it.

use std::ops::Range;

/// A wheel. It is taken in parts, and each part is verified by what [`Wheel::record`] vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wheel {
    /// The project's normalised name.
    pub project: &'static str,
    /// The file's name.
    pub file: &'static str,
    /// Its size.
    pub bytes: u64,
    /// Where its RECORD begins: after it comes little but the table of contents.
    pub record_at: u64,
    /// The SHA-256 of RECORD, which names that of every other member.
    pub record: &'static str,
}

impl Wheel {
    /// RECORD, the table of contents, and what little is between them.
    pub(crate) fn tail(&self) -> Range<u64> {
        self.record_at..self.bytes
    }

    /// What it is called in messages: project and version.
    pub fn label(&self) -> String {
        self.file.splitn(3, '-').take(2).collect::<Vec<_>>().join(" ")
    }
}
