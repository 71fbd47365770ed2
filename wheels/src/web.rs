//! Bytes over HTTP, so that a cut costs only what had not arrived yet.
//!
//! A part of a file is asked for by its range. A cut connection is asked for the rest; an answer that may pass (the server
//! is not there, is busy, has a fault) is waited out, a little longer each time.

use std::env;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use ureq::Agent;
use ureq::http::StatusCode;
use ureq::http::header::{AUTHORIZATION, CONTENT_RANGE, RANGE};
use ureq::tls::{RootCerts, TlsConfig};

use crate::index::Address;

/// Connections at a time: one gives up to some 500 Mbit/s of a far server.
pub(crate) const CONNECTIONS: usize = 8;
/// How long a server may take to be found and to take the call.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long a server may say nothing before the connection counts as cut.
const SILENCE: Duration = Duration::from_secs(30);
/// Attempts in a row that bring no new byte before a part is given up: with the pauses between them some 15 s.
const FRUITLESS_ATTEMPTS: u32 = 6;
/// The pause after an attempt; it doubles with each fruitless one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest page of an index: torch's has 300 KB.
const LONGEST_PAGE: u64 = 32 << 20;

/// Where distributions keep the certificates that they trust.
const CERTIFICATES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/cacert.pem",
];

/// Why bytes could not be had.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// Nobody answers.
    #[error("failed to fetch {url}{}{}", times(*attempts), distrust(source))]
    Fetch {
        /// What was asked for.
        url: String,
        /// How often in a row.
        attempts: u32,
        /// What went wrong.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The server does not give it.
    #[error("failed to fetch {url}{}: the server answered {status}{}", times(*attempts), hint(*status))]
    Refused {
        /// What was asked for.
        url: String,
        /// How often in a row.
        attempts: u32,
        /// Its answer.
        status: StatusCode,
    },
    /// The connection does not hold.
    #[error("failed to fetch {url}: the connection was cut{}", times(*attempts))]
    Cut {
        /// What was asked for.
        url: String,
        /// How often in a row no byte came.
        attempts: u32,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// What came could not be kept.
    #[error("failed to keep what came of {url}")]
    Keep {
        /// What was asked for.
        url: String,
        /// The operating system's word.
        #[source]
        source: io::Error,
    },
}

fn times(attempts: u32) -> String {
    if attempts > 1 { format!(" ({attempts} times in a row)") } else { String::new() }
}

/// What to do where it is the server's certificate that is wrong: a company's proxy has one of its own.
fn distrust(error: &ureq::Error) -> &'static str {
    if is_of_the_certificate(error) {
        "; the certificates that are trusted stand in the file that SSL_CERT_FILE names there"
    } else {
        ""
    }
}

fn is_of_the_certificate(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(error) => error.kind() == io::ErrorKind::InvalidData,
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => true,
        _ => false,
    }
}

fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "; credentials stand in the index's address (https://user:password@…) or in ~/.netrc"
        }
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            "; a proxy's credentials stand in HTTPS_PROXY (http://user:password@…)"
        }
        _ => "",
    }
}

impl WebError {
    /// Whether another attempt may do better.
    fn passes(&self) -> bool {
        match self {
            Self::Fetch { source, .. } => {
                let lasts = matches!(
                    **source,
                    ureq::Error::BadUri(_) | ureq::Error::InvalidProxyUrl | ureq::Error::TooManyRedirects
                );
                !lasts && !is_of_the_certificate(source)
            }
            Self::Refused { status, .. } => {
                status.is_server_error()
                    || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(status)
            }
            Self::Cut { .. } => true,
            Self::Keep { .. } => false,
        }
    }

    fn after(mut self, times: u32) -> Self {
        if let Self::Fetch { attempts, .. } | Self::Refused { attempts, .. } | Self::Cut { attempts, .. } =
            &mut self
        {
            *attempts = times;
        }
        self
    }
}

/// What takes bytes as they come.
pub(crate) type Take<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<()>;

/// How a server answers to a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The range.
    Part,
    /// All of the file, whatever was asked for: what comes before the range was passed over.
    Whole,
}

/// The way to the outside: HTTP with this machine's proxies (`$HTTPS_PROXY`, `$NO_PROXY`) and certificates
/// (`$SSL_CERT_FILE` included).
#[derive(Debug, Clone)]
pub struct Web {
    agent: Agent,
    first_pause: Duration,
}

