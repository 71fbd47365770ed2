//! Numbers that JSON does not have, written without quotes: `NaN`, `-nan`, `inf`, `1.#IND`, `1e400`.

use std::ops::ControlFlow;

use crate::metrics::not_finite;

/// A line whose bare words for numbers that are not finite were put in quotes: [`super::Value`] reads those as the numbers.
pub(super) struct Quoted {
    pub(super) text: Vec<u8>,
    /// Of each quoted word: where it ends in `text`, and by how much the line is shorter up to there.
    ends: Vec<(usize, isize)>,
}

impl Quoted {
    /// `None` where there is no such word.
    pub(super) fn of(line: &[u8]) -> Option<Self> {
        let mut quoted = Self { text: Vec::with_capacity(line.len() + 16), ends: Vec::new() };
        let mut rest = line;
        while let Some((&byte, after)) = rest.split_first() {
            if byte == b'"' {
                let end = end_of_string(rest);
                quoted.text.extend_from_slice(&rest[..end]);
                rest = &rest[end..];
                continue;
            }
            let length = rest.iter().take_while(|byte| !is_between(**byte)).count();
            if length == 0 {
                quoted.text.push(byte);
                rest = after;
                continue;
            }
            let (word, after) = rest.split_at(length);
            match std::str::from_utf8(word).ok().and_then(not_finite::bare) {
                Some(number) => quoted.word(word.len(), name(number)),
                None => quoted.text.extend_from_slice(word),
            }
            rest = after;
        }
        (!quoted.ends.is_empty()).then_some(quoted)
    }

    fn word(&mut self, was: usize, name: &str) {
        self.text.push(b'"');
        self.text.extend_from_slice(name.as_bytes());
        self.text.push(b'"');
        let before = self.ends.last().map_or(0, |(_, longer)| *longer);
        self.ends.push((self.text.len(), before + (name.len() + 2).cast_signed() - was.cast_signed()));
    }

    /// The place in the line of a place in `text`.
    pub(super) fn original(&self, byte: usize) -> usize {
        let longer = self.ends.iter().rev().find(|(end, _)| *end <= byte).map_or(0, |(_, longer)| *longer);
        byte.saturating_add_signed(-longer).max(1)
    }
}

/// The spelling that events have.
fn name(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// What stands between two values.
fn is_between(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b"{}[],:\"".contains(&byte)
}

/// The length of the string that `text` begins with, quotes included.
fn end_of_string(text: &[u8]) -> usize {
    let end = text.iter().enumerate().skip(1).try_fold(false, |escaped, (at, byte)| match byte {
        b'"' if !escaped => ControlFlow::Break(at + 1),
        b'\\' => ControlFlow::Continue(!escaped),
        _ => ControlFlow::Continue(false),
    });
    end.break_value().unwrap_or(text.len())
}
