//! Columns for people: what the commands about a cloud print without `--json`.

use std::fmt::Write as _;

use console::measure_text_width;

use crate::text::clean::one_line;

const MOST: usize = 200;

/// Lines of cells under a heading. Cells are untrusted text: the cloud's, or tags that anybody may write.
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table with its heading.
    pub(super) fn new(heading: [&str; N]) -> Self {
        Self { rows: vec![heading.map(str::to_owned)] }
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| {
            let cell = one_line(&cell, MOST);
            if cell.is_empty() { "-".to_owned() } else { cell }
        }));
    }

    /// The text: each column as wide as its widest cell, the last one as it is.
    pub(super) fn text(&self) -> String {
        let widths: [usize; N] = std::array::from_fn(|column| {
            self.rows.iter().map(|row| measure_text_width(&row[column])).max().unwrap_or(0)
        });
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths) {
                let gap = width - measure_text_width(cell) + 2;
                let _ = write!(line, "{cell}{:gap$}", "");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_no_cell_breaks_its_line_or_steers_the_terminal() {
        let mut table = Table::new(["run", "state", "owner"]);
        table.row(["one".into(), "running".into(), "ärger\n\u{1b}[2Jx".into()]);
        table.row(["a-longer-one".into(), String::new(), "me".into()]);
        let text = table.text();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        let states = Vec::from_iter(text.lines().map(|line| line.find(" running").or(line.find(" state"))));
        assert_eq!(states[0], states[1], "{text}");
        assert!(text.ends_with("a-longer-one  -        me\n"), "{text}");
    }
}
