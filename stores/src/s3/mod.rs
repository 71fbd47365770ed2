//! Any S3: AWS's own, or whatever answers its API at an endpoint.
//!
//! Plain requests of HTTP/1.1 over a pool of connections, signed by AWS's own crate. S3 gives more to many connections
//! than to one that carries many requests at once.

mod address;
mod answer;
mod credentials;
mod listing;

use std::io::Read;
use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};
use ureq::Agent;
use ureq::http::{Method, Request, Response};
use ureq::tls::{RootCerts, TlsConfig};

use self::credentials::Credentials;
use crate::error::{Fault, Result, StoreError};
use crate::settings::S3Settings;
use crate::store::{Object, Store};

/// Connecting takes a round trip or two; a store that takes longer is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// S3 answers in a fraction of a second; half a minute is a store in trouble.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Bytes a second below which a connection counts as stalled.
const SLOWEST: u64 = 16 << 10;
/// What a listing's page may have: 1,000 keys of 1 KiB, each byte escaped.
const PAGE_BYTES: u64 = 16 << 20;
/// Bytes of an error's document that are read.
const ERROR_BYTES: u64 = 64 << 10;
/// Connections that wait for their next request: as many as there may be threads.
const IDLE_CONNECTIONS: usize = 1024;
/// RFC 3986's unreserved characters, which S3's signature leaves as they are.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const ESCAPED_IN_PATH: &AsciiSet = &ESCAPED.remove(b'/');

/// A bucket, below a prefix.
pub struct S3 {
    agent: Agent,
    credentials: Credentials,
    region: String,
    /// Scheme, host and, where the bucket is no part of the host's name, the bucket.
    base: String,
    bucket: String,
    prefix: String,
    /// How long a body may take, besides the time that its bytes take at [`SLOWEST`].
    stall: Duration,
}

impl S3 {
    /// Opens a bucket: finds region and credentials, and asks nothing of the store yet.
    pub fn new(bucket: &str, prefix: &str, settings: &S3Settings) -> Result<Self> {
        let opened = |fault| StoreError { verb: "open", what: format!("s3://{bucket}/{prefix}"), fault };
        let found = credentials::find(settings).map_err(opened)?;
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_WITHIN))
            .timeout_recv_response(Some(ANSWER_WITHIN))
            .max_idle_connections(IDLE_CONNECTIONS)
            .max_idle_connections_per_host(IDLE_CONNECTIONS)
            .user_agent(concat!("gpu-harness/", env!("CARGO_PKG_VERSION")))
            // A signed request is for the one host that it names.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .build()
            .new_agent();
        Ok(Self {
            agent,
            base: address::of(found.endpoint.as_deref(), bucket, &found.region),
            credentials: found.credentials,
            region: found.region,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            stall: settings.stall,
        })
    }

    fn error(&self, verb: &'static str, key: &str, fault: Fault) -> StoreError {
        let what = format!("s3://{}/{}{}", self.bucket, self.prefix, key.escape_debug());
        StoreError { verb, what, fault }
    }

    fn path(&self, key: &str) -> String {
        format!("/{}", utf8_percent_encode(&format!("{}{key}", self.prefix), ESCAPED_IN_PATH))
    }

    /// Signs and sends one request; the body has the time that `bytes` take at the slowest.
    fn send(
        &self,
        method: &Method,
        path_and_query: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        bytes: u64,
    ) -> std::result::Result<Response<ureq::Body>, Fault> {
        let uri = format!("{}{path_and_query}", self.base);
        let digest = hex::encode(Sha256::digest(body));
        let (authority, _) =
            uri.split_once("://").map_or(("", ""), |(_, rest)| rest.split_once('/').unwrap_or((rest, "")));
        let identity = self.credentials.current()?.into();
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|error| Fault::Other(error.to_string()))?
            .into();
        let signed_headers = headers.iter().copied().chain([("host", authority)]);
        let signable =
            SignableRequest::new(method.as_str(), &uri, signed_headers, SignableBody::Precomputed(digest))
                .map_err(|error| Fault::Other(format!("the request cannot be signed: {error}")))?;
        let (instructions, _) =
            sign(signable, &parameters).map_err(|error| Fault::Other(error.to_string()))?.into_parts();

        let mut request = Request::builder().method(method.clone()).uri(&uri);
        for (name, value) in headers.iter().copied().chain(instructions.headers()) {
            request = request.header(name, value);
        }
        let whole = self.stall + Duration::from_secs(bytes.div_ceil(SLOWEST));
        let wrong = |error: ureq::http::Error| Fault::Other(error.to_string());
        let sent = if *method == Method::PUT {
            let request = request.body(body).map_err(wrong)?;
            let request = self.agent.configure_request(request).timeout_send_body(Some(whole)).build();
            self.agent.run(request)
        } else {
            let request = request.body(()).map_err(wrong)?;
            let request = self.agent.configure_request(request).timeout_recv_body(Some(whole)).build();
            self.agent.run(request)
        };
        let mut response = sent.map_err(|error| answer::of_call(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let mut document = Vec::new();
        // An error's document that cannot be read leaves the status, which says enough.
        let _ = response.body_mut().as_reader().take(ERROR_BYTES).read_to_end(&mut document);
        Err(answer::of_status(response.status(), &String::from_utf8_lossy(&document)))
    }

    fn fetch(&self, key: &str, listed: Option<&Object>) -> std::result::Result<Vec<u8>, Fault> {
        let expected = listed.map_or(0, |object| object.size);
        // One that is not listed is a manifest or the like: it may take as long as 64 MiB do.
        let bytes = listed.map_or(64 << 20, |object| object.size);
        let mut response = self.send(&Method::GET, &self.path(key), &[], &[], bytes)?;
        let etag = response.headers().get("etag").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if let Some(object) = listed
            && !object.etag.is_empty()
            && !etag.is_empty()
            && !same_etag(etag, &object.etag)
        {
            return Err(Fault::Replaced);
        }
        let announced = response.body().content_length();
        let mut body = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
        // One byte more than expected is enough to see that the length is wrong.
        let most = listed.map_or(u64::MAX, |object| object.size.saturating_add(1));
        response
            .body_mut()
            .as_reader()
            .take(most)
            .read_to_end(&mut body)
            .map_err(|error| answer::of_body(&error, body.len() as u64))?;
        let found = body.len() as u64;
        match (listed, announced) {
            (Some(object), _) if object.size != found => Err(Fault::Length { listed: object.size, found }),
            (None, Some(announced)) if announced != found => Err(Fault::Length { listed: announced, found }),
            _ => Ok(body),
        }
    }

    fn write(&self, key: &str, bytes: &[u8], headers: &[(&str, &str)]) -> std::result::Result<(), Fault> {
        self.send(&Method::PUT, &self.path(key), headers, bytes, bytes.len() as u64).map(drop)
    }
}

