//! Any S3: AWS's own, or whatever answers its API at an endpoint. `object_store` speaks with it.
//!
//! Two things it cannot do: name an object whose key has a control character, an empty or a dotted part, as keys of S3
//! may; and list a bucket that has one such key. Listings, and requests for such keys, are therefore plain requests,
//! signed and sent by `object_store`'s own parts.

mod address;
mod answer;
mod credentials;
mod listing;
mod runtime;
mod wire;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;
use http::{Method, Request};
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsAuthorizer};
use object_store::client::{HttpClient, HttpConnector, HttpRequestBody, HttpResponse};
use object_store::path::Path;
use object_store::{
    CredentialProvider, GetOptions, MultipartUpload, ObjectStore, PutMode, PutMultipartOptions, PutOptions,
    PutPayload, RetryConfig,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use self::credentials::{Chain, Found};
use self::wire::{Connector, Pace};
use crate::error::{Fault, Result, StoreError};
use crate::settings::S3Settings;
use crate::store::{Object, Store};

/// What a listing's page may have: 1,000 keys of 1 KiB, each byte escaped.
const PAGE_BYTES: usize = 16 << 20;
/// How long an object that is not listed may take: as long as so many bytes do.
const UNKNOWN_BYTES: u64 = 64 << 20;
/// An object that is larger goes in parts, so that what breaks off is a part.
const PART_BYTES: usize = 16 << 20;
/// Parts on their way at a time.
const PARTS: usize = 4;
/// RFC 3986's unreserved characters, which S3's signature leaves as they are.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const ESCAPED_IN_PATH: &AsciiSet = &ESCAPED.remove(b'/');

type Answer<T> = std::result::Result<T, Fault>;

/// A bucket, below a prefix.
pub struct S3 {
    inner: Arc<Inner>,
    bucket: String,
    prefix: String,
}

struct Inner {
    store: AmazonS3,
    client: HttpClient,
    credentials: Arc<Chain>,
    region: String,
    /// Scheme, host and, where the bucket is no part of the host's name, the bucket.
    base: String,
    pace: Pace,
}

impl S3 {
    /// Opens a bucket: finds region and credentials, and asks nothing of the store yet.
    pub fn new(bucket: &str, prefix: &str, settings: &S3Settings) -> Result<Self> {
        let opened = |fault| StoreError { verb: "open", what: format!("s3://{bucket}/{prefix}"), fault };
        let found = runtime::block_on(credentials::find(settings.clone())).map_err(opened)?;
        let inner = Inner::new(bucket, found, Pace { stall: settings.stall })
            .map_err(|error| opened(Fault::Other(error.to_string())))?;
        Ok(Self { inner: Arc::new(inner), bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    fn error(&self, verb: &'static str, key: &str, fault: Fault) -> StoreError {
        let what = format!("s3://{}/{}{}", self.bucket, self.prefix, key.escape_debug());
        StoreError { verb, what, fault }
    }

    /// Makes a call about a key.
    fn call<T: Send + 'static, F: Future<Output = Answer<T>> + Send + 'static>(
        &self,
        verb: &'static str,
        key: &str,
        call: impl FnOnce(Arc<Inner>, Key) -> F,
    ) -> Result<T> {
        let full = Key::new(format!("{}{key}", self.prefix));
        runtime::block_on(call(Arc::clone(&self.inner), full)).map_err(|fault| self.error(verb, key, fault))
    }
}

impl Store for S3 {
    fn name(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }

    fn list(&self, prefix: &str, take: &mut dyn FnMut(Object) -> bool) -> Result<()> {
        let mut token: Option<String> = None;
        loop {
            let page = answer::again(|| {
                let (inner, own) = (Arc::clone(&self.inner), self.prefix.clone());
                let (prefix, token) = (format!("{own}{prefix}"), token.clone());
                runtime::block_on(async move { inner.page(&own, &prefix, token.as_deref()).await })
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
        let listed = object.clone();
        self.call("read", &object.key, |inner, key| async move { inner.get(&key, Some(&listed)).await })
    }

    fn read(&self, key: &str) -> Result<Vec<u8>> {
        self.call("read", key, |inner, key| async move { inner.get(&key, None).await })
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<()> {
        let bytes = Bytes::copy_from_slice(bytes);
        self.call("write", key, |inner, key| async move { inner.put(&key, bytes, false).await })
    }

    fn create(&self, key: &str, bytes: &[u8]) -> Result<()> {
        let bytes = Bytes::copy_from_slice(bytes);
        self.call("create", key, |inner, key| async move { inner.put(&key, bytes, true).await })
    }

    fn remove(&self, key: &str) -> Result<()> {
        self.call("remove", key, |inner, key| async move { inner.remove(&key).await })
    }

    fn has(&self, key: &str) -> Result<bool> {
        self.call("look for", key, |inner, key| async move { inner.has(&key).await })
    }
}

/// A key of the bucket, as `object_store` has it where it can.
struct Key {
    text: String,
    path: Option<Path>,
}

impl Key {
    fn new(text: String) -> Self {
        // A path loses slashes at its ends: then it is another key.
        let path = Path::parse(&text).ok().filter(|path| path.as_ref() == text);
        Self { text, path }
    }
}

impl Inner {
    fn new(bucket: &str, found: Found, pace: Pace) -> object_store::Result<Self> {
        let Found { endpoint, region, credentials } = found;
        let base = address::of(endpoint.as_deref(), bucket, &region);
        // Who calls decides on another try.
        let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
        let store = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&region)
            // The bucket is in it already, as part of the host or of the path.
            .with_endpoint(&base)
            .with_virtual_hosted_style_request(true)
            .with_credentials(Arc::clone(&credentials) as _)
            .with_client_options(wire::options())
            .with_http_connector(Connector { pace })
            .with_retry(retry)
            .build()?;
        let client = Connector { pace }.connect(&wire::options())?;
        Ok(Self { store, client, credentials, region, base, pace })
    }

    /// A plain request, signed.
    async fn ask(
        &self,
        method: Method,
        path_and_query: &str,
        only_new: bool,
        body: HttpRequestBody,
    ) -> Answer<HttpResponse> {
        let wrong =
            |error: &dyn std::fmt::Display| Fault::Other(format!("the request cannot be made: {error}"));
        let mut request = Request::builder().method(method).uri(format!("{}{path_and_query}", self.base));
        if only_new {
            request = request.header("if-none-match", "*");
        }
        let mut request = request.body(body).map_err(|error| wrong(&error))?;
        let key = self.credentials.get_credential().await.map_err(|error| answer::of_error(&error))?;
        let signed = AwsAuthorizer::new(&key, "s3", &self.region).try_authorize(&mut request, None);
        signed.map_err(|error| wrong(&error))?;
        self.client.execute(request).await.map_err(|error| {
            answer::of_error(&object_store::Error::Generic { store: "S3", source: Box::new(error) })
        })
    }

    /// A page of a listing; its keys lose the store's `own` prefix.
    async fn page(&self, own: &str, prefix: &str, token: Option<&str>) -> Answer<listing::Page> {
        let escape = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
        let from = token.map(|token| format!("continuation-token={}&", escape(token)));
        // Sorted by name, as the signature wants them.
        let query =
            format!("/?{}encoding-type=url&list-type=2&prefix={}", from.unwrap_or_default(), escape(prefix));
        let response = self.ask(Method::GET, &query, false, HttpRequestBody::empty()).await?;
        let body = response.into_body().bytes_stream();
        let text = wire::whole(body, PAGE_BYTES, self.pace.of(PAGE_BYTES as u64)).await?;
        listing::page(&String::from_utf8_lossy(&text), own)
    }

    async fn get(&self, key: &Key, listed: Option<&Object>) -> Answer<Vec<u8>> {
        let (announced, etag, bytes) = self.fetch(key, listed).await?;
        let found = bytes.len() as u64;
        let replaced = |object: &Object| {
            let etag = etag.as_deref().unwrap_or_default();
            !object.etag.is_empty() && !etag.is_empty() && etag.trim_matches('"') != object.etag
        };
        match (listed, announced) {
            (Some(object), _) if replaced(object) => Err(Fault::Replaced),
            (Some(object), _) if object.size != found => Err(Fault::Length { listed: object.size, found }),
            (None, Some(announced)) if announced != found => Err(Fault::Length { listed: announced, found }),
            _ => Ok(bytes),
        }
    }

    /// The length that was announced, the etag, and the bytes: all of them, or one more than were listed, which is
    /// enough to see that the length is wrong.
    async fn fetch(
        &self,
        key: &Key,
        listed: Option<&Object>,
    ) -> Answer<(Option<u64>, Option<String>, Vec<u8>)> {
        let most = listed.map_or(usize::MAX, |object| usize::try_from(object.size).unwrap_or(usize::MAX));
        let within = self.pace.of(listed.map_or(UNKNOWN_BYTES, |object| object.size));
        if let Some(path) = &key.path {
            let got = self
                .store
                .get_opts(path, GetOptions::default())
                .await
                .map_err(|error| answer::of_error(&error))?;
            let (size, etag) = (got.meta.size, got.meta.e_tag.clone());
            let bytes = wire::whole(got.into_stream(), most, within).await?;
            return Ok((Some(size), etag, bytes));
        }
        let response = self.ask(Method::GET, &in_path(&key.text), false, HttpRequestBody::empty()).await?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let announced = header("content-length").and_then(|length| length.parse().ok());
        let etag = header("etag").map(str::to_owned);
        let bytes = wire::whole(response.into_body().bytes_stream(), most, within).await?;
        Ok((announced, etag, bytes))
    }

    async fn put(&self, key: &Key, bytes: Bytes, only_new: bool) -> Answer<()> {
        let Some(path) = &key.path else {
            return self.ask(Method::PUT, &in_path(&key.text), only_new, bytes.into()).await.map(drop);
        };
        if bytes.len() > PART_BYTES && !only_new {
            return self.put_in_parts(path, &bytes).await;
        }
        let mode = if only_new { PutMode::Create } else { PutMode::Overwrite };
        let options = PutOptions { mode, ..PutOptions::default() };
        let put = self.store.put_opts(path, PutPayload::from_bytes(bytes), options).await;
        put.map(drop).map_err(|error| answer::of_error(&error))
    }

    async fn put_in_parts(&self, path: &Path, bytes: &Bytes) -> Answer<()> {
        let mut upload = self
            .store
            .put_multipart_opts(path, PutMultipartOptions::default())
            .await
            .map_err(|error| answer::of_error(&error))?;
        let put = put_parts(upload.as_mut(), bytes).await;
        if put.is_err() {
            // Parts of what never becomes an object would be paid for. One that cannot be given up now is left to the
            // bucket's own rule; the first failure is the one to tell.
            let _ = upload.abort().await;
        }
        put.map_err(|error| answer::of_error(&error))
    }

    async fn remove(&self, key: &Key) -> Answer<()> {
        let body = HttpRequestBody::empty();
        // Without a word where there is none, which not every server keeps to.
        match self.ask(Method::DELETE, &in_path(&key.text), false, body).await {
            Ok(_) | Err(Fault::Missing) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    async fn has(&self, key: &Key) -> Answer<bool> {
        let found = match &key.path {
            Some(path) => self
                .store
                .get_opts(path, GetOptions { head: true, ..GetOptions::default() })
                .await
                .map(drop)
                .map_err(|error| answer::of_error(&error)),
            None => {
                self.ask(Method::HEAD, &in_path(&key.text), false, HttpRequestBody::empty()).await.map(drop)
            }
        };
        match found {
            Ok(()) => Ok(true),
            Err(Fault::Missing) => Ok(false),
            Err(fault) => Err(fault),
        }
    }
}

async fn put_parts(upload: &mut dyn MultipartUpload, bytes: &Bytes) -> object_store::Result<()> {
    let starts = Vec::from_iter((0..bytes.len()).step_by(PART_BYTES));
    for some in starts.chunks(PARTS) {
        let parts = some.iter().map(|start| {
            let part = bytes.slice(*start..bytes.len().min(start + PART_BYTES));
            upload.put_part(PutPayload::from_bytes(part))
        });
        try_join_all(Vec::from_iter(parts)).await?;
    }
    upload.complete().await.map(drop)
}

fn in_path(key: &str) -> String {
    format!("/{}", utf8_percent_encode(key, ESCAPED_IN_PATH))
}
