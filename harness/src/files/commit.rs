//! The commit of the tree that holds the suites, so that a report says what was tested.

use std::path::Path;
use std::process::{Command, Stdio};

/// `git rev-parse HEAD` with `+` where the tree has changes; `None` where there is no git or no commit.
pub fn of(folder: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").arg("-C").arg(folder).args(arguments).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let head = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty());
    Some(if changed { head + "+" } else { head })
}
