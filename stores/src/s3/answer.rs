//! What an answer, or the lack of one, means.

use std::error::Error;

use backon::BlockingRetryable as _;
use http::StatusCode;
use roxmltree::Document;

use crate::error::Fault;
use crate::retry::pauses;

/// A page of a listing is tried again so often: nobody else could do so.
const PAGE_RETRIES: usize = 7;

/// A call of `object_store`'s that failed: what the wire or the credentials said of it, where it was one of them.
pub(super) fn of_error(error: &object_store::Error) -> Fault {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(fault) = error.downcast_ref::<Fault>() {
            return fault.clone();
        }
        cause = error.source();
    }
    match error {
        object_store::Error::Generic { .. } => Fault::Unavailable(last_of(error)),
        _ => Fault::Other(error.to_string()),
    }
}

/// What is at the bottom of an error: those above it say only that a request failed.
pub(super) fn last_of(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// Codes of S3's own documents that say more than their status does
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>).
const REGION: [&str; 5] = [
    "AuthorizationHeaderMalformed",
    "PermanentRedirect",
    "TemporaryRedirect",
    "Redirect",
    "IllegalLocationConstraintException",
];
const ARCHIVED: [&str; 2] = ["InvalidObjectState", "RestoreAlreadyInProgress"];
const CREDENTIALS: [&str; 8] = [
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "NotSignedUp",
];
const AGAIN: [&str; 7] = [
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
];

/// An answer that is no success. `bucket_region` is what its header of that name says.
pub(super) fn of_status(status: StatusCode, document: &str, bucket_region: Option<&str>) -> Fault {
    let document = Said::read(document);
    let text =
        document.as_ref().map_or_else(|| status.to_string(), |said| format!("{status}: {}", said.text()));
    let code = document.as_ref().map_or("", |said| said.code.as_str());
    // The code comes first: one status stands for many things.
    match code {
        _ if REGION.contains(&code) => {
            let named = document.as_ref().and_then(Said::region).or(bucket_region.map(str::to_owned));
            return Fault::Region { said: text, right: named };
        }
        _ if ARCHIVED.contains(&code) || code.starts_with("Restore") => return Fault::Archived(text),
        _ if code.starts_with("KMS.") || text.contains("kms:") => return Fault::Encrypted(text),
        _ if CREDENTIALS.contains(&code) => return Fault::Credentials(text),
        _ if AGAIN.contains(&code) => return Fault::Unavailable(text),
        "NoSuchBucket" => return Fault::NoBucket,
        _ => {}
    }
    match status.as_u16() {
        404 => Fault::Missing,
        412 => Fault::Exists,
        401 | 403 => Fault::Denied(text),
        // What servers of one's own answer whose disk is full.
        507 => Fault::Full,
        // Without a document, as the answer to HEAD is: S3 redirects for nothing else.
        301 | 307 | 308 => Fault::Region { said: text, right: bucket_region.map(str::to_owned) },
        400 if bucket_region.is_some() => {
            Fault::Region { said: text, right: bucket_region.map(str::to_owned) }
        }
        // 409: the same write by somebody else is under way.
        408 | 409 | 429 | 500..=599 => Fault::Unavailable(text),
        _ => Fault::Other(text),
    }
}

/// S3's own error document.
struct Said {
    code: String,
    message: Option<String>,
    region: Option<String>,
}

impl Said {
    fn read(document: &str) -> Option<Self> {
        let document = Document::parse(document).ok()?;
        let text = |name: &str| {
            let node = document.descendants().find(|node| node.tag_name().name() == name)?;
            Some(node.text()?.chars().filter(|c| !c.is_control()).take(300).collect::<String>())
        };
        Some(Self { code: text("Code")?, message: text("Message"), region: text("Region") })
    }

    /// Code and message.
    fn text(&self) -> String {
        match &self.message {
            Some(message) => format!("{}: {message}", self.code),
            None => self.code.clone(),
        }
    }

    /// The bucket's region, where the document or its words name it: "the region 'us-east-1' is wrong; expecting 'eu-west-1'".
    fn region(&self) -> Option<String> {
        let expected =
            || self.message.as_ref()?.split_once("expecting '")?.1.split_once('\'').map(|(name, _)| name);
        let named = self.region.as_deref().or_else(expected)?;
        let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (!named.is_empty() && is_name(named)).then(|| named.to_owned())
    }
}

