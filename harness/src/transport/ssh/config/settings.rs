//! What is taken of an ssh configuration: the options that matter here, as values of their own types.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::found::{Found, Value, is_none};
use super::tokens::{Meaning, Tokens};
use super::{ConfigError, Subject, jump};
use crate::here::Env;
use crate::transport::ssh::address::Address;

/// What holds for one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transport::ssh) struct Settings {
    pub(in crate::transport::ssh) host: String,
    pub(in crate::transport::ssh) user: String,
    pub(in crate::transport::ssh) port: u16,
    pub(in crate::transport::ssh) way: Way,
    pub(in crate::transport::ssh) family: Family,
    pub(in crate::transport::ssh) bind_address: Option<String>,
    pub(in crate::transport::ssh) bind_interface: Option<String>,
    pub(in crate::transport::ssh) connect_timeout: Option<Duration>,
    /// The name that the host's key is known by, where it is another.
    pub(in crate::transport::ssh) key_alias: Option<String>,
    /// Files of known host keys: the user's, then the machine's.
    pub(in crate::transport::ssh) known_hosts: Vec<PathBuf>,
    /// Files of host keys that are trusted no more.
    pub(in crate::transport::ssh) revoked: Vec<PathBuf>,
    /// Options about host keys that are not followed, for messages.
    pub(in crate::transport::ssh) not_followed: Vec<&'static str>,
    pub(in crate::transport::ssh) agent: Option<PathBuf>,
    /// Whether keys are used at all; the option that says not.
    pub(in crate::transport::ssh) no_keys: Option<&'static str>,
    pub(in crate::transport::ssh) identities_only: bool,
    pub(in crate::transport::ssh) identities: Vec<PathBuf>,
    pub(in crate::transport::ssh) certificates: Vec<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transport::ssh) enum Way {
    Direct,
    /// A program's input and output are the connection: a line for a shell.
    Command(String),
    /// Over other hosts, the nearest first.
    Jump(Vec<Address>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport::ssh) enum Family {
    Any,
    V4,
    V6,
}

/// What holds where the configuration says nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults<'a> {
    pub(super) user: &'a str,
    pub(super) home: &'a Path,
    pub(super) agent: Option<&'a Path>,
    pub(super) env: &'a Env,
}

/// The key files that OpenSSH tries by itself, in its order.
const DEFAULT_KEYS: [&str; 5] = ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"];

impl Settings {
    /// The typed values of what was found.
    pub(super) fn of(found: &Found, subject: &Subject, defaults: Defaults<'_>) -> Result<Self, ConfigError> {
        let host = found.word("hostname").map_or_else(
            || subject.host.clone(),
            |name| name.replace("%h", &subject.host).replace("%%", "%"),
        );
        let host = host.to_lowercase();
        let port = found.first("port").map_or(Ok(22), |value| parsed(value, port))?;
        let key_alias = found.word("hostkeyalias").map(str::to_lowercase);
        let hops = match found.first("proxyjump").filter(|value| !is_none(&value.rest)) {
            Some(value) => parsed(value, |_| jump::hops(&value.rest))?,
            None => Vec::new(),
        };
        let home = defaults.home.display().to_string();
        let meaning = Meaning {
            original: &subject.host,
            host: &host,
            port,
            user: defaults.user,
            local_user: defaults.user,
            home: &home,
            key_alias: key_alias.as_deref(),
            jump: hops.last().map_or("", |hop| &hop.host),
        };
        let user = match found.first("user") {
            // A name that the user typed is taken as it is.
            Some(value) if subject.user.is_some() => value.word().to_owned(),
            Some(value) => parsed(value, |word| Tokens::of(meaning).percent(word))?,
            None => defaults.user.to_owned(),
        };
        let tokens = Tokens::of(Meaning { user: &user, ..meaning });
        let names = Names { found, tokens, home: defaults.home, env: defaults.env };
        let mut known_hosts = names.of("userknownhostsfile", &[".ssh/known_hosts", ".ssh/known_hosts2"])?;
        let global = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];
        known_hosts.extend(names.of("globalknownhostsfile", &global)?);
        let mut identities = names.each("identityfile")?;
        if found.all("identityfile").is_empty() {
            identities.extend(DEFAULT_KEYS.map(|name| defaults.home.join(".ssh").join(name)));
        }
        let one = |keyword| found.word(keyword).filter(|word| !is_none(word)).map(str::to_owned);
        let limit = match found.first("connecttimeout").filter(|value| !is_none(value.word())) {
            Some(value) => Some(parsed(value, duration)?).filter(|limit| !limit.is_zero()),
            None => None,
        };
        let command = found.first("knownhostscommand").filter(|value| !is_none(&value.rest));
        Ok(Self {
            way: names.way(hops)?,
            family: match found.word("addressfamily").unwrap_or_default() {
                "inet" => Family::V4,
                "inet6" => Family::V6,
                _ => Family::Any,
            },
            bind_address: one("bindaddress"),
            bind_interface: one("bindinterface"),
            connect_timeout: limit,
            known_hosts,
            revoked: names.of("revokedhostkeys", &[])?,
            not_followed: command.map(|_| "KnownHostsCommand").into_iter().collect(),
            agent: names.agent(defaults.agent)?,
            no_keys: no_keys(found),
            identities_only: found.word("identitiesonly").is_some_and(is_yes),
            identities,
            certificates: names.each("certificatefile")?,
            host,
            user,
            port,
            key_alias,
        })
    }
}

