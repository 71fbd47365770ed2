//! The short table at the end of a set-up: what is used, and where it came from.

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) from: String,
    /// Whether this run set it up.
    pub(crate) new: bool,
}

impl Row {
    pub(crate) fn present(what: &'static str, from: String) -> Self {
        Self { what, from, new: false }
    }

    /// Set up by this run.
    pub(crate) fn fresh(what: &'static str, from: String) -> Self {
        Self { what, from, new: true }
    }
}

/// Prints the table; a `+` marks what this run set up.
pub(crate) fn print(rows: &[Row]) {
    let width = rows.iter().map(|row| row.what.len()).max().unwrap_or(0);
    for Row { what, from, new } in rows {
        eprintln!("{} {what:width$}  {from}", if *new { '+' } else { ' ' });
    }
}
