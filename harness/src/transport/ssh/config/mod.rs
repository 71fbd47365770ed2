//! The user's ssh configuration, as their own ssh takes it.
//!
//! Nothing knows better what a configuration means than the ssh that it was written for, so that is asked ([`ask`]: `ssh -G`) where it
//! is installed and would read the same files. It goes by the account's home and not by `$HOME`; where these differ, and where there
//! is no ssh, the files are read here ([`reader`], with [`line`], [`criteria`] and [`tokens`], and [`machine`] for what they ask of it). Both ways end in the same
//! [`found::Found`], of which [`settings`] takes what matters.

mod ask;
#[cfg(test)]
mod corpus;
mod criteria;
mod found;
mod jump;
mod line;
mod machine;
mod reader;
mod settings;
mod tokens;

use std::path::PathBuf;

pub(super) use settings::{Family, Settings, Way};

use super::SshOptions;
use super::address::Address;
use super::program::shell;
use found::Origin;
use machine::{Machine, This};

/// What is asked about: what the user typed.
pub(super) type Subject = Address;

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfigError {
    #[error("{}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{at}: {reason}")]
    Value { at: Origin, reason: String },
    #[error("`ssh -G {host}` says: {said}")]
    Refused { host: String, said: String },
}

impl Settings {
    /// What the user's configuration says about a host.
    pub(super) fn find(subject: &Subject, options: &SshOptions) -> Result<Self, ConfigError> {
        let found = match ask::ask(&options.ssh, subject, options.connect_timeout)? {
            Some(found) => found,
            None => reader::read(
                subject,
                &options.sources(&This { limit: options.connect_timeout, shell: shell(&options.env) }),
            )?,
        };
        Self::of(&found, subject, options.defaults())
    }
}

/// What the files say where no program runs, no name is looked up and only the files beside are included.
#[cfg(any(test, feature = "fuzz"))]
pub(super) fn read_nowhere(subject: &Subject, options: &SshOptions) -> Result<Settings, ConfigError> {
    #[derive(Debug)]
    struct Nowhere<'a>(&'a std::path::Path);

    impl Machine for Nowhere<'_> {
        fn succeeds(&self, line: &str) -> Result<bool, String> {
            Ok(line.len().is_multiple_of(2))
        }

        fn has_address(&self, name: &str) -> bool {
            name.len().is_multiple_of(2)
        }

        fn files(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
            let name = std::path::Path::new(pattern).file_name();
            let here = name.map(|name| self.0.join(name)).filter(|file| file.is_file());
            Ok(Vec::from_iter(here))
        }
    }

    let found = reader::read(subject, &options.sources(&Nowhere(&options.home)))?;
    Settings::of(&found, subject, options.defaults())
}

