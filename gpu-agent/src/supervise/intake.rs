//! Takes in what a case writes to its metrics FIFO: whole lines, understood, within bounds.

use std::collections::BTreeSet;
use std::convert::Infallible;

use gpu_suites::lines::{self, Lines};
use gpu_suites::metric_lines;
use gpu_suites::metrics::Line;

/// The longest line that is taken.
const LONGEST: usize = 64 << 10;
/// The most different complaints about a case's lines that are shown.
const COMPLAINTS: usize = 10;
/// How much of a bad line is shown.
const SHOWN: usize = 100;

#[derive(Debug)]
pub(super) struct Intake {
    lines: Lines,
    complaints: BTreeSet<String>,
    /// Bad lines that were not complained about.
    unsaid: u64,
}

impl Default for Intake {
    fn default() -> Self {
        Self { lines: Lines::of_at_most(LONGEST), complaints: BTreeSet::new(), unsaid: 0 }
    }
}

/// What a piece of the stream holds.
#[derive(Debug, PartialEq)]
pub(super) enum Taken {
    Line(Line),
    /// Something that a person should know about a line.
    Complaint(String),
}

impl Intake {
    pub(super) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Taken)) {
        let mut lines = std::mem::replace(&mut self.lines, Lines::of_at_most(LONGEST));
        let Ok(()) = lines.feed(bytes, |line| {
            match line {
                lines::Line::Whole(line) => self.line(line, &mut each),
                lines::Line::TooLong => self.too_long(&mut each),
            }
            Ok::<_, Infallible>(())
        });
        self.lines = lines;
    }

    /// No more comes: a last line may lack its newline.
    pub(super) fn finish(&mut self, mut each: impl FnMut(Taken)) {
        if let Some(rest) = self.lines.finish() {
            self.line(&rest, &mut each);
        }
        if self.unsaid > 0 {
            each(Taken::Complaint(format!(
                "{} more lines in $GPU_HARNESS_METRICS were not understood either",
                self.unsaid
            )));
        }
    }

    fn line(&mut self, line: &[u8], each: &mut impl FnMut(Taken)) {
        if line.trim_ascii().is_empty() {
            return;
        }
        match metric_lines::parse(line) {
            Ok(line) => each(Taken::Line(line)),
            Err(error) => {
                let shown = String::from_utf8_lossy(&line[..line.len().min(SHOWN)]);
                let more = if line.len() > SHOWN { "…" } else { "" };
                self.complain(error.to_string(), &format!(": {shown:?}{more}"), each);
            }
        }
    }

    fn too_long(&mut self, each: &mut impl FnMut(Taken)) {
        self.complain(
            format!("it has more than {LONGEST} bytes: write several lines with the same step"),
            "",
            each,
        );
    }

    /// One complaint of each kind, and not too many kinds.
    fn complain(&mut self, what: String, line: &str, each: &mut impl FnMut(Taken)) {
        let full = self.complaints.len() == COMPLAINTS;
        if full || self.complaints.contains(&what) {
            self.unsaid += 1;
            return;
        }
        each(Taken::Complaint(format!("a line in $GPU_HARNESS_METRICS was not understood: {what}{line}")));
        self.complaints.insert(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stream: &[u8], size: usize) -> Vec<Taken> {
        let (mut intake, mut taken) = (Intake::default(), Vec::new());
        stream.chunks(size).for_each(|chunk| intake.push(chunk, |one| taken.push(one)));
        intake.finish(|one| taken.push(one));
        taken
    }

    #[test]
    fn lines_are_the_same_wherever_the_stream_is_cut() {
        let stream = b"{\"step\":1,\"loss\":0.5}\n\n{\"step\":2,\"loss\":NaN}\n{\"@progress\":{\"step\":2}}\n{\"a\":1}";
        let whole = run(stream, stream.len());
        assert_eq!(whole.len(), 4, "{whole:?}");
        for size in 1..stream.len() {
            // NaN differs from itself, so the text is compared.
            assert_eq!(format!("{:?}", run(stream, size)), format!("{whole:?}"), "{size}");
        }
    }

    #[test]
    fn a_line_that_never_ends_is_dropped_and_the_next_one_is_not() {
        let mut stream = vec![b'x'; 3 * LONGEST];
        stream.extend_from_slice(b"\n{\"a\":1}\n");
        for size in [1000, LONGEST, stream.len()] {
            let taken = run(&stream, size);
            assert!(matches!(taken.as_slice(), [Taken::Complaint(_), Taken::Line(_)]), "{size}: {taken:?}");
        }
    }

    #[test]
    fn a_flood_of_bad_lines_is_a_few_complaints() {
        let stream: String =
            (0..1000).flat_map(|n| [" ".repeat(n % 30), "[".repeat(n % 25), "nonsense\n".into()]).collect();
        let taken = run(stream.as_bytes(), 4096);
        assert!(taken.len() <= COMPLAINTS + 1, "{}", taken.len());
        assert!(matches!(taken.last(), Some(Taken::Complaint(last)) if last.contains("more lines")));
    }
}
