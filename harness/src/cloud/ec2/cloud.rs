//! The way to the cloud's API in one region.
//!
//! Credentials, region and endpoint come from the SDK's own chain, so whatever the `aws` command can use works here:
//! environment, profiles, SSO, the OIDC tokens of CI systems, an instance's role, and `AWS_ENDPOINT_URL` for an API that
//! is not AWS's. What is ours is that every answer sets [`Cloud::now`], and that every call is noted in [`Cloud::calls`].

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_ec2::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeSerializationInterceptorContextRef,
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use jiff::Timestamp;

pub use super::error::Ec2Error;
use super::error::{FROM, MAY_BE_DONE};
use super::refusal::Refusal;
use crate::cloud::calls::{Call, Calls};
use crate::cloud::clock::ApiClock;
use crate::text::chain;

/// The header by which AWS names a request that it has answered, as its services spell it.
const REQUEST_ID: [&str; 2] = ["x-amzn-requestid", "x-amz-request-id"];
const CONNECT: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_secs(20);
/// How long a call may take, with all its tries and the pauses between them.
const OPERATION: Duration = Duration::from_secs(60);
/// How often a call is tried that was throttled, or failed in the cloud or on the way there.
const ATTEMPTS: u32 = 5;

/// The API of one region. Cloning it is cheap, and clones share clock and calls.
#[derive(Clone)]
pub struct Cloud(Arc<Inner>);

struct Inner {
    region: String,
    sdk: SdkConfig,
    watch: Watch,
    ec2: aws_sdk_ec2::Client,
    ssm: aws_sdk_ssm::Client,
}

/// A client with the same settings and the same watch for each service.
macro_rules! client {
    ($service:ident, $sdk:expr, $watch:expr) => {
        $service::Client::from_conf($service::config::Builder::from($sdk).interceptor($watch.clone()).build())
    };
}

impl Cloud {
    /// The API of a region; `None`: the one that the environment or the profile names. Sends nothing yet.
    pub async fn connect(region: Option<&str>) -> Result<Self, Ec2Error> {
        Self::connect_by(aws_config::defaults(BehaviorVersion::latest()), region).await
    }

    /// The same with another way to credentials or endpoint than the SDK's own.
    pub async fn connect_by(loader: ConfigLoader, region: Option<&str>) -> Result<Self, Ec2Error> {
        let times = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(OPERATION)
            .build();
        let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS);
        let mut loader = loader.timeout_config(times).retry_config(retries);
        if let Ok(name) = AppName::new("gpu-harness") {
            loader = loader.app_name(name);
        }
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        let sdk = loader.load().await;
        let region = sdk.region().ok_or(Ec2Error::NoRegion)?.to_string();
        let watch = Watch {
            region: region.clone(),
            clock: Arc::new(match sdk.endpoint_url() {
                Some(_) => ApiClock::of_another_api(),
                None => ApiClock::new(),
            }),
            calls: Arc::new(Calls::default()),
        };
        let (ec2, ssm) = (client!(aws_sdk_ec2, &sdk, watch), client!(aws_sdk_ssm, &sdk, watch));
        Ok(Self(Arc::new(Inner { region, sdk, watch, ec2, ssm })))
    }

    pub fn region(&self) -> &str {
        &self.0.region
    }

    pub fn ec2(&self) -> &aws_sdk_ec2::Client {
        &self.0.ec2
    }

    /// Systems Manager, which knows the ids of AWS's images.
    pub fn ssm(&self) -> &aws_sdk_ssm::Client {
        &self.0.ssm
    }

    /// The Security Token Service, which tells whose credentials these are.
    pub fn sts(&self) -> aws_sdk_sts::Client {
        client!(aws_sdk_sts, &self.0.sdk, self.0.watch)
    }

    pub fn quotas(&self) -> aws_sdk_servicequotas::Client {
        client!(aws_sdk_servicequotas, &self.0.sdk, self.0.watch)
    }

    /// IAM, which is the same in all regions.
    pub fn iam(&self) -> aws_sdk_iam::Client {
        client!(aws_sdk_iam, &self.0.sdk, self.0.watch)
    }

    /// The cloud's time as it follows from its last answer; before the first, this machine's.
    pub fn now(&self) -> Timestamp {
        self.0.watch.clock.now()
    }

    /// Asks for the cloud's time: for a decision that hangs on it after a time without calls.
    pub async fn time(&self) -> Result<Timestamp, Ec2Error> {
        let asked = self.ec2().describe_regions().region_names(self.region()).send().await;
        asked.map_err(|error| Ec2Error::of("DescribeRegions", &error))?;
        Ok(self.now())
    }

    pub fn calls(&self) -> Vec<Call> {
        self.0.watch.calls.all()
    }
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cloud").field(&self.0.region).finish()
    }
}

