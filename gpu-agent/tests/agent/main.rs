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
#[path = "../../../tests/rig/process.rs"]
#[expect(dead_code, unreachable_pub, reason = "the rig of the whole project's tests, which use more of it")]
mod process;
mod reclaim;
mod rig;
mod secrets;
mod selfcheck;
mod set_up;
mod store;
