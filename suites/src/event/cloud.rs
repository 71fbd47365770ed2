//! What a cloud provides, and what has to be given back and paid for.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{NodeName, RunId};

/// Something was made in the cloud for this run, or taken over with a node; it has to be gone at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourceMade {
    /// The node that it belongs to.
    pub node: NodeName,
    pub resource: ResourceKind,
    pub id: String,
    pub region: String,
}

/// The cloud said that something made for this run is no more, or is in a final state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourceGone {
    pub resource: ResourceKind,
    pub id: String,
    /// The cloud's word for it, e.g. `terminated`, or `not found`.
    pub state: String,
}

/// A node was provisioned: which, and what it costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeProvisioned {
    pub node: NodeName,
    pub instance: String,
    pub instance_type: String,
    pub zone: String,
    /// `spot` or `on-demand`.
    pub market: String,
    /// US dollars an hour; `None` where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_per_hour: Option<f64>,
    pub expires_at: Timestamp,
}

/// A node lives on after the run, so that somebody can look at it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    pub node: NodeName,
    pub instance: String,
    pub until: Timestamp,
    /// The ssh command that gets in.
    pub command: String,
}

/// The node of an earlier run of the same job is used: it and what belongs to it are this run's from now on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TakenOver {
    pub node: NodeName,
    pub instance: String,
    /// The run that made it, which its tags go on naming.
    pub run: RunId,
}

/// The node is left to the next run of the same job, which waits for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HandedOn {
    pub node: NodeName,
    pub instance: String,
    /// The cloud's names for everything that goes with it, the instance's among them.
    pub resources: Vec<String>,
    pub until: Timestamp,
}

/// The cloud did not end the instance when it was asked to, and the instance itself was told to shut down, over ssh.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShutdownAsked {
    pub node: NodeName,
    pub instance: String,
}

/// What a node has cost so far, by the cloud's own clock; the last one of a node is its bill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    pub node: NodeName,
    pub instance: String,
    pub seconds: f64,
    /// US dollars; `None` where the price is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<f64>,
}

/// The longest name of a kind.
const LONGEST: usize = 32;

/// What kind of thing was made in a cloud: its provider's word for it, such as `security-group`. A reader takes any, so that the
/// record of a provider that it does not know can be read. It is short, and kept in place, to be passed about like a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceKind([u8; LONGEST]);

impl ResourceKind {
    /// A machine: what costs most, and what every provider makes.
    pub const INSTANCE: Self = Self::of("instance");
    /// A disk of a machine's.
    pub const VOLUME: Self = Self::of("volume");

    /// A kind of a provider's own.
    ///
    /// # Panics
    /// Where that can be no name of one; in a constant, when it is compiled.
    pub const fn of(name: &'static str) -> Self {
        match Self::read(name.as_bytes()) {
            Some(kind) => kind,
            None => panic!("the name of a kind is 1 to 32 of a-z 0-9 -"),
        }
    }

    const fn read(name: &[u8]) -> Option<Self> {
        if name.is_empty() || name.len() > LONGEST {
            return None;
        }
        let mut kept = [0; LONGEST];
        let mut at = 0;
        while at < name.len() {
            if !(name[at].is_ascii_lowercase() || name[at].is_ascii_digit() || name[at] == b'-') {
                return None;
            }
            kept[at] = name[at];
            at += 1;
        }
        Some(Self(kept))
    }

    /// The name, as it is written in the records.
    pub fn as_str(&self) -> &str {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(LONGEST);
        std::str::from_utf8(&self.0[..length]).unwrap_or_default()
    }
}

impl TryFrom<String> for ResourceKind {
    type Error = &'static str;

    /// It comes out of a file, and is shown to people.
    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::read(name.as_bytes()).ok_or("the name of a kind is 1 to 32 of a-z 0-9 -")
    }
}

impl From<ResourceKind> for String {
    fn from(kind: ResourceKind) -> Self {
        kind.as_str().to_owned()
    }
}

impl fmt::Debug for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// In words: `security group`.
impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.as_str().replace('-', " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_of_any_provider_are_read_and_what_is_no_name_is_not() {
        let read = |text: &str| serde_json::from_str::<ResourceKind>(text);
        assert_eq!(read(r#""instance""#).unwrap(), ResourceKind::INSTANCE);
        let disk = read(r#""persistent-disk""#).unwrap();
        assert_eq!((disk.to_string().as_str(), disk.as_str()), ("persistent disk", "persistent-disk"));
        assert_eq!(serde_json::to_string(&disk).unwrap(), r#""persistent-disk""#);
        let longest = "k".repeat(LONGEST);
        assert_eq!(read(&format!("\"{longest}\"")).unwrap().as_str(), longest);
        for wrong in ["\"\"", "\"Disk\"", "\"a b\"", "\"\\u001b\"", &format!("\"{longest}k\"")] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