/// Values that name files and commands, with what stands for something else replaced.
struct Names<'a> {
    found: &'a Found,
    tokens: Tokens,
    home: &'a Path,
    env: &'a Env,
}

impl Names<'_> {
    fn path(&self, value: &Value, word: &str) -> Result<PathBuf, ConfigError> {
        self.tokens.path(word, self.home, self.env).map(PathBuf::from).map_err(|reason| wrong(value, reason))
    }

    /// The files that the first line of an option names.
    fn of(&self, keyword: &str, default: &[&str]) -> Result<Vec<PathBuf>, ConfigError> {
        match self.found.first(keyword) {
            Some(value) => {
                let words = value.words.iter().filter(|word| !is_none(word));
                words.map(|word| self.path(value, word)).collect()
            }
            None => Ok(default.iter().map(|name| self.home.join(name)).collect()),
        }
    }

    /// The file that each line of an option names.
    fn each(&self, keyword: &str) -> Result<Vec<PathBuf>, ConfigError> {
        let values =
            self.found.all(keyword).iter().filter(|value| !value.words.is_empty() && !is_none(value.word()));
        values.map(|value| self.path(value, value.word())).collect()
    }

    fn agent(&self, default: Option<&Path>) -> Result<Option<PathBuf>, ConfigError> {
        let Some(value) = self.found.first("identityagent") else { return Ok(default.map(Path::to_owned)) };
        match value.word() {
            word if is_none(word) => Ok(None),
            "SSH_AUTH_SOCK" => Ok(default.map(Path::to_owned)),
            // The older way to name a variable.
            word if word.starts_with('$') && !word.starts_with("${") => {
                Ok(self.env.get(&word[1..]).map(PathBuf::from))
            }
            word => self.path(value, word).map(Some),
        }
    }

    fn way(&self, hops: Vec<Address>) -> Result<Way, ConfigError> {
        let percent =
            |value: &Value, text: &str| self.tokens.percent(text).map_err(|reason| wrong(value, reason));
        if let Some(value) = self.found.first("proxyjump").filter(|_| !hops.is_empty()) {
            let hop = |hop: Address| Ok(Address { host: percent(value, &hop.host)?, ..hop });
            return hops.into_iter().map(hop).collect::<Result<_, _>>().map(Way::Jump);
        }
        let Some(value) = self.found.first("proxycommand").filter(|value| !is_none(&value.rest)) else {
            return Ok(Way::Direct);
        };
        if let Some(value) = self.found.first("proxyusefdpass").filter(|value| is_yes(value.word())) {
            let reason =
                "ProxyUseFdpass is not followed: a ProxyCommand's input and output are the connection";
            return Err(wrong(value, reason.to_owned()));
        }
        Ok(Way::Command(percent(value, &value.rest)?))
    }
}

fn wrong(value: &Value, reason: String) -> ConfigError {
    ConfigError::Value { at: value.at.clone(), reason }
}

fn parsed<T>(value: &Value, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, ConfigError> {
    parse(value.word()).map_err(|reason| wrong(value, reason))
}

fn is_yes(word: &str) -> bool {
    word.eq_ignore_ascii_case("yes") || word.eq_ignore_ascii_case("true")
}

fn is_no(word: &str) -> bool {
    word.eq_ignore_ascii_case("no") || word.eq_ignore_ascii_case("false")
}

fn port(word: &str) -> Result<u16, String> {
    match word.parse() {
        Ok(port @ 1..) => Ok(port),
        // OpenSSH takes the name of a service, too.
        _ if word == "ssh" => Ok(22),
        _ => Err(format!("`{word}` is no port (1 to 65535)")),
    }
}

/// OpenSSH's times: `90`, `1m30s`.
fn duration(word: &str) -> Result<Duration, String> {
    let wrong = || format!("`{word}` is no time; one is written 30, 30s or 1m");
    let (mut total, mut digits) = (0_u64, String::new());
    for c in word.chars() {
        let unit = match c.to_ascii_lowercase() {
            '0'..='9' => {
                digits.push(c);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86400,
            'w' => 604_800,
            _ => return Err(wrong()),
        };
        total = digits
            .parse::<u64>()
            .ok()
            .and_then(|count| total.checked_add(count.checked_mul(unit)?))
            .ok_or_else(wrong)?;
        digits.clear();
    }
    if !digits.is_empty() {
        total = digits.parse::<u64>().ok().and_then(|count| total.checked_add(count)).ok_or_else(wrong)?;
    } else if word.is_empty() {
        return Err(wrong());
    }
    Ok(Duration::from_secs(total))
}

/// The option that forbids keys.
fn no_keys(found: &Found) -> Option<&'static str> {
    if found.word("pubkeyauthentication").is_some_and(is_no) {
        return Some("PubkeyAuthentication");
    }
    let methods = found.word("preferredauthentications")?;
    let has_keys = methods.split(',').any(|method| method.trim() == "publickey" || method.trim() == "none");
    (!has_keys).then_some("PreferredAuthentications")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_openssh_reads_it() {
        for (word, seconds) in
            [("90", 90), ("10s", 10), ("1m", 60), ("1h30m", 5400), ("1m30", 90), ("2D", 172_800)]
        {
            assert_eq!(duration(word), Ok(Duration::from_secs(seconds)), "{word}");
        }
        for word in ["", "1x", "s", "-1", "99999999999999999999", "18446744073709551615w"] {
            assert!(duration(word).is_err(), "{word}");
        }
    }
}
