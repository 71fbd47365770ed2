//! Why a call to the cloud came to nothing.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use gpu_suites::exit::Exit;

use super::refusal::{Refusal, RefusalKind};
use crate::cloud::error::Fault;
use crate::text::{Explain, chain};

/// A call of AWS's that came to nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Ec2Error {
    #[error("no region is named: write `region:` in gpu-harness.yaml, or set AWS_REGION")]
    NoRegion,
    /// The SDK's chain of credentials has none that work.
    #[error("failed to find AWS credentials for {operation}: {why}")]
    NoCredentials {
        operation: &'static str,
        /// What each source of credentials said.
        why: String,
    },
    #[error("AWS refused {operation}{}: {refusal}", place(.region.as_deref()))]
    Refused {
        operation: &'static str,
        region: Option<String>,
        /// Its words, and of which kind they are.
        refusal: Box<Refusal>,
        /// The status of the HTTP response; 0 where the no stands inside an answer.
        status: u16,
        /// Whether an earlier try of the same call may have been carried out.
        may_be_done: bool,
    },
    /// No answer came. Whether the call was carried out is not known.
    #[error("failed to reach AWS for {operation}: {why}")]
    OutOfReach { operation: &'static str, why: String },
    #[error("AWS answered {operation}{} with something else than what its API promises: {why}", place(.region.as_deref()))]
    Unreadable { operation: &'static str, region: Option<String>, why: String },
    #[error("failed to write a request for {operation}: {why}")]
    Request { operation: &'static str, why: String },
}

/// A header with the region that an answer came from, which [`super::cloud::Cloud`] writes on every response.
pub(super) const FROM: &str = "x-gpu-harness-region";

/// A header of an answer to a call of which an earlier try may have been carried out: written in the same place.
pub(super) const MAY_BE_DONE: &str = "x-gpu-harness-may-be-done";

/// What is refused while something else still has to end, whoever asks.
const BUSY: [&str; 8] = [
    "DependencyViolation",
    "IncorrectInstanceState",
    "IncorrectState",
    "InvalidGroup.InUse",
    "InvalidNetworkInterface.InUse",
    "OperationNotPermitted",
    "ResourceInUse",
    "VolumeInUse",
];

fn place(region: Option<&str>) -> String {
    region.map(|region| format!(" in {region}")).unwrap_or_default()
}

impl Explain for Ec2Error {
    fn hint(&self) -> Option<String> {
        let hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE after `aws sso login`; in CI, let the \
                    step have an OIDC token and set AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE";
        matches!(self, Self::NoCredentials { .. }).then(|| hint.to_owned())
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NoRegion => Exit::Usage,
            _ => Exit::Infrastructure,
        }
    }
}

impl Ec2Error {
    /// The failure of a call of the SDK.
    pub fn of<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        let region = error.raw_response().and_then(|answer| answer.headers().get(FROM)).map(str::to_owned);
        let why = chain(error);
        if lacks_credentials(error) {
            return Self::NoCredentials { operation, why };
        }
        match error {
            SdkError::ServiceError(answer) => {
                let (status, error) = (answer.raw().status().as_u16(), answer.err());
                let code = error.code().map_or_else(|| format!("HTTP {status}"), str::to_owned);
                let refusal = Box::new(Refusal::of(&code, error.message().unwrap_or("no reason was given")));
                let may_be_done = answer.raw().headers().get(MAY_BE_DONE).is_some();
                Self::Refused { operation, region, refusal, status, may_be_done }
            }
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => Self::OutOfReach { operation, why },
            SdkError::ConstructionFailure(_) => Self::Request { operation, why },
            // Also a proxy's page, or an answer that broke off.
            _ => Self::Unreadable { operation, region, why },
        }
    }

    /// A no that stands inside an answer that is otherwise good.
    pub fn refused(operation: &'static str, code: &str, message: &str) -> Self {
        let refusal = Box::new(Refusal::of(code, message));
        Self::Refused { operation, region: None, refusal, status: 0, may_be_done: false }
    }

    /// An answer that lacks what it has to have.
    pub fn lacks(operation: &'static str, what: &str) -> Self {
        Self::Unreadable { operation, region: None, why: format!("it lacks {what}") }
    }

    /// The same with the region, where none was told yet.
    #[must_use]
    pub fn at(mut self, place: &str) -> Self {
        if let Self::Refused { region, .. } | Self::Unreadable { region, .. } = &mut self {
            region.get_or_insert_with(|| place.to_owned());
        }
        self
    }

    pub fn code(&self) -> Option<&str> {
        self.refusal().map(|refusal| refusal.code.as_str())
    }

    pub fn operation(&self) -> Option<&'static str> {
        match self {
            Self::NoRegion => None,
            Self::NoCredentials { operation, .. }
            | Self::Refused { operation, .. }
            | Self::OutOfReach { operation, .. }
            | Self::Unreadable { operation, .. }
            | Self::Request { operation, .. } => Some(operation),
        }
    }

    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            _ => None,
        }
    }

    /// Whether a call is refused for how it was asked, and may be granted when it is asked more plainly.
    pub fn is_about_parameters(&self) -> bool {
        let code = self.code().unwrap_or_default();
        let begins = |head: &str| code.starts_with(head);
        begins("InvalidParameter") || begins("UnknownParameter") || begins("Unsupported")
    }
}

