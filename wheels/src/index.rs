//! A Python package index: where a wheel lies on it, and the credentials that it asks for.
//!
//! The rules are pip's: the address of a setting, of `$PIP_INDEX_URL`, of pip's configuration files, or PyPI; credentials in
//! the address or in `~/.netrc`, for that host alone.

mod netrc;
mod pip;

use std::env;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use crate::web::{Web, WebError};
use crate::wheel::Wheel;

/// The index of packages where nothing else is said.
pub const PYPI: &str = "https://pypi.org/simple";

/// Why a wheel was not found.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The address is none.
    #[error("`{shown}` is no index: write https://host/simple or http://host/simple")]
    Address {
        /// What was written, without what may be a secret.
        shown: String,
    },
    /// The index does not have it.
    #[error("failed to find {file} on {page}: the page does not name it")]
    NotListed {
        /// The wheel.
        file: &'static str,
        /// The project's page.
        page: String,
    },
    /// The index cannot be asked.
    #[error(transparent)]
    Web(#[from] WebError),
}

/// Something on the web, and what its server wants to be shown. Printed, it has no secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    url: String,
    authorization: Option<String>,
}

impl Address {
    /// An address as it is written, credentials included; those of `~/.netrc` where it has none.
    fn read(written: &str) -> Option<Self> {
        let (scheme, rest) = written.split_once("://")?;
        if !["http", "https"].contains(&scheme) {
            return None;
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (credentials, host) = match authority.rsplit_once('@') {
            Some((credentials, host)) => (Some(credentials), host),
            None => (None, authority),
        };
        if host.is_empty() {
            return None;
        }
        let url = format!("{scheme}://{host}{path}");
        let authorization = match credentials {
            Some(credentials) => {
                let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
                let plain = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
                Some(basic(&plain(user), &plain(password)))
            }
            None => netrc::login(host).map(|(user, password)| basic(&user, &password)),
        };
        Some(Self { url, authorization })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// What `link` means on this page. Credentials are for this page's host alone.
    fn join(&self, link: &str) -> Option<Self> {
        if link.contains("://") {
            let there = Self::read(link)?;
            let same = origin(&there.url) == origin(&self.url);
            let authorization =
                if same { self.authorization.clone().or(there.authorization) } else { there.authorization };
            return Some(Self { url: there.url, authorization });
        }
        let (origin, path) = self.url.split_at(origin(&self.url).len());
        let mut folders: Vec<&str> =
            if link.starts_with('/') { Vec::new() } else { path.split('/').collect() };
        // The last part of a path is a page, not a folder.
        folders.pop();
        for part in link.trim_start_matches('/').split('/') {
            match part {
                "." => {}
                ".." => drop(folders.pop()),
                part => folders.push(part),
            }
        }
        let url = format!("{origin}/{}", folders.join("/").trim_start_matches('/'));
        Some(Self { url, authorization: self.authorization.clone() })
    }
}

impl fmt::Display for Address {
    /// Without what follows a question mark: a signed address is a secret too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.split('?').next().unwrap_or_default())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// `https://host:port` of an address.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or(url, |at| &url[..host + at])
}

/// A package index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index(Address);

impl Index {
    /// The index at an address, credentials included.
    pub fn at(address: &str) -> Result<Self, IndexError> {
        let shown = || address.rsplit_once('@').map_or(address, |(_, rest)| rest).to_owned();
        Address::read(address.trim_end_matches('/'))
            .map(Self)
            .ok_or_else(|| IndexError::Address { shown: shown() })
    }

    /// The index that pip uses on this machine: `$PIP_INDEX_URL`, its configuration files, or PyPI.
    pub fn configured() -> Result<Self, IndexError> {
        let variable = env::var("PIP_INDEX_URL").ok().filter(|index| !index.is_empty());
        Self::at(&variable.or_else(pip::index_url).unwrap_or_else(|| PYPI.to_owned()))
    }

    pub(crate) fn find(&self, web: &Web, wheel: &Wheel) -> Result<Address, IndexError> {
        let page = Address { url: format!("{}/{}/", self.0.url, wheel.project), ..self.0.clone() };
        let text = web.text(&page)?;
        let link = link_to(&text, wheel.file).and_then(|link| page.join(&link));
        link.ok_or_else(|| IndexError::NotListed { file: wheel.file, page: page.to_string() })
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The link of an index page (PEP 503: one anchor a file) that leads to `file`, without its `#sha256=`.
fn link_to(page: &str, file: &str) -> Option<String> {
    let links = page.split("href=").skip(1).filter_map(|rest| {
        let quote = rest.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
        rest[1..].split(quote).next()
    });
    let mut links = links.map(|link| link.split('#').next().unwrap_or(link).replace("&amp;", "&"));
    links.find(|link| {
        let path = link.split('?').next().unwrap_or(link);
        let name = path.rsplit('/').next().unwrap_or(path);
        // A version's `+` may be written as what it is, or as %2B.
        percent_decode_str(name).decode_utf8_lossy() == file
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Address {
        Address { url: url.to_owned(), authorization: None }
    }

    #[test]
    fn a_wheel_is_found_on_an_index_page_whatever_its_links_look_like() {
        let page = address("https://host/root/simple/torch/");
        for (link, wanted) in [
            ("https://files.example/a/b/x-1.whl#sha256=00", "https://files.example/a/b/x-1.whl"),
            ("../../packages/x-1.whl#sha256=00", "https://host/root/packages/x-1.whl"),
            ("/packages/x-1.whl", "https://host/packages/x-1.whl"),
            ("x-1.whl?a=1&amp;b=2", "https://host/root/simple/torch/x-1.whl?a=1&b=2"),
        ] {
            for quote in ['"', '\''] {
                let html =
                    format!("<a href='other-x-1.whl'>o</a><a class=\"f\" href={quote}{link}{quote}>x</a>");
                let found = link_to(&html, "x-1.whl").expect("the page names it");
                assert_eq!(page.join(&found).unwrap().url, wanted);
            }
        }
        assert_eq!(link_to("<a href=\"x-2.whl\">x-1.whl</a>", "x-1.whl"), None);
    }

    #[test]
    fn credentials_are_for_the_host_that_they_were_written_for_and_are_never_shown() {
        let index = Index::at("https://me%40work:s%3Acret@mirror.example:8443/simple/").unwrap();
        assert_eq!(index.to_string(), "https://mirror.example:8443/simple");
        assert!(!format!("{index:?}").contains("cret"));
        let wanted = basic("me@work", "s:cret");
        assert_eq!(index.0.authorization(), Some(wanted.as_str()));
        let own = index.0.join("https://mirror.example:8443/files/x.whl").unwrap();
        assert_eq!(own.authorization(), Some(wanted.as_str()));
        assert_eq!(index.0.join("https://files.example/x.whl").unwrap().authorization(), None);
        assert_eq!(address("https://h/x.whl?X-Amz-Signature=abc").to_string(), "https://h/x.whl");
    }

    #[test]
    fn what_is_no_address_is_told_without_its_secret() {
        for wrong in ["mirror.example/simple", "ftp://u:secret@host/simple", "https://u:secret@"] {
            let told = Index::at(wrong).unwrap_err().to_string();
            assert!(told.contains("is no index") && !told.contains("secret"), "{told}");
        }
    }
}
