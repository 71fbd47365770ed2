//! What went wrong with which object, and whether another try is worth it.

use std::borrow::Cow;

/// A call on a store that failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to {verb} {what}: {fault}")]
pub struct StoreError {
    /// What was to be done, e.g. `read`.
    pub verb: &'static str,
    /// Location of the object or the prefix, with control characters escaped.
    pub what: String,
    /// Why it failed.
    pub fault: Fault,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is no such object.
    #[error("there is no such object")]
    Missing,
    /// The object is there already, and must not be replaced.
    #[error("it is there already")]
    Exists,
    /// It may not be read or written.
    #[error("not allowed: {0}")]
    Denied(String),
    /// The keys that the request was signed with are not, or no longer, any that the store takes.
    #[error("the credentials are refused: {0}")]
    Credentials(String),
    /// It lies in an archive (GLACIER, Deep Archive), or is still on its way out of it.
    #[error("it is archived: {0}")]
    Archived(String),
    /// It is encrypted with a key that may not be used, or is no more.
    #[error("its encryption key cannot be used: {0}")]
    Encrypted(String),
    /// What has this name is nothing that could be read as an object: a pipe, a device, a link that leads in a circle.
    #[error("{0}")]
    NoFile(String),
    /// There is no such bucket.
    #[error("there is no such bucket")]
    NoBucket,
    /// The bucket is in another region than the request was made for.
    #[error("the bucket is in another region: {said}")]
    Region {
        /// The store's words.
        said: String,
        /// Which region, where the store says so.
        right: Option<String>,
    },
    /// The bytes are not those that the listing told of.
    #[error("{found} bytes came, the listing said {listed}")]
    Length {
        /// Bytes in the listing.
        listed: u64,
        /// Bytes that came.
        found: u64,
    },
    /// The object was replaced since it was listed.
    #[error("it was replaced since it was listed")]
    Replaced,
    /// The connection brought less than the least rate that is waited for.
    #[error("it came too slowly: {0}")]
    Slow(String),
    /// The store is out of order or asks for fewer requests; it may answer later.
    #[error("the store does not answer as it should: {0}")]
    Unavailable(String),
    /// No space is left.
    #[error("no space is left")]
    Full,
    /// The key cannot be one of this store.
    #[error("the key {0}")]
    Key(String),
    /// Whatever else.
    #[error("{0}")]
    Other(String),
}

impl Fault {
    /// Whether the same call may well succeed a little later.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Length { .. } | Self::Slow(_))
    }

    /// Whether it is the store that fails, and not this one object.
    pub fn is_the_stores(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_)
                | Self::Full
                | Self::Other(_)
                | Self::Credentials(_)
                | Self::NoBucket
                | Self::Region { .. }
        )
    }

    /// Whether it may be this one object's trouble, or every object's: only others of the same store can tell.
    pub fn may_be_all(&self) -> bool {
        matches!(self, Self::Denied(_) | Self::Encrypted(_))
    }

    /// What to do about it.
    pub fn hint(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Missing => "look at the location; keys are case-sensitive",
            Self::Exists => "choose another prefix, or remove what is there",
            Self::Denied(_) => {
                "give the role or key `s3:ListBucket`, `s3:GetObject` and `s3:PutObject` on that bucket and prefix; a bucket \
                 whose readers pay (requester pays) is not supported"
            }
            Self::Credentials(_) => {
                "look at AWS_PROFILE, the keys' age and this machine's clock, or give the node a role"
            }
            Self::Archived(_) => "restore it first (`aws s3api restore-object`), or leave it out by `keys`",
            Self::Encrypted(_) => {
                "give the role or key `kms:Decrypt` on that key, and look whether the key is enabled"
            }
            Self::NoFile(_) => "remove it, or leave it out by `keys`",
            Self::NoBucket => "look at the bucket's name, and whether it was removed meanwhile",
            Self::Region { right: Some(region), .. } => {
                return Cow::Owned(format!("set AWS_REGION={region}, or `region: {region}` under `s3`"));
            }
            Self::Region { right: None, .. } => {
                "set AWS_REGION to the bucket's region, or `region` under `s3`"
            }
            Self::Length { .. } | Self::Replaced => {
                "something writes to this prefix: run again when it is done"
            }
            Self::Slow(_) => "look at the network between here and the store",
            Self::Unavailable(_) => "the store may be back in a while: run again, what is done is kept",
            Self::Full => "make room, and run again: what is done is kept",
            Self::Key(_) => "rename the object, or leave it out by a manifest",
            Self::Other(_) => "look at the store's own log",
        })
    }
}

/// The result of a call on a store.
pub type Result<T> = std::result::Result<T, StoreError>;
