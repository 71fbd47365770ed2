//! Objects as files below a folder: a key's slashes are the folders.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::{Fault, Result, StoreError};
use crate::store::{Object, Store};
use crate::unfinished::{self, Unfinished};

/// The longest object for which room is made at once.
const ROOM: usize = 64 << 20;

/// A folder of objects.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    /// Whether an object has to be there after a loss of power, too.
    lasting: bool,
    /// The folders in which was looked for what killed writers have left.
    swept: Mutex<BTreeSet<PathBuf>>,
}

impl Folder {
    /// The store below `root`, which need not be there before something is written.
    pub fn new(root: PathBuf) -> Self {
        Self { root, lasting: true, swept: Mutex::default() }
    }

    /// The same for objects that a loss of power may take: they are written without a wait for the disk.
    pub fn fleeting(root: PathBuf) -> Self {
        Self { root, lasting: false, swept: Mutex::default() }
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
        let root = self.root.join(folder);
        match fs::metadata(&root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            _ => {}
        }
        let mut walk = Walk { stem, after, take, above: above(&root) };
        let base = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        // Which of its folders it was, the error itself does not say.
        walk.folder(&root, &base, true).map(drop).map_err(|(key, error)| self.io("list", &key, &error))
    }

    /// An object's file, and the object as a listing has it.
    pub fn open(&self, key: &str) -> Result<(fs::File, Object)> {
        let path = self.path("read", key)?;
        let failed = |error: io::Error| match error.kind() {
            // A part of the key that should be a folder is a file.
            io::ErrorKind::NotADirectory => self.error("read", key, Fault::Missing),
            _ => self.io("read", key, &error),
        };
        // Looked at before it is opened: to open a pipe waits until somebody writes to it.
        let about = fs::metadata(&path).map_err(failed)?;
        if about.is_dir() {
            // A folder is what other keys begin with, and no object; a link to one is listed where it leads in a circle.
            let is_link = fs::symlink_metadata(&path).is_ok_and(|about| about.is_symlink());
            let circle = Fault::NoFile("it is a link that leads back to a folder that it lies in".into());
            return Err(self.error("read", key, if is_link { circle } else { Fault::Missing }));
        }
        if !about.is_file() {
            let fault = Fault::NoFile(format!("it is {}, and no file", what(&about)));
            return Err(self.error("read", key, fault));
        }
        let opened = fs::File::open(&path).and_then(|file| Ok((file.metadata()?, file)));
        let (about, file) = opened.map_err(failed)?;
        Ok((file, Object { key: key.to_owned(), size: about.len(), etag: etag(&about) }))
    }

    /// The bytes of an object, and what the file system said of it when they were there.
    fn bytes(&self, key: &str) -> Result<(Vec<u8>, Object)> {
        let (mut file, object) = self.open(key)?;
        let mut bytes = Vec::with_capacity(usize::try_from(object.size).unwrap_or(0).min(ROOM));
        file.read_to_end(&mut bytes).map_err(|error| self.io("read", key, &error))?;
        let after = file.metadata().map_err(|error| self.io("read", key, &error))?;
        if etag(&after) != object.etag {
            return Err(self.error("read", key, Fault::Replaced));
        }
        Ok((bytes, object))
    }

    /// Writes an object whole, in place of one that is there; `fill` writes its content.
    pub fn put_with(&self, key: &str, fill: Fill<'_>) -> Result<()> {
        let path = self.path("write", key)?;
        let put = self.write(&path, fill).and_then(|unfinished| unfinished.replace(&path));
        let put = put.map(|()| self.settle(&path));
        put.map_err(|error| self.io("write", key, &error))
    }

    /// Writes an object whole, unless there is one; `fill` writes its content.
    pub fn create_with(&self, key: &str, fill: Fill<'_>) -> Result<()> {
        let path = self.path("create", key)?;
        let created = self.write(&path, fill).and_then(|unfinished| unfinished.take_free(&path));
        let created = created.map(|()| self.settle(&path));
        created.map_err(|error| self.io("create", key, &error))
    }

    /// Makes a name last that a file was just given, and those of the folders above it: only then may something else be
    /// written that relies on it.
    fn settle(&self, path: &Path) {
        if !self.lasting {
            return;
        }
        for folder in path.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.root)) {
            // Not every file system can do this to a folder; the file itself is safe by now.
            let _ = fs::File::open(folder).and_then(|folder| folder.sync_all());
        }
    }

    fn error(&self, verb: &'static str, key: &str, fault: Fault) -> StoreError {
        StoreError { verb, what: format!("{}{}", self.name(), key.escape_debug()), fault }
    }

    fn io(&self, verb: &'static str, key: &str, error: &io::Error) -> StoreError {
        self.error(verb, key, fault(error))
    }

    fn write(&self, path: &Path, fill: Fill<'_>) -> io::Result<Unfinished> {
        if let Some(folder) = path.parent() {
            // A file in a folder's place: not the object that is there already.
            fs::create_dir_all(folder).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => io::ErrorKind::NotADirectory.into(),
                _ => error,
            })?;
            if self.lasting && self.swept.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.into())
            {
                unfinished::sweep(folder);
            }
        }
        let mut unfinished = Unfinished::beside(path)?;
        fill(unfinished.file())?;
        if self.lasting {
            unfinished.file().sync_data()?;
        }
        Ok(unfinished)
    }
}

