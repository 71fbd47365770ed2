//! Does the cloud take this node back? EC2 says so two minutes ahead, in the instance metadata service (version 2).
//!
//! A node without such a service is one that nobody takes back: what does not answer is asked again and not spoken of.

use std::io::Read;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use gpu_suites::event::ReclaimNotice;
use jiff::Timestamp;
use serde::Deserialize;

use super::readers::Message;
use super::watch::Watch;

/// The environment variable that moves the service; AWS's own tools know it too.
const VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
/// Where the service is on every instance.
const ENDPOINT: &str = "http://169.254.169.254";
/// How often it is asked, as AWS recommends.
const PAUSE: Duration = Duration::from_secs(5);
/// How many seconds it may take to answer: it is in the same rack.
const PATIENCE: u64 = 2;
/// How many seconds a token lasts: the most that there is.
const TOKEN_LASTS: &str = "21600";
/// The longest answer that makes sense.
const LONGEST: u64 = 4 << 10;

/// Asks until there is a notice, for as long as the process lives.
pub(super) fn look_out(watch: &Watch, bell: &SyncSender<Message>) {
    let mut metadata = Metadata::of_environment();
    loop {
        if let Some(notice) = metadata.notice() {
            watch.reclaim(notice);
            // A full channel is being read anyway.
            let _ = bell.try_send(Message::Woken);
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// The instance metadata service.
struct Metadata {
    endpoint: String,
    token: Option<String>,
}

/// `spot/instance-action`.
#[derive(Deserialize)]
struct InstanceAction {
    action: String,
    /// Kept as text: a time that cannot be read does not make the notice go away.
    time: Option<String>,
}

impl Metadata {
    fn of_environment() -> Self {
        let set = std::env::var(VARIABLE).ok().filter(|endpoint| !endpoint.is_empty());
        let endpoint = set.as_deref().unwrap_or(ENDPOINT).trim_end_matches('/').to_owned();
        Self { endpoint, token: None }
    }

    fn notice(&mut self) -> Option<ReclaimNotice> {
        let token = match self.token.take() {
            Some(token) => token,
            None => self.new_token()?,
        };
        let asked = minreq::get(format!("{}/latest/meta-data/spot/instance-action", self.endpoint));
        let (status, said) = answer(asked.with_header("X-aws-ec2-metadata-token", &token))?;
        // One that is refused has run out: the next question comes with a new one.
        if status != 401 {
            self.token = Some(token);
        }
        // There is no such page as long as there is no notice.
        if status == 200 { parse(&said) } else { None }
    }

    fn new_token(&self) -> Option<String> {
        let asked = minreq::put(format!("{}/latest/api/token", self.endpoint));
        let (status, said) = answer(asked.with_header("X-aws-ec2-metadata-token-ttl-seconds", TOKEN_LASTS))?;
        // What is no token would be no header either.
        (status == 200 && !said.is_empty() && said.bytes().all(|byte| byte.is_ascii_graphic()))
            .then_some(said)
    }
}

/// The answer's status and text; `None` where there is none.
fn answer(asked: minreq::Request) -> Option<(u16, String)> {
    let asked = asked.with_header("Connection", "close").with_timeout(PATIENCE).with_follow_redirects(false);
    let answer = asked.send_lazy().ok()?;
    let status = answer.status_code;
    let mut said = String::new();
    answer.take(LONGEST).read_to_string(&mut said).ok()?;
    Some((status, said))
}

fn parse(said: &str) -> Option<ReclaimNotice> {
    // Something that answers everything with a page of its own is no notice.
    let InstanceAction { action, time } = serde_json::from_str(said).ok()?;
    Some(ReclaimNotice { taken_at: time.and_then(|time| time.parse::<Timestamp>().ok()), action })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_notice_is_taken_for_one() {
        for (said, text) in [
            (
                r#"{"action":"terminate","time":"2026-11-23T14:32:05Z"}"#,
                Some("AWS takes the spot instance back at 14:32:05 UTC"),
            ),
            (r#"{"action":"stop"}"#, Some("AWS stops the spot instance within two minutes")),
            (
                r#"{"action":"terminate","time":"soon"}"#,
                Some("AWS takes the spot instance back within two minutes"),
            ),
            ("<html>please log in</html>", None),
            (r#"{"time":"2026-11-23T14:32:05Z"}"#, None),
            ("", None),
        ] {
            assert_eq!(parse(said).map(|notice| notice.to_string()).as_deref(), text, "{said}");
        }
    }
}
