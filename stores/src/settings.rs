//! Where an S3 is: what the caller says, before what the environment says.

use std::fmt;
use std::time::Duration;

use rand::RngExt as _;

/// What may differ from AWS's own way of finding it. All of it empty: the usual chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Settings {
    /// Scheme and host of an S3 that is not AWS's, e.g. `http://127.0.0.1:9000`. Default: `AWS_ENDPOINT_URL_S3`,
    /// `AWS_ENDPOINT_URL`, the profile's, else AWS.
    pub endpoint: Option<String>,
    /// The bucket's region. Default: `AWS_REGION`, the profile's, the instance's, else `us-east-1`.
    pub region: Option<String>,
    /// Whose key signs the requests. Default: what AWS's usual chain finds.
    pub keys: Option<Keys>,
    /// How long a body may take, besides the time that its bytes take at 16 KiB/s. Default: 10 s.
    pub stall: Duration,
}

impl Default for S3Settings {
    fn default() -> Self {
        Self { endpoint: None, region: None, keys: None, stall: Duration::from_secs(10) }
    }
}

/// A pair of keys, as AWS has them.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The one that requests name.
    pub id: String,
    /// The one that signs them.
    pub secret: String,
}

impl Keys {
    /// A pair that nobody else has.
    pub fn random() -> Self {
        let mut random = rand::rng();
        Self {
            id: format!("LOCAL{:016X}", random.random::<u64>()),
            secret: format!("{:032x}", random.random::<u128>()),
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("id", &self.id).finish_non_exhaustive()
    }
}
