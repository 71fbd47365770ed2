//! Text for a person's screen as it comes: progress bars move, colours and what else steers a terminal are gone.

use crate::text::clean;

/// The most of a line that is held back for the rest of an escape sequence.
const MOST: usize = 8 << 10;

/// A stream of text on its way to a screen.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// The beginning of a line that may end in the midst of an escape sequence.
    held: String,
}

impl Screen {
    /// What can be shown now.
    pub(super) fn take(&mut self, text: &str) -> String {
        self.held.push_str(text);
        let line = self.held.rfind(is_end).map_or(0, |at| at + 1);
        let rest = &self.held[line..];
        let ready = if rest.contains(may_steer) && rest.len() <= MOST { line } else { self.held.len() };
        shown(&self.held.drain(..ready).collect::<String>())
    }

    pub(super) fn finish(&mut self) -> String {
        shown(&std::mem::take(&mut self.held))
    }
}

/// A carriage return leads back to the line's start: so progress bars are drawn.
fn is_end(char: char) -> bool {
    matches!(char, '\n' | '\r')
}

fn may_steer(char: char) -> bool {
    char == '\x1b' || ('\u{80}'..='\u{9f}').contains(&char)
}

fn shown(text: &str) -> String {
    let lines = text.split_inclusive(is_end).map(|line| match line.strip_suffix(is_end) {
        Some(body) => clean::text(body).into_owned() + &line[body.len()..],
        None => clean::text(line).into_owned(),
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pieces: &[&str]) -> Vec<String> {
        let mut screen = Screen::default();
        let mut shown = Vec::from_iter(pieces.iter().map(|piece| screen.take(piece)));
        shown.push(screen.finish());
        shown
    }

    #[test]
    fn progress_is_seen_as_it_comes_and_nothing_steers_the_terminal() {
        assert_eq!(taken(&["10%\r", "20%", "..", "\n"]), ["10%\r", "20%", "..", "\n", ""]);
        assert_eq!(taken(&["a\x1b[3", "1mb\n"]), ["", "ab\n", ""], "a sequence in two pieces is one");
        assert_eq!(taken(&["\x1b]0;title\x07x\r\n\ty"]), ["x\r\n\ty", ""]);
        assert_eq!(taken(&["end\x1b[2J"]), ["", "end"]);
    }

    #[test]
    fn what_never_ends_is_not_held_for_ever() {
        let mut screen = Screen::default();
        screen.take("\x1b]");
        for _ in 0..100 {
            screen.take(&"x".repeat(1 << 10));
        }
        assert!(screen.held.len() <= MOST, "{}", screen.held.len());
    }
}
