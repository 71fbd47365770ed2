//! The hosts of `ProxyJump`, and the line that leads to them.

use crate::transport::ssh::address::Address;

/// The hosts to jump by, the nearest first.
pub(super) fn hops(text: &str) -> Result<Vec<Address>, String> {
    let text = text.split(" #").next().unwrap_or_default().trim();
    text.split(',')
        .map(|hop| {
            Address::parse_jump(hop.trim())
                .map_err(|reason| format!("`{hop}` is no host to jump by: {reason}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_come_in_the_order_in_which_they_are_passed() {
        let said = |text| {
            hops(text).unwrap().into_iter().map(|hop| (hop.user, hop.host, hop.port)).collect::<Vec<_>>()
        };
        let of = |user: Option<&str>, host: &str, port| (user.map(str::to_owned), host.to_owned(), port);
        assert_eq!(
            said("a@b:22,c@[::1]:99,10.0.0.1 # last"),
            [of(Some("a"), "b", Some(22)), of(Some("c"), "::1", Some(99)), of(None, "10.0.0.1", None)]
        );
        assert_eq!(said("ssh://foo:33"), [of(None, "foo", Some(33))]);
        assert!(hops("a,,b").is_err());
    }
}
