//! The harness: how a node is had and how results reach a person.
//!
//! Data flows one way: suite files → [`plan`] → [`node`] → [`session`] → events → [`report`].
#![warn(missing_docs)]

pub mod again;
mod amended;
mod announced;
mod answer;
mod archive;
mod artifacts;
pub mod binaries;
mod brought;
pub mod cache;
pub mod canary;
pub mod ci;
pub mod clean;
pub mod cli;
pub mod commit;
pub mod compare;
pub mod config;
pub mod content;
pub mod doctor;
pub mod ec2;
pub mod exec;
pub mod failure;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod golden;
pub mod health;
pub mod history;
pub mod holder;
pub mod init;
pub mod inputs;
mod intake;
pub mod interrupt;
pub mod moment;
pub mod node;
pub mod notify;
pub mod page;
mod patience;
pub mod plan;
pub mod recorder;
pub mod remote;
pub mod report;
pub mod rest;
pub mod run;
pub mod run_dir;
pub mod runner;
pub mod selfcheck;
pub mod session;
pub mod streams;
pub mod tests;
pub mod transport;
pub mod tree;
