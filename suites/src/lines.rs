//! Lines of bounded length out of a stream that somebody else writes: the one reader for all that comes from a node, a
//! case, a harness or a file.
//!
//! [`Lines`] takes chunks as they come, [`Reader`] pulls from a stream. Both hand on whole lines only, so that a cut
//! connection never yields half a record, and neither holds more than the longest line in memory.

use std::io::{self, BufRead};

/// A line, without its newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// It is longer than any line may be; it is told once, when that is known, and what is left of it is passed over.
    TooLong,
}

/// A line is longer than any may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line of more than {most} bytes, which none may have")]
pub struct TooLong {
    /// The longest that is taken.
    pub most: usize,
}

/// Splits chunks into lines.
#[derive(Debug)]
pub struct Lines {
    most: usize,
    /// The beginning of a line whose rest has not come yet.
    rest: Vec<u8>,
    /// The line is too long: what comes until its end is dropped.
    dropping: bool,
}

impl Lines {
    /// Lines of at most so many bytes.
    pub fn of_at_most(most: usize) -> Self {
        Self { most, rest: Vec::new(), dropping: false }
    }

    /// Takes a chunk and hands each line that it completes to `each`; the first error ends it.
    pub fn feed<E>(
        &mut self,
        chunk: &[u8],
        mut each: impl FnMut(Line<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut chunk = chunk;
        while let Some(end) = memchr::memchr(b'\n', chunk) {
            let (line, after) = (&chunk[..end], &chunk[end + 1..]);
            chunk = after;
            if std::mem::take(&mut self.dropping) {
                continue;
            }
            if self.rest.len() + line.len() > self.most {
                self.rest = Vec::new();
                each(Line::TooLong)?;
            } else if self.rest.is_empty() {
                each(Line::Whole(line))?;
            } else {
                self.rest.extend_from_slice(line);
                let whole = std::mem::take(&mut self.rest);
                each(Line::Whole(&whole))?;
            }
        }
        if self.dropping {
            return Ok(());
        }
        if self.rest.len() + chunk.len() > self.most {
            self.rest = Vec::new();
            self.dropping = true;
            return each(Line::TooLong);
        }
        self.rest.extend_from_slice(chunk);
        Ok(())
    }

    /// No more comes: what a last line without a newline holds.
    pub fn finish(&mut self) -> Option<Vec<u8>> {
        let rest = std::mem::take(&mut self.rest);
        (!rest.is_empty()).then_some(rest)
    }
}

/// What ended a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Newline,
    /// It was longer than any line may be, and was passed over.
    TooLong,
    /// The end of the stream.
    Stream,
}

/// Pulls lines out of a stream.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    most: usize,
    line: Vec<u8>,
}

impl<R: BufRead> Reader<R> {
    /// Lines of at most so many bytes.
    pub fn new(from: R, most: usize) -> Self {
        Self { from, most, line: Vec::new() }
    }

    /// The next line and what ended it; of one that is too long there is nothing. `None` at the end of the stream.
    pub fn next_line(&mut self) -> io::Result<Option<(&[u8], End)>> {
        self.line.clear();
        // One long line must not keep its memory for the rest of the stream.
        self.line.shrink_to(64 << 10);
        // One byte more than the line, for its newline.
        io::Read::take(&mut self.from, self.most as u64 + 1).read_until(b'\n', &mut self.line)?;
        let end = if self.line.pop_if(|byte| *byte == b'\n').is_some() {
            End::Newline
        } else if self.line.is_empty() {
            return Ok(None);
        } else if self.line.len() > self.most {
            self.line.clear();
            self.from.skip_until(b'\n')?;
            End::TooLong
        } else {
            End::Stream
        };
        Ok(Some((&self.line, end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 8;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut seen) = (Lines::of_at_most(MOST), Vec::new());
        for chunk in chunks {
            let fed = lines.feed(chunk, |line| {
                seen.push(match line {
                    Line::Whole(line) => String::from_utf8_lossy(line).into_owned(),
                    Line::TooLong => "(too long)".into(),
                });
                Ok::<_, ()>(())
            });
            fed.unwrap();
            assert!(lines.rest.len() <= MOST, "{}", lines.rest.len());
        }
        seen.extend(lines.finish().map(|rest| format!("{}(end)", String::from_utf8_lossy(&rest))));
        seen
    }

    fn pull(text: &[u8]) -> Vec<String> {
        let (mut reader, mut seen) = (Reader::new(text, MOST), Vec::new());
        while let Some((line, end)) = reader.next_line().unwrap() {
            let line = String::from_utf8_lossy(line);
            seen.push(match end {
                End::Newline => line.into_owned(),
                End::TooLong => "(too long)".into(),
                End::Stream => format!("{line}(end)"),
            });
        }
        seen
    }

    #[test]
    fn lines_are_the_same_wherever_the_stream_is_cut_and_whoever_reads_it() {
        for text in [
            "a\nbc\n\nd",
            "",
            "\n",
            "12345678\n",
            "123456789\nx\n",
            "123456789012345678901234567890",
            "x\n123456789",
        ] {
            let whole = split(&[text.as_bytes()]);
            assert_eq!(pull(text.as_bytes()), whole, "{text:?}");
            for size in 1..=text.len() {
                let chunks = Vec::from_iter(text.as_bytes().chunks(size));
                assert_eq!(split(&chunks), whole, "{text:?} in chunks of {size}");
            }
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_told_once_and_the_next_one_is_whole() {
        assert_eq!(split(&[b"123456", b"7890", b"123", b"4\nnext\n"]), ["(too long)", "next"]);
        assert_eq!(split(&[b"12345678\n"]), ["12345678"]);
        assert_eq!(split(&[b"123456789\nnext\n"]), ["(too long)", "next"]);
    }
}
