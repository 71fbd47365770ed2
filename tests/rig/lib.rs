//! Rigs: real programs that tests run against.
