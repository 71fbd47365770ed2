//! A working tree as git sees it: every file that is not ignored, by its content, and every link, ready to be sent to a node.
//!
//! What travels is what is there. A submodule's files and those of a repository within go as well; a link goes as a link
//! where what it leads to goes too. What is no file, what leads out of the project, and what this project made itself (runs,
//! caches) stays, and is told by name, unless it is ours.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use gpu_suites::link::{leads_to, text_to};
use gpu_suites::spec::InputPath;

use crate::files::content::{self, Blob};
use crate::files::run_dir;

/// The most files, and the most bytes of all of them: beyond, something is in the tree that should be ignored.
const MOST_FILES: usize = 50_000;
const MOST_BYTES: u64 = 4 << 30;
/// How deep links may lead from one folder of the project to another.
const MOST_LINKED: usize = 4;
/// How a tool marks a folder that need not be kept: <https://bford.info/cachedir/>. cargo marks `target` so.
const CACHE_TAG: &str = "CACHEDIR.TAG";
const CACHE_SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

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

/// The files of a tree.
#[derive(Debug, Default)]
pub struct Tree {
    /// Each file's content, by its name relative to the tree.
    pub files: BTreeMap<InputPath, Blob>,
    /// Where each link leads, from the folder that it lies in.
    pub links: BTreeMap<InputPath, String>,
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
            Walk { root, project, ours, caches: HashMap::new(), list: Self::default(), links: Vec::new() };
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

/// A link that was met; whether it goes is known when all files are.
struct Met {
    name: String,
    at: PathBuf,
    linked: usize,
}

struct Walk {
    root: PathBuf,
    /// The working tree that the root belongs to: what lies outside of it is no business of a node's.
    project: PathBuf,
    ours: Vec<PathBuf>,
    /// Folders of which it is known whether they are caches.
    caches: HashMap<PathBuf, bool>,
    list: List,
    links: Vec<Met>,
}

impl Walk {
    /// Takes in what git lists in a folder, under names that begin with `prefix`.
    fn folder(&mut self, folder: &Path, prefix: &str, linked: usize) -> Result<(), TreeError> {
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
            if let (true, Some(cache)) = (is_new, self.cache_above(folder, Path::new(name))) {
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

    /// Decides of each link that was met.
    fn links(&mut self) -> Result<(), TreeError> {
        while !self.links.is_empty() {
            let mut rest = Vec::new();
            for met in std::mem::take(&mut self.links) {
                if let Some(met) = self.link(met)? {
                    rest.push(met);
                }
            }
            // Those that lead to another link go once that one does.
            let before = rest.len();
            let mut stuck = Vec::new();
            for met in rest {
                if let Some(text) = self.text_of(&met) {
                    self.list.links.insert(InputPath(met.name), text);
                } else {
                    stuck.push(met);
                }
            }
            if stuck.len() == before {
                for met in stuck {
                    self.leave(&met.name, "a link to what is not sent");
                }
            } else {
                self.links.extend(stuck);
            }
        }
        Ok(())
    }

    /// Takes a link in, or leaves it out; one that leads to what may still be taken in comes back.
    fn link(&mut self, met: Met) -> Result<Option<Met>, TreeError> {
        if let Some(text) = self.text_of(&met) {
            self.list.links.insert(InputPath(met.name), text);
            return Ok(None);
        }
        let real = match met.at.canonicalize() {
            Ok(real) => real,
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::NotFound => "a link to what is not there".to_owned(),
                    _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                        "a link that leads back to itself".to_owned()
                    }
                    _ => format!("a link that cannot be followed: {error}"),
                };
                self.leave(&met.name, &why);
                return Ok(None);
            }
        };
        let Ok(within) = real.strip_prefix(&self.project) else {
            self.leave(&met.name, "a link that leads out of the project");
            return Ok(None);
        };
        if within.components().any(|part| part.as_os_str() == ".git") {
            self.leave(&met.name, "a link into git's own folder");
            return Ok(None);
        }
        let kind = fs::metadata(&real).map(|data| data.file_type());
        match kind {
            Ok(kind) if !kind.is_file() && !kind.is_dir() => {
                self.leave(&met.name, &format!("a link to {}", content::kind_name(kind)));
                Ok(None)
            }
            _ if real.starts_with(&self.root) => Ok(Some(met)),
            _ if self.root.starts_with(&real) => {
                self.leave(&met.name, "a link to a folder that holds this one");
                Ok(None)
            }
            _ if met.linked == MOST_LINKED => {
                self.leave(&met.name, "links lead on from folder to folder");
                Ok(None)
            }
            // Elsewhere in the project: what git knows of it goes in the link's place.
            Ok(kind) if kind.is_dir() => {
                self.folder(&real, &format!("{}/", met.name), met.linked + 1)?;
                Ok(None)
            }
            _ if is_listed(&real)? => {
                self.list.files.insert(InputPath(met.name), real);
                Ok(None)
            }
            _ => {
                self.leave(&met.name, "a link to what git ignores");
                Ok(None)
            }
        }
    }

