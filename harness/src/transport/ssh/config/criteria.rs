//! The conditions of a `Match` line.

use ipnet::IpNet;

use super::machine::Machine;
use super::tokens::Tokens;
use crate::transport::ssh::pattern;

/// What conditions are held against: what is known when the line is read.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) host: String,
    pub(super) original: &'a str,
    pub(super) user: &'a str,
    pub(super) local_user: &'a str,
    pub(super) tag: &'a str,
    /// The configuration is read for the second time, with the final name of the host.
    pub(super) is_final: bool,
    pub(super) tokens: Tokens,
    pub(super) machine: &'a dyn Machine,
}

/// What a `Match` line comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Matched {
    pub(super) holds: bool,
    /// It wants the configuration to be read once more at the end.
    pub(super) wants_final: bool,
}

/// Whether the conditions of a `Match` line hold.
pub(super) fn matched(words: &[String], known: &Known<'_>) -> Result<Matched, String> {
    if words.is_empty() {
        return Err("`Match` without a condition".to_owned());
    }
    let mut matched = Matched { holds: true, wants_final: false };
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let (name, negated) = word.strip_prefix('!').map_or((word, false), |name| (name, true));
        let (name, argument) = name.split_once('=').map_or((name, None), |(name, rest)| (name, Some(rest)));
        let name = name.to_ascii_lowercase();
        let mut argument = || {
            argument
                .or_else(|| words.next())
                .ok_or_else(|| format!("`Match {name}` without what is to match"))
        };
        let holds = match name.as_str() {
            "all" => true,
            "final" | "canonical" => {
                matched.wants_final |= name == "final" && !negated;
                known.is_final
            }
            "host" => pattern::list_matches(&argument()?.to_lowercase(), &known.host.to_lowercase()),
            "originalhost" => {
                pattern::list_matches(&argument()?.to_lowercase(), &known.original.to_lowercase())
            }
            "user" => pattern::list_matches(argument()?, known.user),
            "localuser" => pattern::list_matches(argument()?, known.local_user),
            "tagged" => same_or_like(argument()?, known.tag),
            // What is run there is gpu-harness's own affair, and not told to the configuration.
            "command" => same_or_like(argument()?, ""),
            "sessiontype" => pattern::list_matches(argument()?, "exec"),
            // No OpenSSH reads this.
            "version" => {
                argument()?;
                false
            }
            "localnetwork" => on_network(argument()?)?,
            "exec" => {
                let command = known.tokens.percent(argument()?)?;
                // A condition that cannot change anything any more is not tried.
                matched.holds && known.machine.succeeds(&command)?
            }
            _ => return Err(format!("`Match {name}` is not known")),
        };
        matched.holds &= holds != negated;
    }
    Ok(matched)
}

fn same_or_like(patterns: &str, text: &str) -> bool {
    if text.is_empty() { patterns.is_empty() } else { pattern::list_matches(patterns, text) }
}

/// Whether one of this machine's addresses is in one of these networks.
fn on_network(list: &str) -> Result<bool, String> {
    let interfaces =
        if_addrs::get_if_addrs().map_err(|error| format!("this machine's addresses: {error}"))?;
    let mut found = false;
    for network in list.split(',') {
        let network: IpNet = network
            .parse()
            .or_else(|_| network.parse::<std::net::IpAddr>().map(IpNet::from))
            .map_err(|_| format!("`{network}` is no network; one is written 192.168.0.0/24"))?;
        found |= interfaces.iter().any(|interface| network.contains(&interface.ip()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;
    use std::time::Duration;

    use super::*;
    use crate::transport::ssh::config::machine::This;
    use crate::transport::ssh::config::tokens::Meaning;

    static HERE: LazyLock<This> =
        LazyLock::new(|| This { limit: Duration::from_secs(10), shell: "/bin/sh".into() });

    fn known(is_final: bool) -> Known<'static> {
        let meaning = Meaning {
            original: "gpu",
            host: "gpu.lab.example",
            port: 22,
            user: "ubuntu",
            local_user: "me",
            home: "/home/me",
            key_alias: None,
            jump: "",
        };
        Known {
            host: "gpu.lab.example".into(),
            original: "gpu",
            user: "ubuntu",
            local_user: "me",
            tag: "fast",
            is_final,
            tokens: Tokens::of(meaning),
            machine: &*HERE,
        }
    }

    fn holds(line: &str, is_final: bool) -> Result<bool, String> {
        let words =
            Vec::from_iter(super::super::line::Line::parse(&format!("Match {line}")).unwrap().words.unwrap());
        matched(&words, &known(is_final)).map(|matched| matched.holds)
    }

    #[test]
    fn every_condition_is_held_against_what_it_is_about() {
        for (line, expected) in [
            ("all", true),
            ("!all", false),
            ("host *.LAB.example", true),
            ("host gpu", false),
            ("originalhost gpu", true),
            ("originalhost gpu host other", false),
            ("user ubuntu,root", true),
            ("user *,!ubuntu", false),
            ("!user root", true),
            ("localuser me", true),
            ("tagged fast", true),
            ("tagged slow", false),
            ("host=*.example user=ubuntu", true),
            ("localnetwork 127.0.0.0/8", true),
            ("localnetwork 233.252.0.0/24", false),
            ("!localnetwork 233.252.0.0/24", true),
            ("exec true", true),
            ("exec \"test %n-%r = gpu-ubuntu\"", true),
            ("exec \"exit 3\"", false),
            ("host nobody exec \"touch /tmp/never\"", false),
            ("final", false),
            ("canonical all", false),
            ("!final", true),
        ] {
            assert_eq!(holds(line, false), Ok(expected), "{line}");
        }
        for line in ["final", "canonical", "final host *.example", "canonical all"] {
            assert_eq!(holds(line, true), Ok(true), "{line}");
        }
    }

    #[test]
    fn a_condition_that_makes_no_sense_is_told() {
        for line in ["host", "moon full", "localnetwork here"] {
            assert!(holds(line, false).is_err(), "{line}");
        }
    }

    #[test]
    fn only_a_wish_for_the_final_name_makes_a_second_reading() {
        let wants = |line: &[&str]| {
            let words = Vec::from_iter(line.iter().map(ToString::to_string));
            matched(&words, &known(false)).unwrap().wants_final
        };
        assert!(wants(&["host", "other", "final"]));
        assert!(!wants(&["!final"]));
        assert!(!wants(&["canonical"]));
    }
}
