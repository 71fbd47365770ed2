//! The promises about EC2, a file each, kept against the test EC2 (fixtures/ec2), those about S3 against its S3 server, and those
//! about a node that has nothing, whose root of its own takes root as the test EC2 does.

mod bare_node;
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
