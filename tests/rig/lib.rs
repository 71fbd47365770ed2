//! Rigs: real programs that tests run against, and promises that can be checked at any count.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`project`] | a user's folder, and gpu-harness run in it |
//! | [`browser`] | a real Chromium |
//! | [`process`] | whether a process lives |
//! | [`s3`] | a real S3 server, and bad weather on the way to it |
//! | [`sshd`] | a real OpenSSH server |
//! | [`bucket`] | the S3 server that gpu-worker has in it |
//! | [`pipeline`] | a folder in which gpu-worker runs a pipeline |
//! | [`pytest`] | the real pytest, in two versions |
//! | [`index`] | a Python index |
//! | [`proxy`] | a wire that delays, cuts and goes silent |
//! | [`ec2`] | an EC2 whose instances are real hosts on this machine |
//! | [`iam`] | a simulator of IAM's policies |
//! | [`theirs`] | a user's crate with tests of its own, run by `gpu-harness cargo` |
//! | [`fixture`] | a user's crate, run by cargo and nextest |
//! | [`xml`] | a real XML parser |
//! | [`evil`] | the promise that a node which means harm ends the run as what it is |
//! | [`faults`] | the promise that seeded faults are caught, and that what is sound passes |
//! | [`big_binary`] | the promise that a test binary is sent once, however large |
//! | [`cuts`] | the promise that a cut connection loses no event |
//! | [`kills`] | the promise that a killed harness leaves a report and a clean node |
//! | [`leaks`] | the promise that a killed harness leaves no node in EC2 that outlives its lease, nor anything else its time |
//! | [`resumes`] | the promise that a killed pipeline loses no image and doubles none |
//! | [`reaps`] | the promise that reaping ends what is past its time and nothing else |
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what it prints is for whoever develops this project"
)]

pub mod big_binary;
pub mod browser;
pub mod bucket;
pub mod corrupt;
pub mod cuts;
pub mod ec2;
pub mod evil;
pub mod faults;
pub mod fixture;
pub mod iam;
pub mod index;
pub mod kills;
pub mod leaks;
pub mod pipeline;
pub mod process;
pub mod project;
pub mod proxy;
pub mod pytest;
pub mod reaps;
pub mod resumes;
pub mod s3;
pub mod service;
pub mod sshd;
pub mod theirs;
pub mod xml;
