//! Who is connected to and with what, from an `ssh://` address and the user's ssh configuration.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ssh2_config::{HostParams, ParseRule, SshConfig};

use super::{ClientKey, HostKey};
use crate::transport::{Peer, TransportError};

/// A node that accepts no connection for so long is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// A peer that is silent for so long, although asked, is dead.
const SILENCE_LIMIT: Duration = Duration::from_secs(20);
/// The key files that OpenSSH tries by itself.
const DEFAULT_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// Where keys and settings are looked for, and how long is waited.
#[derive(Debug, Clone)]
pub struct SshOptions {
    /// The account here; the default for the account there.
    pub user: String,
    /// What `~` stands for.
    pub home: PathBuf,
    /// The ssh configuration; need not exist.
    pub config: PathBuf,
    /// Files of known host keys instead of those that the configuration names.
    pub known_hosts: Option<PathBuf>,
    /// The only host key that is accepted; `known_hosts` is then not looked at.
    pub pinned: Option<HostKey>,
    /// The only key to log in with; no file and no agent is then asked for another.
    pub key: Option<ClientKey>,
    /// A key file to try first.
    pub identity: Option<PathBuf>,
    /// The socket of the ssh agent.
    pub agent: Option<PathBuf>,
    /// How long the way to an authenticated session may take, per step.
    pub connect_timeout: Duration,
    /// How long the peer may be silent, although asked, before the connection counts as lost.
    pub silence_limit: Duration,
}

impl SshOptions {
    /// What OpenSSH would use for this user; a key file and a `known_hosts` file may be given.
    pub fn of_user(identity: Option<PathBuf>, known_hosts: Option<PathBuf>) -> Self {
        let home = std::env::home_dir().unwrap_or_else(|| PathBuf::from("/"));
        let config = home.join(".ssh/config");
        let agent = std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from);
        Self { known_hosts, identity, agent, ..Self::below(home, config) }
    }

    /// Nothing of the user's: one key on either side, both known beforehand.
    pub fn of_new_node(key: ClientKey, pinned: HostKey) -> Self {
        let nowhere = "/nonexistent";
        Self { key: Some(key), pinned: Some(pinned), ..Self::below(nowhere, nowhere) }
    }

    /// Only what lies below `home`, and the given configuration: nothing of the environment.
    pub fn below(home: impl Into<PathBuf>, config: impl Into<PathBuf>) -> Self {
        Self {
            user: account(),
            home: home.into(),
            config: config.into(),
            known_hosts: None,
            pinned: None,
            key: None,
            identity: None,
            agent: None,
            connect_timeout: CONNECT_TIMEOUT,
            silence_limit: SILENCE_LIMIT,
        }
    }
}

/// The account that this program runs as; a container often sets no USER.
fn account() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of_uid = |line: &&str| line.split(':').nth(2) == Some(uid.as_str());
    let known = accounts.lines().find(of_uid).and_then(|line| line.split(':').next()).map(str::to_owned);
    // Accounts of a directory service stand in no file.
    known.or_else(|| std::env::var("USER").ok()).unwrap_or(uid)
}

/// An address with everything that the configuration says about it.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) peer: Peer,
    /// The name that known keys are looked up by.
    pub(super) key_name: String,
    /// Files of known keys, in order; the first is the one to add to.
    pub(super) known_hosts: Vec<PathBuf>,
    /// Key files to try after the agent's keys.
    pub(super) identities: Vec<PathBuf>,
}

