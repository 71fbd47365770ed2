//! How one attempt is paid for: spot or on-demand.

use std::fmt;

use super::Market;

/// What one launch call asks for. A [`Market`] is the user's rule, from which follow one or two of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purchase {
    /// Spare capacity, cheaper, taken back with two minutes' notice.
    Spot,
    /// Capacity at the list price, kept for as long as it is wanted.
    OnDemand,
}

impl Purchase {
    /// EC2's word for it, in `DefaultTargetCapacityType` and in an instance type's `SupportedUsageClasses`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
        }
    }

    /// Reads EC2's word; `None` for a way that is not used here (`capacity-block`).
    pub fn of(name: &str) -> Option<Self> {
        [Self::Spot, Self::OnDemand].into_iter().find(|purchase| purchase.name() == name)
    }
}

impl fmt::Display for Purchase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Market {
    /// What to ask for, in this order. `spot_is_broken`: too many were taken back lately (see [`super::breaker`]).
    pub fn purchases(self, spot_is_broken: bool) -> &'static [Purchase] {
        match self {
            Self::Spot => &[Purchase::Spot],
            Self::OnDemand => &[Purchase::OnDemand],
            Self::SpotThenOnDemand if spot_is_broken => &[Purchase::OnDemand],
            Self::SpotThenOnDemand => &[Purchase::Spot, Purchase::OnDemand],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_too_many_reclaims_only_the_mixed_rule_leaves_spot_out() {
        use Purchase::{OnDemand, Spot};
        for (market, whole, broken) in [
            (Market::Spot, &[Spot][..], &[Spot][..]),
            (Market::OnDemand, &[OnDemand], &[OnDemand]),
            (Market::SpotThenOnDemand, &[Spot, OnDemand], &[OnDemand]),
        ] {
            assert_eq!((market.purchases(false), market.purchases(true)), (whole, broken), "{market:?}");
        }
    }

    #[test]
    fn a_purchase_is_read_from_the_word_it_is_written_as() {
        for purchase in [Purchase::Spot, Purchase::OnDemand] {
            assert_eq!(Purchase::of(purchase.name()), Some(purchase));
        }
        assert_eq!(Purchase::of("capacity-block"), None);
    }
}
