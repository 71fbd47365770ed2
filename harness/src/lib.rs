//! The harness: how a node is provisioned and how results reach a person.
//!
//! Data flows one way: suite files → [`plan`] → [`node`] → [`session`] → events → [`report`]. A room uses those that stand
//! before it here, and none that stands after it (`cargo xtask lint` holds it):
//!
//! | room | question it answers |
//! | --- | --- |
//! | [`text`] | how do words and figures reach a screen, harmlessly? |
//! | [`here`] | which folder, environment and listeners does a command have? |
//! | [`log`] | what did the harness itself do? |
//! | [`page`] | what have all HTML pages in common? |
//! | [`config`] | what does a project's `gpu-harness.yaml` say? |
//! | [`files`] | what travels, what comes back, and where does it lie? |
//! | [`transport`] | how are bytes brought to a machine and back? |
//! | [`node`] | which node, how is it made ready, is it well? |
//! | [`report`] | what do the events amount to, in each form? |
//! | [`ci`] | what does a CI service get? |
//! | [`plan`] | what is run? |
//! | [`recorder`] | how is each event kept? |
//! | [`session`] | how is the conversation with a node led? |
//! | [`history`] | what did earlier runs measure? |
//! | [`compare`] | is this version slower or worse than that one? |
//! | [`notify`] | who is told of changes? |
//! | [`cloud`] | how does a cloud provision a node, and how is it given back? |
//! | [`run`] | how does one run go, from the choice of cases to its exit code? |
//! | [`holder`] | how do many test processes share a node? |
//! | [`libtest`], [`cargo_runner`] | how do cases and remote tests look to cargo? |
//! | [`doctor`], [`init`] | what is missing, and what does a project begin with? |
//! | [`cli`] | what does the command line say? |

pub mod cargo_runner;
pub mod ci;
pub mod cli;
pub mod cloud;
pub mod compare;
pub mod config;
pub mod doctor;
pub mod files;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod here;
pub mod history;
pub mod holder;
pub mod init;
pub mod libtest;
pub mod log;
pub mod node;
pub mod notify;
pub mod page;
pub mod plan;
pub mod recorder;
pub mod report;
pub mod run;
pub mod session;
pub mod text;
pub mod transport;
