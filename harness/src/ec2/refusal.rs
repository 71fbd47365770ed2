//! Why EC2 said no, and what that means for the next step.
//!
//! EC2 has some hundred error codes. What a run does next depends only on the kind: another zone has capacity, another
//! market has a price, but no retry mends a missing permission. The same codes come in three places: in an API call's
//! error, in a fleet's errors, and inside the text of a fleet's history.

use std::fmt;

/// What kind of no it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalKind {
    /// There is no such machine free there now.
    Capacity,
    /// The account may not have so many.
    Quota,
    /// The credentials are missing, wrong, or not allowed to do it.
    Permission,
    /// The spot price is above the most that is to be paid.
    Price,
    /// Too many calls in too short a time.
    Throttling,
    /// What was asked for cannot be, however often it is asked.
    Configuration,
    /// Anything else, EC2's own failures among them.
    Other,
}

impl fmt::Display for RefusalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Capacity => "capacity",
            Self::Quota => "quota",
            Self::Permission => "permission",
            Self::Price => "price",
            Self::Throttling => "throttling",
            Self::Configuration => "configuration",
            Self::Other => "other",
        })
    }
}

/// A no from EC2.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// What kind it is.
    pub kind: RefusalKind,
    /// EC2's code, such as `InsufficientInstanceCapacity`.
    pub code: String,
    /// EC2's words.
    pub message: String,
}

use RefusalKind::{Capacity, Configuration, Other, Permission, Price, Quota, Throttling};

/// The codes whose kind their name does not tell; source: "Error codes for the Amazon EC2 API"
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>).
const CODES: &[(&str, RefusalKind)] = &[
    ("InsufficientInstanceCapacity", Capacity),
    ("InsufficientHostCapacity", Capacity),
    ("InsufficientReservedInstanceCapacity", Capacity),
    ("InsufficientCapacityOnHost", Capacity),
    ("InsufficientCapacity", Capacity),
    ("UnfulfillableCapacity", Capacity),
    ("VcpuLimitExceeded", Quota),
    ("MaxSpotInstanceCountExceeded", Quota),
    ("InstanceLimitExceeded", Quota),
    ("SpotMaxPriceTooLow", Price),
    ("UnauthorizedOperation", Permission),
    ("AccessDenied", Permission),
    ("AccessDeniedException", Permission),
    ("AuthFailure", Permission),
    ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", Permission),
    ("Blocked", Permission),
    ("ExpiredToken", Permission),
    ("ExpiredTokenException", Permission),
    ("IncompleteSignature", Permission),
    ("InvalidAccessKeyId", Permission),
    ("InvalidClientTokenId", Permission),
    ("InvalidIdentityToken", Permission),
    ("MissingAuthenticationToken", Permission),
    ("OptInRequired", Permission),
    ("PendingVerification", Permission),
    ("SignatureDoesNotMatch", Permission),
    ("RequestExpired", Permission),
    ("UnrecognizedClientException", Permission),
    ("RequestLimitExceeded", Throttling),
    ("Throttling", Throttling),
    ("ThrottlingException", Throttling),
    ("ThrottledException", Throttling),
    ("TooManyRequestsException", Throttling),
    ("RequestThrottled", Throttling),
    ("EC2ThrottledException", Throttling),
    ("SlowDown", Throttling),
    ("IdempotentParameterMismatch", Configuration),
    ("InsufficientFreeAddressesInSubnet", Configuration),
    ("MissingParameter", Configuration),
    ("MissingInput", Configuration),
    ("UnknownParameter", Configuration),
    ("ValidationError", Configuration),
    ("DependencyViolation", Configuration),
    ("DefaultVpcDoesNotExist", Configuration),
    ("MissingSpotFleetRequestConfig", Configuration),
    ("VPCIdNotSpecified", Configuration),
    ("DryRunOperation", Other),
    ("InternalError", Other),
    ("InternalFailure", Other),
    ("ServerInternal", Other),
    ("ServiceUnavailable", Other),
    ("Unavailable", Other),
];

/// EC2's own failures: they pass.
const PASSING: [&str; 5] =
    ["InternalError", "InternalFailure", "ServerInternal", "ServiceUnavailable", "Unavailable"];

/// The kind of a code by its name where it stands in no table: EC2 names its codes by pattern.
fn by_name(code: &str) -> RefusalKind {
    let begins = |words: &[&str]| words.iter().any(|word| code.starts_with(word));
    if code.ends_with("LimitExceeded") || begins(&["MaxSpot"]) {
        Quota
    } else if begins(&["Invalid", "Unsupported", "Missing", "Malformed", "Incorrect", "Unknown"]) {
        Configuration
    } else if begins(&["Throttl", "RequestThrottl"]) {
        Throttling
    } else {
        Other
    }
}

impl Refusal {
    /// The refusal that an error's code and message tell.
    pub fn of(code: &str, message: &str) -> Self {
        let known = CODES.iter().find(|(known, _)| *known == code).map(|&(_, kind)| kind);
        Self {
            kind: known.unwrap_or_else(|| by_name(code)),
            code: code.to_owned(),
            message: message.to_owned(),
        }
    }

    /// The refusal whose code stands somewhere in a text, as in the history of a fleet: the first that does.
    pub fn in_text(description: &str) -> Option<Self> {
        let mut words = description
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '.')
            .map(|word| word.trim_matches('.'));
        let code = words.find(|word| is_code(word))?;
        Some(Self::of(code, description))
    }

    /// Whether the same call may be granted in a while.
    pub fn is_worth_waiting(&self) -> bool {
        match self.kind {
            Capacity | Price | Throttling => true,
            Quota | Permission | Configuration => false,
            Other => PASSING.contains(&self.code.as_str()),
        }
    }

    /// Whether on-demand may be granted where spot was refused: it has capacity, prices and quotas of its own.
    pub fn is_worth_another_market(&self) -> bool {
        matches!(self.kind, Capacity | Quota | Price)
    }

    /// Whether another region may grant it: capacity, quotas, prices and offers are each region's own.
    pub fn is_worth_another_region(&self) -> bool {
        matches!(self.kind, Capacity | Quota | Price)
            || REGIONAL.iter().any(|code| self.code.starts_with(code))
    }
}

/// What is wrong in this region and may be right in the next.
const REGIONAL: [&str; 4] =
    ["Unsupported", "InsufficientFreeAddressesInSubnet", "DefaultVpcDoesNotExist", "OptInRequired"];

/// Whether a word is one of EC2's codes, rather than a word of a sentence.
fn is_code(word: &str) -> bool {
    let known = CODES
        .iter()
        .any(|(code, _)| *code == word && code.chars().filter(char::is_ascii_uppercase).count() > 1);
    // `InvalidAMIID.NotFound`, `InvalidParameterValue`: two capitals at least tell it from "Invalid" at a sentence's head.
    let named = ["Invalid", "Unsupported"].iter().any(|head| {
        word.strip_prefix(head).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
    });
    known || named || word.ends_with("LimitExceeded") && word.len() > "LimitExceeded".len()
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}
