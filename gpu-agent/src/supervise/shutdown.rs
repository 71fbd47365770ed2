//! Ends the machine, and does not give up: a machine that is nobody's any more costs money by the second.
//!
//! Whether it is nobody's, the machine's own lease tells, where it has one: a run that nobody asks for any more may be one
//! of several there. What watches that lease ends the machine too; this does where that does not.

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::watch::Watch;
use crate::node_lease::NodeLease;
use crate::streams::tell;

/// The environment variable that replaces the command, for machines that are ended in another way.
const VARIABLE: &str = "GPU_AGENT_SHUTDOWN";
/// Until the next try, after one that failed.
const AGAIN: Duration = Duration::from_secs(3);
/// How long a try may take, and then the machine to go.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long after the lease's end the supervisor may still be busy ending what runs.
pub(super) const OVERDUE: Duration = Duration::from_secs(20);
/// Where the program is, whatever the login's path leaves out.
const SYSTEM: &str = "/usr/sbin:/sbin";

/// Shuts the machine down when nobody wants it any more.
pub(super) fn shut_down_unless_held(lease: &NodeLease) -> ! {
    while lease.holds() {
        std::thread::sleep(super::TICK);
    }
    shut_down()
}

/// Shuts the machine down: it goes, or this tries on and on.
fn shut_down() -> ! {
    let replaced = std::env::var(VARIABLE).ok();
    let words = words(replaced.as_deref(), rustix::process::geteuid().is_root());
    loop {
        let pause = match attempt(&words) {
            Ok(()) => PATIENCE,
            Err(why) => {
                tell(&format!("gpu-agent: failed to shut the node down by {}: {why}", words.join(" ")));
                AGAIN
            }
        };
        std::thread::sleep(pause);
    }
}

/// Returns when the lease has been over for so long that the supervisor itself must have been held up, by a hanging disk
/// or driver, maybe for ever.
pub(super) fn wait_until_overdue(watch: &Watch, by: Duration) {
    while !watch.is_expired_since(by) {
        std::thread::sleep(super::TICK);
    }
}

/// The command: as root directly, else as one whom `sudo` asks no password.
fn words(replaced: Option<&str>, is_root: bool) -> Vec<String> {
    let line = match replaced.filter(|line| !line.trim().is_empty()) {
        Some(line) => line,
        None if is_root => "shutdown -P now",
        None => "sudo -n shutdown -P now",
    };
    line.split_whitespace().map(str::to_owned).collect()
}

fn attempt(words: &[String]) -> Result<(), String> {
    let mut path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    path.push(OsString::from(":"));
    path.push(SYSTEM);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env("PATH", path);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let begun = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("it ended with {status}")),
            Ok(None) if begun.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(50)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err("it did not end".to_owned());
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_powered_off_by_root_itself_and_by_others_through_sudo() {
        for (replaced, is_root, line) in [
            (None, true, "shutdown -P now"),
            (None, false, "sudo -n shutdown -P now"),
            (Some("touch  /tmp/down"), false, "touch /tmp/down"),
            (Some(" "), true, "shutdown -P now"),
        ] {
            assert_eq!(words(replaced, is_root).join(" "), line, "{replaced:?} {is_root}");
        }
    }

    #[test]
    fn a_supervisor_that_is_held_up_does_not_hold_up_the_shutdown() {
        let plan = r#"{"protocol":2,"run":"r","cases":[],"lease":{"ttl":"200ms","on_expiry":"shutdown"},
            "fail_fast":false,"retries":0,"timeout":null,"worker":null,"libtorch":null}"#;
        let watch = Watch::begin(&serde_json::from_str(plan).unwrap());
        let begun = Instant::now();
        wait_until_overdue(&watch, Duration::from_millis(500));
        let waited = begun.elapsed();
        assert!(waited > Duration::from_millis(700) && waited < Duration::from_secs(5), "{waited:?}");
    }

    #[test]
    fn a_try_that_fails_says_why() {
        let words = |line: &str| Vec::from_iter(line.split(' ').map(str::to_owned));
        assert_eq!(attempt(&words("true")), Ok(()));
        assert_eq!(attempt(&words("false")).unwrap_err(), "it ended with exit status: 1");
        assert!(attempt(&words("no-such-program")).unwrap_err().contains("No such file"));
    }
}
