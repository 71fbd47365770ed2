//! Which commit did it? A search by halves, each step a comparison of its own with the same base.
//!
//! A commit counts as bad from half of the head's change on, on the scale of logarithms: noise that is smaller than half
//! of the change misleads no step. One that cannot be measured is stepped round.

use std::path::Path;

use gpu_suites::regression::pairs::Ratio;

use super::version::{VersionError, git, said};

/// What is known of a commit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tested {
    /// Its figure by the base's.
    Measured(Ratio),
    /// It has no such figure.
    Untestable,
}

#[derive(Debug)]
pub struct Search {
    /// The commits after the base, the head last.
    commits: Vec<String>,
    /// How many of them are known to be as good as the base.
    good: usize,
    /// The earliest one known to be bad.
    bad: usize,
    untestable: Vec<usize>,
    /// The logarithm from which on a ratio is bad.
    half: f64,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Culprit {
    Commit(String),
    /// One of these: those between could not be measured.
    OneOf(Vec<String>),
}

/// How far a ratio is from 1. One that is not above 0, of figures that are not either, is as far as can be.
fn far(ratio: Ratio) -> f64 {
    ratio.ratio.max(f64::MIN_POSITIVE).ln()
}

impl Search {
    /// Among `commits`, whose last makes this of the figure.
    pub fn new(commits: Vec<String>, head: Ratio) -> Option<Self> {
        let bad = commits.len().checked_sub(1)?;
        Some(Self { commits, good: 0, bad, untestable: Vec::new(), half: far(head) / 2.0 })
    }

    /// The commit to be measured next; `None` when the search is over.
    pub fn next(&self) -> Option<&str> {
        let open = (self.good..self.bad).filter(|place| !self.untestable.contains(place));
        let middle = usize::midpoint(self.good, self.bad);
        let nearest = open.min_by_key(|place| place.abs_diff(middle))?;
        Some(&self.commits[nearest])
    }

    /// At most how many are left to be measured.
    pub fn steps_left(&self) -> u32 {
        (self.bad - self.good + 1).ilog2()
    }

    /// Takes in what [`Search::next`] turned out to be; whether it is bad.
    pub fn take(&mut self, tested: Tested) -> Option<bool> {
        let place = self.commits.iter().position(|commit| Some(commit.as_str()) == self.next())?;
        let Tested::Measured(ratio) = tested else {
            self.untestable.push(place);
            return None;
        };
        // The same sign and at least half as far.
        let is_bad = far(ratio) / self.half >= 1.0;
        if is_bad {
            self.bad = place;
        } else {
            self.good = place + 1;
        }
        Some(is_bad)
    }

    /// What is known when the search is over.
    pub fn culprit(&self) -> Culprit {
        match &self.commits[self.good..=self.bad] {
            [commit] => Culprit::Commit(commit.clone()),
            several => Culprit::OneOf(several.to_vec()),
        }
    }
}

/// The commits after `base` up to `head`, along the first parents, the head last.
pub fn commits(base: &str, head: &str, cwd: &Path) -> Result<Vec<String>, VersionError> {
    let range = format!("{base}..{head}");
    let mut command = git(cwd);
    command.args(["rev-list", "--first-parent", "--reverse", "--abbrev-commit", "--abbrev=12", &range]);
    Ok(said(&mut command, "rev-list")?.lines().map(str::to_owned).collect())
}

/// A commit in a line: its digits, day, author and subject.
pub fn line(commit: &str, cwd: &Path) -> String {
    let mut command = git(cwd);
    command.args(["log", "-1", "--format=%h %cs %an: %s", "--abbrev=12", commit]);
    said(&mut command, "log").unwrap_or_else(|_| commit.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ratio(ratio: f64) -> Ratio {
        Ratio { ratio, low: ratio * 0.99, high: ratio * 1.01, pairs: 6 }
    }

    /// Searches `commits` of which those from `first_bad` on are slower.
    fn search(commits: usize, first_bad: usize, untestable: &[usize]) -> (Culprit, usize) {
        let names = Vec::from_iter((0..commits).map(|commit| commit.to_string()));
        let mut search = Search::new(names, ratio(0.9)).unwrap();
        let mut steps = 0;
        while let Some(next) = search.next() {
            let place: usize = next.parse().unwrap();
            steps += 1;
            search.take(if untestable.contains(&place) {
                Tested::Untestable
            } else {
                Tested::Measured(ratio(if place >= first_bad { 0.91 } else { 1.01 }))
            });
        }
        (search.culprit(), steps)
    }

    #[test]
    fn nothing_to_search_is_told() {
        assert!(Search::new(vec![], ratio(0.9)).is_none());
        assert_eq!(search(1, 0, &[]), (Culprit::Commit("0".into()), 0));
    }

    #[test]
    fn what_cannot_be_measured_is_stepped_round() {
        assert_eq!(search(5, 3, &[2]).0, Culprit::OneOf(vec!["2".into(), "3".into()]));
        assert_eq!(search(5, 4, &[2]).0, Culprit::Commit("4".into()));
        assert_eq!(search(3, 1, &[0, 1]).0, Culprit::OneOf(vec!["0".into(), "1".into(), "2".into()]));
    }

    proptest! {
        #[test]
        fn the_first_bad_commit_is_found_in_so_many_steps_as_halving_takes(commits in 1..300_usize, bad in 0..300_usize) {
            let bad = bad.min(commits - 1);
            let (culprit, steps) = search(commits, bad, &[]);
            prop_assert_eq!(culprit, Culprit::Commit(bad.to_string()));
            prop_assert!(steps <= commits.ilog2() as usize + 1, "{} steps", steps);
        }
    }
}
