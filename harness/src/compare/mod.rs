//! Two versions on one node, measured in turn: by what ratio do their figures differ? See docs/compare.md.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`version`] | what is meant by `--base`, and where are its files? |
//! | [`arms`] | what is run, in which order? |
//! | [`compared`] | what came of it? |
//! | [`bisect`] | which commit did it? |
//! | [`words`] | how does a person read it? |

pub mod arms;
pub mod bisect;
pub mod compared;
pub mod version;
pub mod words;

pub use arms::Ready;
pub use compared::Compared;
pub use version::Version;
