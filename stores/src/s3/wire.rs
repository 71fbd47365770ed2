//! How requests reach an S3: reqwest's connections, with an end to every wait and each refusal sorted.
//!
//! HTTP/1.1 over a pool of connections: S3 gives more to many connections than to one that carries many requests.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpService, ReqwestConnector,
};
use tokio::time::{Instant, timeout, timeout_at};

use super::answer;
use crate::error::Fault;

/// Connecting takes a round trip or two; a store that takes longer is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// S3 answers in a fraction of a second; half a minute is a store in trouble.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Bytes a second below which a connection counts as stalled.
const SLOWEST: u64 = 16 << 10;
/// Bytes of an error's document that are read.
const ERROR_BYTES: usize = 64 << 10;
/// The longest body for which room is made at once: a length that was listed may be no length at all.
const ROOM: usize = 64 << 20;
/// Connections that wait for their next request: as many as there may be threads.
const IDLE_CONNECTIONS: usize = 1024;

/// What connections are made with.
pub(super) fn options() -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(true)
        .with_http1_only()
        .with_connect_timeout(CONNECT_WITHIN)
        // Each wait has an end of its own below.
        .with_timeout_disabled()
        .with_pool_max_idle_per_host(IDLE_CONNECTIONS)
        .with_user_agent(http::HeaderValue::from_static(concat!("gpu-harness/", env!("CARGO_PKG_VERSION"))))
}

/// How long bytes may take, at the slowest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) stall: Duration,
}

impl Pace {
    pub(super) fn of(self, bytes: u64) -> Duration {
        self.stall + Duration::from_secs(bytes.div_ceil(SLOWEST))
    }
}

/// Makes connections.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) pace: Pace,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Wire { inner, pace: self.pace }))
    }
}

#[derive(Debug)]
struct Wire {
    inner: HttpClient,
    pace: Pace,
}

#[async_trait]
impl HttpService for Wire {
    /// An answer that is a success. Any other is an error with the [`Fault`] that it means.
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let refused = |fault| HttpError::new(HttpErrorKind::Unknown, fault);
        let sent = request.body().content_length() as u64;
        let most = ANSWER_WITHIN + if sent == 0 { Duration::ZERO } else { self.pace.of(sent) };
        let response = timeout(most, self.inner.execute(request)).await.map_err(|_| {
            refused(Fault::Unavailable(format!("no answer came within {} s", most.as_secs())))
        })??;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let region = response.headers().get("x-amz-bucket-region").and_then(|region| region.to_str().ok());
        let region = region.map(str::to_owned);
        let body = response.into_body().bytes_stream();
        // An error's document that cannot be read leaves the status, which says enough.
        let document = whole(body, ERROR_BYTES, ANSWER_WITHIN).await.unwrap_or_default();
        Err(refused(answer::of_status(status, &String::from_utf8_lossy(&document), region.as_deref())))
    }
}

/// The bytes of a body: all of them, or as many as `most` and a few more.
pub(super) async fn whole<E: std::error::Error + 'static>(
    mut body: BoxStream<'static, Result<bytes::Bytes, E>>,
    most: usize,
    within: Duration,
) -> Result<Vec<u8>, Fault> {
    let end = Instant::now() + within;
    let mut bytes = Vec::with_capacity(if most <= ROOM { most } else { 0 });
    while bytes.len() <= most {
        match timeout_at(end, body.next()).await {
            Ok(Some(Ok(part))) => bytes.extend_from_slice(&part),
            Ok(Some(Err(error))) => {
                let why = answer::last_of(&error);
                return Err(Fault::Unavailable(format!(
                    "the answer broke off after {} bytes: {why}",
                    bytes.len()
                )));
            }
            Ok(None) => break,
            Err(_) => return Err(Fault::Slow(format!("{} bytes came in the time allowed", bytes.len()))),
        }
    }
    Ok(bytes)
}