    /// The text that a link has on the node, where what it leads to goes as well: its own, unless that names a place here.
    fn text_of(&self, met: &Met) -> Option<String> {
        let (name, target) = (Path::new(&met.name), fs::read_link(&met.at).ok()?);
        if target.is_relative() && leads_to(name, &target).is_some_and(|to| self.list.has(&to)) {
            return target.to_str().map(str::to_owned);
        }
        let real = met.at.canonicalize().ok()?;
        let to = real.strip_prefix(&self.root).ok().filter(|to| self.list.has(to))?;
        text_to(name, to).to_str().map(str::to_owned)
    }

    fn is_ours(&self, at: &Path, name: &str) -> bool {
        let named = |part| part == std::path::Component::Normal(run_dir::DEFAULT_PARENT.as_ref());
        Path::new(name).components().any(named) || self.ours.iter().any(|ours| at.starts_with(ours))
    }

    /// The outermost folder on the way to a name that is a tool's cache.
    fn cache_above(&mut self, folder: &Path, name: &Path) -> Option<PathBuf> {
        let mut above = Vec::from_iter(name.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()));
        above.reverse();
        above.into_iter().find(|path| self.is_cache(folder.join(path))).map(Path::to_owned)
    }

    fn is_cache(&mut self, folder: PathBuf) -> bool {
        if let Some(known) = self.caches.get(&folder) {
            return *known;
        }
        let mut start = Vec::new();
        let read = content::open(&folder.join(CACHE_TAG))
            .and_then(|file| file.take(CACHE_SIGNATURE.len() as u64).read_to_end(&mut start));
        let is_cache = read.is_ok() && start == CACHE_SIGNATURE;
        self.caches.insert(folder, is_cache);
        is_cache
    }

    fn leave(&mut self, name: &str, why: &str) {
        self.list.left_out.push(format!("{}: {why}", shown(name)));
    }
}

