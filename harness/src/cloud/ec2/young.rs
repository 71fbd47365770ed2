//! What was made a moment ago and is not known everywhere in EC2 yet.
//!
//! "If you run a command to modify or describe the resource that you just created, its ID might not have propagated
//! throughout the system, and you will get an error responding that the resource does not exist"
//! (<https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>). A call that needs such a thing is made
//! again, ever less often, for as long as EC2's documentation says.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;

use super::cloud::{Cloud, Ec2Error};
use crate::cloud::consistency::CONSISTENT;

/// Between two tries, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

/// Makes a call that needs what was just made, until EC2 knows it.
pub(super) async fn once_known<T, Called>(
    cloud: &Cloud,
    call: impl Fn() -> Called + Send,
) -> Result<T, Ec2Error>
where
    Called: Future<Output = Result<T, Ec2Error>> + Send,
{
    let until = cloud.now().saturating_add(CONSISTENT).unwrap_or(Timestamp::MAX);
    let mut pause = PAUSE.0;
    loop {
        match call().await {
            Err(error) if is_young(&error) && cloud.now() < until => sleep(pause).await,
            answered => return answered,
        }
        pause = (pause * 2).min(PAUSE.1);
    }
}

fn is_young(error: &Ec2Error) -> bool {
    error.refusal().is_some_and(super::refusal::Refusal::may_be_youth)
}
