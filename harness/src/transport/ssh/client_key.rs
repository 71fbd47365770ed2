//! A key that we log in with and that no file holds.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// A private key in memory. It is overwritten when the last copy is dropped, and never shown.
#[derive(Clone)]
pub struct ClientKey {
    pem: Arc<Zeroizing<String>>,
    name: String,
}

impl ClientKey {
    /// The key of this text, as OpenSSH writes it to a file; `name` is what messages call it.
    pub fn new(pem: Zeroizing<String>, name: impl Into<String>) -> Self {
        Self { pem: Arc::new(pem), name: name.into() }
    }

    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// What messages call it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientKey({})", self.name)
    }
}
