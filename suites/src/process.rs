//! What Linux tells of a process in `/proc`.

use std::fmt::Display;
use std::{fs, io};

/// A process as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Its program's name, at most 15 bytes of it.
    pub program: String,
    /// `R`, `S`, `Z` and so on.
    pub state: char,
    /// Who started it, or took it in.
    pub parent: i32,
    /// When it was started, in clock ticks since the machine was: its id may be another's before and after.
    pub start: u64,
}

impl Stat {
    /// What there is of the process with this id.
    pub fn of(pid: impl Display) -> io::Result<Self> {
        let path = format!("/proc/{pid}/stat");
        let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        Self::parse(&text).ok_or_else(|| io::Error::other(format!("{path} is no such thing")))
    }

    /// Whether it has not ended: a zombie, which an orphan stays where nobody asks about it, has.
    pub fn lives(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }

    /// The program's name stands in parentheses and may hold anything, parentheses too.
    fn parse(text: &str) -> Option<Self> {
        let (head, rest) = text.rsplit_once(')')?;
        let fields = Vec::from_iter(rest.split_whitespace());
        Some(Self {
            program: head.split_once('(')?.1.to_owned(),
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            start: fields.get(19)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name_is() {
        let text = "7 (a ) (b) S 3 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0\n";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.program.as_str(), stat.parent, stat.start), ("a ) (b", 3, 4711));
        assert!(Stat::parse("7 (a) S").is_none());
    }
}
