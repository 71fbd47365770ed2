//! Objects as files below a folder: a key's slashes are the folders.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Fault, Result, StoreError};
use crate::store::{Object, Store};

/// Names of files that are not complete yet begin so; no listing shows them.
const UNFINISHED: &str = ".unfinished-";

/// A folder of objects.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The store below `root`, which need not be there before something is written.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn path(&self, verb: &'static str, key: &str) -> Result<PathBuf> {
        let wrong = |why: &str| self.error(verb, key, Fault::Key(why.into()));
        if key.is_empty() || key.ends_with('/') {
            return Err(wrong("names no file"));
        }
        if key.contains('\0') {
            return Err(wrong("has a NUL byte, which no file's name can have"));
        }
        if Path::new(key).components().any(|part| !matches!(part, Component::Normal(_))) {
            return Err(wrong("would lead out of its folder"));
        }
        Ok(self.root.join(key))
    }

    fn error(&self, verb: &'static str, key: &str, fault: Fault) -> StoreError {
        StoreError { verb, what: format!("{}{}", self.name(), key.escape_debug()), fault }
    }

    fn io(&self, verb: &'static str, key: &str, error: &io::Error) -> StoreError {
        self.error(verb, key, fault(error))
    }

    /// A name beside the file that nobody else has: two writers of one object do not get into each other's way.
    fn unfinished(path: &Path) -> PathBuf {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        path.with_file_name(format!("{UNFINISHED}{}-{count}", std::process::id()))
    }

    fn write(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
        if let Some(folder) = path.parent() {
            // A file in a folder's place: not the object that is there already.
            fs::create_dir_all(folder).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => io::ErrorKind::NotADirectory.into(),
                _ => error,
            })?;
        }
        let unfinished = Self::unfinished(path);
        let written = fs::File::create(&unfinished).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_data()
        });
        match written {
            Ok(()) => Ok(unfinished),
            Err(error) => {
                // What is left of it is no object; a second failure here would say nothing new.
                let _ = fs::remove_file(&unfinished);
                Err(error)
            }
        }
    }
}

fn fault(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::NotFound => Fault::Missing,
        io::ErrorKind::AlreadyExists => Fault::Exists,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Fault::Denied(error.to_string())
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Fault::Full,
        io::ErrorKind::InvalidFilename => Fault::Key("is longer than a file's name can be".into()),
        _ => Fault::Other(error.to_string()),
    }
}

impl Store for Folder {
    fn name(&self) -> String {
        format!("file://{}/", self.root.display())
    }

    fn list(&self, prefix: &str, take: &mut dyn FnMut(Object) -> bool) -> Result<()> {
        let (folder, stem) = prefix.rsplit_once('/').unwrap_or(("", prefix));
        let mut walk = Walk { stem, take };
        let base = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        match walk.folder(&self.root.join(folder), &base, true) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.io("list", prefix, &error)),
        }
    }

    fn get(&self, object: &Object) -> Result<Vec<u8>> {
        let bytes = self.read(&object.key)?;
        let found = bytes.len() as u64;
        if found != object.size {
            let fault = Fault::Length { listed: object.size, found };
            return Err(self.error("read", &object.key, fault));
        }
        Ok(bytes)
    }

    fn read(&self, key: &str) -> Result<Vec<u8>> {
        fs::read(self.path("read", key)?).map_err(|error| self.io("read", key, &error))
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path("write", key)?;
        let put = Self::write(&path, bytes).and_then(|unfinished| {
            fs::rename(&unfinished, &path).inspect_err(|_| {
                let _ = fs::remove_file(&unfinished);
            })
        });
        put.map_err(|error| self.io("write", key, &error))
    }

    fn create(&self, key: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path("create", key)?;
        let created = Self::write(&path, bytes).and_then(|unfinished| {
            // A link, unlike a rename, does not replace what is there.
            let linked = fs::hard_link(&unfinished, &path);
            fs::remove_file(&unfinished)?;
            // Not every file system can do this to a folder; the file itself is safe by now.
            let _ = path.parent().map(|folder| fs::File::open(folder).and_then(|folder| folder.sync_all()));
            linked
        });
        created.map_err(|error| self.io("create", key, &error))
    }

    fn has(&self, key: &str) -> Result<bool> {
        let path = self.path("look for", key)?;
        path.try_exists().map_err(|error| self.io("look for", key, &error))
    }
}

/// A walk through folders in the order of the keys' bytes.
struct Walk<'a> {
    /// What names in the first folder begin with.
    stem: &'a str,
    take: &'a mut dyn FnMut(Object) -> bool,
}

impl Walk<'_> {
    /// Whether to go on.
    fn folder(&mut self, folder: &Path, base: &str, first: bool) -> io::Result<bool> {
        let mut entries = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| {
                io::Error::other(format!("the name {} is not UTF-8, as a key has to be", name.display()))
            })?;
            if (first && !name.starts_with(self.stem)) || name.starts_with(UNFINISHED) {
                continue;
            }
            let is_folder = fs::metadata(entry.path()).is_ok_and(|about| about.is_dir());
            // With its slash a folder sorts among the files as its keys do.
            let key = format!("{base}{name}{}", if is_folder { "/" } else { "" });
            entries.insert(key, entry.path());
        }
        for (key, path) in entries {
            let go_on = if key.ends_with('/') {
                self.folder(&path, &key, false)?
            } else {
                match fs::metadata(&path) {
                    Ok(about) => (self.take)(Object { key, size: about.len(), etag: etag(&about) }),
                    // Gone since the folder was read: as if it had never been listed.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => true,
                    Err(error) => return Err(error),
                }
            };
            if !go_on {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Changes when the file is written anew.
fn etag(about: &fs::Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!("{:x}-{:x}-{:x}", about.ino(), about.mtime_nsec().wrapping_add(about.mtime() << 30), about.len())
}
