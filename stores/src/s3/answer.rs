//! What an answer, or the lack of one, means.

use std::error::Error;

use http::StatusCode;
use roxmltree::Document;

use crate::error::Fault;
use crate::retry::pause;

/// Tries of a page of a listing: nobody else could try it again.
const PAGE_TRIES: u32 = 8;

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
        assert_eq!(of_status(StatusCode::INSUFFICIENT_STORAGE, ""), Fault::Full);
        let region = "<Error><Code>PermanentRedirect</Code></Error>";
        assert!(of_status(StatusCode::MOVED_PERMANENTLY, region).to_string().contains("AWS_REGION"));
    }
}
