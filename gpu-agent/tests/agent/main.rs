//! What gpu-agent promises, shown on the real program with real processes.

mod attach;
mod binary;
mod cases;
mod disk;
mod flood;
mod flow;
mod gpus;
mod hostile;
mod lease;
mod metadata;
mod reclaim;
mod rig;
mod secrets;
mod selfcheck;
mod store;
