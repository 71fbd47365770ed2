//! What can be done with a store.

use crate::error::Result;

/// An object as a listing tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The key, below the store's own prefix.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Changes when the content does; empty where the store has no such thing.
    pub etag: String,
}

/// Objects by key. Each call is one try: who calls decides on another (see [`crate::Fault::may_pass`]).
pub trait Store: Send + Sync {
    /// Location for people, e.g. `s3://bucket/prefix/`.
    fn name(&self) -> String;

    /// Hands over every object below `prefix`, in the order of their keys' bytes, until `take` answers `false`.
    fn list(&self, prefix: &str, take: &mut dyn FnMut(Object) -> bool) -> Result<()>;

    /// The bytes of an object. With the object of a listing, they are the ones that the listing told of, or the call
    /// fails.
    fn get(&self, object: &Object) -> Result<Vec<u8>>;

    /// The bytes of whatever object has this key now.
    fn read(&self, key: &str) -> Result<Vec<u8>>;

    /// Writes an object whole, in place of one that is there. One that replaces nothing is written as well by it, where its
    /// name is nobody else's.
    fn put(&self, key: &str, bytes: &[u8]) -> Result<()>;

    /// Writes an object whole, and fails with [`crate::Fault::Exists`] where there is one: of several that create the same
    /// one at once, one succeeds.
    fn create(&self, key: &str, bytes: &[u8]) -> Result<()>;

    /// Removes an object, where there is one.
    fn remove(&self, key: &str) -> Result<()>;

    /// Whether there is an object with this key.
    fn has(&self, key: &str) -> Result<bool>;
}
