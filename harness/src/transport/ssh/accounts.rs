//! The accounts of this machine: who runs this program, and where somebody's home is.

use std::path::PathBuf;

use nix::unistd::{Uid, User};

use crate::here::Env;

/// An account of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) home: PathBuf,
}

/// The account that this program runs as. A container often sets no USER, and may know no such account.
pub(super) fn own(env: &Env) -> Account {
    let uid = Uid::current();
    User::from_uid(uid).ok().flatten().map_or_else(
        || Account {
            name: env.get("USER").unwrap_or_else(|| uid.to_string()),
            home: env.get("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from),
        },
        Account::from,
    )
}

pub(super) fn look_up(name: &str) -> Option<Account> {
    User::from_name(name).ok().flatten().map(Account::from)
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        Self { name: user.name, home: user.dir }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_the_one_that_id_tells_and_is_found_by_its_name() {
        let output = std::process::Command::new("id").arg("-un").output().unwrap();
        let own = own(&Env::default());
        assert_eq!(own.name, String::from_utf8(output.stdout).unwrap().trim());
        assert_eq!(look_up(&own.name), Some(own));
        assert_eq!(look_up("no such account"), None);
    }
}
