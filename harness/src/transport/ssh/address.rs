//! `ssh://[user@]host[:port]`: what a user types to name a machine.

use crate::transport::TransportError;

/// Who is asked for, before the ssh configuration has said anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl Address {
    pub(super) fn parse(address: &str) -> Result<Self, TransportError> {
        address
            .strip_prefix("ssh://")
            .ok_or("it does not begin with ssh://".to_owned())
            .and_then(parse)
            .map_err(|reason| TransportError::Address { address: without_password(address), reason })
    }

    /// Reads one host of `ProxyJump`: the same, and `ssh://` may be left out.
    pub(super) fn parse_jump(hop: &str) -> Result<Self, String> {
        parse(hop.strip_prefix("ssh://").unwrap_or(hop))
    }
}

/// What no part of an address may hold: OpenSSH's `ssh_valid_hostname`, and what separates the parts. A name reaches shells, by way of
/// `ProxyCommand` and `Match exec`.
const FORBIDDEN: &str = "'`\"$\\;&<>|(){}/?#,";

fn parse(address: &str) -> Result<Address, String> {
    let rest = address.strip_suffix('/').unwrap_or(address);
    if let Some(odd) = rest.chars().find(|c| c.is_whitespace() || c.is_control() || FORBIDDEN.contains(*c)) {
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
    let port =
        match port {
            None => None,
            Some(text) => {
                let port = text.parse::<u16>().ok().filter(|port| *port != 0);
                Some(port.ok_or_else(|| {
                    format!("`{text}` is no port (1 to 65535; IPv6 addresses go in brackets)")
                })?)
            }
        };
    let is_option = |text: &str| text.is_empty() || text.starts_with('-');
    if is_option(host) || user.as_deref().is_some_and(is_option) {
        return Err("the host or the user is empty".to_owned());
    }
    Ok(Address { user, host: host.to_owned(), port })
}

/// The address as it may be shown.
fn without_password(address: &str) -> String {
    match address.rsplit_once('@').and_then(|(user, place)| Some((user.rsplit_once(':')?.0, place))) {
        Some((user, place)) if user != "ssh" => format!("{user}:…@{place}"),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_in_each_of_its_forms() {
        for (address, user, host, port) in [
            ("ssh://gpu", None, "gpu", None),
            ("ssh://gpu/", None, "gpu", None),
            ("ssh://ubuntu@gpu.example.org:2222", Some("ubuntu"), "gpu.example.org", Some(2222)),
            ("ssh://a@b@gpu", Some("a@b"), "gpu", None),
            ("ssh://[::1]", None, "::1", None),
            ("ssh://u@[fe80::1%eth0]:99", Some("u"), "fe80::1%eth0", Some(99)),
        ] {
            let expected = Address { user: user.map(str::to_owned), host: host.to_owned(), port };
            assert_eq!(Address::parse(address).unwrap(), expected, "{address}");
        }
    }

    #[test]
    fn a_wrong_address_says_what_is_wrong() {
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
            "ssh://-lroot@gpu",
            "ssh://g pu",
            "ssh://gpu;reboot",
            "ssh://`id`@gpu",
        ]
        .iter()
        .map(|address| Address::parse(address).unwrap_err().to_string().lines().next().unwrap().to_owned())
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
        read the address `ssh://-lroot@gpu`: the host or the user is empty
        read the address `ssh://g pu`: ' ' cannot be part of it
        read the address `ssh://gpu;reboot`: ';' cannot be part of it
        read the address `ssh://`id`@gpu`: '`' cannot be part of it
        ");
    }
}
