//! From where the node is to be reached: the caller's address as the internet sees it.

use std::net::IpAddr;
use std::time::Duration;

/// How long asking for the address may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The address is not known.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to learn this machine's own address from {from}: {why}; write it as `caller-address: 203.0.113.7`, or \
     name a security group in `security-group:`"
)]
pub struct AddressError {
    /// Where it was asked for.
    pub from: String,
    /// What went wrong.
    pub why: String,
}

/// What to let in, as a CIDR: `from` is an address, a CIDR, or a URL that answers with the caller's address.
pub async fn caller(from: &str) -> Result<String, AddressError> {
    if let Some(cidr) = cidr(from) {
        return Ok(cidr);
    }
    let failed = |why: String| AddressError { from: from.to_owned(), why };
    if !from.starts_with("http://") && !from.starts_with("https://") {
        return Err(failed("it is no address, no CIDR and no URL".to_owned()));
    }
    let text = ask(from).await.map_err(|error| failed(crate::failure::chain(&error)))?;
    // Whoever answers there is believed one address, not a network.
    let address: IpAddr = text.trim().parse().map_err(|_| failed("it answers with no address".to_owned()))?;
    Ok(single(address))
}

async fn ask(url: &str) -> Result<String, reqwest::Error> {
    let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
    client.get(url).send().await?.error_for_status()?.text().await
}

fn single(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}

/// The CIDR that an address or a CIDR is; `None` where the text is neither.
fn cidr(text: &str) -> Option<String> {
    if let Ok(address) = text.parse() {
        return Some(single(address));
    }
    let (address, bits) = text.split_once('/')?;
    let (address, bits): (IpAddr, u8) = (address.parse().ok()?, bits.parse().ok()?);
    let most = if address.is_ipv4() { 32 } else { 128 };
    (bits <= most).then(|| format!("{address}/{bits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_lets_in_itself_only_and_a_network_is_taken_as_it_is() {
        for (text, wanted) in [
            ("203.0.113.7", Some("203.0.113.7/32")),
            ("2001:db8::7", Some("2001:db8::7/128")),
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("10.0.0.0/33", None),
            ("example.com", None),
            ("https://checkip.amazonaws.com", None),
            ("", None),
        ] {
            assert_eq!(cidr(text).as_deref(), wanted, "{text}");
        }
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_learnt_says_what_to_write_instead() {
        let error = caller("nowhere").await.unwrap_err().to_string();
        assert!(error.contains("caller-address: 203.0.113.7"), "{error}");
    }
}
