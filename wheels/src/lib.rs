//! Files out of pinned Python wheels, and the libtorch that gpu-worker links among them.
//!
//! An index (PyPI, or a mirror) only says where a wheel lies. What is in it is pinned here: a wheel's RECORD
//! names the SHA-256 of every other one, and RECORD's own stands in this source. So a part of a wheel can be had and
//! verified without the rest: of torch's 506 MiB a CPU needs 117.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`libtorch`] | which libraries does a machine need, and are they there whole? |
//! | [`wheel`] | which file is a wheel, and what is known of it? |
//! | [`index`] | where does it lie, and who may have it? |
//! | [`web`] | how do bytes of it come, whatever happens on the way? |
//! | `contents` | which members does it have, and where? |
//! | [`fetch`] | how do many members come at once, and what is there of them after a cut? |
//! | `parts` | what of a wheel is on the disk? |
//! | `unpack` | is a member what it should be? |
//! | [`mirror`] | what has an index to have, so that a machine finds all there? |

mod contents;
pub mod fetch;
pub mod index;
pub mod libtorch;
pub mod mirror;
mod parts;
mod unpack;
pub mod web;
pub mod wheel;
