//! Objects that are put once and never changed: the only three things that a history needs of its place.
//!
//! Each call is tried for a while where the place is out of order: a night's figures are worth a wait, and not a hang.

use std::sync::Arc;
use std::time::Duration;

use gpu_stores::{Fault, Patience, S3Settings, StoreError};
use gpu_suites::exit::Exit;

use crate::config::Location;
use crate::text::Explain;

const PATIENCE: Patience = Patience { at_most: Duration::from_secs(20), of_object: 3 };

#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn gpu_stores::Store>,
}

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is there now.
    Added,
    /// There was one of that name; it stays as it was.
    WasThere,
}

impl Store {
    /// The store at a location; nothing is made or read yet, but a bucket's credentials are looked for.
    pub fn at(location: &Location) -> Result<Self, StoreError> {
        let objects = gpu_stores::open(location.in_stores(), &S3Settings::default())?;
        Ok(Self { objects })
    }

    /// Puts a whole object, unless there is one of its name.
    pub fn put_if_absent(&self, name: &str, content: &[u8]) -> Result<Put, StoreError> {
        match patiently(|| self.objects.create(name, content)) {
            Ok(()) => Ok(Put::Added),
            // Where an answer was lost, it may be the one that was just put: it is there, once.
            Err(error) if error.fault == Fault::Exists => Ok(Put::WasThere),
            Err(error) => Err(error),
        }
    }

    /// The names of all objects, in order; those that are being written are none yet.
    pub fn list(&self) -> Result<Vec<String>, StoreError> {
        patiently(|| {
            let mut names = Vec::new();
            self.objects.list("", &mut |object| {
                names.push(object.key);
                true
            })?;
            Ok(names)
        })
    }

    pub fn get(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        patiently(|| self.objects.read(name))
    }
}

impl Explain for StoreError {
    fn hint(&self) -> Option<String> {
        Some(self.fault.hint().into_owned())
    }

    fn exit(&self) -> Exit {
        match self.fault {
            Fault::Key(_) => Exit::Usage,
            _ => Exit::Infrastructure,
        }
    }
}

fn patiently<T>(call: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    PATIENCE.exercise(&|| false, call)
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.objects.name()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_put_once_and_never_changed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(&folder.path().join("deep/er").as_path().into()).unwrap();
        assert_eq!(store.put_if_absent("a", b"first").unwrap(), Put::Added);
        assert_eq!(store.put_if_absent("a", b"second").unwrap(), Put::WasThere);
        assert_eq!(store.get("a").unwrap(), b"first");
        assert_eq!(store.list().unwrap(), ["a"]);
    }

    #[test]
    fn many_writers_at_once_lose_nothing_and_readers_find_whole_objects() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(&folder.path().into()).unwrap();
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
        let store = |path: &std::path::Path| Store::at(&path.into()).unwrap();
        let error = store(&file).put_if_absent("a", b"x").unwrap_err();
        assert!(error.to_string().contains("failed to create file://"), "{error}");
        // A place that is not there yet is a history without runs, as an empty bucket is.
        assert_eq!(store(&folder.path().join("absent")).list().unwrap(), Vec::<String>::new());
    }
}
