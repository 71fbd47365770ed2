//! Figures as a Markdown table, ready for docs/benchmarks.md.

/// Rows of as many cells as there are titles.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(titles: [&str; N]) -> Self {
        Self { rows: vec![titles.map(str::to_owned).to_vec(), titles.map(|_| "---".to_owned()).to_vec()] }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows.push(cells.map(str::to_owned).to_vec());
    }

    pub(crate) fn print(&self) {
        for row in &self.rows {
            println!("| {} |", row.join(" | "));
        }
        println!();
    }
}
