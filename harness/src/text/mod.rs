//! Words and figures as a person reads them, and where they are printed. No other room of this crate is needed for it.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`explain`] | what does an error say, what is to be done about it, and how does the process end? |
//! | [`clean`] | how does untrusted text become harmless? |
//! | [`figures`] | how are numbers, bytes, spans and dollars set? |
//! | [`limits`] | how much of a text is kept, and shown? |
//! | [`streams`] | what becomes of standard output and standard error? |

pub mod clean;
pub mod explain;
pub mod figures;
pub mod limits;
pub mod streams;

pub use explain::{Explain, chain, explained};
