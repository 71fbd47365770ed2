//! Fetches a file over HTTP so that a cut, or a killed set-up, costs only what had not arrived yet.
//!
//! Bytes go to `NAME.part` beside the file's place. A new attempt asks for the rest (`Range`), the whole is checked
//! against a sha256 that is pinned in this source, and only then gets its name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use sha2::{Digest, Sha256};
use ureq::Agent;
use ureq::http::StatusCode;
use ureq::tls::{RootCerts, TlsConfig};

use super::progress::Progress;

/// How long a server may take to be found and to take the call.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long a server may say nothing before the connection counts as cut.
const SILENCE: Duration = Duration::from_secs(30);
/// Attempts in a row that bring no new byte before the download is given up.
const FRUITLESS_ATTEMPTS: u32 = 4;
/// The pause after an attempt; it doubles with each fruitless one. The tests need not wait for a real server.
const FIRST_PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 500 });

/// The way to the outside, or its absence.
pub(crate) enum Network {
    /// `--offline`: nothing is fetched or installed.
    Off,
    /// HTTP with the system's proxies and certificates (`$SSL_CERT_FILE` included).
    On(Agent),
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
    #[error("not downloaded: --offline")]
    Offline,
    #[error("failed to fetch {url}")]
    Fetch {
        url: String,
        #[source]
        source: Box<ureq::Error>,
    },
    #[error("failed to fetch {url}: the server answered {status}")]
    Refused { url: String, status: StatusCode },
    #[error(
        "failed to fetch {url}: the connection was cut {attempts} times in a row (it goes on from here next time)"
    )]
    Cut {
        url: String,
        attempts: u32,
        #[source]
        source: io::Error,
    },
    #[error(
        "{url} is not the file that was expected, so it is not used: its sha256 is {found}, wanted is {wanted}"
    )]
    Mismatch { url: String, wanted: String, found: String },
    #[error("failed to write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// How a downloaded file is known to be the right one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trust<'a> {
    /// Its sha256 is pinned.
    Sha256(&'a str),
    /// Only the server's certificate vouches for it.
    Server,
}

/// How often a server that cannot be reached is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Not at all: there is another way to the goal.
    None,
    Some,
}

/// One file to fetch.
pub(crate) struct Download<'a> {
    pub(crate) url: &'a str,
    pub(crate) label: &'a str,
    pub(crate) trust: Trust<'a>,
    pub(crate) patience: Patience,
}

enum Attempt {
    Complete,
    Cut(io::Error),
}

impl Network {
    /// The network with this machine's proxies and certificates.
    pub(crate) fn connect() -> Self {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_resolve(Some(CONNECT_WITHIN))
            .timeout_connect(Some(CONNECT_WITHIN))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .build();
        Self::On(Agent::new_with_config(config))
    }

    pub(crate) fn is_off(&self) -> bool {
        matches!(self, Self::Off)
    }

    fn agent(&self) -> Result<&Agent, DownloadError> {
        match self {
            Self::Off => Err(DownloadError::Offline),
            Self::On(agent) => Ok(agent),
        }
    }

    /// The text of a page.
    pub(crate) fn text(&self, url: &str) -> Result<String, DownloadError> {
        let failed = |source| DownloadError::Fetch { url: url.to_owned(), source: Box::new(source) };
        let mut response = self.agent()?.get(url).call().map_err(failed)?;
        if response.status() != StatusCode::OK {
            return Err(DownloadError::Refused { url: url.to_owned(), status: response.status() });
        }
        response.body_mut().read_to_string().map_err(failed)
    }
}

