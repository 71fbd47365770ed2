//! What a configuration asks of the machine that it is read on.

use std::fmt;
use std::net::ToSocketAddrs as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::transport::ssh::program::ends_within;

/// The machine, as far as reading goes: one that only looks so is read on by the fuzzer, whose lines nobody wants to be run.
pub(super) trait Machine: fmt::Debug {
    /// Whether a line for the user's shell ends well (`Match exec`).
    fn succeeds(&self, line: &str) -> Result<bool, String>;

    /// Whether a host's full name has an address (`CanonicalizeHostname`).
    fn has_address(&self, name: &str) -> bool;

    /// The files that a pattern stands for (`Include`).
    fn files(&self, pattern: &str) -> Result<Vec<PathBuf>, String>;
}

#[derive(Debug, Clone)]
pub(super) struct This {
    pub(super) limit: Duration,
    /// What runs a line.
    pub(super) shell: PathBuf,
}

impl Machine for This {
    fn succeeds(&self, line: &str) -> Result<bool, String> {
        let mut command = Command::new(&self.shell);
        command.arg("-c").arg(line).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let ended = ends_within(command, self.limit).map_err(|error| format!("`{line}`: {error}"))?;
        Ok(ended.success())
    }

    fn has_address(&self, name: &str) -> bool {
        (format!("{name}."), 22).to_socket_addrs().is_ok()
    }

    fn files(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let as_in_c = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let files = glob::glob_with(&one_star_each(pattern), as_in_c)
            .map_err(|error| format!("`{pattern}`: {error}"))?;
        Ok(files.filter_map(Result::ok).collect())
    }
}

/// Two stars are one to the C library; to the crate they are all folders below, and an error within a name.
fn one_star_each(pattern: &str) -> String {
    let mut stars = String::with_capacity(pattern.len());
    for c in pattern.chars() {
        if c != '*' || !stars.ends_with('*') {
            stars.push(c);
        }
    }
    stars
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_stars_are_one_as_for_ssh() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("below")).unwrap();
        for name in ["a.conf", "below/b.conf"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let this = This { limit: Duration::from_secs(10), shell: "/bin/sh".into() };
        let files = |name: &str| this.files(folder.path().join(name).to_str().unwrap());
        for (pattern, expected) in [
            ("*.conf", vec!["a.conf"]),
            ("a**.conf", vec!["a.conf"]),
            ("**/*.conf", vec!["below/b.conf"]),
            ("***", vec!["a.conf", "below"]),
        ] {
            let expected = Vec::from_iter(expected.iter().map(|name| folder.path().join(name)));
            assert_eq!(files(pattern), Ok(expected), "{pattern}");
        }
    }
}
