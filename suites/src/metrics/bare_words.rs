//! `NaN` and `Infinity` without quotes: Python's json writes them, and they are not JSON.

use std::ops::ControlFlow;

/// A line whose bare `NaN`, `Infinity` and `-Infinity` were put in quotes: [`super::Value`] reads those as the numbers.
pub(super) struct Quoted {
    pub(super) text: Vec<u8>,
    /// Where, in `text`, each quoted word ends.
    ends: Vec<usize>,
}

impl Quoted {
    /// `None` where there is no such word.
    pub(super) fn of(line: &[u8]) -> Option<Self> {
        let mut quoted = Self { text: Vec::with_capacity(line.len() + 16), ends: Vec::new() };
        let mut rest = line;
        while let Some((&byte, after)) = rest.split_first() {
            let word =
                ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| rest.starts_with(word.as_bytes()));
            if byte == b'"' {
                let end = end_of_string(rest);
                quoted.text.extend_from_slice(&rest[..end]);
                rest = &rest[end..];
            } else if let Some(word) = word {
                quoted.text.push(b'"');
                quoted.text.extend_from_slice(word.as_bytes());
                quoted.text.push(b'"');
                quoted.ends.push(quoted.text.len());
                rest = &rest[word.len()..];
            } else {
                quoted.text.push(byte);
                rest = after;
            }
        }
        (!quoted.ends.is_empty()).then_some(quoted)
    }

    /// The place in the line of a place in `text`.
    pub(super) fn original(&self, byte: usize) -> usize {
        byte - 2 * self.ends.iter().filter(|end| **end <= byte).count()
    }
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
