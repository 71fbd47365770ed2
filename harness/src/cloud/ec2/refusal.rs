//! Why EC2 said no, and what that means for the next step.
//!
//! EC2 has some hundred error codes. What a run does next depends only on the kind: another zone has capacity, another
//! market has a price, but no retry mends a missing permission. The same codes come in three places: in an API call's
//! error, in a fleet's errors, and inside the text of a fleet's history.

use std::fmt;

use RefusalKind::{Capacity, Configuration, Other, Permission, Price, Quota, Throttling};

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
    pub kind: RefusalKind,
    /// EC2's code, such as `InsufficientInstanceCapacity`.
    pub code: String,
    pub message: String,
}

/// The codes whose kind their name does not tell; source: "Error codes for the Amazon EC2 API"
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>); in small letters, the status codes
/// of spot requests.
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
    ("bad-parameters", Configuration),
    ("constraint-not-fulfillable", Configuration),
    ("capacity-not-available", Capacity),
    ("capacity-oversubscribed", Capacity),
    ("price-too-low", Price),
    ("limit-exceeded", Quota),
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
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '.';
        let words = description.split_inclusive(|c| !letters(c)).map(|piece| {
            let word = piece.trim_end_matches(|c| !letters(c));
            (word.trim_matches('.'), piece.ends_with(':'))
        });
        let (code, _) = words.into_iter().find(|&(word, named)| is_code(word, named))?;
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

    /// Whether what was asked for may have been done all the same: a failure of EC2's own tells nothing of that, while every
    /// other no, throttling too, comes before anything is done. `status`: that of the HTTP response.
    pub fn may_be_done(&self, status: u16) -> bool {
        self.kind == Other && (status >= 500 || self.is_worth_waiting())
    }

    /// Whether on-demand may be granted where spot was refused: it has capacity, prices, quotas and a role of its own.
    pub fn is_worth_another_market(&self) -> bool {
        matches!(self.kind, Capacity | Quota | Price)
            || self.code == "AuthFailure.ServiceLinkedRoleCreationNotPermitted"
    }

    /// Whether another region may grant it: capacity, quotas, prices and offers are each region's own, and so are the ids
    /// of images, subnets and groups; a policy may name regions, and in one that the account has not enabled its
    /// credentials are not known.
    pub fn is_worth_another_region(&self) -> bool {
        matches!(self.kind, Capacity | Quota | Price)
            || REGIONAL.iter().any(|code| self.code.starts_with(code))
            || self.code.ends_with(".NotFound")
    }

    /// Whether it may be said of what was made a moment ago, since not all of EC2 knows it yet.
    pub fn may_be_youth(&self) -> bool {
        let young = ["InvalidGroup.", "InvalidGroupId.", "InvalidSecurityGroupID.", "InvalidLaunchTemplate"];
        self.code.contains("NotFound") && young.iter().any(|head| self.code.starts_with(head))
    }
}

/// What is wrong in this region and may be right in the next.
const REGIONAL: [&str; 10] = [
    "AccessDenied",
    "AuthFailure",
    "DefaultVpcDoesNotExist",
    "InsufficientFreeAddressesInSubnet",
    "InvalidClientTokenId",
    "OptInRequired",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
    "Unsupported",
    "VPCIdNotSpecified",
];

