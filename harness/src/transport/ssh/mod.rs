//! Commands on another machine, over ssh.
//!
//! ssh2 (libssh2) blocks and holds one lock per session, so one OS thread owns one session ([`worker`]): it runs the
//! session without blocking, waits on the socket and on a wake-up, and moves the bytes of any number of commands
//! ([`job`]). The async side only holds queues. On the way to a session stand, in this order: [`options`] (who and
//! where, by the ssh configuration), [`link`] (a TCP connection and the thread), [`host_key`] with [`known_hosts`]
//! (is it the right machine) and [`login`] (are we welcome).

mod client_key;
mod host_key;
mod job;
mod known_hosts;
mod link;
mod login;
mod options;
mod wake;
mod worker;

pub use client_key::ClientKey;
pub use host_key::{HostKey, HostKeyError};
pub use link::Link;
pub use options::SshOptions;
