//! What was found in ssh configurations for one host: the first value of each option, and all values of some.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transport::ssh) enum Origin {
    /// In a file, on a line counted from 1.
    File {
        path: PathBuf,
        line: usize,
    },
    /// In the answer of `ssh -G`.
    Ssh,
    Address,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Ssh => write!(f, "what `ssh -G` says"),
            Self::Address => write!(f, "the address"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) words: Vec<String>,
    /// The same as it stands, for options whose value is the rest of the line.
    pub(super) rest: String,
    pub(super) at: Origin,
}

impl Value {
    pub(super) fn word(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }
}

/// Options that add up; of all others the first value holds.
const ADDING: [&str; 2] = ["identityfile", "certificatefile"];

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Found(HashMap<String, Vec<Value>>);

impl Found {
    pub(super) fn add(&mut self, keyword: &str, value: Value) {
        if keyword == "proxyjump" && !is_none(&value.rest) {
            // Whichever of the two comes first holds, and keeps the other out.
            if self.first("proxycommand").is_some() || self.first("proxyjump").is_some() {
                return;
            }
            let none = Value { words: vec!["none".into()], rest: "none".into(), at: value.at.clone() };
            self.0.insert("proxycommand".into(), vec![none]);
        }
        let values = self.0.entry(keyword.to_owned()).or_default();
        let adds = ADDING.contains(&keyword);
        let is_wanted = values.is_empty() || (adds && values.iter().all(|known| known.words != value.words));
        if is_wanted {
            values.push(value);
        }
    }

    /// Puts a value in the place of what was found.
    pub(super) fn replace(&mut self, keyword: &str, value: Value) {
        self.0.insert(keyword.to_owned(), vec![value]);
    }

    pub(super) fn first(&self, keyword: &str) -> Option<&Value> {
        self.all(keyword).first()
    }

    pub(super) fn word(&self, keyword: &str) -> Option<&str> {
        self.first(keyword).map(Value::word)
    }

    pub(super) fn all(&self, keyword: &str) -> &[Value] {
        self.0.get(keyword).map_or(&[], Vec::as_slice)
    }
}

/// Whether a value says that there is to be nothing.
pub(super) fn is_none(text: &str) -> bool {
    text.eq_ignore_ascii_case("none")
}
