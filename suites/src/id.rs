//! Names that must not be mixed up: runs, cases, nodes, file contents.

use std::borrow::Cow;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest name of a suite or a case: both together are a folder's name.
pub const MAX_NAME: usize = 100;

/// [`is_name`] as a regular expression, for editors.
pub const NAME_PATTERN: &str = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$";

/// Whether a suite or a case may be called so. Names become folders, and arguments of programs.
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with(['.', '-'])
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<T: Into<String>> From<T> for $name {
            fn from(text: T) -> Self {
                Self(text.into())
            }
        }
    };
}

text_id! {
    /// One run of the harness, e.g. `20261122-214503-7f3a`: also the name of its folder, so `[A-Za-z0-9-]` only.
    RunId
}
text_id! {
    /// One case of one suite, written `suite::case`.
    CaseId
}
text_id! {
    /// A node as the user names it: `local`, an ssh address, or a name in `gpu-harness.yaml`.
    NodeName
}
text_id! {
    /// The sha256 of a file's content, 64 lower-case hexadecimal digits.
    Sha256
}

impl CaseId {
    /// The id of `case` in `suite`.
    pub fn new(suite: &str, case: &str) -> Self {
        Self(format!("{suite}::{case}"))
    }

    /// The part before `::`.
    pub fn suite(&self) -> &str {
        self.0.split_once("::").map_or("", |(suite, _)| suite)
    }

    /// The part after `::`.
    pub fn case(&self) -> &str {
        self.0.split_once("::").map_or(self.0.as_str(), |(_, case)| case)
    }

    /// Whether both halves are names, so that the id may be a folder's.
    pub fn is_valid(&self) -> bool {
        self.0.split_once("::").is_some_and(|(suite, case)| is_name(suite) && is_name(case))
    }

    /// The id as a folder name: `suite.case`.
    pub fn folder(&self) -> String {
        self.0.replace("::", ".")
    }
}

impl RunId {
    /// Whether the text may be a folder's name on a node: letters, digits and `-`, 1 to 64 of them.
    pub fn is_valid(&self) -> bool {
        (1..=64).contains(&self.0.len()) && self.0.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    }
}

impl Sha256 {
    /// Whether the text has the form of a sha256, so that it may be a file's name in a store.
    pub fn is_valid(&self) -> bool {
        self.0.len() == 64 && self.0.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }
}

/// The name of a check: one of [`crate::checks::names`], or one that another version has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct CheckName(Cow<'static, str>);

impl CheckName {
    /// The name of a check of ours.
    pub(crate) const fn of(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// The name as it is written in suite files.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CheckName {
    type Error = &'static str;

    /// It comes over the wire, and is shown to people.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(Cow::Owned(text)))
        } else {
            Err("the name of a check is 1 to 64 of a-z 0-9 -")
        }
    }
}

impl fmt::Display for CheckName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_for_every_reader() {
        let long = "n".repeat(MAX_NAME);
        for (name, is) in [
            ("a", true),
            ("_a.B-9", true),
            (long.as_str(), true),
            ("", false),
            ("-rf", false),
            (".hidden", false),
            ("a b", false),
            ("a/b", false),
            ("a:b", false),
            ("ä", false),
            (&format!("{long}n"), false),
        ] {
            assert_eq!(is_name(name), is, "{name}");
            assert_eq!(CaseId::new("s", name).is_valid(), is, "{name}");
            assert_eq!(CaseId::new(name, "c").is_valid(), is, "{name}");
        }
        assert!(!CaseId::from("alone").is_valid());
    }
}
