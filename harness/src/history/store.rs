//! Objects that are put once and never changed: the only three things that a history needs of its place.
//!
//! An object is written whole under a name that nobody reads, and then linked to its own name, which fails where there is
//! one already. So two writers of one name never mix, and a reader finds a whole object or none.

use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Location;

/// What names of objects that are being written begin with.
const BEING_WRITTEN: &str = ".part-";

/// A place for objects.
#[derive(Debug, Clone)]
pub enum Store {
    /// Files of a folder.
    Folder(PathBuf),
}

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is there now.
    Added,
    /// There was one of that name; it stays as it was.
    WasThere,
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An object cannot be put.
    #[error("failed to write {name} to the history in {}", folder.display())]
    Put {
        /// The object.
        name: String,
        /// The place.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The objects cannot be listed.
    #[error("failed to read the history in {}; `gpu-harness run --history PLACE` begins one", folder.display())]
    List {
        /// The place.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An object cannot be read.
    #[error("failed to read {name} of the history in {}", folder.display())]
    Get {
        /// The object.
        name: String,
        /// The place.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Store {
    /// The store at a location; nothing is made or read yet.
    pub fn at(location: &Location) -> Self {
        match location {
            Location::Folder(folder) => Self::Folder(folder.clone()),
        }
    }

    /// Puts a whole object, unless there is one of its name.
    pub fn put_if_absent(&self, name: &str, content: &[u8]) -> Result<Put, StoreError> {
        let Self::Folder(folder) = self;
        put(folder, name, content).map_err(|source| StoreError::Put {
            name: name.to_owned(),
            folder: folder.clone(),
            source,
        })
    }

    /// The names of all objects, in order; those that are being written are none yet.
    pub fn list(&self) -> Result<Vec<String>, StoreError> {
        let Self::Folder(folder) = self;
        let failed = |source| StoreError::List { folder: folder.clone(), source };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            if !name.starts_with(BEING_WRITTEN) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The content of an object.
    pub fn get(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let Self::Folder(folder) = self;
        std::fs::read(folder.join(name)).map_err(|source| StoreError::Get {
            name: name.to_owned(),
            folder: folder.clone(),
            source,
        })
    }
}

fn put(folder: &Path, name: &str, content: &[u8]) -> io::Result<Put> {
    std::fs::create_dir_all(folder)?;
    // Others read the history too: as readable as the user's umask lets it be.
    let mode = std::fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().prefix(BEING_WRITTEN).permissions(mode).tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(folder.join(name)) {
        Ok(_) => {
            // Not every file system can do this to a folder; the file itself is safe by now.
            let _ = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
            Ok(Put::Added)
        }
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(Put::WasThere),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_put_once_and_never_changed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::Folder(folder.path().join("deep/er"));
        assert_eq!(store.put_if_absent("a", b"first").unwrap(), Put::Added);
        assert_eq!(store.put_if_absent("a", b"second").unwrap(), Put::WasThere);
        assert_eq!(store.get("a").unwrap(), b"first");
        assert_eq!(store.list().unwrap(), ["a"]);
    }

    #[test]
    fn many_writers_at_once_lose_nothing_and_readers_find_whole_objects() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::Folder(folder.path().into());
        let content = |writer: usize| format!("{writer}\n").repeat(20_000);
        let added = std::thread::scope(|scope| {
            let writers = Vec::from_iter((0..8).map(|writer| {
                let store = &store;
                scope.spawn(move || {
                    // Each has objects of its own, and all want one more.
                    for number in 0..20 {
                        let put =
                            store.put_if_absent(&format!("{writer}-{number}"), content(writer).as_bytes());
                        assert_eq!(put.unwrap(), Put::Added);
                    }
                    store.put_if_absent("shared", content(writer).as_bytes()).unwrap() == Put::Added
                })
            }));
            let reader = scope.spawn(|| {
                for _ in 0..50 {
                    for name in store.list().unwrap() {
                        let text = String::from_utf8(store.get(&name).unwrap()).unwrap();
                        let first = text.lines().next().unwrap().to_owned();
                        assert_eq!(text, format!("{first}\n").repeat(20_000), "{name} is half written");
                    }
                }
            });
            reader.join().unwrap();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(added.into_iter().filter(|won| *won).count(), 1, "one of them was first");
        assert_eq!(store.list().unwrap().len(), 8 * 20 + 1);
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            8 * 20 + 1,
            "nothing else is left behind"
        );
    }

    #[test]
    fn a_place_that_cannot_be_used_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = Store::Folder(file).put_if_absent("a", b"x").unwrap_err();
        assert!(error.to_string().contains("failed to write a to the history in"), "{error}");
        let absent = Store::Folder(folder.path().join("absent")).list().unwrap_err();
        assert!(absent.to_string().contains("gpu-harness run --history"), "{absent}");
    }
}
