//! What a check comes to, before the end of the process is taken into account.

use crate::event::{Finding, Verdict};
use crate::id::CheckName;

/// A verdict in the making.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ruling {
    pub(crate) kind: Kind,
    pub(crate) subject: Option<String>,
    pub(crate) observed: String,
    pub(crate) wanted: String,
    pub(crate) step: Option<u64>,
    pub(crate) cause: Option<String>,
}

/// What kind of verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Held,
    Broke,
    /// What the check reads never came.
    Missing,
    /// It cannot be judged; `observed` says why.
    Skipped,
}

impl Ruling {
    fn new(kind: Kind, observed: impl Into<String>, wanted: impl Into<String>) -> Self {
        Self {
            kind,
            subject: None,
            observed: observed.into(),
            wanted: wanted.into(),
            step: None,
            cause: None,
        }
    }

    /// Held where `holds`, else broke.
    pub(crate) fn of(holds: bool, observed: impl Into<String>, wanted: impl Into<String>) -> Self {
        Self::new(if holds { Kind::Held } else { Kind::Broke }, observed, wanted)
    }

    pub(crate) fn broke(observed: impl Into<String>, wanted: impl Into<String>) -> Self {
        Self::of(false, observed, wanted)
    }

    pub(crate) fn missing(
        observed: impl Into<String>,
        wanted: impl Into<String>,
        cause: impl Into<String>,
    ) -> Self {
        Self { cause: Some(cause.into()), ..Self::new(Kind::Missing, observed, wanted) }
    }

    pub(crate) fn skipped(why: impl Into<String>, wanted: impl Into<String>) -> Self {
        Self::new(Kind::Skipped, why, wanted)
    }

    pub(crate) fn about(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }

    /// The step where it went wrong, kept only where the check broke.
    pub(crate) fn at(self, step: Option<u64>) -> Self {
        match self.kind {
            Kind::Broke => Self { step, ..self },
            _ => self,
        }
    }

    /// The usual cause, kept only where it is asked for: where the check broke.
    pub(crate) fn because(self, cause: impl Into<String>) -> Self {
        match self.kind {
            Kind::Broke => Self { cause: Some(cause.into()), ..self },
            _ => self,
        }
    }

    pub(crate) fn finding(self, check: &CheckName) -> Finding {
        let verdict = match self.kind {
            Kind::Held => Verdict::Held,
            Kind::Broke | Kind::Missing => Verdict::Broke,
            Kind::Skipped => Verdict::Skipped,
        };
        let Self { subject, observed, wanted, step, cause, .. } = self;
        Finding { check: check.clone(), subject, verdict, observed, wanted, step, cause }
    }
}
