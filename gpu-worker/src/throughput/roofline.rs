//! How fast could it be? The model's operations against the device's own rates (Williams et al. 2009, operation by
//! operation).

use super::canary::Ceiling;
use crate::shim::Cost;

/// Below this share of the ceiling, it is neither arithmetic nor memory that binds.
const BOUND_FROM: f64 = 0.5;

/// What one pass takes at least.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Roofline {
    pub(super) flops: f64,
    /// Bytes read and written by all operations; a cache may save some of them.
    pub(super) bytes: f64,
    /// Seconds of the operations that arithmetic limits.
    pub(super) arithmetic_seconds: f64,
    /// Seconds of those that memory limits.
    pub(super) memory_seconds: f64,
}

impl Roofline {
    pub(super) fn of(costs: &[Cost], ceiling: Ceiling) -> Self {
        let mut roofline = Self::default();
        for cost in costs {
            roofline.flops += cost.flops;
            roofline.bytes += cost.bytes;
            let (arithmetic, memory) = (cost.flops / ceiling.flops, cost.bytes / ceiling.bytes);
            if arithmetic >= memory {
                roofline.arithmetic_seconds += arithmetic;
            } else {
                roofline.memory_seconds += memory;
            }
        }
        roofline
    }

    /// The least time of a pass.
    pub(super) fn seconds(&self) -> f64 {
        self.arithmetic_seconds + self.memory_seconds
    }

    /// What limits a model that reaches this share of its ceiling.
    pub(super) fn binding(&self, share: f64) -> &'static str {
        if share < BOUND_FROM {
            "overhead"
        } else if self.arithmetic_seconds >= self.memory_seconds {
            "arithmetic"
        } else {
            "memory"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(flops: f64, bytes: f64) -> Cost {
        Cost { name: "x".into(), flops, bytes }
    }

    #[test]
    fn each_operation_is_limited_by_one_thing_and_the_times_add_up() {
        let ceiling = Ceiling { flops: 100.0, bytes: 10.0 };
        // 1 s of arithmetic against 0.5 s of memory, then 2 s of memory against none.
        let roofline = Roofline::of(&[cost(100.0, 5.0), cost(0.0, 20.0)], ceiling);
        assert_eq!((roofline.arithmetic_seconds, roofline.memory_seconds), (1.0, 2.0));
        assert_eq!((roofline.flops, roofline.bytes), (100.0, 25.0));
        assert_eq!([0.9, 0.4].map(|share| roofline.binding(share)), ["memory", "overhead"]);
    }
}
