//! What this machine has to bring: the programs that go to the node.

use crate::files::binaries::Program;
use crate::here::Env;
use crate::report::finding::Finding;

/// The agent, without which nothing runs, and the worker, which only some cases need.
pub(super) fn programs(env: &Env) -> Vec<Finding> {
    vec![
        match Program::Agent.find(env) {
            Ok(agent) => Finding::ok("gpu-agent", agent.path.display().to_string()),
            Err(error) => Finding::failed("gpu-agent", crate::text::chain(&error)),
        },
        match Program::Worker.find(env) {
            Ok(worker) => Finding::ok("gpu-worker", worker.path.display().to_string()),
            Err(error) => Finding::unknown("gpu-worker", crate::text::chain(&error))
                .hint("only `train` and `throughput` cases need it; cases of your own programs do without"),
        },
    ]
}
