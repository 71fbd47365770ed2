//! What gpu-harness runs and what comes back: the contract that the harness and the node agree on.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`spec`] | what does a suite file say? |
//! | [`load`] | how is a suite file read, and what is wrong with it, where? |
//! | [`plan`] | what is a node asked to do? |
//! | [`seal`] | who may speak to a supervisor, and was its journal changed? |
//! | [`wire`] | how do harness and agent talk? |
//! | [`beneath`] | which file of the project does a path mean, and no other? |
//! | [`budget`] | how much may a node say of a run? |
//! | [`lines`] | how is a stream read line by line, within bounds? |
//! | [`metrics`] | what does a running case say about itself? |
//! | [`checks`] | does what was measured hold? |
//! | [`event`], [`bytes`] | what happened, in what order? |
//! | [`outcome`] | how did a case end? |
//! | [`exit`] | how does the process end? |
//! | [`facts`] | what does a node have? |
//! | [`link`] | where does a symbolic link lead? |
//! | [`golden`] | which losses is a training known to have? |
//! | [`gpu`] | which GPU does a case need? |
//! | [`gpu_watch`] | were the GPUs well while a case ran? |
//! | [`picture`] | what kind of image is a file? |
//! | [`cache`] | where does a machine keep what it fetched? |
//! | [`process`] | what is known of a process of this machine? |
//! | [`regression`] | has a metric become worse, is a case flaky? |
//! | [`statistics`] | where do numbers lie, and how far do they scatter? |
//! | [`xid`] | which error reports of the driver mean that a GPU is no good? |
//!
//! The crate reads files and does no other I/O, so every decision in it is a function from values to values.
#![warn(missing_docs)]

pub mod beneath;
pub mod budget;
pub mod bytes;
pub mod cache;
pub mod checks;
pub mod event;
pub mod exit;
pub mod facts;
pub mod golden;
pub mod gpu;
pub mod gpu_watch;
pub mod id;
pub mod lines;
pub mod link;
pub mod load;
pub mod metrics;
pub mod outcome;
pub mod picture;
pub mod plan;
pub mod process;
pub mod regression;
pub mod schema;
pub mod seal;
pub mod spec;
pub mod statistics;
pub mod unit;
pub mod wire;
pub mod xid;
