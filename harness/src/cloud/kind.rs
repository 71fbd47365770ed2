//! The kinds of things that a provider makes, and when each of them has to go.

use gpu_suites::event::ResourceKind;

/// A kind of thing that a provider makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub resource: ResourceKind,
    pub goes: Goes,
}

/// When a thing goes, as its run's instances see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goes {
    /// Before them: it makes them.
    First,
    /// Before them, and already when there is one: it is used in making them, and no longer.
    OnceLaunched,
    /// It is one.
    Itself,
    /// When none is left.
    Last,
    /// When none is left: they use it, and it cannot be asked to go before that.
    Unused,
}

impl Goes {
    pub(super) fn is_before(self) -> bool {
        matches!(self, Self::First | Self::OnceLaunched)
    }

    pub(super) fn is_after(self) -> bool {
        matches!(self, Self::Last | Self::Unused)
    }
}

/// The kinds that go at such a time, in their order.
pub(super) fn which(kinds: &[Kind], goes: impl Fn(Goes) -> bool) -> impl Iterator<Item = ResourceKind> {
    kinds.iter().filter(move |kind| goes(kind.goes)).map(|kind| kind.resource)
}