fn shown(name: &str) -> String {
    crate::text::clean::one_line(name, 200)
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

fn names(listing: &[u8]) -> Vec<Vec<u8>> {
    listing.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect()
}

/// Whether git knows a file, or does not ignore it.
fn is_listed(file: &Path) -> Result<bool, TreeError> {
    let (Some(folder), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else {
        return Ok(false);
    };
    Ok(!git_list(folder, &["--cached", "--others", "--exclude-standard"], Some(name))?.is_empty())
}

fn git_list(folder: &Path, what: &[&str], only: Option<&str>) -> Result<Vec<u8>, TreeError> {
    let only = only.map(|name| format!(":(literal){name}"));
    let arguments = ["ls-files", "-z"].iter().chain(what).copied();
    let arguments = arguments.chain(only.iter().flat_map(|only| ["--", only.as_str()]));
    git(folder, &Vec::from_iter(arguments))
}

/// What git says in a folder. Its options are those of git 2.25.
fn git(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, TreeError> {
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

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    use super::*;

    fn git(folder: &Path, arguments: &[&str]) {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always"]);
        let done = command.args(arguments).current_dir(folder).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    /// A working tree with these files, the first ones known to git.
    fn tree(known: &[&str], new: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "-q"]);
        for (names, is_known) in [(known, true), (new, false)] {
            for name in names {
                let path = folder.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, name).unwrap();
                if is_known {
                    git(folder.path(), &["add", "-f", name]);
                }
            }
        }
        folder
    }

    fn read(folder: &Path) -> (Vec<String>, BTreeMap<String, String>, Vec<String>) {
        let List { files, links, left_out } = List::read(folder, &[]).unwrap();
        let links = links.into_iter().map(|(name, target)| (name.0, target)).collect();
        (files.into_keys().map(|name| name.0).collect(), links, left_out)
    }

    #[test]
    fn a_tree_is_what_git_does_not_ignore_new_files_included_and_deleted_ones_not() {
        let folder = tree(&["a.py", "gone.py"], &["b.log", "build/x", "src/ne w.py"]);
        let at = folder.path();
        fs::write(at.join(".gitignore"), "*.log\nbuild/\n").unwrap();
        fs::remove_file(at.join("gone.py")).unwrap();
        let tree = Tree::read(at, &[]).unwrap();
        let names = Vec::from_iter(tree.files.keys().map(|name| name.0.as_str()));
        assert_eq!(names, [".gitignore", "a.py", "src/ne w.py"]);
        assert!(tree.left_out.is_empty(), "{:?}", tree.left_out);
        let below = Tree::read(&at.join("src"), &[]).unwrap();
        assert_eq!(Vec::from_iter(below.files.keys().map(|name| name.0.as_str())), ["ne w.py"]);
    }

    #[test]
    fn a_link_goes_as_a_link_where_what_it_leads_to_goes_and_else_is_told() {
        let folder = tree(&["data/n.txt", "sub/own.txt", "secret", ".gitignore"], &["ignored.bin"]);
        let at = folder.path();
        fs::write(at.join(".gitignore"), "ignored.bin\n").unwrap();
        for (link, target) in [
            ("to-folder", "data"),
            ("to-file", "data/n.txt"),
            ("sub/up", "../data/n.txt"),
            ("sub/chain", "up"),
            ("absolute", &at.join("data").display().to_string()),
            ("loop", "loop"),
            ("dangling", "nothing"),
            ("out", "/etc/passwd"),
            ("zero", "/dev/zero"),
            ("config", ".git/config"),
            ("ignored", "ignored.bin"),
        ] {
            symlink(target, at.join(link)).unwrap();
        }
        let (files, links, left_out) = read(at);
        assert_eq!(files, [".gitignore", "data/n.txt", "secret", "sub/own.txt"]);
        let wanted = [
            ("absolute", "data"),
            ("sub/chain", "../data/n.txt"),
            ("sub/up", "../data/n.txt"),
            ("to-file", "data/n.txt"),
            ("to-folder", "data"),
        ];
        assert_eq!(links, wanted.map(|(name, to)| (name.to_owned(), to.to_owned())).into());
        let mut left_out = left_out;
        left_out.sort_unstable();
        let wanted = [
            "config: a link into git's own folder",
            "dangling: a link to what is not there",
            "ignored: a link to what is not sent",
            "loop: a link that leads back to itself",
            "out: a link that leads out of the project",
            "zero: a link that leads out of the project",
        ];
        assert_eq!(left_out, wanted);
        // From a folder within, what lies beside it is copied, and what holds it is not.
        symlink("..", at.join("sub/all")).unwrap();
        symlink("../data", at.join("sub/data")).unwrap();
        let (files, links, left_out) = read(&at.join("sub"));
        assert_eq!(files, ["chain", "data/n.txt", "own.txt", "up"].map(str::to_owned));
        assert!(
            links.is_empty() && left_out == ["all: a link to a folder that holds this one"],
            "{links:?} {left_out:?}"
        );
    }

    #[test]
    fn what_is_no_file_is_told_by_name_and_waited_for_by_nobody() {
        let folder = tree(&["was-a-file", "data/n.txt"], &[]);
        let at = folder.path();
        fs::remove_file(at.join("was-a-file")).unwrap();
        let made = Command::new("mkfifo").arg(at.join("was-a-file")).status().unwrap();
        assert!(made.success());
        symlink("was-a-file", at.join(".env")).unwrap();
        fs::write(at.join(std::ffi::OsStr::from_bytes(b"no\xfftext")), "").unwrap();
        fs::write(at.join("new\nline"), "").unwrap();
        let tree = Tree::read(at, &[]).unwrap();
        let names = Vec::from_iter(tree.files.keys().map(|name| name.0.as_str()));
        assert_eq!(names, ["data/n.txt", "new\nline"]);
        let mut left_out = tree.left_out;
        left_out.sort_unstable();
        let wanted = [
            ".env: a link to a named pipe",
            "no\u{fffd}text: its name is not UTF-8",
            "was-a-file: a named pipe",
        ];
        assert_eq!(left_out, wanted);
    }

    #[test]
    fn what_this_project_and_other_tools_made_for_themselves_stays() {
        let folder = tree(
            &["a.py", "gpu-harness-runs/r/events.ndjson"],
            &["gpu-harness-runs/r2/junit.xml", "runs/r/x", "target/debug/big", "vendor/tagged/x"],
        );
        let at = folder.path();
        for cache in ["target", "vendor/tagged"] {
            fs::write(at.join(cache).join(CACHE_TAG), [CACHE_SIGNATURE, b"\n"].concat()).unwrap();
        }
        git(at, &["add", "vendor"]);
        let list = List::read(at, &[at.join("runs"), at.to_owned(), at.join("not-there")]).unwrap();
        let names = Vec::from_iter(list.files.keys().map(|name| name.0.as_str()));
        assert_eq!(
            names,
            ["a.py", "vendor/tagged/CACHEDIR.TAG", "vendor/tagged/x"],
            "what git knows is no cache"
        );
        assert_eq!(list.left_out, ["target/: a cache (CACHEDIR.TAG)"]);
    }

    #[test]
    fn submodules_and_repositories_within_go_with_their_files() {
        let other = tree(&["lib.py"], &[]);
        git(other.path(), &["commit", "-qm", "x"]);
        let folder = tree(&["a.py"], &["nested/n.py"]);
        let at = folder.path();
        let from = other.path().display().to_string();
        git(at, &["submodule", "--quiet", "add", &from, "sub"]);
        git(&at.join("nested"), &["init", "-q"]);
        fs::write(at.join("sub/new.py"), "").unwrap();
        let (files, _, left_out) = read(at);
        assert_eq!(files, [".gitmodules", "a.py", "nested/n.py", "sub/lib.py", "sub/new.py"]);
        assert!(left_out.is_empty(), "{left_out:?}");
        git(at, &["submodule", "--quiet", "deinit", "-f", "sub"]);
        assert_eq!(read(at).2, ["sub: a submodule that is not checked out"]);
    }

    #[test]
    fn a_file_whose_folder_became_a_link_goes_where_the_link_leads() {
        let folder = tree(&["data/n.txt", "old/n.txt"], &[]);
        let at = folder.path();
        fs::remove_dir_all(at.join("old")).unwrap();
        symlink("data", at.join("old")).unwrap();
        let (files, links, left_out) = read(at);
        assert_eq!((files, left_out.len()), (vec!["data/n.txt".to_owned()], 0));
        assert_eq!(links["old"], "data");
    }

    #[test]
    fn worktrees_sparse_checkouts_conflicts_and_unchanged_files_are_listed_as_they_are() {
        let folder = tree(&["a/x", "b/y", "both"], &[]);
        let at = folder.path();
        git(at, &["commit", "-qm", "x"]);
        git(at, &["update-index", "--assume-unchanged", "both"]);
        fs::write(at.join("both"), "another").unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let worktree = elsewhere.path().join("wt");
        git(at, &["worktree", "add", "-q", "--detach", &worktree.display().to_string()]);
        git(&worktree, &["sparse-checkout", "set", "a"]);
        assert_eq!(read(&worktree).0, ["a/x", "both"]);
        let blob = Tree::read(at, &[]).unwrap().files[&InputPath("both".into())].clone();
        assert_eq!(blob.bytes, "another".len() as u64, "what is there is sent, whatever git was told");
        assert!(List::read(&at.join(".git"), &[]).unwrap_err().to_string().contains("work tree"));
    }

    #[test]
    fn a_folder_that_is_no_working_tree_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = Tree::read(folder.path(), &[]).unwrap_err().to_string();
        assert!(error.contains("--sync sends a git working tree"), "{error}");
    }
}