fn same_etag(one: &str, other: &str) -> bool {
    one.trim_matches('"') == other.trim_matches('"')
}

impl Store for S3 {
    fn name(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }

    fn list(&self, prefix: &str, take: &mut dyn FnMut(Object) -> bool) -> Result<()> {
        let escape = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
        let wanted = escape(&format!("{}{prefix}", self.prefix));
        let mut token: Option<String> = None;
        loop {
            let from = token.as_deref().map(|token| format!("continuation-token={}&", escape(token)));
            // Sorted by name, as the signature wants them.
            let query =
                format!("/?{}encoding-type=url&list-type=2&prefix={wanted}", from.unwrap_or_default());
            let page = answer::again(|| {
                let mut response = self.send(&Method::GET, &query, &[], &[], PAGE_BYTES)?;
                let mut text = String::new();
                let read = response.body_mut().as_reader().take(PAGE_BYTES).read_to_string(&mut text);
                read.map_err(|error| answer::of_body(&error, 0))?;
                listing::page(&text, &self.prefix)
            });
            let page = page.map_err(|fault| self.error("list", prefix, fault))?;
            for object in page.objects {
                if !take(object) {
                    return Ok(());
                }
            }
            match page.next {
                Some(next) => token = Some(next),
                None => return Ok(()),
            }
        }
    }

    fn get(&self, object: &Object) -> Result<Vec<u8>> {
        self.fetch(&object.key, Some(object)).map_err(|fault| self.error("read", &object.key, fault))
    }

    fn read(&self, key: &str) -> Result<Vec<u8>> {
        self.fetch(key, None).map_err(|fault| self.error("read", key, fault))
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<()> {
        self.write(key, bytes, &[]).map_err(|fault| self.error("write", key, fault))
    }

    fn create(&self, key: &str, bytes: &[u8]) -> Result<()> {
        self.write(key, bytes, &[("if-none-match", "*")]).map_err(|fault| self.error("create", key, fault))
    }

    fn has(&self, key: &str) -> Result<bool> {
        match self.send(&Method::HEAD, &self.path(key), &[], &[], 0) {
            Ok(_) => Ok(true),
            Err(Fault::Missing) => Ok(false),
            Err(fault) => Err(self.error("look for", key, fault)),
        }
    }
}
