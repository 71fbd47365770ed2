//! How long libtorch's threads spin while they wait for each other.
//!
//! libgomp lets them spin for milliseconds. Where something else runs on the same cores, a thread that spins keeps the
//! one that it waits for from running: steps then take ten times as long (measured: 0.08 s against 0.8 s beside a
//! compiler). Spinning for some microseconds loses nothing on a quiet machine and little on a busy one.
//!
//! libgomp reads its settings while it is loaded, before `main`, so the setting has to be there when the process
//! starts. The supervisor sets it; a worker that is started without it starts itself anew, once.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// libgomp's settings of waiting; a value that the user has chosen stays.
const SETTINGS: [&str; 2] = ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"];
/// In turns of libgomp's waiting loop.
const TURNS: &str = "3000";

/// Replaces the process by itself with the setting, unless there is one. It is the same process to its parent.
pub(crate) fn spin_briefly() -> io::Result<()> {
    if SETTINGS.iter().any(|name| std::env::var_os(name).is_some()) {
        return Ok(());
    }
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    Err(Command::new("/proc/self/exe").arg0(name).args(arguments).env(SETTINGS[0], TURNS).exec())
}
