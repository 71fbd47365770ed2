//! What the page may take, whatever the run: it is to open at once, on a phone too. What goes beyond is left out, and the
//! page says so.

/// What is left for the cases; those that are not good come first.
#[derive(Debug)]
pub(super) struct Budget {
    /// Cases with more than a row.
    pub(super) cases: usize,
    pub(super) logs: usize,
    /// Bytes of pictures, as they stand on the page.
    pub(super) pictures: usize,
    /// Bytes of pictures that are unpacked, to be made smaller.
    pub(super) unpacked: usize,
    pub(super) metrics: usize,
    pub(super) plots: usize,
}

/// Rows of the table of cases.
pub(super) const ROWS: usize = 5_000;

impl Default for Budget {
    fn default() -> Self {
        Self {
            cases: 250,
            logs: 1_500_000,
            pictures: 3_000_000,
            unpacked: 400_000_000,
            metrics: 4_000,
            plots: 1_000,
        }
    }
}

impl Budget {
    /// Takes one from a count; `false` where nothing is left.
    pub(super) fn take(count: &mut usize) -> bool {
        let left = *count > 0;
        *count = count.saturating_sub(1);
        left
    }
}
