//! That a run is heard by its harness alone, and told by its supervisor alone: the key that the two share, and the seal under
//! a journal.
//!
//! Cases run beside the supervisor, often as the same user, and can write its files. They do not have the key: it comes with
//! the plan and lies in memory only. So whoever renews a lease or ends a run shows it, and a journal that somebody else has
//! written in does not fit its seal.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What the harness and the supervisor of a run know, and nobody else.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    /// One that nobody has had before.
    pub fn new() -> Self {
        Self(hex::encode(rand::random::<[u8; 32]>()))
    }

    /// Its text, for whoever keeps it from being shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether both are the same; how long that takes says nothing of them.
    pub fn fits(&self, other: &Self) -> bool {
        Sha256::digest(&self.0) == Sha256::digest(&other.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// It is what it opens, and is shown to nobody.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.fits(other)
    }
}

/// The lines of a journal so far.
#[derive(Debug, Clone, Default)]
pub struct Sealing(Sha256);

impl Sealing {
    /// Takes in a line, without its newline.
    pub fn line(&mut self, line: &[u8]) {
        self.0.update(line);
        self.0.update(b"\n");
    }

    /// The seal under these lines, made with a key.
    pub fn seal(&self, key: &Key) -> String {
        let mut mac = <Hmac<Sha256>>::new_from_slice(key.0.as_bytes())
            .unwrap_or_else(|_| unreachable!("a key may have any length"));
        mac.update(&self.0.clone().finalize());
        hex::encode(mac.finalize().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_fits_its_lines_and_its_key_only() {
        let (key, other) = (Key::new(), Key::new());
        let sealing = |lines: &[&str]| {
            let mut sealing = Sealing::default();
            for line in lines {
                sealing.line(line.as_bytes());
            }
            sealing
        };
        let seal = sealing(&["a", "b"]).seal(&key);
        assert_eq!(seal, sealing(&["a", "b"]).seal(&key.clone()));
        for lines in [&["a"][..], &["ab"], &["a", "c"], &["a", "b", ""]] {
            assert_ne!(seal, sealing(lines).seal(&key), "{lines:?}");
        }
        assert_ne!(seal, sealing(&["a", "b"]).seal(&other));
        assert!(!key.fits(&other) && !key.fits(&Key::default()) && key.fits(&key.clone()));
    }

    #[test]
    fn a_key_is_shown_to_nobody() {
        let key = Key::new();
        let text = serde_json::to_string(&key).unwrap();
        assert!(text.len() == 66 && !format!("{key:?}").contains(&text[1..65]), "{key:?}");
    }
}
