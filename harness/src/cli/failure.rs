//! The one place where an error ends the process: its chain once, and its exit code.

use gpu_suites::exit::Exit;

use crate::cloud::error::CloudError;
use crate::cloud::providers::ConnectError;
use crate::node::remote::RemoteError;
use crate::run::RunError;
use crate::text::chain;

/// Prints the error with its causes on standard error and says how the process should end.
pub fn tell(error: &anyhow::Error) -> Exit {
    let text = chain(error.as_ref());
    // A diagnostic of a suite file brings its own `error:`.
    if text.starts_with("error:") {
        crate::text::streams::tell(&text);
    } else {
        crate::text::streams::tell(&format!("error: {text}"));
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
    let of_cloud = error.downcast_ref::<CloudError>().is_some();
    if of_cloud || matches!(error.downcast_ref(), Some(ConnectError::Cloud(_))) {
        return Exit::Infrastructure;
    }
    Exit::Usage
}
