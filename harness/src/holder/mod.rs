//! One node for many test processes: a process that has the node, and runs cases on it for whoever asks.
//!
//! nextest starts a process for each test, and none of them can own a node that all of them use. So the first starts a
//! holder, the others find it, and it lives outside of all of them: it ends when the cargo or nextest above the tests
//! ends, however that ends, and gives the node back.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`owner`] | for whom is the node held, and is that still there? |
//! | [`address`] | where is the holder of that owner, that node and those settings found? |
//! | [`wire`] | what do a test and the holder say to each other? |
//! | [`client`] | how does a test have a case run? |
//! | `start` | how does a holder come to be, once? |
//! | [`serve`] | how long does the holder live, and what does it do meanwhile? |
//! | `broker` | what do all requests of a holder share? |
//! | `case` | how is one case run? |
//! | `had` | how is the node had and given back? |
//! | `records` | where do the events of a case go? |
//! | `saying` | how much may wait for a test that does not read? |
//! | [`command`] | how is a command run that has a node to itself? |

pub mod address;
mod broker;
mod case;
pub mod client;
pub mod command;
pub mod owner;
mod records;
mod responder;
pub mod serve;
mod start;
pub mod wire;

/// Names the program `gpu-harness`, where it is neither beside the tests nor in `PATH`.
pub const PROGRAM: &str = "GPU_HARNESS_BIN";
/// The socket of a holder that is there already: `gpu-harness run -- COMMAND` sets it for its command.
pub const SOCKET: &str = "GPU_HARNESS_HOLDER";
/// How long a holder keeps a node that nobody uses, e.g. `90s`; default 5 minutes.
pub const IDLE: &str = "GPU_HARNESS_IDLE";
