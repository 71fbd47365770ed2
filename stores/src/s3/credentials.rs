//! Whose key signs the requests: AWS's usual chain, asked anew before a key expires.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials as Key;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use tokio::runtime::Runtime;

use super::settings::S3Settings;
use crate::error::Fault;

/// A key is replaced this long before it expires.
const AHEAD: Duration = Duration::from_secs(300);
/// Where no one says which, as AWS's own tools do for S3.
const REGION: &str = "us-east-1";

/// What was found out about the way to a store.
pub(super) struct Found {
    pub(super) endpoint: Option<String>,
    pub(super) region: String,
    pub(super) credentials: Credentials,
}

/// Keys, as long as they last.
pub(super) struct Credentials {
    provider: SharedCredentialsProvider,
    /// The one place that needs an event loop: providers ask services of their own.
    state: Mutex<(Runtime, Option<Key>)>,
}

/// Asks the environment, the profile and the instance.
pub(super) fn find(settings: &S3Settings) -> Result<Found, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::Other(error.to_string()))?;
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    let config = runtime.block_on(loader.load());
    let provider = config.credentials_provider().ok_or_else(|| Fault::Denied("no credentials".into()))?;
    let endpoint = settings
        .endpoint
        .clone()
        .or_else(|| std::env::var("AWS_ENDPOINT_URL_S3").ok().filter(|url| !url.is_empty()))
        .or_else(|| config.endpoint_url().map(str::to_owned));
    let region = config.region().map_or(REGION, |region| region.as_ref()).to_owned();
    let credentials = Credentials { provider, state: Mutex::new((runtime, None)) };
    Ok(Found { endpoint, region, credentials })
}

impl Credentials {
    /// A key that still lasts a while.
    pub(super) fn current(&self) -> Result<Key, Fault> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (runtime, kept) = &mut *state;
        if let Some(key) = kept.as_ref().filter(|key| lasts(key)) {
            return Ok(key.clone());
        }
        let key = runtime.block_on(self.provider.provide_credentials()).map_err(|error| {
            Fault::Denied(format!(
                "no credentials were found ({error}): set AWS_PROFILE or give the node a role"
            ))
        })?;
        *kept = Some(key.clone());
        Ok(key)
    }
}

fn lasts(key: &Key) -> bool {
    key.expiry().is_none_or(|end| end > SystemTime::now() + AHEAD)
}
