//! What of a case comes back: the files, links and empty folders below its artifact folder, in order, as long as there is
//! room. Whatever does not is named.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use gpu_suites::id::Sha256;
use gpu_suites::link::{leads_to, text_to};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256 as Hasher};

/// The most bytes and files of one run that come back.
const MOST_BYTES: u64 = 1 << 30;
const MOST_FILES: usize = 10_000;
/// The most bytes of all their names.
const MOST_NAMES: usize = 2 << 20;
/// The deepest folder that is looked into.
const MOST_DEPTH: usize = 32;
/// How many of those that stay are named, each.
const MOST_NAMED: usize = 20;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    bytes: u64,
    files: usize,
    names: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: MOST_BYTES, files: MOST_FILES, names: MOST_NAMES }
    }
}

/// A file that comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundFile {
    /// Its path below the artifact folder.
    pub(crate) path: PathBuf,
    pub(crate) at: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) executable: bool,
}

/// A link, with where it leads, or an empty folder: it comes back by being told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: String,
    pub(crate) link: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Artifacts {
    pub(crate) files: Vec<FoundFile>,
    pub(crate) places: Vec<Place>,
    /// What does not come back, and why, in a sentence each.
    pub(crate) left_out: Vec<String>,
    /// Whether there is no room for some of the files.
    pub(crate) is_cut: bool,
}

/// Finds a case's artifacts and takes them off the budget. Links are not followed.
pub(crate) fn of_case(folder: &Path, budget: &mut Budget) -> Artifacts {
    if folder.is_symlink() {
        let why = "a link is in the place of its artifact folder: nothing of it comes back".to_owned();
        return Artifacts { left_out: vec![why], ..Artifacts::default() };
    }
    let mut walk = Walk { root: folder, budget, found: Artifacts::default(), unnamed: 0, beyond: (0, 0) };
    walk.folder(Path::new(""), 0);
    let Walk { mut found, unnamed, beyond: (beyond, bytes), .. } = walk;
    if unnamed > 0 {
        found.left_out.push(format!("{unnamed} more artifacts cannot be brought back either"));
    }
    if beyond > 0 {
        found.is_cut = true;
        found.left_out.push(format!(
            "{beyond} artifacts ({bytes} bytes) are left out: a run's artifacts may take {MOST_BYTES} bytes and \
             be {MOST_FILES} files"
        ));
    }
    found
}

struct Walk<'a> {
    root: &'a Path,
    budget: &'a mut Budget,
    found: Artifacts,
    /// What stays and is not named any more.
    unnamed: usize,
    /// Files for which there is no room, and their bytes.
    beyond: (usize, u64),
}

impl Walk<'_> {
    fn folder(&mut self, below: &Path, depth: usize) {
        let entries = match fs::read_dir(self.root.join(below)) {
            Ok(entries) => entries,
            Err(error) => return self.leave(below, &error.to_string()),
        };
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort_unstable();
        if let (true, 1.., Some(path)) = (names.is_empty(), depth, below.to_str()) {
            return self.place(path, None);
        }
        for name in names {
            self.entry(&below.join(&name), depth);
        }
    }

    fn entry(&mut self, path: &Path, depth: usize) {
        let Some(text) = path.to_str().filter(|text| !text.contains(char::is_control)) else {
            return self.leave(path, "such a name cannot be told");
        };
        let at = self.root.join(path);
        match fs::symlink_metadata(&at).map(|data| (data.file_type(), data)) {
            Ok((kind, data)) if kind.is_file() => self.file(path, at, &data),
            Ok((kind, _)) if kind.is_dir() && depth < MOST_DEPTH => self.folder(path, depth + 1),
            Ok((kind, _)) if kind.is_dir() => self.leave(path, "the folder lies too deep"),
            Ok((kind, _)) if kind.is_symlink() => self.link(path, text),
            Ok((kind, _)) => self.leave(path, &format!("it is {}", special(kind))),
            // It has gone meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.leave(path, &error.to_string()),
        }
    }

    fn file(&mut self, path: &Path, at: PathBuf, data: &fs::Metadata) {
        let (bytes, name) = (data.len(), path.as_os_str().len());
        if self.budget.files == 0 || bytes > self.budget.bytes || name > self.budget.names {
            self.beyond = (self.beyond.0 + 1, self.beyond.1.saturating_add(bytes));
            return;
        }
        self.budget.files -= 1;
        self.budget.bytes -= bytes;
        self.budget.names -= name;
        let executable = data.permissions().mode() & 0o111 != 0;
        self.found.files.push(FoundFile { path: path.to_owned(), at, bytes, executable });
    }

    /// One that leads to what comes back as well.
    fn link(&mut self, path: &Path, text: &str) {
        let Ok(target) = fs::read_link(self.root.join(path)) else { return };
        // What was gathered from the working folder had its links there.
        let absolute =
            target.strip_prefix(self.root.with_file_name("work")).or(target.strip_prefix(self.root));
        let target = absolute.map_or_else(|_| target.clone(), |to| text_to(path, to));
        match target.to_str() {
            Some(target) if leads_to(path, Path::new(target)).is_some() => {
                self.place(text, Some(target.to_owned()));
            }
            _ => self.leave(path, "it is a link that leads elsewhere"),
        }
    }

    fn place(&mut self, path: &str, link: Option<String>) {
        if self.budget.files == 0 {
            self.beyond.0 += 1;
            return;
        }
        self.budget.files -= 1;
        self.found.places.push(Place { path: path.to_owned(), link });
    }

    fn leave(&mut self, path: &Path, why: &str) {
        if self.found.left_out.len() < MOST_NAMED {
            self.found
                .left_out
                .push(format!("the artifact {:?} cannot be brought back: {why}", path.display().to_string()));
        } else {
            self.unnamed += 1;
        }
    }
}

fn special(kind: fs::FileType) -> &'static str {
    match kind {
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    }
}

/// Opens a file that was found, unless it has become a link.
pub(crate) fn open(file: &FoundFile) -> io::Result<File> {
    File::options()
        .read(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(&file.at)
}

pub(crate) fn hash(file: &FoundFile) -> io::Result<(Sha256, u64)> {
    let mut content = open(file)?.take(MOST_BYTES);
    let (mut hasher, mut buffer, mut bytes) = (Hasher::new(), vec![0; 64 << 10], 0);
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok((Sha256(hex::encode(hasher.finalize())), bytes)),
            count => {
                hasher.update(&buffer[..count]);
                bytes += count as u64;
            }
        }
    }
}