impl Download<'_> {
    /// Makes `place` hold the file. Returns its sha256.
    pub(crate) fn fetch(&self, network: &Network, place: &Path) -> Result<String, DownloadError> {
        // A finished download that its unpacking did not get to remove.
        if place.is_file()
            && let Ok(found) = self.verify(place)
        {
            return Ok(found);
        }
        let agent = network.agent()?;
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let part = place.with_file_name(name);
        let resumed = part.metadata().is_ok_and(|part| part.len() > 0);
        self.complete(agent, &part)?;
        let verified = match self.verify(&part) {
            // What an earlier run left may be damaged: only a fresh copy tells about the server.
            Err(DownloadError::Mismatch { .. }) if resumed => {
                eprintln!("note: {}: what an earlier run left is damaged; from the start again", self.label);
                remove(&part)?;
                self.complete(agent, &part)?;
                self.verify(&part)
            }
            verified => verified,
        };
        if matches!(verified, Err(DownloadError::Mismatch { .. })) {
            remove(&part)?;
        }
        let found = verified?;
        fs::rename(&part, place).map_err(|source| DownloadError::Write { path: place.to_owned(), source })?;
        Ok(found)
    }

    /// Attempts until all bytes are in `part`, or too many attempts in a row brought none.
    fn complete(&self, agent: &Agent, part: &Path) -> Result<(), DownloadError> {
        let mut fruitless = 0;
        loop {
            let before = part.metadata().map_or(0, |part| part.len());
            let error = match self.attempt(agent, part, before) {
                Ok(Attempt::Complete) => return Ok(()),
                Ok(Attempt::Cut(source)) => {
                    DownloadError::Cut { url: self.url.to_owned(), attempts: fruitless + 1, source }
                }
                Err(error @ DownloadError::Fetch { .. }) => error,
                Err(DownloadError::Refused { url, status }) if status.is_server_error() => {
                    DownloadError::Refused { url, status }
                }
                Err(error) => return Err(error),
            };
            let arrived = part.metadata().map_or(0, |part| part.len());
            fruitless = if arrived > before { 0 } else { fruitless + 1 };
            if fruitless >= FRUITLESS_ATTEMPTS || (self.patience == Patience::None && arrived == 0) {
                return Err(error);
            }
            eprintln!("note: {}: {}; trying again", self.label, super::chain(&error));
            sleep(FIRST_PAUSE * 2_u32.pow(fruitless));
        }
    }

    fn attempt(&self, agent: &Agent, part: &Path, have: u64) -> Result<Attempt, DownloadError> {
        let mut request = agent.get(self.url);
        if have > 0 {
            request = request.header("Range", format!("bytes={have}-"));
        }
        let response = request
            .call()
            .map_err(|source| DownloadError::Fetch { url: self.url.to_owned(), source: Box::new(source) })?;
        let start = match response.status() {
            StatusCode::PARTIAL_CONTENT => have,
            // A server that does not know ranges sends everything.
            StatusCode::OK => 0,
            // There is no byte after the ones that are here: the checksum tells whether they are right.
            StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => return Ok(Attempt::Complete),
            status => return Err(DownloadError::Refused { url: self.url.to_owned(), status }),
        };
        let length =
            response.headers().get("content-length").and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        let mut progress = Progress::new(self.label, length.map(|length| start + length), start);
        let written = append(part, start, response.into_body().into_reader(), &mut progress);
        progress.finish();
        written
    }

    /// The file's sha256, if it is the wanted one.
    fn verify(&self, path: &Path) -> Result<String, DownloadError> {
        let found =
            sha256_of(path).map_err(|source| DownloadError::Write { path: path.to_owned(), source })?;
        match self.trust {
            Trust::Sha256(wanted) if wanted != found => {
                Err(DownloadError::Mismatch { url: self.url.to_owned(), wanted: wanted.to_owned(), found })
            }
            Trust::Sha256(_) | Trust::Server => Ok(found),
        }
    }
}

/// Writes the body after the first `start` bytes of `part`.
fn append(
    part: &Path,
    start: u64,
    mut body: impl Read,
    progress: &mut Progress,
) -> Result<Attempt, DownloadError> {
    let failed = |source| DownloadError::Write { path: part.to_owned(), source };
    let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(part).map_err(failed)?;
    file.set_len(start).map_err(failed)?;
    file.seek(io::SeekFrom::End(0)).map_err(failed)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match body.read(&mut buffer) {
            Ok(0) => return Ok(Attempt::Complete),
            Ok(count) => {
                file.write_all(&buffer[..count]).map_err(failed)?;
                progress.advance(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Attempt::Cut(error)),
        }
    }
}

fn remove(part: &Path) -> Result<(), DownloadError> {
    fs::remove_file(part).map_err(|source| DownloadError::Write { path: part.to_owned(), source })
}

/// The sha256 of a file, in hexadecimal.
pub(crate) fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests;