/// Sees every call go out and come back.
#[derive(Debug, Clone)]
struct Watch {
    region: String,
    clock: Arc<ApiClock>,
    calls: Arc<Calls>,
}

#[derive(Debug, Clone, Copy)]
struct Begun {
    at: Timestamp,
    since: Instant,
    attempts: u32,
    /// Whether a try that came to nothing here may have been carried out there.
    may_be_done: bool,
}

impl Storable for Begun {
    type Storer = StoreReplace<Self>;
}

impl Intercept for Watch {
    fn name(&self) -> &'static str {
        "gpu-harness"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let begun = Begun { at: Timestamp::now(), since: Instant::now(), attempts: 0, may_be_done: false };
        config.interceptor_state().store_put(begun);
        Ok(())
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(&begun) = config.load::<Begun>() {
            config.interceptor_state().store_put(Begun { attempts: begun.attempts + 1, ..begun });
        }
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let may_be_done = match context.response() {
            _ if matches!(context.output_or_error(), Some(Ok(_))) => false,
            Some(answer) if answer.status().as_u16() >= 400 => {
                let status = answer.status().as_u16();
                Refusal::of(&code(answer.body().bytes().unwrap_or_default(), status), "").may_be_done(status)
            }
            // No answer, or none that says what it should.
            _ => true,
        };
        if let Some(&begun) = config.load::<Begun>() {
            let may_be_done = begun.may_be_done || may_be_done;
            config.interceptor_state().store_put(Begun { may_be_done, ..begun });
        }
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        // AWS names each request that it has answered; whoever else answers on the way has a clock of his own.
        let is_theirs = REQUEST_ID.iter().any(|name| response.headers().get(*name).is_some());
        if let Some(date) = response.headers().get("date").filter(|_| is_theirs) {
            self.clock.hear(date);
        }
        response.headers_mut().insert(FROM, self.region.clone());
        // The call's error is made of its last answer alone.
        if config.load::<Begun>().is_some_and(|begun| begun.may_be_done) {
            response.headers_mut().insert(MAY_BE_DONE, "1");
        }
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let (Some(call), Some(begun)) = (config.load::<Metadata>(), config.load::<Begun>()) {
            let error = context.output_or_error().and_then(Result::err).map(|error| chain(error));
            self.calls.note(Call {
                region: self.region.clone(),
                service: call.service().to_owned(),
                operation: call.name().to_owned(),
                at: begun.at,
                begun: begun.since,
                took: begun.since.elapsed(),
                attempts: begun.attempts,
                error,
            });
        }
        Ok(())
    }
}

/// The code of an error as EC2 writes it.
fn code(answer: &[u8], status: u16) -> String {
    let text = String::from_utf8_lossy(answer);
    let code = text.split_once("<Code>").and_then(|(_, rest)| Some(rest.split_once("</Code>")?.0.to_owned()));
    code.unwrap_or_else(|| format!("HTTP {status}"))
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::cloud::error::Fault as _;

    /// An EC2 that gives these answers, one to each connection: a status and a code, or none at all.
    async fn answering(answers: &'static [(u16, &'static str)]) -> Cloud {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for (status, code) in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 16 << 10];
                let _ = stream.read(&mut request).await;
                if *status == 0 {
                    continue;
                }
                let error = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
                let body = format!("<Response><Errors>{error}</Errors><RequestID>1</RequestID></Response>");
                let head = format!(
                    "HTTP/1.1 {status} No\r\ncontent-type: text/xml\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all((head + &body).as_bytes()).await;
            }
        });
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .credentials_provider(Credentials::new("test", "test", None, None, "test"));
        Cloud::connect_by(loader, Some("us-east-1")).await.unwrap()
    }

    #[tokio::test]
    async fn a_call_is_in_doubt_where_any_of_its_tries_may_have_been_carried_out() {
        const NO: (u16, &str) = (403, "UnauthorizedOperation");
        const THROTTLED: (u16, &str) = (503, "RequestLimitExceeded");
        let table: [(&[_], bool); 5] = [
            (&[NO], false),
            (&[THROTTLED, NO], false),
            (&[(0, "lost"), NO], true),
            (&[(500, "InternalError"), NO], true),
            (&[(503, "Unavailable"), THROTTLED, NO], true),
        ];
        for (answers, in_doubt) in table {
            let cloud = answering(answers).await;
            let asked = cloud.ec2().create_security_group().group_name("g").description("d").send().await;
            let error = Ec2Error::of("CreateSecurityGroup", &asked.unwrap_err());
            assert_eq!(error.code(), Some(NO.1), "{answers:?}: {error}");
            assert_eq!(cloud.calls()[0].attempts as usize, answers.len());
            assert_eq!(error.leaves_a_doubt(), in_doubt, "{answers:?}");
        }
    }
}
