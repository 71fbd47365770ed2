//! One thing that was examined: how it is, and what to do about it.

use std::fmt::Write as _;

use console::measure_text_width;
use serde::Serialize;

use crate::report::look::Look;
use crate::text::clean::one_line;
use crate::text::limits::MESSAGE;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub about: String,
    pub state: State,
    pub said: String,
    /// What to do where it is not well, or how to look where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is as a run needs it.
    Ok,
    /// A run would fail over it.
    Failed,
    /// It cannot be known from here.
    Unknown,
}

impl Finding {
    pub fn ok(about: impl Into<String>, said: impl Into<String>) -> Self {
        Self::new(about, State::Ok, said)
    }

    /// A run would fail over it.
    pub fn failed(about: impl Into<String>, said: impl Into<String>) -> Self {
        Self::new(about, State::Failed, said)
    }

    /// It cannot be known from here.
    pub fn unknown(about: impl Into<String>, said: impl Into<String>) -> Self {
        Self::new(about, State::Unknown, said)
    }

    fn new(about: impl Into<String>, state: State, said: impl Into<String>) -> Self {
        Self { about: about.into(), state, said: said.into(), hint: None }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Columns before what was seen: the state, and what was examined.
const STATE: usize = 9;
const ABOUT: usize = 21;

/// The findings for a person: one after another, wrapped at `width` columns.
pub fn text(findings: &[Finding], look: Look, width: usize) -> String {
    let mut text = String::new();
    for finding in findings {
        let state = match finding.state {
            State::Ok => look.good("ok     "),
            State::Failed => look.bad("failed "),
            State::Unknown => look.odd("unknown"),
        };
        let about = one_line(&finding.about, MESSAGE);
        let gap = ABOUT.saturating_sub(measure_text_width(&about)).max(1);
        let mut lines =
            wrap(&one_line(&finding.said, MESSAGE), width.saturating_sub(STATE + ABOUT)).into_iter();
        let first = lines.next().unwrap_or_default();
        // A name that leaves no room for what was seen stands alone on its line.
        if gap == 1 {
            let _ = writeln!(text, "{state}  {about}\n{:STATE$}{:ABOUT$}{first}", "", "");
        } else {
            let _ = writeln!(text, "{state}  {about}{:gap$}{first}", "");
        }
        for line in lines {
            let _ = writeln!(text, "{:STATE$}{:ABOUT$}{line}", "", "");
        }
        let hint = finding.hint.iter().flat_map(|hint| hint.lines());
        for (number, line) in hint.flat_map(|hint| wrap(hint, width.saturating_sub(STATE + 6))).enumerate() {
            let mark = if number == 0 { "hint: " } else { "      " };
            let _ = writeln!(text, "{:STATE$}{}{line}", "", look.dim(mark));
        }
    }
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (ok, failed, unknown) = (count(State::Ok), count(State::Failed), count(State::Unknown));
    let _ = writeln!(text, "\n{ok} ok, {failed} failed, {unknown} unknown");
    text
}

/// The words in lines of at most `width` columns; a word that is longer stands alone, unbroken, so that it can be
/// copied.
fn wrap(said: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in said.split_whitespace() {
        let line = lines.last_mut().filter(|line| {
            line.is_empty() || measure_text_width(line) + 1 + measure_text_width(word) <= width
        });
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

pub fn json(findings: &[Finding]) -> serde_json::Value {
    let failed = findings.iter().any(|finding| finding.state == State::Failed);
    serde_json::json!({ "ok": !failed, "findings": findings })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<Finding> {
        vec![
            Finding::ok("credentials", "account 123456789012 as arn:aws:sts::123456789012:assumed-role/ci/run"),
            Finding::failed("ec2:CreateFleet", "not allowed: You are not authorized to perform this operation.")
                .hint("add ec2:CreateFleet to the policy of arn:aws:iam::123456789012:role/ci; docs/iam.md has the whole policy"),
            Finding::failed("quota, spot", "0 vCPUs of G and VT types, and g6.xlarge needs 4")
                .hint("ask for more of \"All G and VT Spot Instance Requests\" (L-3819A6DF):\nhttps://console.aws.amazon.com/servicequotas/home/services/ec2/quotas/L-3819A6DF"),
            Finding::unknown("ec2:AuthorizeSecurityGroupIngress", "not \u{1b}[31mtried\nhere"),
        ]
    }

    #[test]
    fn findings_are_readable_at_80_columns() {
        let text = text(&some(), Look::PLAIN, 80);
        insta::assert_snapshot!(text);
        for line in text.lines().filter(|line| !line.contains("https://")) {
            assert!(measure_text_width(line) <= 80, "{line}");
        }
    }

    #[test]
    fn one_failure_makes_the_whole_fail_and_the_unknown_does_not() {
        assert_eq!(json(&some())["ok"], false);
        assert_eq!(json(&some()[3..])["ok"], true);
        assert_eq!(some().iter().filter(|one| one.state == State::Failed).count(), 2);
    }
}
