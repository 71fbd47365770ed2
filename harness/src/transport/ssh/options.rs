//! What a connection is made with: the user's own files, or nothing of theirs.

use std::path::PathBuf;
use std::time::Duration;

use super::{ClientKey, HostKey, accounts};
use crate::here::Env;

/// A node that accepts no connection for so long is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// A peer that is silent for so long, although asked, is dead.
const SILENCE_LIMIT: Duration = Duration::from_secs(20);

/// Where keys and settings are looked for, and how long is waited.
#[derive(Debug, Clone)]
pub struct SshOptions {
    /// The account here; the default for the account there.
    pub user: String,
    /// What `~` stands for.
    pub home: PathBuf,
    /// The ssh to ask what the configuration says, with its first arguments; none: the files below are read here.
    pub ssh: Vec<String>,
    /// The ssh configuration; need not exist.
    pub config: PathBuf,
    /// The machine's ssh configuration, which counts after it; need not exist.
    pub system_config: Option<PathBuf>,
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
    /// How long the way to an authenticated session may take, per step, where the configuration does not say.
    pub connect_timeout: Duration,
    /// How long the peer may be silent, although asked, before the connection counts as lost.
    pub silence_limit: Duration,
    /// What `${VARIABLE}` stands for, and which shell runs lines.
    pub env: Env,
}

impl SshOptions {
    /// What OpenSSH would use for this user; a key file and a `known_hosts` file may be given, below `~` too.
    pub fn of_user(env: &Env, identity: Option<PathBuf>, known_hosts: Option<PathBuf>) -> Self {
        let account = accounts::own(env);
        let home = env.get("HOME").map_or_else(|| account.home.clone(), PathBuf::from);
        let config = home.join(".ssh/config");
        let agent = env.get("SSH_AUTH_SOCK").map(PathBuf::from);
        let below_home = |path: PathBuf| path.strip_prefix("~").map(|below| home.join(below)).unwrap_or(path);
        let (identity, known_hosts) = (identity.map(below_home), known_hosts.map(below_home));
        // ssh goes by the account's home, whatever $HOME says: where that is another, its answer would be about other files.
        let ssh = if home == account.home { vec!["ssh".to_owned()] } else { Vec::new() };
        let system_config = Some("/etc/ssh/ssh_config".into());
        let (user, env) = (account.name, env.clone());
        Self { user, ssh, system_config, known_hosts, identity, agent, env, ..Self::below(home, config) }
    }

    /// Nothing of the user's: one key on either side, both known beforehand.
    pub fn of_new_node(key: ClientKey, pinned: HostKey) -> Self {
        let nowhere = "/nonexistent";
        Self { key: Some(key), pinned: Some(pinned), ..Self::below(nowhere, nowhere) }
    }

    /// Only what lies below `home`, and the given configuration: nothing of the environment.
    pub fn below(home: impl Into<PathBuf>, config: impl Into<PathBuf>) -> Self {
        Self {
            user: accounts::own(&Env::default()).name,
            home: home.into(),
            ssh: Vec::new(),
            config: config.into(),
            system_config: None,
            known_hosts: None,
            pinned: None,
            key: None,
            identity: None,
            agent: None,
            connect_timeout: CONNECT_TIMEOUT,
            silence_limit: SILENCE_LIMIT,
            env: Env::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_users_follows_from_the_environment_that_is_passed() {
        let variables = [("HOME", "/home/other"), ("SSH_AUTH_SOCK", "/run/agent")];
        let env = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
        let options = SshOptions::of_user(&env, Some("~/.ssh/lab".into()), Some("keys/known".into()));
        assert_eq!(options.identity, Some("/home/other/.ssh/lab".into()));
        assert_eq!(options.known_hosts, Some("keys/known".into()));
        assert_eq!(
            (options.agent, options.config),
            (Some("/run/agent".into()), "/home/other/.ssh/config".into())
        );
        assert!(options.ssh.is_empty(), "ssh itself would look into the account's home");
    }
}
