//! Reads ssh configurations as OpenSSH does, for machines where there is no `ssh` to ask.
//!
//! OpenSSH stops at any line that it does not know, also one about another host. A file may be made for a newer ssh than any, so what
//! is not taken here is passed over; what is taken has to make sense.

use std::io;
use std::path::{Path, PathBuf};

use super::criteria::{self, Known};
use super::found::{Found, Origin, Value, is_none};
use super::line::Line;
use super::machine::Machine;
use super::tokens::{Meaning, Tokens, tilde, variables};
use super::{ConfigError, Subject};
use crate::here::Env;
use crate::transport::ssh::pattern;

/// As deep as OpenSSH follows `Include`.
const DEEPEST: usize = 16;

/// Whose file it is: that decides where its relative includes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Users,
    Systems,
}

/// Which files there are, and what the names in them mean.
#[derive(Debug, Clone)]
pub(super) struct Sources<'a> {
    pub(super) home: &'a Path,
    pub(super) user: &'a Path,
    pub(super) system: Option<&'a Path>,
    pub(super) local_user: &'a str,
    pub(super) env: &'a Env,
    pub(super) machine: &'a dyn Machine,
}

/// Reads what the files say about a host.
pub(super) fn read(subject: &Subject, sources: &Sources<'_>) -> Result<Found, ConfigError> {
    let mut reader = Reader {
        subject,
        sources,
        host: subject.host.clone(),
        found: Found::default(),
        is_final: false,
        wants_final: false,
    };
    let given = [("user", subject.user.clone()), ("port", subject.port.map(|port| port.to_string()))];
    for (keyword, value) in given {
        if let Some(value) = value {
            reader.found.add(keyword, Value { words: vec![value.clone()], rest: value, at: Origin::Address });
        }
    }
    reader.files()?;
    reader.host = reader.host_name().to_lowercase();
    let canonical = reader.canonical()?;
    if reader.wants_final || canonical {
        let at = reader.found.first("hostname").map_or(Origin::Address, |value| value.at.clone());
        let host = reader.host.clone();
        reader.found.replace("hostname", Value { words: vec![host.clone()], rest: host, at });
        reader.is_final = true;
        reader.files()?;
    }
    Ok(reader.found)
}

struct Reader<'a> {
    subject: &'a Subject,
    sources: &'a Sources<'a>,
    host: String,
    found: Found,
    /// The files are read for the second time.
    is_final: bool,
    wants_final: bool,
}

impl Reader<'_> {
    fn files(&mut self) -> Result<(), ConfigError> {
        let files = [(Some(self.sources.user), Whose::Users), (self.sources.system, Whose::Systems)];
        for (file, whose) in files {
            if let Some(file) = file {
                self.file(file, whose, true, 0)?;
            }
        }
        Ok(())
    }

    /// Reads a file; what stands before its first `Host` or `Match` counts only where it is included from a block that does.
    fn file(&mut self, path: &Path, whose: Whose, counts: bool, depth: usize) -> Result<(), ConfigError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(ConfigError::Unreadable { path: path.to_owned(), source }),
        };
        let text = String::from_utf8_lossy(&bytes);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut active = counts;
        for (index, line) in text.lines().enumerate() {
            let Some(line) = Line::parse(line) else { continue };
            let at = Origin::File { path: path.to_owned(), line: index + 1 };
            let wrong = |reason: String| ConfigError::Value { at: at.clone(), reason };
            let words = line.words.clone().unwrap_or_default();
            match line.keyword.as_str() {
                "host" => active = counts && pattern::any(words.iter().map(String::as_str), &self.host),
                "match" if counts => {
                    let matched = criteria::matched(&words, &self.known()).map_err(wrong)?;
                    self.wants_final |= matched.wants_final;
                    active = matched.holds;
                }
                "match" => active = false,
                "include" => {
                    for name in words {
                        let files = self.included(&name, whose).map_err(wrong)?;
                        if depth >= DEEPEST && !files.is_empty() {
                            return Err(wrong(format!("`Include` leads deeper than {DEEPEST} files")));
                        }
                        for file in files {
                            self.file(&file, whose, active, depth + 1)?;
                        }
                    }
                }
                keyword if active => {
                    self.found.add(keyword, Value { words, rest: line.rest, at });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn included(&self, name: &str, whose: Whose) -> Result<Vec<PathBuf>, String> {
        let name = variables(&self.known().tokens.percent(name)?, self.sources.env)?;
        let folder = match whose {
            Whose::Users => self.sources.home.join(".ssh"),
            Whose::Systems => "/etc/ssh".into(),
        };
        let name = folder.join(tilde(&name, self.sources.home)?);
        let name = name.to_str().ok_or("its name is not UTF-8")?;
        self.sources.machine.files(name)
    }

    fn host_name(&self) -> String {
        match self.found.word("hostname") {
            Some(name) if !self.is_final => name.replace("%h", &self.subject.host).replace("%%", "%"),
            Some(name) => name.to_owned(),
            None => self.host.clone(),
        }
    }

    fn known(&self) -> Known<'_> {
        let word = |keyword| self.found.word(keyword);
        let host = self.host_name();
        let user = word("user").unwrap_or(self.sources.local_user);
        let tokens = Tokens::of(Meaning {
            original: &self.subject.host,
            host: &host,
            port: word("port").and_then(|port| port.parse().ok()).unwrap_or(22),
            user,
            local_user: self.sources.local_user,
            home: &self.sources.home.display().to_string(),
            key_alias: Some(word("hostkeyalias").unwrap_or(&host)),
            jump: "",
        });
        Known {
            host,
            original: &self.subject.host,
            user,
            local_user: self.sources.local_user,
            tag: word("tag").unwrap_or_default(),
            is_final: self.is_final,
            tokens,
            machine: self.sources.machine,
        }
    }

    /// Completes the host's name by the domains that it may belong to. Returns whether that was asked for.
    fn canonical(&mut self) -> Result<bool, ConfigError> {
        let mode = self.found.word("canonicalizehostname").unwrap_or("no").to_ascii_lowercase();
        if !["yes", "true", "always"].contains(&mode.as_str()) {
            return Ok(false);
        }
        let is_set = |keyword| self.found.first(keyword).is_some_and(|value| !is_none(&value.rest));
        let has_proxy = is_set("proxycommand") || is_set("proxyjump");
        let most_dots =
            self.found.word("canonicalizemaxdots").and_then(|dots| dots.parse().ok()).unwrap_or(1);
        let is_address = self.host.parse::<std::net::IpAddr>().is_ok();
        if is_address || (has_proxy && mode != "always") || self.host.matches('.').count() > most_dots {
            return Ok(true);
        }
        let domains = self.found.first("canonicaldomains");
        let names = domains.into_iter().flat_map(|value| &value.words).filter(|domain| !is_none(domain));
        let found = names
            .map(|domain| format!("{}.{domain}", self.host))
            .find(|name| self.sources.machine.has_address(name));
        if let Some(name) = found {
            self.host = name;
        } else if let Some(value) =
            self.found.first("canonicalizefallbacklocal").filter(|value| value.word() == "no")
        {
            let reason = format!("`{}` is in none of CanonicalDomains", self.host);
            return Err(ConfigError::Value { at: value.at.clone(), reason });
        }
        Ok(true)
    }
}