impl Target {
    /// Reads `ssh://[user@]host[:port]` and what the ssh configuration says about `host`.
    pub(super) fn find(address: &str, options: &SshOptions) -> Result<Self, TransportError> {
        let Address { user, host, port } = Address::parse(address)
            .map_err(|reason| TransportError::Address { address: without_password(address), reason })?;
        let params = read_config(options)?.query(&host);
        if let Some(option) = proxy(&params) {
            return Err(TransportError::Unsupported { host, option, path: options.config.clone() });
        }
        let real = params.host_name.clone().map_or_else(|| host.clone(), |name| name.replace("%h", &host));
        let peer = Peer {
            user: user.or(params.user.clone()).unwrap_or_else(|| options.user.clone()),
            port: port.or(params.port).unwrap_or(22),
            host: real,
        };
        let expand = |path: &Path| expand(path, &peer, options);
        let identities = match &params.identity_file {
            Some(files) => files.iter().map(|file| expand(file)).collect(),
            None => DEFAULT_KEYS.iter().map(|name| options.home.join(".ssh").join(name)).collect(),
        };
        let known_hosts = match (&options.known_hosts, setting(&params, "userknownhostsfile")) {
            (Some(file), _) => vec![file.clone()],
            (None, Some(files)) => files.iter().map(|file| expand(Path::new(file))).collect(),
            (None, None) => vec![options.home.join(".ssh/known_hosts"), "/etc/ssh/ssh_known_hosts".into()],
        };
        let alias = setting(&params, "hostkeyalias").and_then(|names| names.first().cloned());
        let key_name = alias.unwrap_or_else(|| match peer.port {
            22 => peer.host.to_lowercase(),
            port => format!("[{}]:{port}", peer.host.to_lowercase()),
        });
        Ok(Self { peer, key_name, known_hosts, identities })
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Address {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

impl Address {
    fn parse(address: &str) -> Result<Self, String> {
        let rest = address.strip_prefix("ssh://").ok_or("it does not begin with ssh://")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if let Some(odd) =
            rest.chars().find(|c| c.is_whitespace() || c.is_control() || "/?#\\'\"".contains(*c))
        {
            return Err(format!("{odd:?} cannot be part of it"));
        }
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => {
                return Err("it holds a password; only keys are used".to_owned());
            }
            Some((user, place)) => (Some(user.to_owned()), place),
            None => (None, rest),
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(bracketed) => {
                let (host, after) =
                    bracketed.split_once(']').ok_or("the bracket of an IPv6 address is not closed")?;
                (host, after.strip_prefix(':').or((!after.is_empty()).then_some(after)))
            }
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            None => None,
            Some(text) => {
                let port = text.parse::<u16>().ok().filter(|port| *port != 0);
                Some(port.ok_or_else(|| {
                    format!("`{text}` is no port (1 to 65535; IPv6 addresses go in brackets)")
                })?)
            }
        };
        if host.is_empty() || host.starts_with('-') || user.as_ref().is_some_and(String::is_empty) {
            return Err("the host or the user is empty".to_owned());
        }
        Ok(Self { user, host: host.to_owned(), port })
    }
}

/// The address as it may be shown.
fn without_password(address: &str) -> String {
    match address.rsplit_once('@').and_then(|(user, place)| Some((user.rsplit_once(':')?.0, place))) {
        Some((user, place)) if user != "ssh" => format!("{user}:…@{place}"),
        _ => address.to_owned(),
    }
}

fn read_config(options: &SshOptions) -> Result<SshConfig, TransportError> {
    let failed = |source| TransportError::Config { path: options.config.clone(), source };
    let file = match File::open(&options.config) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(SshConfig::default()),
        Err(error) => return Err(failed(error.into())),
    };
    // A file for OpenSSH may hold anything that OpenSSH knows; only what is used here has to make sense.
    let rules = ParseRule::ALLOW_UNKNOWN_FIELDS | ParseRule::ALLOW_UNSUPPORTED_FIELDS;
    SshConfig::default()
        .home_dir(&options.home)
        .parse(&mut BufReader::new(file), rules)
        .map_err(|error| failed(error.into()))
}

/// An option that this crate's parser knows and does not interpret.
fn setting<'a>(params: &'a HostParams, name: &str) -> Option<&'a Vec<String>> {
    params.unsupported_fields.get(name).filter(|values| !values.is_empty())
}

