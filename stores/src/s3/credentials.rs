//! Whose key signs the requests: AWS's usual chain, asked anew before a key expires.
//!
//! Providers ask services of their own and need an event loop. It has a thread to itself, so that a store can be
//! opened, asked and dropped anywhere, inside another event loop too.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials as Key;
use aws_credential_types::provider::ProvideCredentials;

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
    pub(super) credentials: Credentials,
}

/// Keys, as long as they last.
pub(super) struct Credentials {
    state: Mutex<State>,
}

struct State {
    /// Ends the thread when it is dropped.
    ask: Sender<()>,
    answers: Receiver<Result<Key, Fault>>,
    kept: Option<Key>,
}

/// Asks the environment, the profile and the instance.
pub(super) fn find(settings: &S3Settings) -> Result<Found, Fault> {
    let (ask, asked) = mpsc::channel();
    let (answer, answers) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    let wanted = settings.clone();
    let provider = std::thread::Builder::new().name("s3-credentials".into());
    provider
        .spawn(move || {
            if let Err(fault) = provide(wanted, &tell, &asked, &answer) {
                // Whoever opened the store may be gone.
                let _ = tell.send(Err(fault));
            }
        })
        .map_err(|error| Fault::Other(error.to_string()))?;
    let config = told.recv().map_err(|_| ended())??;
    let endpoint = settings
        .endpoint
        .clone()
        .or_else(|| std::env::var("AWS_ENDPOINT_URL_S3").ok().filter(|url| !url.is_empty()))
        .or_else(|| config.endpoint_url().map(str::to_owned));
    let region = config.region().map_or(REGION, |region| region.as_ref()).to_owned();
    let credentials = Credentials { state: Mutex::new(State { ask, answers, kept: None }) };
    Ok(Found { endpoint, region, credentials })
}

/// Finds the configuration, and then a key each time that one is asked for.
fn provide(
    wanted: S3Settings,
    tell: &Sender<Result<SdkConfig, Fault>>,
    asked: &Receiver<()>,
    answer: &Sender<Result<Key, Fault>>,
) -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::Other(error.to_string()))?;
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(region) = wanted.region {
        loader = loader.region(Region::new(region));
    }
    if let Some(Keys { id, secret }) = wanted.keys {
        loader = loader.credentials_provider(Key::from_keys(id, secret, None));
    }
    let config = runtime.block_on(loader.load());
    let provider = config.credentials_provider().ok_or_else(|| Fault::Denied("no credentials".into()))?;
    let mut goes_on = tell.send(Ok(config)).is_ok();
    while goes_on && asked.recv().is_ok() {
        let key = runtime.block_on(provider.provide_credentials()).map_err(|error| {
            Fault::Denied(format!(
                "no credentials were found ({error}): set AWS_PROFILE or give the node a role"
            ))
        });
        goes_on = answer.send(key).is_ok();
    }
    Ok(())
}

fn ended() -> Fault {
    Fault::Other("the search for credentials ended early".into())
}

impl Credentials {
    /// A key that still lasts a while.
    pub(super) fn current(&self) -> Result<Key, Fault> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = state.kept.as_ref().filter(|key| lasts(key)) {
            return Ok(key.clone());
        }
        state.ask.send(()).map_err(|_| ended())?;
        let key = state.answers.recv().map_err(|_| ended())??;
        state.kept = Some(key.clone());
        Ok(key)
    }
}

fn lasts(key: &Key) -> bool {
    key.expiry().is_none_or(|end| end > SystemTime::now() + AHEAD)
}
