//! Where an S3 is: what the caller says, before what the environment says.

use std::time::Duration;

/// What may differ from AWS's own way of finding it. All of it empty: the usual chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Settings {
    /// Scheme and host of an S3 that is not AWS's, e.g. `http://127.0.0.1:9000`. Default: `AWS_ENDPOINT_URL_S3`,
    /// `AWS_ENDPOINT_URL`, the profile's, else AWS.
    pub endpoint: Option<String>,
    /// The bucket's region. Default: `AWS_REGION`, the profile's, the instance's, else `us-east-1`.
    pub region: Option<String>,
    /// How long a body may take, besides the time that its bytes take at 16 KiB/s. Default: 10 s.
    pub stall: Duration,
}

impl Default for S3Settings {
    fn default() -> Self {
        Self { endpoint: None, region: None, stall: Duration::from_secs(10) }
    }
}
