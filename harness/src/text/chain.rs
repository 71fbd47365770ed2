//! An error in words.

use std::error::Error;

/// An error with its causes, in one line; a cause that an error repeats in its own text is not said again.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error: &&(dyn Error + 'static)| (*error).source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}
