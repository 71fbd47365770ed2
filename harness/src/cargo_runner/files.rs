//! What a test binary needs on the node: itself, the files beside its manifest, and libraries that no system has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use gpu_suites::spec::InputPath;

use crate::files::cache;
use crate::files::tree::{List, TreeError};
use crate::here::Here;
use crate::run::exec::name_of;

/// Where it all goes, below the working folder on the node.
const FOLDER: &str = ".gpu-harness";
/// Where every Linux system has its own libraries.
const SYSTEM: [&str; 4] = ["/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/"];

/// The files of a test binary, by their names on the node.
#[derive(Debug, Default)]
pub struct Files {
    /// Where each lies here.
    pub files: BTreeMap<InputPath, PathBuf>,
    /// Where each link beside the manifest leads.
    pub links: BTreeMap<InputPath, String>,
    /// Those that the binary cannot do without: itself and its libraries.
    pub needs: BTreeSet<InputPath>,
    pub binary: String,
    /// What a person should know.
    pub notes: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("failed to find the test binary {}", path.display())]
    Binary {
        /// Where it should be.
        path: PathBuf,
        source: std::io::Error,
    },
}

impl Files {
    /// Of a binary whose package lies in the folder that it is run in.
    pub fn of(binary: &Path, here: &Here) -> Result<Self, FilesError> {
        let failed = |source| FilesError::Binary { path: binary.to_owned(), source };
        let binary = binary.canonicalize().map_err(failed)?;
        let mut files = Self::default();
        let ours = Vec::from_iter(cache::folder(&here.env));
        match List::read(&here.folder, &ours) {
            Ok(list) => {
                files.files = list.files;
                files.links = list.links;
                files.notes.extend(list.left_out.into_iter().map(|why| format!("not sent: {why}")));
            }
            Err(TreeError::Git { .. } | TreeError::NoGit(_)) => files.notes.push(
                "the package is in no git working tree: the files beside its manifest are not sent"
                    .to_owned(),
            ),
            Err(error) => return Err(error.into()),
        }
        files.binary = format!("{FOLDER}/bin/{}", name_of(&binary.to_string_lossy()));
        for library in libraries(&binary) {
            if let Some(name) = library.file_name().and_then(|name| name.to_str()) {
                files.need(InputPath(format!("{FOLDER}/lib/{name}")), library.clone());
            }
        }
        files.need(InputPath(files.binary.clone()), binary);
        Ok(files)
    }

    fn need(&mut self, name: InputPath, path: PathBuf) {
        self.needs.insert(name.clone());
        self.files.insert(name, path);
    }
}

/// The shared libraries that the loader finds for the binary outside of the system's own folders.
fn libraries(binary: &Path) -> Vec<PathBuf> {
    // A binary that is linked statically has none, and ldd says so by its exit status.
    let Ok(listing) = Command::new("ldd").arg(binary).output() else { return Vec::new() };
    paths(&String::from_utf8_lossy(&listing.stdout))
}

/// `libfoo.so.1 => /path/libfoo.so.1 (0x00007f…)`
fn paths(listing: &str) -> Vec<PathBuf> {
    let found =
        listing.lines().filter_map(|line| line.split_once(" => ")?.1.rsplit_once(" (").map(|(path, _)| path));
    let own =
        found.filter(|path| path.starts_with('/') && !SYSTEM.iter().any(|folder| path.starts_with(folder)));
    own.map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::here::{Console, Env};

    #[test]
    fn libraries_of_the_system_stay_here_and_others_go_along() {
        let listing = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibtorch.so => /opt/libtorch/lib/libtorch.so (0x00007f)\n\
                       \tlibgone.so => not found\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(paths(listing), [PathBuf::from("/opt/libtorch/lib/libtorch.so")]);
        assert!(paths("\tstatically linked\n").is_empty());
    }

    #[test]
    fn a_binary_goes_with_what_lies_beside_its_manifest() {
        let here = |folder: &Path| Here::at(folder, Env::default(), Console::default());
        let folder = tempfile::tempdir().unwrap();
        let done = Command::new("git").args(["init", "-q"]).current_dir(folder.path()).status().unwrap();
        assert!(done.success());
        std::fs::write(folder.path().join("data.txt"), "d").unwrap();
        let files = Files::of(Path::new("/bin/true"), &here(folder.path())).unwrap();
        let names = Vec::from_iter(files.files.keys().map(|name| name.0.as_str()));
        assert_eq!(names, [files.binary.as_str(), "data.txt"]);
        let plain = Files::of(Path::new("/bin/true"), &here(Path::new("/"))).unwrap();
        assert!(
            plain.notes[0].contains("no git working tree") && plain.files.len() == 1,
            "{:?}",
            plain.notes
        );
    }
}
