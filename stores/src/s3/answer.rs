//! What an answer, or the lack of one, means.

use std::io;

use roxmltree::Document;
use ureq::http::StatusCode;

use crate::error::Fault;
use crate::retry::pause;

/// Tries of a page of a listing: nobody else could try it again.
const PAGE_TRIES: u32 = 8;

/// A call that brought no answer.
pub(super) fn of_call(error: &ureq::Error) -> Fault {
    match error {
        ureq::Error::BadUri(_) | ureq::Error::InvalidProxyUrl | ureq::Error::Tls(_) => {
            Fault::Other(error.to_string())
        }
        _ => Fault::Unavailable(error.to_string()),
    }
}

/// A body that broke off.
pub(super) fn of_body(error: &io::Error, came: u64) -> Fault {
    let timeout = error.kind() == io::ErrorKind::TimedOut
        || error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<ureq::Error>())
            .is_some_and(|inner| matches!(inner, ureq::Error::Timeout(_)));
    if timeout {
        return Fault::Slow(format!("{came} bytes came in the time allowed"));
    }
    Fault::Unavailable(format!("the answer broke off after {came} bytes: {error}"))
}

/// An answer that is no success.
pub(super) fn of_status(status: StatusCode, document: &str) -> Fault {
    let said = said(document);
    let text = said.as_deref().map_or_else(|| status.to_string(), |said| format!("{status}: {said}"));
    match status.as_u16() {
        404 => Fault::Missing,
        412 => Fault::Exists,
        401 | 403 => Fault::Denied(text),
        // What servers of one's own answer whose disk is full.
        507 => Fault::Full,
        301 | 307 | 400 if text.contains("Region") || text.contains("Redirect") => {
            Fault::Other(format!("{text} (set AWS_REGION to the bucket's region)"))
        }
        // 409: the same write by somebody else is under way.
        408 | 409 | 429 | 500..=599 => Fault::Unavailable(text),
        _ => Fault::Other(text),
    }
}

/// Code and message of S3's own error document.
fn said(document: &str) -> Option<String> {
    let document = Document::parse(document).ok()?;
    let text = |name: &str| document.descendants().find(|node| node.tag_name().name() == name)?.text();
    let code = text("Code")?;
    let said = text("Message").map_or_else(|| code.to_owned(), |message| format!("{code}: {message}"));
    Some(said.chars().filter(|character| !character.is_control()).take(300).collect())
}

/// Tries a call until it succeeds or does not get better.
pub(super) fn again<T>(mut call: impl FnMut() -> Result<T, Fault>) -> Result<T, Fault> {
    let mut tries = 0;
    loop {
        match call() {
            Err(fault) if fault.may_pass() && tries + 1 < PAGE_TRIES => {
                std::thread::sleep(pause(tries));
                tries += 1;
            }
            ended => return ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_sorted_by_what_can_be_done_about_it() {
        let slow = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
        let fault = of_status(StatusCode::SERVICE_UNAVAILABLE, slow);
        assert!(fault.may_pass() && fault.to_string().contains("SlowDown"), "{fault}");
        assert_eq!(of_status(StatusCode::NOT_FOUND, ""), Fault::Missing);
        assert_eq!(of_status(StatusCode::PRECONDITION_FAILED, ""), Fault::Exists);
        assert!(matches!(of_status(StatusCode::FORBIDDEN, "x"), Fault::Denied(_)));
        let region = "<Error><Code>PermanentRedirect</Code></Error>";
        assert!(of_status(StatusCode::MOVED_PERMANENTLY, region).to_string().contains("AWS_REGION"));
    }
}
