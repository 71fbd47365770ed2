//! Why a run has no node.

use std::time::Duration;

use gpu_suites::exit::Exit;
use gpu_suites::unit::Span;

use crate::cloud::boot::BootError;
use crate::cloud::error::CloudError;
use crate::cloud::keys::KeyError;
use crate::cloud::provider::{LaunchError, LookUpError, NoneFits};
use crate::cloud::providers::ConnectError;
use crate::session::SessionError;
use crate::text::{Explain, chain};

#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The cloud cannot be asked, or says no to the asking itself.
    #[error("{}", chain(.error))]
    Cloud { error: CloudError, advice: Option<String> },
    #[error(transparent)]
    Connect(ConnectError),
    #[error(transparent)]
    LookUp(Box<LookUpError>),
    /// There was nothing to be had, for as long as the user wanted to wait or for good.
    #[error("{reason}; gave up after {}", Span(*.waited))]
    NoCapacity {
        /// What was asked for, and each answer.
        reason: String,
        advice: Option<String>,
        waited: Duration,
    },
    #[error("{count} nodes were launched, and none of them was usable; the last: {last}")]
    NoneFit { count: u32, last: Box<BootError> },
    #[error(transparent)]
    Boot(Box<BootError>),
    /// The money would not last until anything has run.
    #[error("{0}")]
    Money(String),
    #[error(transparent)]
    Keys(#[from] KeyError),
}

impl Explain for ProvisionError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Cloud { error, advice } => advice.clone().or_else(|| error.hint()),
            Self::LookUp(error) => error.hint(),
            Self::Connect(error) => error.hint(),
            Self::NoCapacity { advice, .. } => advice.clone(),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Money(_) => Exit::Limit,
            _ => Exit::Infrastructure,
        }
    }
}

impl ProvisionError {
    /// Whether another region may have what this one has not.
    pub(super) fn is_worth_another_region(&self) -> bool {
        match self {
            Self::Cloud { error, .. } => error.is_worth_another_region(),
            Self::LookUp(error) => error.is_worth_another_region(),
            _ => false,
        }
    }
}

impl From<LookUpError> for ProvisionError {
    fn from(error: LookUpError) -> Self {
        Self::LookUp(Box::new(error))
    }
}

impl From<NoneFits> for ProvisionError {
    fn from(none: NoneFits) -> Self {
        if none.is_for_money { Self::Money(none.why) } else { LookUpError::NoneFits(none).into() }
    }
}

impl From<CloudError> for ProvisionError {
    fn from(error: CloudError) -> Self {
        LaunchError::from(error).into()
    }
}

impl From<LaunchError> for ProvisionError {
    fn from(LaunchError { error, advice }: LaunchError) -> Self {
        Self::Cloud { error, advice }
    }
}

impl From<ConnectError> for ProvisionError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Cloud(error) => error.into(),
            error => Self::Connect(error),
        }
    }
}

impl From<ProvisionError> for SessionError {
    fn from(error: ProvisionError) -> Self {
        match error {
            ProvisionError::Money(why) => Self::Money { why },
            error => Self::NoNode(Box::new(error)),
        }
    }
}
