//! The whole history, as far as it can be read. What cannot is named, and the rest still counts.

use super::StoreError;
use super::line::Line;
use super::object::{self, ObjectError};
use super::store::Store;

/// What runs measured, the earliest first.
#[derive(Debug, Default)]
pub struct History {
    pub lines: Vec<Line>,
    pub skipped: Vec<Skipped>,
    pub runs: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    pub name: String,
    pub why: String,
}

impl History {
    /// Reads everything that there is. Only a place that cannot be listed is an error.
    pub fn read(store: &Store) -> Result<Self, StoreError> {
        let mut history = Self::default();
        let names = store.list()?;
        for (name, lines) in names.iter().zip(all(store, &names)) {
            match lines {
                Ok(lines) => {
                    history.lines.extend(lines);
                    history.runs += 1;
                }
                Err(why) => history.skipped.push(Skipped { name: name.clone(), why }),
            }
        }
        // Runs may overlap, and an old one may be added late.
        history.lines.sort_by(|one, other| (one.at, &one.run).cmp(&(other.at, &other.run)));
        Ok(history)
    }
}

/// Reads so many objects at a time: a bucket takes a while for each, and gladly gives many at once.
const AT_ONCE: usize = 16;

fn all(store: &Store, names: &[String]) -> Vec<Result<Vec<Line>, String>> {
    let share = names.len().div_ceil(AT_ONCE).max(1);
    let read = |names: &[String]| Vec::from_iter(names.iter().map(|name| lines(store, name)));
    std::thread::scope(|scope| {
        let readers = Vec::from_iter(names.chunks(share).map(|names| scope.spawn(move || read(names))));
        let ended = readers.into_iter().zip(names.chunks(share));
        let of_reader = ended.map(|(reader, names)| {
            reader.join().unwrap_or_else(|_| vec![Err("its reader panicked".to_owned()); names.len()])
        });
        of_reader.flatten().collect()
    })
}

fn lines(store: &Store, name: &str) -> Result<Vec<Line>, String> {
    if !object::is_name(name) {
        return Err(ObjectError::Foreign.to_string());
    }
    let content = store.get(name).map_err(|error| crate::text::chain(&error))?;
    let text = String::from_utf8(content).map_err(|_| ObjectError::Foreign.to_string())?;
    object::read(&text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::append;
    use crate::report::sample;

    #[test]
    fn a_torn_or_foreign_object_is_named_and_the_rest_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(&folder.path().into()).unwrap();
        let state = sample::state(&sample::every_outcome());
        append(&state, &store).unwrap();
        let whole = History::read(&store).unwrap();
        assert!(whole.skipped.is_empty() && !whole.lines.is_empty());
        let own = folder.path().join(&store.list().unwrap()[0]);
        let text = std::fs::read_to_string(own).unwrap();
        std::fs::write(folder.path().join("20261124-000000-torn.ndjson"), &text[..text.len() / 2]).unwrap();
        std::fs::write(folder.path().join("README.md"), "hello").unwrap();
        std::fs::write(folder.path().join("20261124-000000-binary.ndjson"), [0xff, 0xfe]).unwrap();
        let below = folder.path().join("20261124-000000-folder.ndjson");
        std::fs::create_dir(&below).unwrap();
        std::fs::write(below.join("file"), "x").unwrap();
        let history = History::read(&store).unwrap();
        // As text: a NaN is not equal to itself.
        assert_eq!(format!("{:?}", history.lines), format!("{:?}", whole.lines));
        let named = Vec::from_iter(history.skipped.iter().map(|skipped| skipped.name.as_str()));
        assert_eq!(
            named,
            [
                "20261124-000000-binary.ndjson",
                "20261124-000000-folder.ndjson/file",
                "20261124-000000-torn.ndjson",
                "README.md"
            ]
        );
        assert!(history.skipped[2].why.contains("cut off"), "{:?}", history.skipped);
    }
}
