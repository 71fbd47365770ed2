//! `~/.netrc`: a user's credentials by host, as curl, git and pip read them.

use std::env;
use std::fs;
use std::path::PathBuf;

/// The user and password for a host (`host[:port]`), where the file has some.
pub(super) fn login(host: &str) -> Option<(String, String)> {
    let named = env::var_os("NETRC").filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".netrc"));
    find(&fs::read_to_string(named.or_else(home)?).ok()?, host.split(':').next()?)
}

fn find(text: &str, host: &str) -> Option<(String, String)> {
    let mut words =
        text.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(str::split_whitespace);
    let (mut ours, mut user, mut password) = (false, None, None);
    while let Some(word) = words.next() {
        match word {
            "machine" | "default" => {
                if ours && password.is_some() {
                    break;
                }
                ours = word == "default" || words.next() == Some(host);
                (user, password) = (None, None);
            }
            "login" => user = words.next().filter(|_| ours),
            "password" => password = words.next().filter(|_| ours),
            _ => {}
        }
    }
    Some((user.unwrap_or_default().to_owned(), password?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_of_a_host_is_taken_and_the_default_for_others() {
        let text = "# a comment with machine h\nmachine a login u password p\nmachine b\n  login v\n  password q\n\
                    machine a login w password r\ndefault login d password e\n";
        let has = |host: &str| find(text, host).unwrap();
        assert_eq!(has("a"), ("u".into(), "p".into()));
        assert_eq!(has("b"), ("v".into(), "q".into()));
        assert_eq!(has("c"), ("d".into(), "e".into()));
        assert_eq!(find("machine a login u", "a"), None);
    }
}