/// Takes an object of a listing; whether to go on.
type Take<'a> = &'a mut dyn FnMut(Object, &fs::Metadata) -> bool;

/// Writes an object's content.
type Fill<'a> = &'a mut dyn FnMut(&mut fs::File) -> io::Result<()>;

/// `ELOOP`: too many links on the way, on every Linux.
const LOOP: i32 = 40;

/// What a file is that is none.
fn what(about: &fs::Metadata) -> &'static str {
    let kind = about.file_type();
    if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else {
        "something else"
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
        _ if error.raw_os_error() == Some(LOOP) => {
            Fault::NoFile("it is a link that leads back to itself".into())
        }
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
        let (bytes, found) = self.bytes(&object.key)?;
        let wrong = |fault| Err(self.error("read", &object.key, fault));
        let size = bytes.len() as u64;
        if size != object.size {
            return wrong(Fault::Length { listed: object.size, found: size });
        }
        // One that was asked for and not listed has no tag.
        if !object.etag.is_empty() && found.etag != object.etag {
            return wrong(Fault::Replaced);
        }
        Ok(bytes)
    }

    fn read(&self, key: &str) -> Result<Vec<u8>> {
        self.bytes(key).map(|(bytes, _)| bytes)
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<()> {
        self.put_with(key, &mut |file| file.write_all(bytes))
    }

    fn create(&self, key: &str, bytes: &[u8]) -> Result<()> {
        self.create_with(key, &mut |file| file.write_all(bytes))
    }

    fn remove(&self, key: &str) -> Result<()> {
        match fs::remove_file(self.path("remove", key)?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.io("remove", key, &error)),
            _ => Ok(()),
        }
    }

    fn has(&self, key: &str) -> Result<bool> {
        let path = self.path("look for", key)?;
        path.try_exists().map_err(|error| self.io("look for", key, &error))
    }
}

/// A walk through folders in the order of the keys' bytes.
///
/// Whatever has a name is handed over: what a link points at may come to be, or may be missing by a mistake, and one who reads
/// is told so. What cannot be told apart or looked into ends the walk, with the key where it ended.
struct Walk<'a> {
    /// What names in the first folder begin with.
    stem: &'a str,
    /// Only keys after this are asked for.
    after: &'a str,
    take: Take<'a>,
    /// The folders above, by device and number: one that is reached through a link may lie above itself.
    above: Vec<(u64, u64)>,
}

/// What a folder lies in itself: a link to one of these comes back to it as well.
fn above(folder: &Path) -> Vec<(u64, u64)> {
    let real = fs::canonicalize(folder).unwrap_or_default();
    let folders = real.ancestors().skip(1).filter_map(|folder| fs::metadata(folder).ok());
    folders.map(|about| (about.dev(), about.ino())).collect()
}

type Walked = std::result::Result<bool, (String, io::Error)>;

impl Walk<'_> {
    /// Whether to go on.
    fn folder(&mut self, folder: &Path, base: &str, first: bool) -> Walked {
        let at = |error: io::Error| (base.to_owned(), error);
        let about = fs::metadata(folder).map_err(at)?;
        self.above.push((about.dev(), about.ino()));
        let entries = self.entries(folder, base, first).map_err(at)?;
        for (key, path) in entries {
            let go_on =
                if key.ends_with('/') { self.folder(&path, &key, false)? } else { self.file(key, &path)? };
            if !go_on {
                return Ok(false);
            }
        }
        self.above.pop();
        Ok(true)
    }

    /// The entries of a folder by their keys; with its slash a folder sorts among the files as its keys do.
    fn entries(&self, folder: &Path, base: &str, first: bool) -> io::Result<BTreeMap<String, PathBuf>> {
        let mut entries = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| {
                io::Error::other(format!("the name {} is not UTF-8, as a key has to be", name.display()))
            })?;
            if (first && !name.starts_with(self.stem)) || name.starts_with(unfinished::PREFIX) {
                continue;
            }
            let kind = entry.file_type()?;
            let is_folder = kind.is_dir() || (kind.is_symlink() && self.leads_down(&entry.path()));
            let key = format!("{base}{name}{}", if is_folder { "/" } else { "" });
            if key.as_str() > self.after || (is_folder && self.after.starts_with(&key)) {
                entries.insert(key, entry.path());
            }
        }
        Ok(entries)
    }

    /// Whether a link leads to a folder, and not to one that it lies in.
    fn leads_down(&self, link: &Path) -> bool {
        fs::metadata(link)
            .is_ok_and(|about| about.is_dir() && !self.above.contains(&(about.dev(), about.ino())))
    }

    fn file(&mut self, key: String, path: &Path) -> Walked {
        let about = match fs::metadata(path) {
            // A link in a circle of folders: it is no object, and who reads it is told so.
            Ok(about) if about.is_dir() => return Ok(self.unreadable(key, &about)),
            Ok(about) => about,
            Err(error) => match fs::symlink_metadata(path) {
                Ok(link) if link.is_symlink() => return Ok(self.unreadable(key, &link)),
                // Gone since the folder was read: as if it had never been listed.
                Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(true),
                _ => return Err((key, error)),
            },
        };
        Ok((self.take)(Object { key, size: about.len(), etag: etag(&about) }, &about))
    }

    /// Hands over what has a name and cannot be read: without a size, and without a tag to compare.
    fn unreadable(&mut self, key: String, about: &fs::Metadata) -> bool {
        (self.take)(Object { key, size: 0, etag: String::new() }, about)
    }
}

