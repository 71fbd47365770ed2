//! Why a call to a cloud came to nothing, by what that means for the next step. The words are each provider's own.

use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use gpu_suites::exit::Exit;

use crate::text::Explain;

/// What a provider's error has to tell; each is no where it says nothing.
pub trait Fault: Explain + Send + Sync + 'static {
    /// Whether the same call may succeed in a moment: the network, throttling, or the cloud's own trouble.
    fn is_transient(&self) -> bool {
        false
    }

    /// Whether what was asked about is not known to the cloud: it may be gone, or too young to be known everywhere.
    fn is_not_found(&self) -> bool {
        false
    }

    /// Whether it is refused while something else still has to end: the same call may be granted in a moment.
    fn is_busy(&self) -> bool {
        false
    }

    /// Whether a call that makes something may have made it all the same.
    fn leaves_a_doubt(&self) -> bool {
        false
    }

    /// Whether another region may grant what this one refuses, or answer where this one is out of reach.
    fn is_worth_another_region(&self) -> bool {
        false
    }
}

/// A call that came to nothing.
#[derive(Debug, Clone)]
pub struct CloudError(Arc<dyn Fault>);

impl CloudError {
    /// The provider's own error, where it is of that kind.
    pub fn own<F: Fault>(&self) -> Option<&F> {
        let error: &(dyn Error + 'static) = &*self.0;
        error.downcast_ref()
    }
}

impl<F: Fault> From<F> for CloudError {
    fn from(fault: F) -> Self {
        Self(Arc::new(fault))
    }
}

impl Deref for CloudError {
    type Target = dyn Fault;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Display for CloudError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Explain for CloudError {
    fn hint(&self) -> Option<String> {
        self.0.hint()
    }

    fn exit(&self) -> Exit {
        self.0.exit()
    }
}

impl Error for CloudError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// An answer that did not come although the cloud answers, as an error like its own.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unanswered(pub(super) String);

impl Explain for Unanswered {
    fn exit(&self) -> Exit {
        Exit::Infrastructure
    }
}

impl Fault for Unanswered {
    fn is_transient(&self) -> bool {
        true
    }

    fn leaves_a_doubt(&self) -> bool {
        true
    }

    fn is_worth_another_region(&self) -> bool {
        true
    }
}
