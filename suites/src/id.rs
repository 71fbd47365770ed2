//! Names that must not be mixed up: runs, cases, nodes, file contents.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
