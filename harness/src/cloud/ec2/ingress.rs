//! From where the node is to be reached: the caller's address as the internet sees it.
//!
//! Whoever is asked for it decides to whom the node's ssh port is open. So it is asked by https, redirects are not
//! followed, no more is read than an address takes, and what it answers is one address and is shown.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;
use reqwest::redirect::Policy;

use crate::text::clean::log_line;

/// How long asking for the address may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// No address is longer, with a line end and some blanks.
const LONGEST: usize = 64;

/// The address is not known.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to learn this machine's own address from {from}: {why}; write it as `caller-address: 203.0.113.7`, or \
     name a security group in `security-group:`"
)]
pub struct AddressError {
    /// Where it was asked for.
    pub from: String,
    pub why: String,
}

/// What to let in, as a CIDR: `from` is an address, a CIDR, or a URL that answers with the caller's address.
pub(super) async fn caller(from: &str) -> Result<String, AddressError> {
    if let Some(cidr) = cidr(from) {
        return Ok(cidr);
    }
    let failed = |why: String| AddressError { from: from.to_owned(), why };
    let url = Url::parse(from).map_err(|_| failed("it is no address, no CIDR and no URL".to_owned()))?;
    if url.scheme() != "https" && !(url.scheme() == "http" && is_here(&url)) {
        let why = "only an https:// URL is asked: what answers decides who may reach the node's ssh port";
        return Err(failed(why.to_owned()));
    }
    let text = ask(url).await.map_err(|error| failed(crate::text::chain(&error)))?;
    let said = || log_line(&String::from_utf8_lossy(&text));
    if text.len() > LONGEST {
        return Err(failed(format!("it answers with more than an address: {}…", said())));
    }
    // Whoever answers there is believed one address, not a network.
    let address = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse::<IpAddr>().ok());
    let address = address.ok_or_else(|| failed(format!("it answers with no address: {}", said())))?;
    if address.is_unspecified() || address.is_multicast() {
        return Err(failed(format!("{address} is no machine's address")));
    }
    Ok(single(address))
}

/// Whether it is this machine that is asked: there is no way on which anybody could change the answer.
fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The begin of what it answers: one byte more than an address may take tells that it is none.
async fn ask(url: Url) -> Result<Vec<u8>, reqwest::Error> {
    let client = reqwest::Client::builder().timeout(PATIENCE).redirect(Policy::none()).build()?;
    let mut answer = client.get(url).send().await?.error_for_status()?;
    let mut text = Vec::new();
    while let Some(part) = answer.chunk().await? {
        text.extend(part.iter().take(LONGEST + 1 - text.len()));
        if text.len() > LONGEST {
            break;
        }
    }
    Ok(text)
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

    /// Answers one request with this.
    fn answering(answer: &'static [u8]) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.0 200 OK\r\n\r\n");
            // One that never ends: whoever reads on reads for ever.
            while std::io::Write::write_all(&mut stream, answer).is_ok() && answer.len() > LONGEST {}
        });
        url
    }

    #[tokio::test]
    async fn what_answers_is_believed_one_address_and_no_more_of_it_is_read() {
        assert_eq!(caller(&answering(b"203.0.113.7\n")).await.unwrap(), "203.0.113.7/32");
        for (answer, said) in [
            (&b"0.0.0.0/0"[..], "no address: 0.0.0.0/0"),
            (b"0.0.0.0", "no machine's address"),
            (b"<html>\x1b[2J sign in", "no address: <html>"),
            (b"", "no address"),
            (&[b'1'; 100], "more than an address"),
        ] {
            let error = caller(&answering(answer)).await.unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains('\x1b'), "{error}");
        }
    }

    #[tokio::test]
    async fn an_address_is_asked_for_where_nobody_on_the_way_can_change_it() {
        for url in ["http://checkip.example.com", "ftp://example.com", "http://10.0.0.1/"] {
            let error = caller(url).await.unwrap_err().to_string();
            assert!(error.contains("https://"), "{error}");
        }
    }
}
