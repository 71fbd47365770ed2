//! What becomes of a file: our part, between the markers, is replaced; nothing else is.

use super::{Ci, Values};

const START: &str = "# >>> gpu-harness";
const END: &str = "# <<< gpu-harness";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is not there: this is its text.
    New(String),
    /// Our part of it is out of date: this is the whole file's new text.
    Renew(String),
    /// Our part is what it would be made to be.
    UpToDate,
    /// It is there and has no markers, or has them not exactly once and in order: this is the text to paste.
    Theirs(String),
}

/// What is to be done with the CI file that has this text, and the values that it then has.
pub fn change(ci: Ci, there: Option<&str>, values: &Values) -> (Change, Values) {
    let Some(there) = there else {
        return (Change::New(ci.text(values)), values.clone());
    };
    let Some((before, ours, after)) = split(there) else {
        return (Change::Theirs(ci.text(values)), values.clone());
    };
    let values = values.clone().or_those_of(ours);
    let text = format!("{before}{}{after}", ci.text(&values).trim_end_matches('\n'));
    (if text == there { Change::UpToDate } else { Change::Renew(text) }, values)
}

/// Before our part, our part with both marker lines (without the last line's end), after it.
fn split(text: &str) -> Option<(&str, &str, &str)> {
    let starts = Vec::from_iter(lines(text).filter(|(_, line)| line.starts_with(START)));
    let ends = Vec::from_iter(lines(text).filter(|(_, line)| line.starts_with(END)));
    let ([(start, _)], [(end, last)]) = (&starts[..], &ends[..]) else { return None };
    let end = end + last.len();
    (*start < end).then(|| (&text[..*start], &text[*start..end], &text[end..]))
}

/// Lines with where they start, without their ends.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |at, line| {
        let start = *at;
        *at += line.len();
        Some((start, line.trim_end_matches(['\n', '\r'])))
    })
}
