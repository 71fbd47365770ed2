//! Does a case fail, or is it flaky? What its outcomes of the last runs amount to.

use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;

/// How many runs count: the latest.
pub const WINDOW: usize = 10;
/// So many bad runs in a row are no accident.
const IN_A_ROW: usize = 3;

/// How a case ended in one run, its retries told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// How it ended at last.
    pub outcome: Outcome,
    /// Whether it passed only after an attempt that was not good.
    #[serde(default)]
    pub flaky: bool,
}

impl Past {
    /// What it says about the code: good or bad; `None` where it says nothing.
    pub fn is_good(&self) -> Option<bool> {
        match self.outcome {
            Outcome::Passed => Some(true),
            other => other.blame().may_be_the_codes().then_some(false),
        }
    }
}

/// Where a case stands after its last runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// No run says anything about the code: it never ran, or only the infrastructure broke.
    Unknown,
    /// The last run passed, and the ones before do not make that doubtful.
    Passing,
    /// The last run failed, after one that passed.
    Failing,
    /// Passed and failed in turn, or passed only at a second try.
    Flaky,
    /// The last three runs failed, or every run there is where there are at least two.
    ConsistentlyFailing,
}

impl Standing {
    /// Of the runs of a case, oldest first.
    ///
    /// Only what a run says about the code counts: a node that broke or was taken away, a case that was skipped or
    /// cancelled say nothing. A case that ran into its time limit counts as a failure.
    pub fn of(past: &[Past]) -> Self {
        let told = past.iter().filter_map(|past| Some((past.is_good()?, past.flaky)));
        let mut told = Vec::from_iter(told);
        told.drain(..told.len().saturating_sub(WINDOW));
        let Some((last_is_good, _)) = told.last().copied() else { return Self::Unknown };
        let bad_at_the_end = told.iter().rev().take_while(|(good, _)| !good).count();
        if bad_at_the_end >= IN_A_ROW || (bad_at_the_end == told.len() && told.len() > 1) {
            return Self::ConsistentlyFailing;
        }
        // Broken once and mended once is how a test is meant to go; a second turn is not.
        let turns = told.windows(2).filter(|pair| pair[0].0 != pair[1].0).count();
        if turns > 2 || told.iter().any(|(_, flaky)| *flaky) {
            Self::Flaky
        } else if last_is_good {
            Self::Passing
        } else {
            Self::Failing
        }
    }

    /// As a person reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Passing => "passing",
            Self::Failing => "failing",
            Self::Flaky => "flaky",
            Self::ConsistentlyFailing => "consistently failing",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `p` passed, `f` failed, `r` passed on a retry, `t` timed out, `e` errored, `s` skipped, `i` interrupted.
    fn past(runs: &str) -> Vec<Past> {
        let past = |run| match run {
            'p' => (Outcome::Passed, false),
            'r' => (Outcome::Passed, true),
            'f' => (Outcome::Failed, false),
            't' => (Outcome::TimedOut, false),
            'e' => (Outcome::Errored, false),
            's' => (Outcome::Skipped, false),
            _ => (Outcome::Interrupted, false),
        };
        runs.chars().map(past).map(|(outcome, flaky)| Past { outcome, flaky }).collect()
    }

    #[test]
    fn the_last_runs_say_where_a_case_stands() {
        for (runs, standing) in [
            ("", Standing::Unknown),
            ("eesi", Standing::Unknown),
            ("p", Standing::Passing),
            ("f", Standing::Failing),
            ("ff", Standing::ConsistentlyFailing),
            ("ppf", Standing::Failing),
            ("pppff", Standing::Failing),
            ("pppfff", Standing::ConsistentlyFailing),
            ("ppptft", Standing::ConsistentlyFailing),
            ("pppfffpp", Standing::Passing),
            ("pfpf", Standing::Flaky),
            ("ppfpppfp", Standing::Flaky),
            ("pppr", Standing::Flaky),
            ("rpppppppppp", Standing::Passing),
            ("pfpfpfff", Standing::ConsistentlyFailing),
            ("pppeeep", Standing::Passing),
            ("ppfep", Standing::Passing),
        ] {
            assert_eq!(Standing::of(&past(runs)), standing, "{runs}");
        }
    }

    proptest! {
        #[test]
        fn trouble_of_the_infrastructure_changes_nothing(runs in "[pfrtesi]{0,15}") {
            let code = runs.replace(['e', 's', 'i'], "");
            prop_assert_eq!(Standing::of(&past(&runs)), Standing::of(&past(&code)));
        }
    }
}