/// Changes when the file is written anew, or another one takes its name.
fn etag(about: &fs::Metadata) -> String {
    format!("{:x}-{:x}-{:x}", about.ino(), about.mtime_nsec().wrapping_add(about.mtime() << 30), about.len())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn listed(folder: &Folder) -> Vec<(String, u64)> {
        let mut listed = Vec::new();
        folder
            .list("", &mut |object| {
                listed.push((object.key, object.size));
                true
            })
            .unwrap();
        listed
    }

    fn object(folder: &Folder, key: &str) -> Object {
        let mut found = None;
        folder
            .list("", &mut |object| {
                found = found.take().or_else(|| (object.key == key).then_some(object));
                true
            })
            .unwrap();
        found.unwrap()
    }

    #[test]
    fn whatever_has_a_name_is_listed_and_what_cannot_be_read_says_what_it_is() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path().into());
        folder.put("a/b", b"1").unwrap();
        for (name, target) in
            [("dangling", "nowhere"), ("itself", "itself"), ("a/up", "../a"), ("out", ".."), ("z", "a")]
        {
            symlink(target, root.path().join(name)).unwrap();
        }
        let keys = Vec::from_iter(listed(&folder).into_iter().map(|(key, _)| key));
        assert_eq!(
            keys,
            ["a/b", "a/up", "dangling", "itself", "out", "z/b", "z/up"],
            "in the order of their bytes, none twice"
        );
        for (key, fault) in [
            ("dangling", Fault::Missing),
            ("itself", Fault::NoFile("it is a link that leads back to itself".into())),
            ("a/up", Fault::NoFile("it is a link that leads back to a folder that it lies in".into())),
            ("out", Fault::NoFile("it is a link that leads back to a folder that it lies in".into())),
        ] {
            assert_eq!(folder.get(&object(&folder, key)).unwrap_err().fault, fault, "{key}");
        }
        assert_eq!(folder.read("a").unwrap_err().fault, Fault::Missing, "a folder is no object");
        assert_eq!(folder.read("a/b/c").unwrap_err().fault, Fault::Missing);
    }

    #[test]
    fn a_file_that_takes_anothers_place_is_another_object_whatever_its_size() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path().into());
        folder.put("a", b"1").unwrap();
        let listed = object(&folder, "a");
        assert_eq!(folder.get(&listed).unwrap(), b"1");
        folder.put("a", b"2").unwrap();
        assert_eq!(folder.get(&listed).unwrap_err().fault, Fault::Replaced);
        fs::write(root.path().join("a"), b"33").unwrap();
        assert_eq!(folder.get(&listed).unwrap_err().fault, Fault::Length { listed: 1, found: 2 });
    }

    #[test]
    fn of_two_that_create_one_object_one_succeeds_and_what_is_removed_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path().into());
        let created = std::thread::scope(|scope| {
            let threads = Vec::from_iter((0..8_u8).map(|number| {
                let folder = &folder;
                scope.spawn(move || folder.create("deep/mark", &[number]).is_ok())
            }));
            threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum::<usize>()
        });
        assert_eq!(created, 1);
        assert_eq!(listed(&folder), [("deep/mark".to_owned(), 1)], "nothing unfinished is left");
        folder.remove("deep/mark").unwrap();
        folder.remove("deep/mark").unwrap();
        assert_eq!(listed(&folder), []);
    }

    #[test]
    fn what_a_killed_writer_left_beside_an_object_is_gone_after_the_next_write_there() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("deep")).unwrap();
        let left = root.path().join("deep/.unfinished-1-0");
        let file = fs::File::create(&left).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(3600)).unwrap();
        let folder = Folder::new(root.path().into());
        folder.put("other", b"1").unwrap();
        assert!(
            left.exists() && listed(&folder).len() == 1,
            "it is no object, and nobody has written beside it"
        );
        folder.create("deep/mark", b"1").unwrap();
        assert!(!left.exists());
    }

    #[test]
    fn a_folder_that_is_not_there_is_empty_and_one_that_cannot_be_read_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(listed(&Folder::new(root.path().join("nothing"))), []);
        fs::write(root.path().join("file"), b"").unwrap();
        let error = Folder::new(root.path().join("file")).list("", &mut |_| true).unwrap_err();
        assert!(matches!(error.fault, Fault::Other(_)), "{error}");
    }
}
