//! How text is set: with or without colour, and how wide.

use console::Style;
use gpu_suites::outcome::Outcome;

use super::standing::Tone;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    pub colour: bool,
    /// Columns, where lines have to fit.
    pub width: Option<usize>,
}

impl Look {
    /// For files and CI logs.
    pub const PLAIN: Self = Self { colour: false, width: None };

    /// A width that no table exceeds.
    pub fn columns(self) -> usize {
        self.width.unwrap_or(160)
    }

    fn styled(self, style: Style, text: &str) -> String {
        if self.colour { style.force_styling(true).apply_to(text).to_string() } else { text.to_owned() }
    }

    pub fn good(self, text: &str) -> String {
        self.styled(Style::new().green(), text)
    }

    pub fn bad(self, text: &str) -> String {
        self.styled(Style::new().red().bold(), text)
    }

    pub fn odd(self, text: &str) -> String {
        self.styled(Style::new().yellow(), text)
    }

    pub fn dim(self, text: &str) -> String {
        self.styled(Style::new().dim(), text)
    }

    pub fn bold(self, text: &str) -> String {
        self.styled(Style::new().bold(), text)
    }

    pub fn curve(self, text: &str) -> String {
        self.styled(Style::new().cyan(), text)
    }

    pub fn outcome(self, outcome: Outcome, text: &str) -> String {
        self.tone(Tone::of(outcome), text)
    }

    /// Text in the colour of how it is to be taken.
    pub fn tone(self, tone: Tone, text: &str) -> String {
        match tone {
            Tone::Good => self.good(text),
            Tone::Bad => self.bad(text),
            Tone::Odd => self.odd(text),
            Tone::Dim => self.dim(text),
        }
    }
}

pub fn sign(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "✓",
        Outcome::Failed => "✗",
        Outcome::Errored => "!",
        Outcome::Interrupted => "↯",
        Outcome::TimedOut => "◔",
        Outcome::Skipped => "-",
        Outcome::Cancelled => "■",
    }
}
