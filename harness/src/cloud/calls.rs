//! Every call to the cloud's API: which, when, how long it took and how often it was tried.
//!
//! A bench counts them, and `GPU_HARNESS_API_LOG` writes them to a file for whoever wonders what a run waited for.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;

/// Names a file to which every call is appended as one line of JSON. It holds no credentials and no user data.
pub const API_LOG: &str = "GPU_HARNESS_API_LOG";

/// One call.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    /// The region.
    pub region: String,
    /// The service, such as `EC2`.
    pub service: String,
    /// The operation, such as `CreateFleet`.
    pub operation: String,
    /// When it began, by this machine's clock.
    pub at: Timestamp,
    /// When it began.
    #[serde(skip)]
    pub begun: Instant,
    /// How long it took, pauses between tries included.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
    /// How often it was sent.
    pub attempts: u32,
    /// Why it failed, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

fn seconds<S: serde::Serializer>(took: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(took.as_secs_f64())
}

impl Call {
    fn ended(&self) -> Instant {
        self.begun + self.took
    }
}

/// The calls of one [`super::ec2::cloud::Cloud`].
#[derive(Debug, Default)]
pub struct Calls {
    all: Mutex<Vec<Call>>,
    log: Option<Mutex<File>>,
}

impl Calls {
    /// Calls that are also appended to the file, where one is named. A log that cannot be written is none.
    pub fn new(log: Option<&Path>) -> Self {
        let log = log.and_then(|path| OpenOptions::new().create(true).append(true).open(path).ok());
        Self { all: Mutex::default(), log: log.map(Mutex::new) }
    }

    /// Every call that has ended, in the order in which they ended.
    pub fn all(&self) -> Vec<Call> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes a call.
    pub fn note(&self, call: Call) {
        if let (Some(log), Ok(mut line)) = (&self.log, serde_json::to_vec(&call)) {
            line.push(b'\n');
            // One write to a file in append mode: lines of several processes do not mix.
            let _ = log.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line);
        }
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(call);
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

    #[test]
    fn the_log_holds_a_line_for_every_call() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.ndjson");
        for _ in 0..2 {
            Calls::new(Some(&path)).note(call("CreateFleet", Instant::now(), 1500));
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[0]["operation"], &lines[0]["seconds"]), (&"CreateFleet".into(), &1.5.into()));
    }
}
