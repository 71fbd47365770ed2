//! Who we are to AWS, and whether our clocks agree.

use std::time::Duration;

use gpu_suites::unit::Span;
use jiff::Timestamp;

use super::first_sentence;
use crate::cloud::ec2::cloud::{Cloud, Ec2Error};
use crate::here::Env;
use crate::report::finding::Finding;

/// AWS refuses requests that were signed at a time more than five minutes off.
const MOST_SKEW: Duration = Duration::from_secs(240);

/// Who the caller is, as an ARN; `None` where nothing more can be asked. `tell`: whether to say so.
pub(super) async fn caller(
    cloud: &Cloud,
    env: &Env,
    findings: &mut Vec<Finding>,
    tell: bool,
) -> Option<String> {
    match cloud.sts().get_caller_identity().send().await {
        Ok(caller) => {
            let arn = caller.arn().unwrap_or("an unnamed caller").to_owned();
            if tell {
                let account = caller.account().unwrap_or("?");
                findings
                    .push(Finding::ok("credentials", format!("account {account}, {arn}, {}", source(env))));
            }
            Some(arn)
        }
        Err(error) => {
            let error = Ec2Error::of("GetCallerIdentity", &error);
            let said = first_sentence(&crate::text::chain(&error));
            findings.push(Finding::failed("credentials", said).hint(format!(
                "{}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or in CI AWS_ROLE_ARN and \
                 AWS_WEB_IDENTITY_TOKEN_FILE (docs/iam.md)",
                source(env)
            )));
            None
        }
    }
}

/// Where the SDK's chain finds them, by the look of the environment: it tries these in this order.
fn source(env: &Env) -> &'static str {
    let set = |name: &str| env.get(name).is_some();
    if set("AWS_ACCESS_KEY_ID") {
        "from the environment (AWS_ACCESS_KEY_ID)"
    } else if set("AWS_PROFILE") {
        "from the profile of AWS_PROFILE"
    } else if set("AWS_WEB_IDENTITY_TOKEN_FILE") {
        "from a web identity token (AWS_WEB_IDENTITY_TOKEN_FILE)"
    } else if set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") || set("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
        "from the container's role"
    } else {
        "from the default profile, or else from this instance's role"
    }
}

/// The API's clock against ours; to be asked after a call of EC2's.
pub(super) fn clock(cloud: &Cloud) -> Finding {
    judge(cloud.now(), Timestamp::now())
}

fn judge(api: Timestamp, ours: Timestamp) -> Finding {
    let skew = ours.duration_until(api);
    let off = skew.unsigned_abs();
    let side = if skew.is_negative() { "behind" } else { "ahead of" };
    if off <= MOST_SKEW {
        let off = if off < Duration::from_secs(2) {
            "equal within 2 s".to_owned()
        } else {
            format!(
                "the API's is {} {side} ours; times of nodes are told by the API's",
                Span(Duration::from_secs(off.as_secs()))
            )
        };
        Finding::ok("clock", off)
    } else {
        Finding::failed("clock", format!("the API's is {} {side} ours", Span(Duration::from_secs(off.as_secs()))))
            .hint("AWS refuses calls that are signed more than 5 minutes off: set this machine's clock by NTP (timedatectl set-ntp true)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::finding::State;

    #[test]
    fn a_clock_that_aws_would_refuse_is_a_failure_and_one_that_it_takes_is_not() {
        let ours: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        for (api, state) in [
            ("2026-11-23T10:00:01Z", State::Ok),
            ("2026-11-23T10:03:59Z", State::Ok),
            ("2026-11-23T10:05:00Z", State::Failed),
            ("2026-11-23T09:50:00Z", State::Failed),
        ] {
            assert_eq!(judge(api.parse().unwrap(), ours).state, state, "{api}");
        }
        assert!(judge("2026-11-23T09:50:00Z".parse().unwrap(), ours).said.contains("10m behind ours"));
    }
}