impl Web {
    /// The web with this machine's proxies and certificates.
    pub fn connect() -> Self {
        let config = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots()).build())
            .http_status_as_error(false)
            .max_idle_connections(2 * CONNECTIONS)
            .max_idle_connections_per_host(CONNECTIONS)
            .user_agent(concat!("gpu-harness/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(CONNECT_WITHIN))
            .timeout_connect(Some(CONNECT_WITHIN))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .build();
        Self { agent: Agent::new_with_config(config), first_pause: FIRST_PAUSE }
    }

    /// The same, less patient: for tests, whose servers are not far.
    #[cfg(test)]
    pub(crate) fn impatient(mut self) -> Self {
        self.first_pause = Duration::from_millis(1);
        self
    }

    /// The text of a page.
    pub(crate) fn text(&self, page: &Address) -> Result<String, WebError> {
        self.patiently(|_| {
            let mut response = self.ask(page, None)?;
            if response.status() != StatusCode::OK {
                return Err(refused(page, response.status()));
            }
            let text = response.body_mut().with_config().limit(LONGEST_PAGE).read_to_string();
            text.map_err(|source| fetch(page, source))
        })
    }

    /// Gives `range` of a file to `take`, piece by piece, each byte once; tells how the server answered.
    pub(crate) fn range(
        &self,
        file: &Address,
        range: Range<u64>,
        take: Take<'_>,
    ) -> Result<Answer, WebError> {
        let mut next = range.start;
        self.patiently(|fruitful| {
            let before = next;
            let got = self.attempt(file, &mut next, range.end, take);
            *fruitful = next > before;
            got
        })
    }

    /// Attempts until one succeeds, its error does not pass, or too many in a row brought nothing.
    fn patiently<T>(&self, mut attempt: impl FnMut(&mut bool) -> Result<T, WebError>) -> Result<T, WebError> {
        let mut fruitless = 0;
        loop {
            let mut fruitful = false;
            let error = match attempt(&mut fruitful) {
                Ok(done) => return Ok(done),
                Err(error) if error.passes() => error,
                Err(error) => return Err(error),
            };
            fruitless = if fruitful { 0 } else { fruitless + 1 };
            if fruitless >= FRUITLESS_ATTEMPTS {
                return Err(error.after(fruitless));
            }
            sleep(self.first_pause * 2_u32.pow(fruitless.saturating_sub(1)));
        }
    }

    fn ask(
        &self,
        what: &Address,
        range: Option<String>,
    ) -> Result<ureq::http::Response<ureq::Body>, WebError> {
        let mut request = self.agent.get(what.url());
        if let Some(range) = range {
            request = request.header(RANGE, range);
        }
        if let Some(authorization) = what.authorization() {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.call().map_err(|source| fetch(what, source))
    }

    /// One connection's share of a range that ends at `end`, from `next` on.
    fn attempt(&self, file: &Address, next: &mut u64, end: u64, take: Take<'_>) -> Result<Answer, WebError> {
        let response = self.ask(file, Some(format!("bytes={next}-{}", end - 1)))?;
        let (answer, mut skip) = match response.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(response.headers(), *next) => (Answer::Part, 0),
            StatusCode::OK => (Answer::Whole, *next),
            status => return Err(refused(file, status)),
        };
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 256 << 10];
        while *next < end {
            let mut bytes = match body.read(&mut buffer) {
                Ok(0) => return Err(cut(file, io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => &buffer[..count],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(cut(file, source)),
            };
            let most = |bytes: &[u8], most: u64| {
                usize::try_from(most).map_or(bytes.len(), |most| most.min(bytes.len()))
            };
            let passed_over = most(bytes, skip);
            skip -= passed_over as u64;
            bytes = &bytes[passed_over..];
            bytes = &bytes[..most(bytes, end - *next)];
            take(bytes).map_err(|source| WebError::Keep { url: file.to_string(), source })?;
            *next += bytes.len() as u64;
        }
        Ok(answer)
    }
}

fn starts_at(headers: &ureq::http::HeaderMap, at: u64) -> bool {
    let said = headers.get(CONTENT_RANGE).and_then(|said| said.to_str().ok());
    said.is_some_and(|said| said.strip_prefix("bytes ").is_some_and(|r| r.starts_with(&format!("{at}-"))))
}

fn fetch(what: &Address, source: ureq::Error) -> WebError {
    WebError::Fetch { url: what.to_string(), attempts: 1, source: Box::new(source) }
}

fn refused(what: &Address, status: StatusCode) -> WebError {
    WebError::Refused { url: what.to_string(), attempts: 1, status }
}

fn cut(what: &Address, source: io::Error) -> WebError {
    WebError::Cut { url: what.to_string(), attempts: 1, source }
}

/// The machine's own certificates, which a proxy of its company may be among; where it has none, Mozilla's, which came along.
fn roots() -> RootCerts {
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| env::var_os(name).is_some());
    if named || CERTIFICATES.iter().any(|file| Path::new(file).is_file()) {
        RootCerts::PlatformVerifier
    } else {
        RootCerts::WebPki
    }
}
