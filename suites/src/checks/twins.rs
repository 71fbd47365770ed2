//! A metric and its twin, paired step by step: `score` and `golden/score`, in whatever order they come.

use std::collections::BTreeMap;

/// The most values of one metric that wait for their twins, so that memory stays bounded.
const MAX_WAITING: usize = 100_000;

/// Whose value it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The metric's.
    Own,
    /// Its twin's.
    Twin,
}

/// Both values of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pair {
    pub(super) step: u64,
    pub(super) own: f64,
    pub(super) twin: f64,
}

/// What has come of a metric and its twin.
#[derive(Debug, Default)]
pub(super) struct Twins {
    waiting: BTreeMap<u64, (Side, f64)>,
    /// The step of the next value without one, of each side.
    next: [u64; 2],
    /// How many came of each side.
    came: [usize; 2],
    left_out: usize,
}

impl Side {
    fn index(self) -> usize {
        usize::from(self == Self::Twin)
    }
}

impl Twins {
    /// Takes in a value; both, where the other one was there. Of a step that came twice, the last value waits.
    pub(super) fn take(&mut self, side: Side, step: Option<u64>, value: f64) -> Option<Pair> {
        let next = &mut self.next[side.index()];
        let step = step.unwrap_or((*next).max(1));
        *next = step.saturating_add(1);
        self.came[side.index()] += 1;
        match self.waiting.get(&step) {
            Some((other, theirs)) if *other != side => {
                let theirs = *theirs;
                self.waiting.remove(&step);
                let (own, twin) = if side == Side::Own { (value, theirs) } else { (theirs, value) };
                return Some(Pair { step, own, twin });
            }
            None if self.waiting.len() == MAX_WAITING => self.left_out += 1,
            _ => drop(self.waiting.insert(step, (side, value))),
        }
        None
    }

    /// How many values came of a side.
    pub(super) fn came(&self, side: Side) -> usize {
        self.came[side.index()]
    }

    /// The first step of which only the twin came.
    pub(super) fn lonely_twin(&self) -> Option<u64> {
        self.waiting.iter().find(|(_, (side, _))| *side == Side::Twin).map(|(step, _)| *step)
    }

    /// What to add to a sentence where some were not kept.
    pub(super) fn cut(&self) -> String {
        match self.left_out {
            0 => String::new(),
            many => {
                format!(" (judged without {many} values: more than {MAX_WAITING} waited for their twins)")
            }
        }
    }
}
