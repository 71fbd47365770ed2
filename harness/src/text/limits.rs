//! How much of a text that others made is kept, and how much of it is shown: each kind has one limit.

/// What the fold keeps of a text, and the longest line that is shown.
pub const LINE: usize = 4 << 10;
/// A message that has a place of its own: an attribute of JUnit, a finding of `doctor`.
pub const MESSAGE: usize = 1 << 10;
pub const CELL: usize = 400;
/// Words of others within a sentence of ours: a service's answer, what changed.
pub const QUOTE: usize = 300;
/// A name: of a case, a node, a metric, a file.
pub const NAME: usize = 256;
