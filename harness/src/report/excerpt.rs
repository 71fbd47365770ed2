//! The beginning and the end of a stream of any length: where a log says what it is, and where it says what broke.

use std::collections::VecDeque;

const HEAD: usize = 16 << 10;
const TAIL: usize = 48 << 10;
const SHRUNK: usize = 4 << 10;

/// What is kept of one stream. The text is as it came: clean it before showing it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excerpt {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

impl Excerpt {
    pub fn push(&mut self, text: &str) {
        let bytes = text.as_bytes();
        self.total = self.total.saturating_add(bytes.len() as u64);
        // The head is full for good once anything had to go to the tail.
        let room = if self.tail.is_empty() { HEAD.saturating_sub(self.head.len()) } else { 0 };
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        let rest = &rest[rest.len().saturating_sub(TAIL)..];
        let excess = (self.tail.len() + rest.len()).saturating_sub(TAIL);
        self.tail.drain(..excess);
        self.tail.extend(rest);
    }

    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn kept(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// Keeps only a few KiB at either end.
    pub fn shrink(&mut self) {
        if self.tail.is_empty() {
            let end = self.head.len().saturating_sub(SHRUNK).max(SHRUNK).min(self.head.len());
            self.tail = self.head.drain(end..).collect();
        }
        self.head.truncate(SHRUNK);
        self.tail.drain(..self.tail.len().saturating_sub(SHRUNK));
        self.head.shrink_to_fit();
        self.tail.shrink_to_fit();
    }

    /// The text, with a line in the middle that says how much is left out.
    pub fn text(&self) -> String {
        let (front, back) = self.tail.as_slices();
        let tail = [front, back].concat();
        let left_out = self.total - self.kept() as u64;
        if left_out == 0 {
            return String::from_utf8_lossy(&[&self.head[..], &tail].concat()).into_owned();
        }
        let head = String::from_utf8_lossy(&self.head);
        let tail = String::from_utf8_lossy(&tail);
        format!("{head}\n… {left_out} bytes left out …\n{tail}")
    }

    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_stream_is_kept_whole() {
        let mut excerpt = Excerpt::default();
        excerpt.push("one\n");
        excerpt.push("two\n");
        assert_eq!(excerpt.text(), "one\ntwo\n");
        assert_eq!(excerpt.last_lines(1), ["two"]);
    }

    #[test]
    fn a_long_stream_keeps_its_two_ends_and_says_what_is_missing() {
        let mut excerpt = Excerpt::default();
        let line = "x".repeat(999) + "\n";
        excerpt.push("first\n");
        for _ in 0..1_000 {
            excerpt.push(&line);
        }
        excerpt.push("last\n");
        let text = excerpt.text();
        assert!(text.starts_with("first\n") && text.ends_with("\nlast\n"));
        assert_eq!(excerpt.kept(), HEAD + TAIL);
        let missing = 1_000_011 - HEAD - TAIL;
        assert!(text.contains(&format!("\n… {missing} bytes left out …\n")), "{missing}");
        excerpt.shrink();
        assert_eq!(excerpt.kept(), 2 * SHRUNK);
        assert!(excerpt.text().starts_with("first\n") && excerpt.text().ends_with("\nlast\n"));
    }

    #[test]
    fn shrinking_a_stream_that_fits_keeps_its_end() {
        let mut excerpt = Excerpt::default();
        excerpt.push(&"y".repeat(10_000));
        excerpt.push("end");
        excerpt.shrink();
        assert!(excerpt.text().ends_with("end"), "{}", excerpt.text());
        assert!(excerpt.text().contains("1811 bytes left out"), "{}", excerpt.text());
    }

    #[test]
    fn a_single_write_of_any_size_takes_no_more_room() {
        let mut excerpt = Excerpt::default();
        excerpt.push(&"é".repeat(10 << 20));
        assert_eq!((excerpt.kept(), excerpt.total()), (HEAD + TAIL, 20 << 20));
    }
}
