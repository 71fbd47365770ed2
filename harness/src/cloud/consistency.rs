//! How long EC2 may not know what one of its calls has made.

use jiff::SignedDuration;

/// "Gradually up to about five minutes" is how long EC2's documentation would have a client go on asking
/// (<https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>). By the cloud's own clock.
pub const CONSISTENT: SignedDuration = SignedDuration::from_mins(5);