fn proxy(params: &HostParams) -> Option<&'static str> {
    let set = |values: Option<&Vec<String>>| {
        values.is_some_and(|values| values.first().is_some_and(|first| !first.eq_ignore_ascii_case("none")))
    };
    if set(params.proxy_jump.as_ref()) {
        return Some("ProxyJump");
    }
    set(setting(params, "proxycommand")).then_some("ProxyCommand")
}

/// `~` and the percent signs of `ssh_config` that name files.
fn expand(path: &Path, peer: &Peer, options: &SshOptions) -> PathBuf {
    let home = options.home.to_string_lossy();
    let text = path.to_string_lossy();
    let text =
        text.strip_prefix("~/").map_or_else(|| text.clone().into_owned(), |rest| format!("{home}/{rest}"));
    let mut expanded = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            expanded.push(c);
            continue;
        }
        match chars.next() {
            Some('%') => expanded.push('%'),
            Some('d') => expanded.push_str(&home),
            Some('h') => expanded.push_str(&peer.host),
            Some('r') => expanded.push_str(&peer.user),
            Some('u') => expanded.push_str(&options.user),
            Some('p') => expanded.push_str(&peer.port.to_string()),
            other => expanded.extend(['%'].into_iter().chain(other)),
        }
    }
    expanded.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(config: &str) -> (tempfile::TempDir, SshOptions) {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".ssh")).unwrap();
        let file = home.path().join(".ssh/config");
        std::fs::write(&file, config).unwrap();
        let options = SshOptions { user: "me".into(), ..SshOptions::below(home.path(), file) };
        (home, options)
    }

    fn peer(user: &str, host: &str, port: u16) -> Peer {
        Peer { user: user.into(), host: host.into(), port }
    }

    #[test]
    fn an_address_is_read_in_each_of_its_forms() {
        let (_home, options) = options("");
        for (address, user, host, port) in [
            ("ssh://gpu", "me", "gpu", 22),
            ("ssh://gpu/", "me", "gpu", 22),
            ("ssh://ubuntu@gpu.example.org:2222", "ubuntu", "gpu.example.org", 2222),
            ("ssh://a@b@gpu", "a@b", "gpu", 22),
            ("ssh://[::1]", "me", "::1", 22),
            ("ssh://u@[fe80::1]:99", "u", "fe80::1", 99),
        ] {
            assert_eq!(Target::find(address, &options).unwrap().peer, peer(user, host, port), "{address}");
        }
    }

    #[test]
    fn a_wrong_address_says_what_is_wrong() {
        let (_home, options) = options("");
        let said: Vec<String> = [
            "gpu",
            "ssh://",
            "ssh://@gpu",
            "ssh://gpu:",
            "ssh://gpu:0",
            "ssh://gpu:65536",
            "ssh://::1",
            "ssh://[::1",
            "ssh://[::1]x",
            "ssh://me:secret@gpu",
            "ssh://gpu/path",
            "ssh://-oProxyCommand=x",
            "ssh://g pu",
        ]
        .iter()
        .map(|address| {
            Target::find(address, &options).unwrap_err().to_string().lines().next().unwrap().to_owned()
        })
        .collect();
        insta::assert_snapshot!(said.join("\n"), @r"
        read the address `gpu`: it does not begin with ssh://
        read the address `ssh://`: the host or the user is empty
        read the address `ssh://@gpu`: the host or the user is empty
        read the address `ssh://gpu:`: `` is no port (1 to 65535; IPv6 addresses go in brackets)
        read the address `ssh://gpu:0`: `0` is no port (1 to 65535; IPv6 addresses go in brackets)
        read the address `ssh://gpu:65536`: `65536` is no port (1 to 65535; IPv6 addresses go in brackets)
        read the address `ssh://::1`: `:1` is no port (1 to 65535; IPv6 addresses go in brackets)
        read the address `ssh://[::1`: the bracket of an IPv6 address is not closed
        read the address `ssh://[::1]x`: `x` is no port (1 to 65535; IPv6 addresses go in brackets)
        read the address `ssh://me:…@gpu`: it holds a password; only keys are used
        read the address `ssh://gpu/path`: '/' cannot be part of it
        read the address `ssh://-oProxyCommand=x`: the host or the user is empty
        read the address `ssh://g pu`: ' ' cannot be part of it
        ");
    }

    #[test]
    fn the_first_setting_that_matches_wins_and_the_address_wins_over_all() {
        let (home, options) = options(
            "Host node !node.bad\n  HostName 10.0.0.7\n  User ubuntu\n  Port 2200\n  IdentityFile ~/.ssh/%r-%h\n\
             Host no*\n  User other\n  IdentityFile ~/second\n  UserKnownHostsFile ~/hosts /etc/hosts_%p\n\
             Host *\n  Port 99\n",
        );
        let target = Target::find("ssh://node", &options).unwrap();
        assert_eq!(target.peer, peer("ubuntu", "10.0.0.7", 2200));
        assert_eq!(target.key_name, "[10.0.0.7]:2200");
        assert_eq!(target.identities, [home.path().join(".ssh/ubuntu-10.0.0.7"), home.path().join("second")]);
        assert_eq!(target.known_hosts, [home.path().join("hosts"), "/etc/hosts_2200".into()]);
        assert_eq!(Target::find("ssh://root@node:1", &options).unwrap().peer, peer("root", "10.0.0.7", 1));
        assert_eq!(Target::find("ssh://elsewhere", &options).unwrap().peer, peer("me", "elsewhere", 99));
    }

    #[test]
    fn a_negated_pattern_keeps_its_settings_from_a_host() {
        let (_home, options) = options("Host *.lan !bad.lan\n  User lan\n");
        assert_eq!(Target::find("ssh://good.lan", &options).unwrap().peer.user, "lan");
        assert_eq!(Target::find("ssh://bad.lan", &options).unwrap().peer.user, "me");
    }

    #[test]
    fn an_included_file_counts_and_unknown_options_do_not_matter() {
        let (home, options) = options("Include extra\nHost *\n  FrobnicateKeys yes\n  ControlMaster auto\n");
        std::fs::write(
            home.path().join(".ssh/extra"),
            "Host gpu\n  User fromextra\n  HostKeyAlias known-as\n",
        )
        .unwrap();
        let target = Target::find("ssh://gpu", &options).unwrap();
        assert_eq!((target.peer.user.as_str(), target.key_name.as_str()), ("fromextra", "known-as"));
    }

    #[test]
    fn a_jump_host_is_refused_rather_than_ignored() {
        let (_home, options) =
            options("Host a\n ProxyJump bastion\nHost b\n ProxyCommand nc %h\nHost c\n ProxyJump none\n");
        for (address, option) in [("ssh://a", "ProxyJump"), ("ssh://b", "ProxyCommand")] {
            let error = Target::find(address, &options).unwrap_err();
            assert!(error.to_string().contains(&format!("sets {option} for it")), "{error}");
            assert!(!error.is_transient());
        }
        Target::find("ssh://c", &options).unwrap();
    }

    #[test]
    fn the_account_is_the_one_that_id_tells() {
        let output = std::process::Command::new("id").arg("-un").output().unwrap();
        assert_eq!(account(), String::from_utf8(output.stdout).unwrap().trim());
    }

    #[test]
    fn without_a_configuration_the_usual_files_are_used() {
        let home = tempfile::tempdir().unwrap();
        let target =
            Target::find("ssh://GPU", &SshOptions::below(home.path(), home.path().join("none"))).unwrap();
        let names: Vec<_> =
            target.identities.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, DEFAULT_KEYS);
        assert_eq!(target.key_name, "gpu");
        assert_eq!(target.known_hosts[0], home.path().join(".ssh/known_hosts"));
    }
}
