//! A working tree as git sees it: every file that is not ignored, by its content, and every link, ready to be sent to a node.
//!
//! What travels is what is there. A submodule's files and those of a repository within go as well; a link goes as a link
//! where what it leads to goes too. What is no file, what leads out of the project, and what this project made itself (runs,
//! caches) stays, and is told by name, unless it is ours.
//!
//! | module | question it answers |
//! | --- | --- |
//! | `git` | what does git say of a folder? |
//! | `walk` | what of it goes? |
//! | `links` | which links go, and as what? |
//! | `caches` | which folders are a tool's cache? |

mod caches;
mod git;
mod links;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use gpu_suites::spec::InputPath;

use crate::files::content::Blob;
use caches::Caches;
use git::git;
use walk::Walk;

/// The most bytes of all files: beyond, something is in the tree that should be ignored.
const MOST_BYTES: u64 = 4 << 30;

/// What is in a tree, not read yet.
#[derive(Debug, Default)]
pub struct List {
    /// Where each file lies, by its name relative to the tree.
    pub files: BTreeMap<InputPath, PathBuf>,
    /// Where each link leads, from the folder that it lies in.
    pub links: BTreeMap<InputPath, String>,
    /// What stays here, and why, in a sentence each.
    pub left_out: Vec<String>,
}

#[derive(Debug, Default)]
pub struct Tree {
    /// Each file's content, by its name relative to the tree.
    pub files: BTreeMap<InputPath, Blob>,
    /// Where each link leads, from the folder that it lies in.
    pub links: BTreeMap<InputPath, String>,
    /// What stays here, and why, in a sentence each.
    pub left_out: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error("failed to run git, which says what .gitignore leaves of the working tree; install it")]
    NoGit(#[source] io::Error),
    #[error("git cannot list the working tree: {message}; --sync sends a git working tree")]
    Git { message: String },
    #[error("failed to read {path}")]
    Read { path: String, source: io::Error },
    #[error("the working tree has more than {most}; put into .gitignore what the command does not need")]
    TooLarge { most: String },
}

impl Tree {
    /// The files below a folder that git knows or does not ignore, new ones included, but for what lies in `ours`.
    pub fn read(folder: &Path, ours: &[PathBuf]) -> Result<Self, TreeError> {
        let List { files, links, left_out } = List::read(folder, ours)?;
        let mut tree = Self { files: BTreeMap::new(), links, left_out };
        let mut bytes = 0;
        for (name, path) in files {
            let blob = match Blob::read(&path) {
                Ok(blob) => blob,
                // The command is to find it gone as well.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    tree.left_out.push(format!("{}: {error}", shown(&name.0)));
                    continue;
                }
                Err(source) => return Err(TreeError::Read { path: shown(&name.0), source }),
            };
            bytes += blob.bytes;
            tree.files.insert(name, blob);
            if bytes > MOST_BYTES {
                return Err(TreeError::TooLarge { most: crate::text::figures::bytes(MOST_BYTES) });
            }
        }
        Ok(tree)
    }
}

impl List {
    /// What git knows or does not ignore below a folder, but for what lies in `ours`: run folders and caches of this project.
    pub fn read(folder: &Path, ours: &[PathBuf]) -> Result<Self, TreeError> {
        let root = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let ours = ours.iter().filter_map(|path| path.canonicalize().ok());
        // One that holds the whole tree says nothing of what is in it.
        let ours = ours.filter(|ours| ours.starts_with(&root) && *ours != root).collect();
        let project = git(&root, &["rev-parse", "--show-toplevel"]).ok();
        let project = project
            .and_then(|said| Some(PathBuf::from(std::str::from_utf8(&said).ok()?.trim_end_matches('\n'))));
        let project = project.and_then(|path| path.canonicalize().ok()).unwrap_or_else(|| root.clone());
        let mut walk =
            Walk { root, project, ours, caches: Caches::default(), list: Self::default(), links: Vec::new() };
        let root = walk.root.clone();
        walk.folder(&root, "", 0)?;
        walk.links()?;
        Ok(walk.list)
    }

    /// Whether something goes by this name, or below it.
    fn has(&self, path: &Path) -> bool {
        let Some(text) = path.to_str() else { return false };
        if text.is_empty() {
            return true;
        }
        let name = InputPath(text.to_owned());
        let within = InputPath(format!("{text}/"));
        let below = |first: Option<&InputPath>| first.is_some_and(|first| first.0.starts_with(&within.0));
        self.files.contains_key(&name)
            || self.links.contains_key(&name)
            || below(self.files.range(within.clone()..).next().map(|(name, _)| name))
            || below(self.links.range(within.clone()..).next().map(|(name, _)| name))
    }
}

fn shown(name: &str) -> String {
    crate::text::clean::one_line(name, 200)
}
