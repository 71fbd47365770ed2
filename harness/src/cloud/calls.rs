//! Every call to the cloud's API: which, when, how long it took and how often it was tried.
//!
//! A bench counts them, and they are logged (`log`) for whoever wonders what a run waited for: without credentials and without
//! user data.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

#[derive(Debug, Clone)]
pub struct Call {
    pub region: String,
    pub service: String,
    pub operation: String,
    pub at: Timestamp,
    pub begun: Instant,
    /// How long it took, pauses between tries included.
    pub took: Duration,
    pub attempts: u32,
    pub error: Option<String>,
}

impl Call {
    fn ended(&self) -> Instant {
        self.begun + self.took
    }
}

/// The calls of one [`super::ec2::cloud::Cloud`].
#[derive(Debug, Default)]
pub struct Calls(Mutex<Vec<Call>>);

impl Calls {
    /// Every call that has ended, in the order in which they ended.
    pub fn all(&self) -> Vec<Call> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn note(&self, call: Call) {
        let Call { region, service, operation, attempts, .. } = &call;
        let ms = call.took.as_millis();
        match &call.error {
            None => tracing::debug!(%region, attempts, ms, "{service} {operation}"),
            Some(error) => tracing::info!(%region, attempts, ms, "{service} {operation} failed: {error}"),
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }
}

/// How many of these calls came one after the other: the round trips that somebody waited for.
pub fn in_sequence(calls: &[Call]) -> usize {
    let mut by_end = Vec::from_iter(calls);
    by_end.sort_by_key(|call| call.ended());
    let mut last: Option<Instant> = None;
    let mut count = 0;
    for call in by_end {
        if last.is_none_or(|ended| call.begun >= ended) {
            count += 1;
            last = Some(call.ended());
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(operation: &str, begun: Instant, took: u64) -> Call {
        Call {
            region: "us-east-1".into(),
            service: "EC2".into(),
            operation: operation.into(),
            at: Timestamp::UNIX_EPOCH,
            begun,
            took: Duration::from_millis(took),
            attempts: 1,
            error: None,
        }
    }

    #[test]
    fn calls_side_by_side_are_one_round_trip() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let calls = [
            call("DescribeSubnets", at(0), 50),
            call("DescribeInstanceTypes", at(0), 90),
            call("DescribeImages", at(90), 40),
            call("CreateSecurityGroup", at(90), 100),
            call("CreateFleet", at(190), 10),
        ];
        assert_eq!(in_sequence(&calls), 3);
        assert_eq!(in_sequence(&[]), 0);
    }
}
