//! How text is set: with or without colour, and how wide.

use console::Style;
use gpu_suites::outcome::Outcome;

/// Colour and width of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Whether to use colours.
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

    /// What is good.
    pub fn good(self, text: &str) -> String {
        self.styled(Style::new().green(), text)
    }

    /// What is bad.
    pub fn bad(self, text: &str) -> String {
        self.styled(Style::new().red().bold(), text)
    }

    /// What wants attention.
    pub fn odd(self, text: &str) -> String {
        self.styled(Style::new().yellow(), text)
    }

    /// What stands back.
    pub fn dim(self, text: &str) -> String {
        self.styled(Style::new().dim(), text)
    }

    /// What stands out.
    pub fn bold(self, text: &str) -> String {
        self.styled(Style::new().bold(), text)
    }

    /// Curves.
    pub fn curve(self, text: &str) -> String {
        self.styled(Style::new().cyan(), text)
    }

    /// Text in the colour of an outcome.
    pub fn outcome(self, outcome: Outcome, text: &str) -> String {
        match outcome {
            Outcome::Passed => self.good(text),
            Outcome::Failed | Outcome::Errored | Outcome::TimedOut => self.bad(text),
            Outcome::Skipped => self.dim(text),
            Outcome::Interrupted | Outcome::Cancelled => self.odd(text),
        }
    }
}

/// The sign of an outcome.
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
