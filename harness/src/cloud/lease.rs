//! The lease of a node that was made for the run, seen from here: it is renewed from the moment that the node lets us in,
//! whatever the run does meanwhile, and until the node is given back.
//!
//! User data arms it on the node (`arm.sh`), the agent's renewals put it off as well. Here it has a connection and a task
//! of its own, so that no upload, no case and no pause between two cases delays it.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::access::Access;
use super::user_data::LEASE;
use crate::session::renewal;
use crate::text::chain;
use crate::transport::{Command, Exec, Transport, TransportError, quote};

/// A node that has said nothing for this long is connected to anew.
const SILENCE: Duration = Duration::from_secs(20);
/// Between two tries to connect, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How long a single command may take, from the connection on.
const ONE: Duration = Duration::from_secs(20);

/// Renews the lease for as long as the value lives.
#[derive(Debug)]
pub(super) struct Renewal(JoinHandle<()>);

impl Renewal {
    /// Begins to renew: each time for `ttl`.
    pub(super) fn begin(access: Access, ttl: Duration) -> Self {
        Self(tokio::spawn(async move {
            let mut pause = PAUSE.0;
            loop {
                if let Ok(transport) = access.connect().await
                    && renew(&transport, ttl).await
                {
                    pause = PAUSE.0;
                }
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE.1);
            }
        }))
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Renews over a connection until it breaks; whether it did any good.
async fn renew(transport: &Transport, ttl: Duration) -> bool {
    // A line for each renewal: the end of the connection is the end of them.
    let script = format!("while read -r line; do {}; echo; done", putting_off(ttl));
    let Ok(mut exec) = transport.exec(shell(&script)).await else { return false };
    let mut renewed = false;
    while timeout(SILENCE, once(&mut exec)).await == Ok(true) {
        renewed = true;
        sleep(renewal(ttl)).await;
    }
    renewed
}

async fn once(exec: &mut Exec) -> bool {
    exec.stdin.write(b"\n".as_slice()).await.is_ok() && matches!(exec.stdout.recv().await, Some(Ok(_)))
}

/// Sets the lease once, for whoever is to have the node next.
pub(super) async fn leave(access: &Access, bound: Duration) -> Result<(), String> {
    one(access, &putting_off(bound), |_| false).await
}

/// Has the node end itself: for when its cloud does not.
pub(super) async fn shut_down(access: &Access) -> Result<(), String> {
    let script = "PATH=$PATH:/usr/sbin:/sbin; if [ \"$(id -u)\" = 0 ]; then S=; else S='sudo -n'; fi; exec $S shutdown -P now";
    // One that goes at once takes the connection with it.
    one(access, script, TransportError::is_transient).await
}

/// Runs one command there, over a connection of its own; whether an end of that is the command's own work is `meant`'s
/// to say.
async fn one(access: &Access, script: &str, meant: fn(&TransportError) -> bool) -> Result<(), String> {
    let told = async {
        let transport = access.connect().await.map_err(|error| chain(&error))?;
        let mut exec = transport.exec(shell(script)).await.map_err(|error| chain(&error))?;
        match exec.wait().await {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("it ended with {status}: {}", exec.stderr_text().trim())),
            Err(error) if meant(&error) => Ok(()),
            Err(error) => Err(chain(&error)),
        }
    };
    timeout(ONE, told).await.unwrap_or_else(|_| Err(format!("no answer for {} s", ONE.as_secs())))
}

/// Puts the machine's end off; on one that has no lease it does nothing.
fn putting_off(by: Duration) -> String {
    let seconds = by.as_secs().max(1);
    format!(
        "[ ! -e {LEASE} ] || {{ read -r up rest </proc/uptime && printf '%010d\\n' $((${{up%%.*}} + {seconds})) 1<>{LEASE}; }}"
    )
}

fn shell(script: &str) -> Command {
    // The login shell may be any: only its quoting of one word is relied upon.
    Command::shell(format!("exec /bin/sh -c {}", quote(script)))
}
