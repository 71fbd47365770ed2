//! Whose key signs the requests: AWS's usual chain, asked anew before a key expires.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials as Key;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::sync::Mutex;

use crate::error::Fault;
use crate::settings::{Keys, S3Settings};

/// A key is replaced this long before it expires.
const AHEAD: Duration = Duration::from_secs(300);
/// Where no one says which, as AWS's own tools do for S3.
const REGION: &str = "us-east-1";

/// What was found out about the way to a store.
pub(super) struct Found {
    pub(super) endpoint: Option<String>,
    pub(super) region: String,
    pub(super) credentials: Arc<Chain>,
}

/// Keys, as long as they last.
#[derive(Debug)]
pub(super) struct Chain {
    provider: SharedCredentialsProvider,
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    key: Arc<AwsCredential>,
    expires: Option<SystemTime>,
}

/// Asks the environment, the profile and the instance.
pub(super) async fn find(settings: S3Settings) -> Result<Found, Fault> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(region) = settings.region {
        loader = loader.region(Region::new(region));
    }
    if let Some(Keys { id, secret }) = settings.keys {
        loader = loader.credentials_provider(Key::from_keys(id, secret, None));
    }
    let config = loader.load().await;
    let provider = config.credentials_provider().ok_or_else(|| Fault::Denied("no credentials".into()))?;
    let endpoint = settings
        .endpoint
        .or_else(|| std::env::var("AWS_ENDPOINT_URL_S3").ok().filter(|url| !url.is_empty()))
        .or_else(|| config.endpoint_url().map(str::to_owned));
    let region = config.region().map_or(REGION, |region| region.as_ref()).to_owned();
    Ok(Found { endpoint, region, credentials: Arc::new(Chain { provider, kept: Mutex::new(None) }) })
}

#[async_trait]
impl CredentialProvider for Chain {
    type Credential = AwsCredential;

    /// A key that still lasts a while.
    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.lasts()) {
            return Ok(Arc::clone(&kept.key));
        }
        let key = self.provider.provide_credentials().await.map_err(|error| {
            let fault = Fault::Denied(format!(
                "no credentials were found ({error}): set AWS_PROFILE or give the node a role"
            ));
            object_store::Error::Generic { store: "S3", source: Box::new(fault) }
        })?;
        let new = Kept {
            expires: key.expiry(),
            key: Arc::new(AwsCredential {
                key_id: key.access_key_id().to_owned(),
                secret_key: key.secret_access_key().to_owned(),
                token: key.session_token().map(str::to_owned),
            }),
        };
        Ok(Arc::clone(&kept.insert(new).key))
    }
}

impl Kept {
    fn lasts(&self) -> bool {
        self.expires.is_none_or(|end| end > SystemTime::now() + AHEAD)
    }
}
