//! A message on its way: signed as Standard Webhooks has it, tried again where the service is busy, and known by its id
//! where it comes twice. <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;

use super::Message;
use crate::config::{NotifyConfig, NotifyFormat};
use crate::here::Env;
use crate::text::clean::{cut, log_line};
use crate::text::limits::QUOTE;

/// Times that it is tried again, and the first pause before it; each further one is twice as long.
const RETRIES: usize = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// A step must not hang because somebody cannot be told.
const PATIENCE: Duration = Duration::from_secs(5);
const SECRET: &str = "whsec_";

/// Why somebody was not told. The address is a secret, and in none of these.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("the environment variable {name} is not set")]
    Unset { name: String },
    #[error("the environment variable {name} is no address that begins with https://")]
    Address { name: String },
    #[error("the environment variable {name} is no secret: whsec_ and 24 to 64 bytes in base64")]
    Secret { name: String },
    #[error("the message did not get through")]
    Send(#[source] reqwest::Error),
    #[error("the service answers {status}: {message}")]
    Refused { status: u16, message: String },
}

pub async fn tell(to: &NotifyConfig, message: &Message, env: &Env) -> Result<(), WebhookError> {
    let url = variable(&to.url_env, env)?;
    // Over plain http everybody on the way could read it, and the address with it. To this machine nobody is on the way.
    let address = reqwest::Url::parse(&url).ok().filter(|url| {
        let is_here = url.host_str().is_some_and(|host| host == "127.0.0.1" || host == "localhost");
        url.scheme() == "https" || (url.scheme() == "http" && is_here)
    });
    let address = address.ok_or_else(|| WebhookError::Address { name: to.url_env.clone() })?;
    let body = match to.format {
        NotifyFormat::Json => serde_json::json!(message),
        NotifyFormat::Slack => message.for_slack(),
    };
    let body = body.to_string();
    let id = format!("gpu-harness-{}", message.run);
    let key = to.secret_env.as_deref().map(|name| key(name, env)).transpose()?;
    let client =
        reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build();
    let client = client.map_err(WebhookError::Send)?;
    let may_pass = |error: &WebhookError| match error {
        WebhookError::Refused { status, .. } => *status == 429 || *status >= 500,
        WebhookError::Send(source) => !source.is_builder(),
        _ => false,
    };
    let send = || once(&client, &address, &id, &body, key.as_deref());
    send.retry(ExponentialBuilder::new().with_min_delay(PAUSE).with_max_times(RETRIES))
        .when(may_pass)
        .notify(|_, pause| tracing::info!(?pause, "the webhook is told again"))
        .await
}

async fn once(
    client: &reqwest::Client,
    address: &reqwest::Url,
    id: &str,
    body: &str,
    key: Option<&[u8]>,
) -> Result<(), WebhookError> {
    let now = Timestamp::now().as_second();
    let mut request = client
        .post(address.clone())
        .header("content-type", "application/json")
        .header("user-agent", concat!("gpu-harness/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", id)
        .header("webhook-timestamp", now.to_string());
    if let Some(key) = key {
        request = request.header("webhook-signature", signature(key, id, now, body));
    }
    let failed = |source: reqwest::Error| WebhookError::Send(source.without_url());
    let answer = request.body(body.to_owned()).send().await.map_err(failed)?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let message = answer.text().await.unwrap_or_default();
    Err(WebhookError::Refused { status: status.as_u16(), message: log_line(&cut(&message, QUOTE)) })
}

fn variable(name: &str, env: &Env) -> Result<String, WebhookError> {
    env.get(name).ok_or_else(|| WebhookError::Unset { name: name.to_owned() })
}

fn key(name: &str, env: &Env) -> Result<Vec<u8>, WebhookError> {
    let secret = variable(name, env)?;
    let bytes = secret.strip_prefix(SECRET).and_then(|text| STANDARD.decode(text).ok());
    let fits = bytes.filter(|bytes| (24..=64).contains(&bytes.len()));
    fits.ok_or_else(|| WebhookError::Secret { name: name.to_owned() })
}

fn signature(key: &[u8], id: &str, seconds: i64, body: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { unreachable!("any length is a key's") };
    mac.update(format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn a_message_is_signed_as_the_standard_has_it() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
