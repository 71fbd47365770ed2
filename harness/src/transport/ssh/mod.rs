//! Commands on another machine, over ssh.
//!
//! ssh2 (libssh2) blocks and holds one lock per session, so one OS thread owns one session ([`worker`]): it runs the
//! session without blocking, waits on the socket and on a wake-up, and moves the bytes of any number of commands
//! ([`job`], past the [`preface`] of the login shell). The async side only holds queues. On the way to a session stand, in this
//! order: [`address`] and [`config`] (what the user's ssh configuration says), [`target`] (who and where), [`dial`] (the way there)
//! and [`link`] (the connection and its thread), [`host_key`] and [`host_certificate`] with [`known_hosts`] (is it the right machine) and [`login`] (are we
//! welcome) with [`key_file`] and [`identities`] (the keys, in their order).

mod accounts;
mod address;
mod certificate;
mod client_key;
mod config;
mod dial;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod host_certificate;
mod host_key;
mod identities;
mod job;
mod key_file;
mod known_hosts;
mod link;
mod login;
mod options;
mod pattern;
mod preface;
mod program;
mod target;
mod wake;
mod worker;

pub use client_key::ClientKey;
pub use host_key::{HostKey, HostKeyError};
pub use link::Link;
pub use options::SshOptions;