/// Whether a word is one of EC2's codes rather than a word of a sentence; `named`: a colon follows.
fn is_code(word: &str, named: bool) -> bool {
    let capitals = word.chars().filter(char::is_ascii_uppercase).count();
    let table = || CODES.iter().any(|(code, _)| *code == word);
    let patterned = || by_name(word) != Other;
    // `Blocked` and `Unavailable` are codes, and words.
    (capitals > 1 || capitals == 1 && named) && (table() || patterned())
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_the_kind_that_says_what_to_do_next() {
        for (code, kind) in [
            ("InsufficientInstanceCapacity", Capacity),
            ("UnfulfillableCapacity", Capacity),
            ("InsufficientHostCapacity", Capacity),
            ("capacity-not-available", Capacity),
            ("VcpuLimitExceeded", Quota),
            ("MaxSpotInstanceCountExceeded", Quota),
            ("InstanceLimitExceeded", Quota),
            ("SecurityGroupLimitExceeded", Quota),
            ("SpotMaxPriceTooLow", Price),
            ("UnauthorizedOperation", Permission),
            ("AuthFailure", Permission),
            ("ExpiredToken", Permission),
            ("InvalidClientTokenId", Permission),
            ("RequestLimitExceeded", Throttling),
            ("Throttling", Throttling),
            ("IdempotentParameterMismatch", Configuration),
            ("InvalidAMIID.NotFound", Configuration),
            ("InvalidParameterValue", Configuration),
            ("UnsupportedOperation", Configuration),
            ("Unsupported", Configuration),
            ("InternalError", Other),
            ("NewAndUnheardOf", Other),
            ("", Other),
        ] {
            assert_eq!(Refusal::of(code, "").kind, kind, "{code}");
        }
    }

    #[test]
    fn a_code_is_found_in_the_text_of_a_fleets_history_and_a_plain_word_is_not_taken_for_one() {
        for (text, code) in [
            (
                "We currently do not have sufficient capacity (InsufficientInstanceCapacity)",
                Some("InsufficientInstanceCapacity"),
            ),
            (
                "g6.xlarge, ami-0a, Linux/UNIX: VcpuLimitExceeded: You have requested more",
                Some("VcpuLimitExceeded"),
            ),
            (
                "{\"errorCode\":\"UnfulfillableCapacity\",\"zone\":\"us-east-1a\"}",
                Some("UnfulfillableCapacity"),
            ),
            ("InvalidAMIID.NotFound. The image id does not exist", Some("InvalidAMIID.NotFound")),
            ("Unsupported: Your requested instance type is not there", Some("Unsupported")),
            ("Throttling: Rate exceeded", Some("Throttling")),
            ("Unsupported types and Blocked calls are Unavailable", None),
            ("Invalid request", None),
            ("Requested 1 instance of g6.xlarge in us-east-1a", None),
            ("", None),
        ] {
            assert_eq!(Refusal::in_text(text).map(|refusal| refusal.code).as_deref(), code, "{text}");
        }
    }

    #[test]
    fn what_passes_is_waited_for_and_what_does_not_pass_is_not() {
        for (code, waits, market, region) in [
            ("InsufficientInstanceCapacity", true, true, true),
            ("SpotMaxPriceTooLow", true, true, true),
            ("VcpuLimitExceeded", false, true, true),
            ("RequestLimitExceeded", true, false, false),
            ("InternalError", true, false, false),
            ("UnauthorizedOperation", false, false, true),
            ("OptInRequired", false, false, true),
            ("AuthFailure", false, false, true),
            ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", false, true, true),
            ("InvalidAMIID.NotFound", false, false, true),
            ("ExpiredToken", false, false, false),
            ("IdempotentParameterMismatch", false, false, false),
            ("Unsupported", false, false, true),
            ("DefaultVpcDoesNotExist", false, false, true),
            ("InvalidParameterValue", false, false, false),
            ("NewAndUnheardOf", false, false, false),
        ] {
            let refusal = Refusal::of(code, "");
            let said = (
                refusal.is_worth_waiting(),
                refusal.is_worth_another_market(),
                refusal.is_worth_another_region(),
            );
            assert_eq!(said, (waits, market, region), "{code}");
        }
    }

    #[test]
    fn only_a_failure_of_ec2s_own_leaves_open_whether_it_was_done() {
        for (code, status, may_be) in [
            ("RequestLimitExceeded", 503, false),
            ("EC2ThrottledException", 503, false),
            ("InsufficientInstanceCapacity", 500, false),
            ("UnauthorizedOperation", 403, false),
            ("InvalidParameterValue", 400, false),
            ("ExpiredToken", 400, false),
            ("NewAndUnheardOf", 400, false),
            ("NewAndUnheardOf", 500, true),
            ("InternalError", 500, true),
            ("ServiceUnavailable", 503, true),
            ("Unavailable", 0, true),
            ("HTTP 502", 502, true),
        ] {
            assert_eq!(Refusal::of(code, "").may_be_done(status), may_be, "{code} {status}");
        }
    }

    #[test]
    fn no_code_stands_in_the_table_twice() {
        let codes = std::collections::BTreeSet::from_iter(CODES.iter().map(|(code, _)| code));
        assert_eq!(codes.len(), CODES.len());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_harm(text in ".{0,200}") {
            let _ = Refusal::in_text(&text);
            let _ = Refusal::of(&text, &text);
        }
    }
}
