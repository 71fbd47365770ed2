//! The accounts of this machine: who runs this program, and where somebody's home is.

use std::path::PathBuf;
use std::process::Command;

/// An account of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) home: PathBuf,
}

/// The account that this program runs as. A container often sets no USER, and may know no such account.
pub(super) fn own() -> Account {
    let uid = rustix::process::getuid().as_raw().to_string();
    look_up(&uid).unwrap_or_else(|| Account {
        name: std::env::var("USER").unwrap_or(uid),
        home: std::env::home_dir().unwrap_or_else(|| PathBuf::from("/")),
    })
}

/// The account of this name or number.
pub(super) fn look_up(key: &str) -> Option<Account> {
    let of_file = std::fs::read_to_string("/etc/passwd").ok().and_then(|text| find(&text, key));
    // Accounts of a directory service stand in no file.
    of_file.or_else(|| {
        let output = Command::new("getent").args(["passwd", "--", key]).output().ok()?;
        find(&String::from_utf8_lossy(&output.stdout), key)
    })
}

fn find(passwd: &str, key: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let fields = Vec::from_iter(line.split(':'));
        let is_it = fields.first() == Some(&key) || fields.get(2) == Some(&key);
        is_it.then(|| Some(Account { name: (*fields.first()?).to_owned(), home: fields.get(5)?.into() }))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_the_one_that_id_tells() {
        let output = Command::new("id").arg("-un").output().unwrap();
        assert_eq!(own().name, String::from_utf8(output.stdout).unwrap().trim());
    }

    #[test]
    fn an_account_is_found_by_name_and_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\n+::::::\nme:x:1000:1000::/home/me:/bin/fish\n";
        let me = Account { name: "me".into(), home: "/home/me".into() };
        assert_eq!(find(passwd, "me"), Some(me.clone()));
        assert_eq!(find(passwd, "1000"), Some(me));
        assert_eq!(find(passwd, "nobody"), None);
    }
}
