//! Does what was measured hold?
