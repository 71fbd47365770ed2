//! Makes lines of a log that comes in pieces.

use std::collections::BTreeMap;

use gpu_suites::event::{Log, Stream};
use gpu_suites::id::CaseId;

use crate::text::clean;

/// Streams with an unfinished line; more are not waited for.
const MOST: usize = 64;

#[derive(Debug, Default)]
pub(super) struct LogLines {
    open: BTreeMap<(CaseId, Stream), String>,
}

impl LogLines {
    pub(super) fn take(&mut self, event: &Log) -> Vec<String> {
        let key = (event.case.clone(), event.stream);
        if self.open.len() >= MOST && !self.open.contains_key(&key) {
            self.open.clear();
        }
        let open = self.open.entry(key).or_default();
        let mut lines = Vec::new();
        for piece in event.text.split_inclusive('\n') {
            // A line of any length is shown cut: what is beyond the cut need not be kept.
            let room = (2 * clean::LINE).saturating_sub(open.len());
            match piece.strip_suffix('\n') {
                Some(end) => {
                    open.push_str(&clean::cut(end, room));
                    lines.push(clean::log_line(open));
                    open.clear();
                }
                None if room > 0 => open.push_str(&clean::cut(piece, room)),
                None => {}
            }
        }
        lines
    }

    pub(super) fn finish(&mut self, case: &CaseId) -> Vec<String> {
        let streams = [Stream::Stdout, Stream::Stderr];
        let open = streams.into_iter().filter_map(|stream| self.open.remove(&(case.clone(), stream)));
        open.filter(|line| !line.is_empty()).map(|line| clean::log_line(&line)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &str) -> Log {
        Log { case: "s::c".into(), stream: Stream::Stdout, text: text.to_owned(), raw: None }
    }

    #[test]
    fn pieces_become_the_lines_that_they_were() {
        let mut lines = LogLines::default();
        assert!(lines.take(&log("one, st")).is_empty());
        assert_eq!(lines.take(&log("ill one\ntwo\nthr")), ["one, still one", "two"]);
        assert_eq!(lines.finish(&"s::c".into()), ["thr"]);
        assert!(lines.finish(&"s::c".into()).is_empty());
    }

    #[test]
    fn a_command_in_two_pieces_is_no_command_either() {
        let mut lines = LogLines::default();
        lines.take(&log("#"));
        assert_eq!(lines.take(&log("#[group]x\n")), ["# #[group]x"]);
    }

    #[test]
    fn an_endless_line_takes_no_more_than_what_is_shown_of_it() {
        let mut lines = LogLines::default();
        for _ in 0..1_000 {
            assert!(lines.take(&log(&"x".repeat(1 << 20))).is_empty());
        }
        let kept = &lines.open[&("s::c".into(), Stream::Stdout)];
        assert!(kept.len() < 3 * clean::LINE, "{}", kept.len());
    }
}
