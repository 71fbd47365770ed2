//! The S3 server that a pipeline has of its own, alone: for a bench that compares programs, and for tests.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use gpu_bucket::{Server, server};
use gpu_stores::Keys;

/// The folder or the port cannot be had (`EX_UNAVAILABLE` of sysexits.h).
const UNAVAILABLE: u8 = 69;

/// Serves until standard input ends. What a client has to have in its environment goes to standard output, a variable
/// a line. Keys that are in this program's own environment are taken, so that a server can come back as the same one.
pub(crate) fn run(folder: &Path, port: u16) -> ExitCode {
    let own = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let keys = match (own("AWS_ACCESS_KEY_ID"), own("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => Keys { id, secret },
        _ => Keys::random(),
    };
    let server = match Server::start(folder, port, keys) {
        Ok(server) => server,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            crate::tell(&format!("gpu-worker: {error}: {cause}"));
            return ExitCode::from(UNAVAILABLE);
        }
    };
    let said = format!(
        "AWS_ENDPOINT_URL_S3={}\nAWS_REGION={}\nAWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\n",
        server.endpoint(),
        server::REGION,
        server.keys().id,
        server.keys().secret,
    );
    // Who does not listen for it has no use for the server either.
    if io::stdout().write_all(said.as_bytes()).and_then(|()| io::stdout().flush()).is_ok() {
        let mut rest = [0; 4096];
        while io::stdin().read(&mut rest).is_ok_and(|count| count > 0) {}
    }
    drop(server);
    ExitCode::SUCCESS
}
