//! The hardships that a run must withstand, at their full counts: one entry of [`SOAKS`] each.

use std::process::ExitCode;

use anyhow::Result;

use crate::Entry;
use crate::rig;

/// What `cargo xtask soak NAME` can run.
const SOAKS: &[Entry] = &[
    Entry {
        name: "binary",
        about: "a test binary of so many MiB on a node: sent once for all its tests [MIB=1024] [SEED=1]",
        run: |arguments| rig::run("soak", "binary", arguments),
    },
    Entry {
        name: "corrupt",
        about: "a pipeline over images of which a tenth is damaged [COUNT=10000] [SEED=1]",
        run: |arguments| rig::run_as_tested("soak", "corrupt", arguments, &[]),
    },
    Entry {
        name: "cuts",
        about: "cuts the connection at random bytes, several times a run [COUNT=200] [SEED=1]",
        run: |arguments| rig::run("soak", "cuts", arguments),
    },
    Entry {
        name: "fuzz",
        about: "a fuzzer at every door where bytes of other people's come in [SECONDS=600]",
        run: crate::fuzz::run,
    },
    Entry {
        name: "kills",
        about: "kills gpu-harness at random moments [COUNT=200] [SEED=1]",
        run: |arguments| rig::run("soak", "kills", arguments),
    },
    Entry {
        name: "leaks",
        about: "kills gpu-harness on nodes from the test EC2 at every step, six at once [COUNT=500] [SEED=1]",
        run: |arguments| rig::run("soak", "leaks", arguments),
    },
    Entry {
        name: "pipeline",
        about: "kills a pipeline at random moments and starts it again [COUNT=100] [SEED=1]",
        run: |arguments| rig::run_as_tested("soak", "pipeline", arguments, &[]),
    },
    Entry {
        name: "reap",
        about: "reaps beside twenty live runs and others that leave things behind [COUNT=1000] [SEED=1]",
        run: |arguments| rig::run("soak", "reap", arguments),
    },
];

/// Runs `name` at its full count.
pub(crate) fn run(name: &str, arguments: &[String]) -> Result<ExitCode> {
    crate::dispatch("soak", SOAKS, name, arguments)
}
