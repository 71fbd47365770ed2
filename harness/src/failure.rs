//! The one place where an error is put into words: its chain once, and its exit code.

use std::error::Error;

use gpu_suites::exit::Exit;

use crate::remote::RemoteError;
use crate::run::RunError;

/// An error with its causes, in one line; a cause that an error repeats in its own text is not said again.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error: &&(dyn Error + 'static)| (*error).source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

/// Prints the error with its causes on standard error and says how the process should end.
pub fn tell(error: &anyhow::Error) -> Exit {
    let text = chain(error.as_ref());
    // A diagnostic of a suite file brings its own `error:`.
    if text.starts_with("error:") {
        crate::streams::tell(&text);
    } else {
        crate::streams::tell(&format!("error: {text}"));
    }
    exit_of(error)
}

fn exit_of(error: &anyhow::Error) -> Exit {
    if let Some(error) = error.downcast_ref::<RunError>() {
        return error.exit();
    }
    if error.downcast_ref::<RemoteError>().is_some() {
        return Exit::Infrastructure;
    }
    #[cfg(feature = "ec2")]
    if error.downcast_ref::<crate::ec2::cloud::CloudError>().is_some() {
        return Exit::Infrastructure;
    }
    Exit::Usage
}
