//! Turns a process's output into log events: text of at most 16 KiB each, with the bytes beside it where they are no text;
//! put together they are the stream.

use gpu_suites::bytes::Bytes;
use gpu_suites::event::Stream;

/// The longest text of one event.
const LONGEST: usize = 16 << 10;
/// How much of the end of standard error is kept for the reason of a crash.
const TAIL: usize = 2 << 10;
/// How many lines of it are shown.
const TAIL_LINES: usize = 10;

/// What one event holds of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// What is not UTF-8 is replaced.
    pub(super) text: String,
    /// The bytes, where the text is something else.
    pub(super) raw: Option<Bytes>,
}

impl Piece {
    fn of(text: String, bytes: &[u8]) -> Self {
        let raw = (text.as_bytes() != bytes).then(|| Bytes(bytes.to_vec()));
        Self { text, raw }
    }
}

/// One stream on its way to the journal.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) stream: Stream,
    /// Bytes that are not in an event yet.
    waiting: Vec<u8>,
}

impl Log {
    pub(super) fn of(stream: Stream) -> Self {
        Self { stream, waiting: Vec::new() }
    }

    /// Takes in bytes; each full event's piece goes to `emit`.
    pub(super) fn push(&mut self, bytes: &[u8], emit: impl FnMut(Piece)) {
        self.waiting.extend_from_slice(bytes);
        self.emit(LONGEST, emit);
    }

    /// Emits what waits, but for the beginning of a character whose rest may still come.
    pub(super) fn flush(&mut self, emit: impl FnMut(Piece)) {
        self.emit(1, emit);
    }

    /// Emits everything: no more comes.
    pub(super) fn finish(&mut self, mut emit: impl FnMut(Piece)) {
        self.emit(1, &mut emit);
        if !self.waiting.is_empty() {
            emit(Piece::of(String::from_utf8_lossy(&self.waiting).into_owned(), &self.waiting));
            self.waiting.clear();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Emits pieces for as long as at least `least` bytes wait.
    fn emit(&mut self, least: usize, mut emit: impl FnMut(Piece)) {
        let mut start = 0;
        while self.waiting.len() - start >= least {
            let (text, used) = take(&self.waiting[start..]);
            if used == 0 {
                break;
            }
            emit(Piece::of(text, &self.waiting[start..start + used]));
            start += used;
        }
        self.waiting.drain(..start);
    }
}

/// The text of the next event and the bytes that it is made of: none where they are the beginning of a character.
fn take(bytes: &[u8]) -> (String, usize) {
    let mut text = String::with_capacity(bytes.len().min(LONGEST));
    let mut used = 0;
    let mut chunks = bytes.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        let room = LONGEST - text.len();
        let valid = chunk.valid();
        let fits = floor(valid, room);
        text.push_str(&valid[..fits]);
        used += fits;
        if fits < valid.len() {
            break;
        }
        let invalid = chunk.invalid();
        let unfinished = chunks.peek().is_none() && !invalid.is_empty() && may_go_on(invalid);
        if invalid.is_empty() || unfinished || text.len() + char::REPLACEMENT_CHARACTER.len_utf8() > LONGEST {
            break;
        }
        text.push(char::REPLACEMENT_CHARACTER);
        used += invalid.len();
    }
    (text, used)
}

/// The largest length up to `most` at which a text can be cut.
fn floor(text: &str, most: usize) -> usize {
    (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Whether bytes at the end are the beginning of a character.
fn may_go_on(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// The last bytes of standard error, for the reason of a crash.
#[derive(Debug, Default)]
pub(super) struct Tail(Vec<u8>);

impl Tail {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(TAIL)..];
        self.0.extend_from_slice(bytes);
        let surplus = self.0.len().saturating_sub(TAIL);
        self.0.drain(..surplus);
    }

    pub(super) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        let lines: Vec<&str> = text.trim_end().lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(chunks: &[&[u8]], flush: bool) -> Vec<Piece> {
        let (mut log, mut pieces) = (Log::of(Stream::Stdout), Vec::new());
        for chunk in chunks {
            log.push(chunk, |piece| pieces.push(piece));
            if flush {
                log.flush(|piece| pieces.push(piece));
            }
        }
        log.finish(|piece| pieces.push(piece));
        pieces
    }

    #[test]
    fn the_pieces_put_together_are_the_stream_byte_for_byte() {
        let long = "ä🦀x\n".repeat(20_000);
        let odd: Vec<u8> =
            long.bytes().enumerate().map(|(at, b)| if at % 7001 == 0 { 0xff } else { b }).collect();
        for bytes in [long.as_bytes(), &odd, b"", b"\xe2\x82", b"a\xffb\xc3", &vec![0xff; 50_000]] {
            for size in [1, 3, 1000, 65_536] {
                for flush in [false, true] {
                    let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
                    let pieces = run(&chunks, flush);
                    assert!(pieces.iter().all(|piece| (1..=LONGEST).contains(&piece.text.len())));
                    let texts: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
                    assert!(texts == String::from_utf8_lossy(bytes), "size {size}, flush {flush}");
                    let raw = |piece: Piece| piece.raw.map_or(piece.text.into_bytes(), |raw| raw.0);
                    let whole = Vec::from_iter(pieces.into_iter().flat_map(raw));
                    assert!(whole == bytes, "size {size}, flush {flush}");
                }
                if bytes.len() > 10_000 && size == 1 {
                    break;
                }
            }
        }
    }

    #[test]
    fn the_tail_is_the_last_lines() {
        let mut tail = Tail::default();
        (0..1000).for_each(|line| tail.push(format!("line {line}\n").as_bytes()));
        assert!(
            tail.text().starts_with("line 990\n") && tail.text().ends_with("line 999"),
            "{}",
            tail.text()
        );
    }
}
