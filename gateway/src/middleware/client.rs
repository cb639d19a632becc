//! Who is at the other end: the [`Client`] that flows record and limits are keyed by.
//!
//! ```text
//! peer not in http.trusted_proxies      the peer is the client; headers are not read
//! peer is a trusted proxy               X-Forwarded-For, right to left: the first address that is no trusted proxy
//! an entry that is no address           the peer is the client: an unreadable header never widens a limit
//! ```
//!
//! `X-Real-IP` and `Forwarded` are never read: one header, set by the proxies one trusts, is enough to get wrong.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;
use poem::{
    Request,
    http::{HeaderMap, header},
};
use shared::client::Client;
use uuid::Uuid;

const USER_AGENT_CHARACTERS: usize = 512;

/// Attaches the client to its request; `X-Forwarded-For` of the trusted networks is believed.
pub(super) fn identify(request: &mut Request, trusted: &[IpNet], request_id: Uuid) {
    // Without a socket there is no network between: the request was made in this process.
    let peer = request.remote_addr().as_socket_addr().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), SocketAddr::ip);
    let headers = request.headers();
    let client = Client {
        ip: client_address(peer, trusted, headers),
        user_agent: user_agent(headers),
        request_id,
        traceparent: traceparent(headers),
    };
    request.set_data(client);
}

/// The address of the client of a request that `peer` sent.
#[must_use]
pub fn client_address(peer: IpAddr, trusted: &[IpNet], headers: &HeaderMap) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer;
    if !is_trusted(&peer) {
        return peer;
    }
    for line in headers.get_all("x-forwarded-for").into_iter().rev() {
        let Ok(line) = line.to_str() else { return peer };
        for entry in line.rsplit(',') {
            let Some(address) = address(entry) else { return peer };
            client = address;
            if !is_trusted(&client) {
                return client;
            }
        }
    }
    client
}

/// An entry of `X-Forwarded-For`: an address, with or without a port.
fn address(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let plain = entry.parse::<IpAddr>().or_else(|_| entry.parse::<SocketAddr>().map(|socket| socket.ip()));
    plain.ok().map(|address| address.to_canonical())
}

fn user_agent(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::USER_AGENT)?;
    let text = String::from_utf8_lossy(value.as_bytes());
    // As many bytes are at most as many characters.
    if text.len() <= USER_AGENT_CHARACTERS {
        return Some(text.into_owned());
    }
    Some(text.chars().take(USER_AGENT_CHARACTERS).collect())
}

/// The W3C trace context (Trace Context, section 3.2) if it is well-formed and there is exactly one.
fn traceparent(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all("traceparent").into_iter();
    let text = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    is_traceparent(text).then(|| text.to_owned())
}

fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, parent, flags] = parts.as_slice() else { return false };
    let is_hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    is_hex(version, 2)
        && *version != "ff"
        && is_hex(trace, 32)
        && !is_zero(trace)
        && is_hex(parent, 16)
        && !is_zero(parent)
        && is_hex(flags, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(peer: &str, trusted: &[&str], lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        client_address(peer.parse().unwrap(), &trusted, &headers).to_string()
    }

    #[test]
    fn a_header_from_anybody_is_not_read() {
        assert_eq!(resolve("203.0.113.9", &[], &["6.6.6.6"]), "203.0.113.9");
        assert_eq!(resolve("203.0.113.9", &["10.0.0.0/8"], &["6.6.6.6"]), "203.0.113.9");
    }

    #[test]
    fn the_right_most_untrusted_address_counts() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(resolve("10.0.0.1", &trusted, &["6.6.6.6, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(resolve("10.0.0.1", &trusted, &["6.6.6.6, 198.51.100.7, 10.2.3.4"]), "198.51.100.7");
        assert_eq!(resolve("10.0.0.1", &trusted, &["6.6.6.6", "198.51.100.7, 10.2.3.4"]), "198.51.100.7");
        assert_eq!(resolve("10.0.0.1", &trusted, &["198.51.100.7:4711"]), "198.51.100.7");
        assert_eq!(resolve("10.0.0.1", &trusted, &["[2001:db8::1]:4711"]), "2001:db8::1");
    }

    #[test]
    fn without_an_untrusted_entry_the_left_most_one_counts() {
        assert_eq!(resolve("10.0.0.1", &["10.0.0.0/8"], &["10.9.9.9, 10.2.3.4"]), "10.9.9.9");
        assert_eq!(resolve("10.0.0.1", &["10.0.0.0/8"], &[]), "10.0.0.1");
    }

    #[test]
    fn what_is_no_address_makes_the_peer_the_client() {
        for line in ["a", "", "198.51.100.7,", "198.51.100.7, a", "unknown", "1.2.3.4.5"] {
            assert_eq!(resolve("10.0.0.1", &["10.0.0.0/8"], &[line]), "10.0.0.1", "{line:?}");
        }
    }

    #[test]
    fn mapped_addresses_are_ipv4() {
        assert_eq!(resolve("::ffff:10.0.0.1", &["10.0.0.0/8"], &["::ffff:198.51.100.7"]), "198.51.100.7");
        assert_eq!(resolve("::ffff:203.0.113.9", &[], &[]), "203.0.113.9");
    }

    #[test]
    fn only_well_formed_traces_are_continued() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(good));
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
    }

    #[test]
    fn a_long_program_name_is_cut() {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, "x".repeat(2000).parse().unwrap());
        assert_eq!(user_agent(&headers).unwrap().len(), USER_AGENT_CHARACTERS);
    }
}
