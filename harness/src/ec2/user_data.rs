//! What a node is told at its birth: when to end, which host key to show, and whose key to let in.
//!
//! The end comes first. The first part is a boothook, which cloud-init runs before everything else it does, so that a
//! node whose further user data is never carried out ends all the same. It tries three ways in turn, because at that
//! moment little of the system is up: see `arm.sh`.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::keys::NodeKeys;

/// Where the boothook leaves word of what it armed.
pub const MARKER: &str = "/run/gpu-harness-armed";
/// EC2 takes no more than this before base64.
pub const MOST: usize = 16 * 1024;

/// The boothook; `MINUTES` stands for the time to live.
const ARM: &str = include_str!("arm.sh");
/// No line of the parts can be this one.
const BOUNDARY: &str = "==gpu-harness-9c2f6e1ab7==";

/// A node's user data. It holds the node's private host key: it is overwritten when dropped, and not shown.
pub struct UserData {
    text: Zeroizing<String>,
}

impl UserData {
    /// What a node is to know that may live for `ttl` from its boot.
    pub fn new(ttl: Duration, keys: &NodeKeys) -> Self {
        let arm = ARM.replace("MINUTES", &minutes(ttl).to_string());
        let config = Zeroizing::new(cloud_config(keys));
        let part = |kind: &str, body: &str| {
            let head =
                format!("--{BOUNDARY}\nContent-Type: {kind}; charset=\"us-ascii\"\nMIME-Version: 1.0\n\n");
            Zeroizing::new(head + body)
        };
        let boothook = part("text/cloud-boothook", &arm);
        let config = part("text/cloud-config", &config);
        let head = format!("Content-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\nMIME-Version: 1.0\n\n");
        let mut text = Zeroizing::new(String::with_capacity(MOST));
        for piece in [head.as_str(), &boothook, "\n", &config, "\n--", BOUNDARY, "--\n"] {
            text.push_str(piece);
        }
        Self { text }
    }

    /// As the API takes it.
    pub fn base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.text.as_bytes()))
    }

    /// As the node reads it.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for UserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserData({} bytes)", self.text.len())
    }
}

/// Whole minutes, up: never none.
fn minutes(ttl: Duration) -> u64 {
    ttl.as_secs().div_ceil(60).max(1)
}

fn cloud_config(keys: &NodeKeys) -> String {
    let indented = String::from_iter(keys.host.private_pem().lines().map(|line| format!("    {line}\n")));
    format!(
        "#cloud-config\n\
         ssh_deletekeys: true\n\
         ssh_keys:\n  ed25519_private: |\n{indented}  ed25519_public: {}\n\
         ssh_authorized_keys:\n  - {}\n",
        keys.host.public_line(),
        keys.client.public_line(),
    )
}

/// What a node's boothook armed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Armed {
    /// The way that worked: `systemd-run`, `shutdown` or `sleep`.
    pub way: String,
    /// Minutes from the boot to the end.
    pub minutes: u64,
}

impl Armed {
    /// Reads the marker's text; `None` where it is not what the boothook writes.
    pub fn read(marker: &str) -> Option<Self> {
        let mut words = marker.split_ascii_whitespace();
        let (way, minutes) = words.next().zip(words.next())?;
        let known = ["systemd-run", "shutdown", "sleep"].contains(&way) && words.next().is_none();
        Some(Self { way: way.to_owned(), minutes: minutes.parse().ok()? }).filter(|_| known)
    }
}
