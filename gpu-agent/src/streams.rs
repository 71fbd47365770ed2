//! Standard output and standard error, which may be a closed pipe, or a log on a full disk: neither is a reason to panic.

use std::io::{self, Write};

pub(crate) fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())?;
    out.flush()
}

/// Prints a line on standard error; where that cannot be written, there is nobody to tell.
pub(crate) fn tell(line: &str) {
    let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}
