//! Which suite files a command line means.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::LoadError;

/// The suite files that `args` name: files as they are, and of folders their `*.yaml` and `*.yml` in the order of
/// their names (hidden ones left out); each file once. Without arguments: the folder `suites` in `cwd`. Nothing found is an error.
pub fn discover(args: &[PathBuf], cwd: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let default = [PathBuf::from("suites")];
    let asked = if args.is_empty() { &default[..] } else { args };
    let mut found = Vec::new();
    for arg in asked {
        let path = cwd.join(arg);
        if path.is_dir() {
            let files = files_in(&path)?;
            if files.is_empty() {
                let what =
                    format!("{} holds no *.yaml; name a suite file or a folder of them", path.display());
                return Err(LoadError::NothingFound { what });
            }
            found.extend(files);
        } else if path.exists() {
            found.push(path);
        } else {
            let what = format!("{} does not exist; name a suite file or a folder of them", path.display());
            return Err(LoadError::NothingFound { what });
        }
    }
    let mut seen = HashSet::new();
    found.retain(|path| seen.insert(path.clone()));
    Ok(found)
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let unreadable = |cause| LoadError::Unreadable { path: folder.to_owned(), cause };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_yaml = path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml");
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_yaml && !is_hidden && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
