//! Words and figures as a person reads them, and where they are printed. No other room of this crate is needed for it.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`clean`] | how does untrusted text become harmless? |
//! | [`figures`] | how are numbers, bytes, spans and dollars set? |
//! | [`streams`] | what becomes of standard output and standard error? |

mod chain;
pub mod clean;
pub mod figures;
pub mod streams;

pub use chain::chain;
