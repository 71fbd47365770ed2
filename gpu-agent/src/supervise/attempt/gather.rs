//! Takes what a program left in its working folder and is to be brought back to the artifacts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::folder;

/// Moves each path from the working folder to the artifacts, and says what could not be, in a sentence each.
///
/// Both lie on one file system: it is a rename, however large the files are. Links stay where they are.
pub(super) fn gather(work: &Path, artifacts: &Path, paths: impl Iterator<Item = PathBuf>) -> Vec<String> {
    let left =
        |path: PathBuf| Some((path.clone(), move_one(&work.join(&path), &artifacts.join(&path)).err()?));
    let told = |(path, error): (PathBuf, io::Error)| match error.kind() {
        io::ErrorKind::NotFound => {
            format!("{} is to be brought back, and the program did not leave it", path.display())
        }
        _ => format!("{} cannot be brought back: {error}", path.display()),
    };
    paths.filter_map(left).map(told).collect()
}

fn move_one(from: &Path, to: &Path) -> io::Result<()> {
    // What a link points at may be anything on the node.
    if fs::symlink_metadata(from)?.is_symlink() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a link"));
    }
    if let Some(parent) = to.parent() {
        folder::make(parent)?;
    }
    fs::rename(from, to)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_and_folders_go_and_what_is_not_there_or_a_link_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (work, artifacts) = (folder.path().join("work"), folder.path().join("artifacts"));
        fs::create_dir_all(work.join("out/deep")).unwrap();
        fs::create_dir_all(&artifacts).unwrap();
        fs::write(work.join("out/deep/a.bin"), "a").unwrap();
        fs::write(work.join("r.xml"), "r").unwrap();
        symlink("/etc/passwd", work.join("link")).unwrap();
        let paths = ["out", "r.xml", "gone.txt", "link"].map(PathBuf::from);
        let left = gather(&work, &artifacts, paths.into_iter());
        assert_eq!(fs::read_to_string(artifacts.join("out/deep/a.bin")).unwrap(), "a");
        assert_eq!(fs::read_to_string(artifacts.join("r.xml")).unwrap(), "r");
        assert!(
            left.len() == 2 && left[0].contains("did not leave it") && left[1].contains("is a link"),
            "{left:?}"
        );
    }
}
