//! Where does an S3 answer?

/// What every address of a bucket begins with.
pub(super) fn of(endpoint: Option<&str>, bucket: &str, region: &str) -> String {
    match endpoint {
        // Servers of one's own rarely have a host name for each bucket.
        Some(endpoint) => format!("{}/{bucket}", endpoint.trim_end_matches('/')),
        // A name with dots does not fit the certificate `*.s3.…`.
        None if bucket.contains('.') => format!("https://s3.{region}.{}/{bucket}", domain(region)),
        None => format!("https://{bucket}.s3.{region}.{}", domain(region)),
    }
}

/// China's regions are a partition of their own; AWS `GovCloud` is one, too, and has the domain of all others.
fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_part_of_the_host_on_aws_and_of_the_path_elsewhere() {
        assert_eq!(of(None, "tiles", "eu-west-1"), "https://tiles.s3.eu-west-1.amazonaws.com");
        assert_eq!(of(None, "my.tiles", "eu-west-1"), "https://s3.eu-west-1.amazonaws.com/my.tiles");
        assert_eq!(of(None, "tiles", "cn-north-1"), "https://tiles.s3.cn-north-1.amazonaws.com.cn");
        assert_eq!(of(None, "my.tiles", "cn-north-1"), "https://s3.cn-north-1.amazonaws.com.cn/my.tiles");
        assert_eq!(of(None, "tiles", "us-gov-west-1"), "https://tiles.s3.us-gov-west-1.amazonaws.com");
        assert_eq!(of(Some("http://127.0.0.1:9000/"), "tiles", "x"), "http://127.0.0.1:9000/tiles");
    }
}