/// Tries a call until it succeeds or does not get better.
pub(super) fn again<T>(call: impl FnMut() -> Result<T, Fault>) -> Result<T, Fault> {
    call.retry(pauses().with_max_times(PAGE_RETRIES)).when(Fault::may_pass).call()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, code: &str, more: &str) -> Fault {
        let document = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code>{more}</Error>");
        of_status(StatusCode::from_u16(status).unwrap(), &document, None)
    }

    #[test]
    fn an_answer_is_sorted_by_what_can_be_done_about_it() {
        let slow = answer(503, "SlowDown", "<Message>Please reduce your request rate.</Message>");
        assert!(slow.may_pass() && slow.to_string().contains("SlowDown"), "{slow}");
        assert_eq!(of_status(StatusCode::NOT_FOUND, "", None), Fault::Missing);
        assert_eq!(answer(404, "NoSuchKey", ""), Fault::Missing);
        assert_eq!(of_status(StatusCode::PRECONDITION_FAILED, "", None), Fault::Exists);
        assert!(matches!(of_status(StatusCode::FORBIDDEN, "x", None), Fault::Denied(_)));
        assert!(matches!(answer(403, "AccessDenied", "<Message>Access Denied</Message>"), Fault::Denied(_)));
        assert_eq!(of_status(StatusCode::INSUFFICIENT_STORAGE, "", None), Fault::Full);
        // Time-outs and clocks come as 400 and 403.
        assert!(answer(400, "RequestTimeout", "").may_pass());
        assert!(matches!(answer(403, "RequestTimeTooSkewed", ""), Fault::Credentials(_)));
        assert!(matches!(answer(400, "ExpiredToken", ""), Fault::Credentials(_)));
        assert!(answer(404, "NoSuchBucket", "").is_the_stores(), "a bucket that went is no row's trouble");
    }

    #[test]
    fn what_is_one_objects_trouble_ends_no_run() {
        let glacier = "<Message>The operation is not valid for the object's storage class</Message>\
                       <StorageClass>GLACIER</StorageClass>";
        let archived = answer(403, "InvalidObjectState", glacier);
        assert!(matches!(archived, Fault::Archived(_)) && !archived.is_the_stores(), "{archived}");
        let said = format!("{archived}; {}", archived.hint());
        assert!(said.contains("InvalidObjectState") && !said.contains("s3:GetObject"), "{said}");
        let kms = "<Message>User: arn:aws:iam::1:user/x is not authorized to perform: kms:Decrypt on the resource \
                   associated with this ciphertext</Message>";
        for fault in [answer(403, "AccessDenied", kms), answer(400, "KMS.DisabledException", "")] {
            assert!(matches!(fault, Fault::Encrypted(_)) && fault.may_be_all(), "{fault}");
            assert!(fault.hint().contains("kms:Decrypt"), "{fault}");
        }
    }

    #[test]
    fn another_region_is_said_by_name_whatever_way_the_store_says_it() {
        let malformed = "<Message>The authorization header is malformed; the region 'us-east-1' is wrong; expecting \
                         'eu-west-1'</Message>";
        let empty = |status, header| of_status(StatusCode::from_u16(status).unwrap(), "", header);
        for fault in [
            answer(400, "AuthorizationHeaderMalformed", malformed),
            answer(400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"),
            answer(301, "PermanentRedirect", "<Region>eu-west-1</Region>"),
            empty(301, Some("eu-west-1")),
            empty(400, Some("eu-west-1")),
        ] {
            assert!(fault.is_the_stores(), "{fault:?}");
            assert_eq!(
                fault.hint(),
                "set AWS_REGION=eu-west-1, or `region: eu-west-1` under `s3`",
                "{fault:?}"
            );
        }
        for fault in
            [answer(301, "PermanentRedirect", ""), empty(301, None), answer(307, "TemporaryRedirect", "")]
        {
            assert!(fault.hint().contains("set AWS_REGION to the bucket's region"), "{fault:?}");
        }
        let hostile = answer(301, "PermanentRedirect", "<Region>$(reboot)</Region>");
        assert!(!hostile.hint().contains("reboot"), "{hostile:?}");
    }
}
