//! What gpu-harness runs and what comes back: the contract that the harness and the node agree on.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`bytes`] | how do bytes stand in JSON? |
//! | [`unit`] | how are sizes, durations and shares written? |
//! | [`id`] | what are runs, suites, cases and checks called? |
//! | [`dtype`] | in which format do numbers lie? |
//! | [`statistics`] | where do numbers lie, and how far do they scatter? |
//! | [`outcome`] | how did a case end? |
//! | [`exit`] | how does the process end? |
//! | [`beneath`] | which file of the project does a path mean, and no other? |
//! | [`link`] | where does a symbolic link lead? |
//! | [`cache`] | where does a machine keep what it fetched? |
//! | [`lines`] | how is a stream read line by line, within bounds? |
//! | [`picture`] | what kind of image is a file? |
//! | [`process`] | what is known of a process of this machine? |
//! | [`seal`] | who may speak to a supervisor, and was its journal changed? |
//! | [`golden`] | which losses is a training known to have? |
//! | [`gpu`] | which GPU does a case need? |
//! | [`facts`] | what does a node have? |
//! | [`xid`] | which error reports of the driver mean that a GPU is no good? |
//! | [`gpu_watch`] | were the GPUs well while a case ran? |
//! | [`regression`] | has a metric become worse, is a case flaky? |
//! | [`metrics`] | what does a running case say about itself? |
//! | [`event`] | what happened, in what order? |
//! | `violations` | what is wrong with a suite, and where? |
//! | [`checks`] | what can be asked of what a case measures? |
//! | [`metric_lines`] | how is a line of metrics read? |
//! | [`spec`] | what does a suite file say? |
//! | [`evaluation`] | does what a case asks of itself hold? |
//! | [`schema`] | what may a suite file say, for an editor? |
//! | [`load`] | how is a suite file read, and what is wrong with it, where? |
//! | [`plan`] | what is a node asked to do? |
//! | [`budget`] | how much may a node say of a run? |
//! | [`wire`] | how do harness and agent talk? |
//!
//! A module uses those that stand before it here, and none that stands after it (`cargo xtask lint` holds it).
//! The crate reads files and does no other I/O, so every decision in it is a function from values to values.

pub mod beneath;
pub mod budget;
pub mod bytes;
pub mod cache;
pub mod checks;
pub mod dtype;
pub mod evaluation;
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
pub mod metric_lines;
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
mod violations;
pub mod wire;
pub mod xid;
