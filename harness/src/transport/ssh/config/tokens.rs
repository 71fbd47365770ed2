//! What stands for something else in values: `%h` and the like, `${VARIABLE}`, `~`.

use std::path::Path;

use sha1::{Digest as _, Sha1};

use crate::here::Env;
use crate::transport::ssh::accounts;

/// What the percent signs of one connection stand for.
#[derive(Debug, Clone)]
pub(super) struct Tokens(Vec<(char, String)>);

/// What the percent signs are made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meaning<'a> {
    /// The name that was asked for.
    pub(super) original: &'a str,
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) user: &'a str,
    pub(super) local_user: &'a str,
    pub(super) home: &'a str,
    pub(super) key_alias: Option<&'a str>,
    pub(super) jump: &'a str,
}

impl Tokens {
    pub(super) fn of(meaning: Meaning<'_>) -> Self {
        let Meaning { original, host, port, user, local_user, home, key_alias, jump } = meaning;
        let here = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let short = here.split('.').next().unwrap_or_default().to_owned();
        let hash = hex::encode(Sha1::digest(format!("{here}{host}{port}{user}{jump}")));
        Self(vec![
            ('C', hash),
            ('d', home.to_owned()),
            ('h', host.to_owned()),
            ('i', rustix::process::getuid().as_raw().to_string()),
            ('j', jump.to_owned()),
            ('k', key_alias.unwrap_or(original).to_owned()),
            ('L', short),
            ('l', here),
            ('n', original.to_owned()),
            ('p', port.to_string()),
            ('r', user.to_owned()),
            ('u', local_user.to_owned()),
        ])
    }

    /// A text with its percent signs replaced.
    pub(super) fn percent(&self, text: &str) -> Result<String, String> {
        let mut expanded = String::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                expanded.push(c);
                continue;
            }
            match chars.next() {
                Some('%') => expanded.push('%'),
                Some(key) => match self.0.iter().find(|(known, _)| *known == key) {
                    Some((_, value)) => expanded.push_str(value),
                    None => return Err(format!("`%{key}` stands for nothing; a percent sign is written %%")),
                },
                None => return Err("a percent sign is written %%".to_owned()),
            }
        }
        Ok(expanded)
    }

    /// A file's name with all of it replaced.
    pub(super) fn path(&self, text: &str, home: &Path, env: &Env) -> Result<String, String> {
        variables(&self.percent(&tilde(text, home)?)?, env)
    }
}

/// A text with each `${VARIABLE}` replaced.
pub(super) fn variables(text: &str, env: &Env) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or("a `${` is not closed by a `}`")?;
        let value = env.get(name).ok_or_else(|| format!("the variable `{name}` is not set"))?;
        expanded.push_str(before);
        expanded.push_str(&value);
        rest = after;
    }
    Ok(expanded + rest)
}

/// A file's name with `~` or `~user` replaced.
pub(super) fn tilde(text: &str, home: &Path) -> Result<String, String> {
    let Some(rest) = text.strip_prefix('~') else { return Ok(text.to_owned()) };
    let (user, path) = rest.split_once('/').unwrap_or((rest, ""));
    let home = match user {
        "" => home.to_path_buf(),
        user => accounts::look_up(user).ok_or_else(|| format!("there is no account `{user}` here"))?.home,
    };
    Ok(home.join(path.trim_start_matches('/')).display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens::of(Meaning {
            original: "gpu",
            host: "10.0.0.1",
            port: 99,
            user: "ubuntu",
            local_user: "me",
            home: "/home/me",
            key_alias: None,
            jump: "",
        })
    }

    #[test]
    fn percent_signs_stand_for_the_connection() {
        assert_eq!(
            tokens().percent("%u %r %h %n %k %p %d %%h").unwrap(),
            "me ubuntu 10.0.0.1 gpu gpu 99 /home/me %h"
        );
        assert_eq!(tokens().percent("%C").unwrap().len(), 40);
        assert!(tokens().percent("100%").is_err());
        assert_eq!(
            tokens().percent("%y").unwrap_err(),
            "`%y` stands for nothing; a percent sign is written %%"
        );
    }

    #[test]
    fn a_tilde_is_a_home_and_a_variable_is_the_environments() {
        let home = Path::new("/home/me");
        assert_eq!(tilde("~", home).unwrap(), "/home/me/");
        assert_eq!(tilde("~/.ssh/a b", home).unwrap(), "/home/me/.ssh/a b");
        assert_eq!(tilde("~root/x", home).unwrap(), "/root/x");
        assert_eq!(tilde("/a/~b", home).unwrap(), "/a/~b");
        assert!(tilde("~no-such-account/x", home).is_err());
        let env = Env::from_iter([("LAB".to_owned(), "lab".to_owned())]);
        assert_eq!(variables("a${LAB}b$LAB", &env).unwrap(), "alabb$LAB");
        assert_eq!(variables("${OTHER}", &env).unwrap_err(), "the variable `OTHER` is not set");
    }
}
