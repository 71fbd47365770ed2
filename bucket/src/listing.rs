//! Which objects are on a page of a listing?

use std::fs::Metadata;
use std::time::SystemTime;

use gpu_stores::{Folder, Object};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What `encoding-type=url` leaves as it is. A space is `%20`: then it does not matter whether a client takes a plus for
/// one.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// What is asked for.
pub(crate) struct Wanted<'a> {
    pub(crate) prefix: &'a str,
    /// Keys that share what comes before it, after the prefix, are one entry.
    pub(crate) delimiter: Option<&'a str>,
    /// Only what comes after this.
    pub(crate) after: &'a str,
    pub(crate) most: usize,
}

/// An entry of a listing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// With the time when it was written.
    Object(Object, SystemTime),
    /// What several keys begin with.
    Shared(String),
}

/// A page, and whether there is more.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) entries: Vec<Entry>,
    pub(crate) more: bool,
}

impl Page {
    /// What the next page comes after.
    pub(crate) fn last(&self) -> Option<&str> {
        self.entries.last().map(|entry| match entry {
            Entry::Object(object, _) => object.key.as_str(),
            Entry::Shared(prefix) => prefix.as_str(),
        })
    }
}

pub(crate) fn page(folder: &Folder, wanted: &Wanted<'_>) -> gpu_stores::error::Result<Page> {
    let mut page = Page::default();
    let mut take = |object: Object, about: &Metadata| {
        let rest = object.key.strip_prefix(wanted.prefix).unwrap_or_default();
        let shared = wanted
            .delimiter
            .and_then(|delimiter| rest.split_once(delimiter))
            .zip(wanted.delimiter)
            .map(|((first, _), delimiter)| format!("{}{first}{delimiter}", wanted.prefix));
        if let Some(shared) = &shared
            && (shared.as_str() <= wanted.after || page.last() == Some(shared))
        {
            return true;
        }
        if page.entries.len() >= wanted.most {
            page.more = true;
            return false;
        }
        let changed = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        page.entries.push(shared.map_or(Entry::Object(object, changed), Entry::Shared));
        true
    };
    if wanted.most > 0 {
        folder.list_after(wanted.prefix, wanted.after, &mut take)?;
    }
    Ok(page)
}

/// A text as a document of S3 has it.
pub(crate) fn escaped(text: &str, url: bool) -> String {
    if url { utf8_percent_encode(text, ESCAPED).to_string() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use gpu_stores::Store;

    use super::*;

    #[test]
    fn pages_together_have_every_entry_once_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Folder::new(folder.path().into());
        for key in ["a", "b/1", "b/2", "b.x", "c/d/1", "c/e", "z\n\"é"] {
            folder.put(key, b"x").unwrap();
        }
        for (prefix, delimiter, all) in [
            ("", None, vec!["a", "b.x", "b/1", "b/2", "c/d/1", "c/e", "z\n\"é"]),
            ("", Some("/"), vec!["a", "b.x", "b/", "c/", "z\n\"é"]),
            ("c/", Some("/"), vec!["c/d/", "c/e"]),
            ("b", None, vec!["b.x", "b/1", "b/2"]),
            ("none", None, vec![]),
        ] {
            for most in 1..9 {
                let (mut found, mut after) = (Vec::new(), String::new());
                loop {
                    let page = page(&folder, &Wanted { prefix, delimiter, after: &after, most }).unwrap();
                    assert!(page.entries.len() <= most);
                    after = page.last().unwrap_or_default().to_owned();
                    let more = page.more;
                    found.extend(page.entries.into_iter().map(|entry| match entry {
                        Entry::Object(object, _) => object.key,
                        Entry::Shared(prefix) => prefix,
                    }));
                    if !more {
                        break;
                    }
                }
                assert_eq!(found, all, "{prefix:?} {delimiter:?} {most}");
            }
        }
        assert_eq!(escaped("a b/+\n%é", true), "a%20b/%2B%0A%25%C3%A9");
    }
}
