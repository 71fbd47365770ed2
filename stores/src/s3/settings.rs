//! Where an S3 is and who asks: what the caller says, then what the environment says.

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

/// What every address of a bucket begins with.
pub(super) fn base(endpoint: Option<&str>, bucket: &str, region: &str) -> String {
    match endpoint {
        // Servers of one's own rarely have a host name for each bucket.
        Some(endpoint) => format!("{}/{bucket}", endpoint.trim_end_matches('/')),
        // A name with dots does not fit the certificate `*.s3.…`.
        None if bucket.contains('.') => format!("https://s3.{region}.amazonaws.com/{bucket}"),
        None => format!("https://{bucket}.s3.{region}.amazonaws.com"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_part_of_the_host_on_aws_and_of_the_path_elsewhere() {
        assert_eq!(base(None, "tiles", "eu-west-1"), "https://tiles.s3.eu-west-1.amazonaws.com");
        assert_eq!(base(None, "my.tiles", "eu-west-1"), "https://s3.eu-west-1.amazonaws.com/my.tiles");
        assert_eq!(base(Some("http://127.0.0.1:9000/"), "tiles", "x"), "http://127.0.0.1:9000/tiles");
    }
}
