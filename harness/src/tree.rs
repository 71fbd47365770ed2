//! A working tree as git sees it: every file that is not ignored, by its content, ready to be sent to a node.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::Command;

use gpu_suites::spec::InputPath;

use crate::content::Blob;

/// The most files, and the most bytes of all of them: beyond, something is in the tree that should be ignored.
const MOST_FILES: usize = 50_000;
const MOST_BYTES: u64 = 4 << 30;

/// The names of a tree's files.
#[derive(Debug, Default)]
pub struct List {
    /// Relative to the tree.
    pub names: Vec<InputPath>,
    /// What stays here, and why, in a sentence each.
    pub left_out: Vec<String>,
}

/// The files of a tree.
#[derive(Debug, Default)]
pub struct Tree {
    /// Each file's content, by its name relative to the tree.
    pub files: BTreeMap<InputPath, Blob>,
    /// What stays here, and why, in a sentence each.
    pub left_out: Vec<String>,
}

/// Why a tree cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// git cannot be run.
    #[error("failed to run git, which says what .gitignore leaves of the working tree; install it")]
    NoGit(#[source] io::Error),
    /// git says no.
    #[error("git cannot list the working tree: {message}; --sync sends a git working tree")]
    Git {
        /// Its words.
        message: String,
    },
    /// A file cannot be read.
    #[error("failed to read {path}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// There is too much of it.
    #[error("the working tree has more than {most}; put into .gitignore what the command does not need")]
    TooLarge {
        /// The limit.
        most: String,
    },
}

impl Tree {
    /// The files below a folder that git knows or does not ignore, new ones included.
    pub fn read(folder: &Path) -> Result<Self, TreeError> {
        let List { names, left_out } = Self::list(folder)?;
        let mut tree = Self { files: BTreeMap::new(), left_out };
        let mut bytes = 0;
        for name in names {
            let blob = Blob::read(&folder.join(&name.0))
                .map_err(|source| TreeError::Read { path: crate::clean::one_line(&name.0, 200), source })?;
            bytes += blob.bytes;
            tree.files.insert(name, blob);
            if bytes > MOST_BYTES {
                return Err(TreeError::TooLarge { most: crate::report::figures::bytes(MOST_BYTES) });
            }
        }
        Ok(tree)
    }

    /// Their names alone.
    pub fn list(folder: &Path) -> Result<List, TreeError> {
        let listing = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"])
            .current_dir(folder)
            .output()
            .map_err(TreeError::NoGit)?;
        if !listing.status.success() {
            let message = String::from_utf8_lossy(&listing.stderr);
            return Err(TreeError::Git { message: crate::clean::one_line(message.trim(), 300) });
        }
        let mut list = List::default();
        for name in listing.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let shown = crate::clean::one_line(&String::from_utf8_lossy(name), 200);
            let Ok(name) = std::str::from_utf8(name) else {
                list.left_out.push(format!("{shown}: its name is not UTF-8"));
                continue;
            };
            let input = InputPath(name.to_owned());
            if input.in_cache().is_some() || input.on_node().is_none() {
                list.left_out.push(format!("{shown}: such a name means something else"));
                continue;
            }
            match std::fs::metadata(folder.join(name)) {
                // git still lists it; the command is to find it gone too.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Ok(data) if data.is_dir() => {
                    list.left_out.push(format!("{shown}: a submodule, or a link to a folder"));
                }
                _ => list.names.push(input),
            }
            if list.names.len() > MOST_FILES {
                return Err(TreeError::TooLarge { most: format!("{MOST_FILES} files") });
            }
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(folder: &Path, arguments: &[&str]) {
        let done = Command::new("git").args(arguments).current_dir(folder).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    #[test]
    fn a_tree_is_what_git_does_not_ignore_new_files_included_and_deleted_ones_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        git(at, &["init", "-q"]);
        for (name, text) in
            [(".gitignore", "*.log\nbuild/\n"), ("a.py", "a"), ("b.log", "b"), ("gone.py", "g")]
        {
            std::fs::write(at.join(name), text).unwrap();
        }
        std::fs::create_dir_all(at.join("build")).unwrap();
        std::fs::create_dir_all(at.join("src")).unwrap();
        std::fs::write(at.join("build/x"), "x").unwrap();
        git(at, &["add", "."]);
        std::fs::remove_file(at.join("gone.py")).unwrap();
        std::fs::write(at.join("src/ne w.py"), "n").unwrap();
        std::os::unix::fs::symlink("src", at.join("link")).unwrap();
        let tree = Tree::read(at).unwrap();
        let names = Vec::from_iter(tree.files.keys().map(|name| name.0.as_str()));
        assert_eq!(names, [".gitignore", "a.py", "src/ne w.py"]);
        assert_eq!(tree.left_out, ["link: a submodule, or a link to a folder"]);
        let below = Tree::read(&at.join("src")).unwrap();
        assert_eq!(Vec::from_iter(below.files.keys().map(|name| name.0.as_str())), ["ne w.py"]);
    }

    #[test]
    fn a_folder_that_is_no_working_tree_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = Tree::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("--sync sends a git working tree"), "{error}");
    }
}
