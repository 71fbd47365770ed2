//! When spot is left alone for a while: where nodes were taken back again and again, the next one would be too.
//!
//! Two reclaims within fifteen minutes, and for thirty minutes a node that may be on demand is. The times are kept
//! between the runs on one machine, since each run by itself sees few.

use std::fs;
use std::io;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

const MANY: usize = 2;
const WITHIN: SignedDuration = SignedDuration::from_mins(15);
/// end spot for so long after the last of them.
const REST: SignedDuration = SignedDuration::from_mins(30);
pub const FILE: &str = "spot-reclaims";
/// No more times than this are kept.
const KEPT: usize = 16;

/// When spot nodes were taken back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Breaker {
    reclaims: Vec<Timestamp>,
}

impl Breaker {
    /// A reclaim at that time.
    pub fn note(&mut self, at: Timestamp) {
        self.reclaims.push(at);
        self.reclaims.sort_unstable();
        let surplus = self.reclaims.len().saturating_sub(KEPT);
        self.reclaims.drain(..surplus);
    }

    /// Until when spot is left alone; `None` where it is not.
    pub fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        let last = self
            .reclaims
            .windows(MANY)
            .filter(|few| few[MANY - 1].duration_since(few[0]) <= WITHIN)
            // Times of a clock that was ahead say nothing.
            .filter_map(|few| few.last().copied().filter(|last| *last <= now))
            .next_back()?;
        last.checked_add(REST).ok().filter(|until| now < *until)
    }

    /// Whether spot is left alone.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.open_until(now).is_some()
    }

    /// Reads the times from a file; one that is not there or is broken holds none.
    pub fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut breaker = Self::default();
        for at in text.lines().filter_map(|line| line.parse().ok()) {
            breaker.note(at);
        }
        breaker
    }

    /// Adds a reclaim to the file, which other runs may write at the same time.
    pub fn note_in(file: &Path, at: Timestamp) -> io::Result<()> {
        let mut breaker = Self::read(file);
        breaker.note(at);
        let folder = file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let new = tempfile::NamedTempFile::new_in(folder)?;
        fs::write(new.path(), String::from_iter(breaker.reclaims.iter().map(|at| format!("{at}\n"))))?;
        new.persist(file)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn breaker(minutes: &[i64]) -> Breaker {
        let mut breaker = Breaker::default();
        for minute in minutes {
            breaker.note(at(*minute));
        }
        breaker
    }

    #[test]
    fn two_reclaims_within_a_quarter_of_an_hour_end_spot_for_half_an_hour() {
        for (reclaims, now, until) in [
            (&[][..], 0, None),
            (&[0], 1, None),
            (&[0, 10], 11, Some(40)),
            (&[10, 0], 39, Some(40)),
            (&[0, 10], 40, None),
            (&[0, 16], 17, None),
            (&[0, 16, 20], 21, Some(50)),
            (&[0, 10, 30], 31, Some(40)),
            // The clock was set back.
            (&[100, 110], 0, None),
        ] {
            assert_eq!(breaker(reclaims).open_until(at(now)), until.map(at), "{reclaims:?} {now}");
        }
    }

    #[test]
    fn reclaims_of_earlier_runs_count_and_a_broken_file_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cache/reclaims");
        assert!(!Breaker::read(&file).is_open(at(0)));
        Breaker::note_in(&file, at(0)).unwrap();
        Breaker::note_in(&file, at(5)).unwrap();
        assert_eq!(Breaker::read(&file).open_until(at(6)), Some(at(35)));
        fs::write(&file, b"\xff\x00 not a time\n").unwrap();
        assert_eq!(Breaker::read(&file), Breaker::default());
        fs::write(&file, format!("nonsense\n{}\n\n{}", at(0), at(5))).unwrap();
        assert!(Breaker::read(&file).is_open(at(6)));
        Breaker::note_in(&file, at(7)).unwrap();
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }

    proptest! {
        #[test]
        fn the_file_never_grows_without_end(minutes in prop::collection::vec(-1000i64..1000, 0..60)) {
            let breaker = breaker(&minutes);
            prop_assert!(breaker.reclaims.len() <= 16 && breaker.reclaims.is_sorted());
        }

        #[test]
        fn spot_is_left_alone_for_no_longer_than_its_rest(minutes in prop::collection::vec(0i64..200, 0..20)) {
            let last = minutes.iter().max().copied().unwrap_or_default();
            prop_assert!(!breaker(&minutes).is_open(at(last + 30)));
        }
    }
}