impl SshOptions {
    fn defaults(&self) -> settings::Defaults<'_> {
        settings::Defaults {
            user: &self.user,
            home: &self.home,
            agent: self.agent.as_deref(),
            env: &self.env,
        }
    }

    fn sources<'a>(&'a self, machine: &'a dyn Machine) -> reader::Sources<'a> {
        reader::Sources {
            home: &self.home,
            user: &self.config,
            system: self.system_config.as_deref(),
            local_user: &self.user,
            env: &self.env,
            machine,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn options(config: &str) -> (tempfile::TempDir, SshOptions) {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".ssh")).unwrap();
        let file = home.path().join(".ssh/config");
        std::fs::write(&file, config).unwrap();
        let options = SshOptions { user: "me".into(), ..SshOptions::below(home.path(), file) };
        (home, options)
    }

    fn find(address: &str, options: &SshOptions) -> Settings {
        Settings::find(&Address::parse(address).unwrap(), options).unwrap()
    }

    fn place(settings: &Settings) -> (&str, &str, u16) {
        (&settings.user, &settings.host, settings.port)
    }

    #[test]
    fn the_first_value_that_matches_holds_and_the_address_wins_over_all() {
        let (home, options) = options(
            "Host node !node.bad\n  HostName 10.0.0.7\n  User ubuntu\n  Port 2200\n  IdentityFile ~/.ssh/%r-%h\n\
             Host no*\n  User other\n  IdentityFile ~/second\n  UserKnownHostsFile ~/hosts /etc/hosts_%p\n\
             GlobalKnownHostsFile none\nHost *\n  Port 99\n",
        );
        let settings = find("ssh://node", &options);
        assert_eq!(place(&settings), ("ubuntu", "10.0.0.7", 2200));
        assert_eq!(
            settings.identities,
            [home.path().join(".ssh/ubuntu-10.0.0.7"), home.path().join("second")]
        );
        assert_eq!(settings.known_hosts, [home.path().join("hosts"), "/etc/hosts_2200".into()]);
        assert_eq!(place(&find("ssh://root@node:1", &options)), ("root", "10.0.0.7", 1));
        assert_eq!(place(&find("ssh://elsewhere", &options)), ("me", "elsewhere", 99));
    }

    #[test]
    fn a_block_about_another_host_changes_nothing() {
        let (_home, options) = options(
            "Host gpu\n  User a\nMatch host elsewhere\n  User b\n  Port 7\nMatch originalhost gpu user a\n  Port 8\n",
        );
        assert_eq!(place(&find("ssh://gpu", &options)), ("a", "gpu", 8));
        assert_eq!(place(&find("ssh://elsewhere", &options)), ("b", "elsewhere", 7));
    }

    #[test]
    fn an_included_file_counts_where_it_stands_and_no_further() {
        let (home, options) = options("Include extra\nHost other\n  Include in-other\nHost *\n  Port 5\n");
        let write =
            |name: &str, text: &str| std::fs::write(home.path().join(".ssh").join(name), text).unwrap();
        write("extra", "Host gpu\n  User fromextra\n  HostKeyAlias Known-As\n");
        write("in-other", "User fromother\nHost gpu\n  Port 6\n");
        let settings = find("ssh://gpu", &options);
        assert_eq!(place(&settings), ("fromextra", "gpu", 5));
        assert_eq!(settings.key_alias.as_deref(), Some("known-as"));
        assert_eq!(place(&find("ssh://other", &options)), ("fromother", "other", 5));
    }

    #[test]
    fn files_that_include_each_other_end_in_an_error_that_names_the_line() {
        let (home, options) = options("Include config\n");
        let error = Settings::find(&Address::parse("ssh://gpu").unwrap(), &options).unwrap_err();
        let place = home.path().join(".ssh/config");
        assert_eq!(error.to_string(), format!("{}:1: `Include` leads deeper than 16 files", place.display()));
    }

    #[test]
    fn what_is_not_used_may_be_anything_and_what_is_used_is_told_by_its_line() {
        let (home, options) = options(
            "FrobnicateKeys \"yes\nControlMaster auto\nHost other\n  Port nowhere\nHost gpu\n  ForwardAgent ???\n",
        );
        find("ssh://gpu", &options);
        let error = Settings::find(&Address::parse("ssh://other").unwrap(), &options).unwrap_err();
        let place = home.path().join(".ssh/config");
        assert_eq!(error.to_string(), format!("{}:4: `nowhere` is no port (1 to 65535)", place.display()));
    }

    #[test]
    fn whichever_of_proxy_jump_and_proxy_command_comes_first_holds() {
        let (_home, options) = options(
            "Host a c\n  ProxyJump me@bastion:7\nHost *\n  ProxyCommand nc %h %p # \"quoted\n\
             Host a\n  Port 3\n",
        );
        let Way::Jump(hops) = find("ssh://a", &options).way else { panic!() };
        assert_eq!(hops, [Address { user: Some("me".into()), host: "bastion".into(), port: Some(7) }]);
        assert_eq!(find("ssh://b", &options).way, Way::Command("nc b 22 # \"quoted".into()));
    }

    #[test]
    fn none_means_nothing() {
        let (_home, options) = options(
            "ProxyJump none\nProxyCommand none\nIdentityFile none\nIdentityAgent none\nUserKnownHostsFile none\n\
             GlobalKnownHostsFile none\nConnectTimeout none\nHost *\n  ProxyJump bastion\n",
        );
        let options = SshOptions { agent: Some("/agent".into()), ..options };
        let settings = find("ssh://gpu", &options);
        assert_eq!(settings.way, Way::Direct);
        assert_eq!((settings.identities.len(), settings.known_hosts.len()), (0, 0));
        assert_eq!((settings.agent, settings.connect_timeout), (None, None));
    }

    #[test]
    fn without_a_configuration_the_usual_files_are_used() {
        let home = tempfile::tempdir().unwrap();
        let settings = find("ssh://GPU", &SshOptions::below(home.path(), home.path().join("none")));
        let name = |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(
            Vec::from_iter(settings.identities.iter().map(name)),
            ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"]
        );
        assert_eq!(settings.host, "gpu");
        assert_eq!(settings.known_hosts[0], home.path().join(".ssh/known_hosts"));
        assert_eq!(settings.known_hosts[2], PathBuf::from("/etc/ssh/ssh_known_hosts"));
    }

    #[test]
    fn the_final_name_is_held_against_the_patterns_once_more() {
        let (_home, options) = options(
            "Host gpu\n  HostName gpu.lab\nMatch final host *.lab\n  User final\nHost *.lab\n  Port 4\n",
        );
        assert_eq!(place(&find("ssh://gpu", &options)), ("final", "gpu.lab", 4));
        assert_eq!(place(&find("ssh://cpu", &options)), ("me", "cpu", 22));
    }

    #[test]
    fn a_program_that_decides_takes_no_longer_than_a_connection_may() {
        let (_home, options) = options("Match exec \"exec sleep 60\"\n  Port 4\n");
        let options = SshOptions { connect_timeout: Duration::from_millis(50), ..options };
        let error = Settings::find(&Address::parse("ssh://gpu").unwrap(), &options).unwrap_err();
        assert!(error.to_string().contains(":1: `exec sleep 60`: it has not ended for 0.05 s"), "{error}");
    }
}
