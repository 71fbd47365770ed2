//! What git says of a folder. Its options are those of git 2.25.

use std::path::Path;
use std::process::Command;

use super::TreeError;

pub(super) fn names(listing: &[u8]) -> Vec<Vec<u8>> {
    listing.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect()
}

/// Whether git knows a file, or does not ignore it.
pub(super) fn is_listed(file: &Path) -> Result<bool, TreeError> {
    let (Some(folder), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else {
        return Ok(false);
    };
    Ok(!git_list(folder, &["--cached", "--others", "--exclude-standard"], Some(name))?.is_empty())
}

pub(super) fn git_list(folder: &Path, what: &[&str], only: Option<&str>) -> Result<Vec<u8>, TreeError> {
    let only = only.map(|name| format!(":(literal){name}"));
    let arguments = ["ls-files", "-z"].iter().chain(what).copied();
    let arguments = arguments.chain(only.iter().flat_map(|only| ["--", only.as_str()]));
    git(folder, &Vec::from_iter(arguments))
}

/// What git says in a folder.
pub(super) fn git(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, TreeError> {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(folder).env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0");
    // A hook's git says which repository it works on; here the folder does.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        command.env_remove(name);
    }
    let said = command.output().map_err(TreeError::NoGit)?;
    if said.status.success() {
        return Ok(said.stdout);
    }
    let message = String::from_utf8_lossy(&said.stderr);
    Err(TreeError::Git { message: crate::text::clean::one_line(message.trim(), 300) })
}
