//! What of a folder goes: each name that git lists, by what it is.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gpu_suites::spec::InputPath;

use super::caches::{CACHE_TAG, Caches};
use super::git::{git_list, names};
use super::links::Met;
use super::{List, TreeError, shown};
use crate::files::{content, run_dir};

/// The most files: beyond, something is in the tree that should be ignored.
const MOST_FILES: usize = 50_000;

pub(super) struct Walk {
    pub(super) root: PathBuf,
    /// The working tree that the root belongs to: what lies outside of it is no business of a node's.
    pub(super) project: PathBuf,
    pub(super) ours: Vec<PathBuf>,
    pub(super) caches: Caches,
    pub(super) list: List,
    pub(super) links: Vec<Met>,
}

impl Walk {
    /// Takes in what git lists in a folder, under names that begin with `prefix`.
    pub(super) fn folder(&mut self, folder: &Path, prefix: &str, linked: usize) -> Result<(), TreeError> {
        let known = BTreeSet::from_iter(names(&git_list(folder, &["--cached"], None)?));
        let others = names(&git_list(folder, &["--others", "--exclude-standard"], None)?);
        let mut caches = BTreeSet::new();
        let mut parents = HashMap::new();
        let others = others.into_iter().filter(|name| !known.contains(name)).map(|name| (name, true));
        let all = Vec::from_iter(others).into_iter().chain(known.into_iter().map(|name| (name, false)));
        for (name, is_new) in all {
            let name = match String::from_utf8(name) {
                Ok(name) => name,
                Err(odd) => {
                    let name = String::from_utf8_lossy(odd.as_bytes()).into_owned();
                    self.leave(&format!("{prefix}{name}"), "its name is not UTF-8");
                    continue;
                }
            };
            // A repository within is listed as a folder.
            let name = name.trim_end_matches('/');
            let at = folder.join(name);
            if self.is_ours(&at, name) || lies_behind_a_link(folder, Path::new(name), &mut parents) {
                continue;
            }
            if let (true, Some(cache)) = (is_new, self.caches.above(folder, Path::new(name))) {
                caches.insert(cache);
                continue;
            }
            self.entry(at, &format!("{prefix}{name}"), linked)?;
        }
        for cache in caches {
            self.leave(&format!("{prefix}{}/", cache.display()), &format!("a cache ({CACHE_TAG})"));
        }
        Ok(())
    }

    fn entry(&mut self, at: PathBuf, name: &str, linked: usize) -> Result<(), TreeError> {
        let input = InputPath(name.to_owned());
        if input.in_cache().is_some() || input.on_node().is_none() {
            self.leave(name, "such a name means something else");
            return Ok(());
        }
        let data = match fs::symlink_metadata(&at) {
            Ok(data) => data,
            // git still lists it; the command is to find it gone too.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(source) => return Err(TreeError::Read { path: shown(name), source }),
        };
        let kind = data.file_type();
        if kind.is_symlink() {
            self.links.push(Met { name: name.to_owned(), at, linked });
        } else if kind.is_file() {
            self.list.files.insert(input, at);
        } else if kind.is_dir() && at.join(".git").exists() {
            self.folder(&at, &format!("{name}/"), linked)?;
        } else if kind.is_dir() {
            self.leave(name, "a submodule that is not checked out");
        } else {
            self.leave(name, content::kind_name(kind));
        }
        if self.list.files.len() + self.links.len() > MOST_FILES {
            return Err(TreeError::TooLarge { most: format!("{MOST_FILES} files") });
        }
        Ok(())
    }

    fn is_ours(&self, at: &Path, name: &str) -> bool {
        let named = |part| part == std::path::Component::Normal(run_dir::DEFAULT_PARENT.as_ref());
        Path::new(name).components().any(named) || self.ours.iter().any(|ours| at.starts_with(ours))
    }

    pub(super) fn leave(&mut self, name: &str, why: &str) {
        self.list.left_out.push(format!("{}: {why}", shown(name)));
    }
}

/// Whether a folder on the way to a name is a link: git's own list is older than that, and what is behind goes by its own name.
fn lies_behind_a_link(root: &Path, name: &Path, known: &mut HashMap<PathBuf, bool>) -> bool {
    let Some(folder) = name.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return false };
    if let Some(known) = known.get(folder) {
        return *known;
    }
    let is_link = fs::symlink_metadata(root.join(folder)).is_ok_and(|data| data.is_symlink())
        || lies_behind_a_link(root, folder, known);
    known.insert(folder.to_owned(), is_link);
    is_link
}
