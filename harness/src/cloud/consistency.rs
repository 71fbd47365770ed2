//! How long EC2 may not know what one of its calls has made.

use jiff::SignedDuration;

/// "Gradually up to about five minutes" is how long EC2's documentation would have a client go on asking
/// (<https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>). By the cloud's own clock.
pub const CONSISTENT: SignedDuration = SignedDuration::from_mins(5);

/// How long it may take until EC2 has shown the end of everything that it was asked to end: what a fleet has launched may be
/// shown so late ([`CONSISTENT`]), shut down for as long, be shown as ended as late, and its security group, whose deletion
/// was carried out without an answer, counts as gone when it was missing for as long.
pub const CONFIRMED: SignedDuration = SignedDuration::from_mins(20);
