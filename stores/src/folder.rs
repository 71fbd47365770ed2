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
    /// Whether an object has to be there after a loss of power, too.
    lasting: bool,
}

impl Folder {
    /// The store below `root`, which need not be there before something is written.
    pub fn new(root: PathBuf) -> Self {
        Self { root, lasting: true }
    }

    /// The same for objects that a loss of power may take: they are written without a wait for the disk.
    pub fn fleeting(root: PathBuf) -> Self {
        Self { root, lasting: false }
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

    /// Hands over every object below `prefix` whose key comes after `after`, as [`Store::list`] does, with what the
    /// file system says of it.
    pub fn list_after(&self, prefix: &str, after: &str, take: Take<'_>) -> Result<()> {
        let (folder, stem) = prefix.rsplit_once('/').unwrap_or(("", prefix));
        let mut walk = Walk { stem, after, take };
        let base = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        match walk.folder(&self.root.join(folder), &base, true) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.io("list", prefix, &error)),
        }
    }

    /// An object's file, and the object as a listing has it.
    pub fn open(&self, key: &str) -> Result<(fs::File, Object)> {
        let opened = fs::File::open(self.path("read", key)?).and_then(|file| {
            let about = file.metadata()?;
            // A folder is what other keys begin with, and no object.
            if about.is_dir() { Err(io::ErrorKind::NotFound.into()) } else { Ok((file, about)) }
        });
        let (file, about) = opened.map_err(|error| self.io("read", key, &error))?;
        Ok((file, Object { key: key.to_owned(), size: about.len(), etag: etag(&about) }))
    }

    /// Writes an object whole, in place of one that is there; `fill` writes its content.
    pub fn put_with(&self, key: &str, fill: Fill<'_>) -> Result<()> {
        let path = self.path("write", key)?;
        let put = self.write(&path, fill).and_then(|unfinished| {
            fs::rename(&unfinished, &path).inspect_err(|_| {
                let _ = fs::remove_file(&unfinished);
            })
        });
        put.map_err(|error| self.io("write", key, &error))
    }

    /// Writes an object whole, unless there is one; `fill` writes its content.
    pub fn create_with(&self, key: &str, fill: Fill<'_>) -> Result<()> {
        let path = self.path("create", key)?;
        let created = self.write(&path, fill).and_then(|unfinished| {
            // A link, unlike a rename, does not replace what is there.
            let linked = fs::hard_link(&unfinished, &path);
            fs::remove_file(&unfinished)?;
            // Not every file system can do this to a folder; the file itself is safe by now.
            let _ = path.parent().map(|folder| fs::File::open(folder).and_then(|folder| folder.sync_all()));
            linked
        });
        created.map_err(|error| self.io("create", key, &error))
    }

    /// Removes an object, where there is one.
    pub fn remove(&self, key: &str) -> Result<()> {
        match fs::remove_file(self.path("remove", key)?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.io("remove", key, &error)),
            _ => Ok(()),
        }
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

    fn write(&self, path: &Path, fill: Fill<'_>) -> io::Result<PathBuf> {
        if let Some(folder) = path.parent() {
            // A file in a folder's place: not the object that is there already.
            fs::create_dir_all(folder).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => io::ErrorKind::NotADirectory.into(),
                _ => error,
            })?;
        }
        let unfinished = Self::unfinished(path);
        let written = fs::File::create(&unfinished).and_then(|mut file| {
            fill(&mut file)?;
            if self.lasting { file.sync_data() } else { Ok(()) }
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

/// Takes an object of a listing; whether to go on.
type Take<'a> = &'a mut dyn FnMut(Object, &fs::Metadata) -> bool;

/// Writes an object's content.
type Fill<'a> = &'a mut dyn FnMut(&mut fs::File) -> io::Result<()>;

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
        self.list_after(prefix, "", &mut |object, _| take(object))
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
        self.put_with(key, &mut |file| file.write_all(bytes))
    }

    fn create(&self, key: &str, bytes: &[u8]) -> Result<()> {
        self.create_with(key, &mut |file| file.write_all(bytes))
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
    /// Only keys after this are asked for.
    after: &'a str,
    take: Take<'a>,
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
            let kind = entry.file_type()?;
            let is_folder = kind.is_dir()
                || (kind.is_symlink() && fs::metadata(entry.path()).is_ok_and(|about| about.is_dir()));
            // With its slash a folder sorts among the files as its keys do.
            let key = format!("{base}{name}{}", if is_folder { "/" } else { "" });
            if key.as_str() > self.after || (is_folder && self.after.starts_with(&key)) {
                entries.insert(key, entry.path());
            }
        }
        for (key, path) in entries {
            let go_on = if key.ends_with('/') {
                self.folder(&path, &key, false)?
            } else {
                match fs::metadata(&path) {
                    Ok(about) => (self.take)(Object { key, size: about.len(), etag: etag(&about) }, &about),
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
