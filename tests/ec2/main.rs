//! The promises about EC2, a file each, kept against the test EC2 (fixtures/ec2), and those about S3 against its S3 server.

mod doctor;
mod edge;
mod fixture;
mod holder;
mod keep;
mod leaks;
mod money;
mod policy;
mod reap;
mod reclaim;
mod reuse;
mod rings;
mod run;
mod s3_history;
mod s3_pipeline;
mod trouble;