impl Fault for Ec2Error {
    fn is_transient(&self) -> bool {
        match self {
            Self::OutOfReach { .. } | Self::Unreadable { .. } => true,
            Self::Refused { refusal, status, .. } => {
                refusal.kind == RefusalKind::Throttling || refusal.may_be_done(*status)
            }
            Self::NoRegion | Self::NoCredentials { .. } | Self::Request { .. } => false,
        }
    }

    fn is_not_found(&self) -> bool {
        let code = self.code().unwrap_or_default();
        code.ends_with(".NotFound") || code.ends_with("NotFoundException") || code == "fleetIdDoesNotExist"
    }

    // Its answer, or that of an earlier try, was lost on the way or was a failure of the cloud's own, or it was told that a
    // name which nothing else has is taken already, which an earlier try of the same call has done. What was only ever
    // throttled has made nothing.
    fn leaves_a_doubt(&self) -> bool {
        let is_taken = ["InvalidGroup.Duplicate", "InvalidLaunchTemplateName.AlreadyExistsException"];
        match self {
            Self::OutOfReach { .. } | Self::Unreadable { .. } => true,
            Self::Refused { refusal, status, may_be_done, .. } => {
                *may_be_done || refusal.may_be_done(*status) || is_taken.contains(&refusal.code.as_str())
            }
            Self::NoRegion | Self::NoCredentials { .. } | Self::Request { .. } => false,
        }
    }

    fn is_worth_another_region(&self) -> bool {
        match self {
            Self::OutOfReach { .. } | Self::Unreadable { .. } => true,
            Self::Refused { refusal, status, .. } => *status >= 500 || refusal.is_worth_another_region(),
            Self::NoRegion | Self::NoCredentials { .. } | Self::Request { .. } => false,
        }
    }

    fn is_busy(&self) -> bool {
        self.code().is_some_and(|code| BUSY.contains(&code))
    }
}

/// Whether credentials that could not be had are somewhere among the causes.
fn lacks_credentials(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source()).any(|cause| {
        matches!(
            cause.downcast_ref(),
            Some(
                CredentialsError::CredentialsNotLoaded(_)
                    | CredentialsError::InvalidConfiguration(_)
                    | CredentialsError::ProviderError(_)
            )
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_by_itself_is_transient_and_only_what_may_be_done_leaves_a_doubt() {
        let with_status = |code: &str, status| Ec2Error::Refused {
            operation: "CreateFleet",
            region: None,
            refusal: Box::new(Refusal::of(code, "")),
            status,
            may_be_done: false,
        };
        for (error, transient, leaves_a_doubt) in [
            (with_status("RequestLimitExceeded", 503), true, false),
            (with_status("InternalError", 500), true, true),
            (with_status("HTTP 502", 502), true, true),
            (with_status("InsufficientInstanceCapacity", 500), false, false),
            (with_status("UnauthorizedOperation", 403), false, false),
            (with_status("InvalidInstanceID.NotFound", 400), false, false),
            (with_status("InvalidGroup.Duplicate", 400), false, true),
            (Ec2Error::OutOfReach { operation: "CreateFleet", why: "refused".into() }, true, true),
            (Ec2Error::NoRegion, false, false),
        ] {
            assert_eq!(error.is_transient(), transient, "{error}");
            assert_eq!(error.leaves_a_doubt(), leaves_a_doubt, "{error}");
        }
        assert!(with_status("InvalidInstanceID.NotFound", 400).is_not_found());
        assert!(with_status("InvalidLaunchTemplateName.NotFoundException", 400).is_not_found());
    }

    #[test]
    fn a_refusal_says_what_was_refused_where_and_in_whose_words() {
        let refused = Ec2Error::refused("DeleteFleets", "UnauthorizedOperation", "You are not authorized")
            .at("eu-west-1");
        let said = "AWS refused DeleteFleets in eu-west-1: UnauthorizedOperation: You are not authorized";
        assert_eq!(refused.to_string(), said);
    }
}
