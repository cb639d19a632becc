//! Who a request is from, by its `X-Forwarded-For`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use gateway::middleware::client::client_address;
use poem::http::{HeaderMap, HeaderValue};

use super::Damage;

const LINES: [&str; 4] =
    ["6.6.6.6, 198.51.100.7", "198.51.100.7:4711,10.0.0.9", "[2001:db8::1]:443, ::1", "::ffff:198.51.100.7"];

/// Fuzzing: whatever the header says, only trusted peers are believed, and what is believed stood in it.
#[test]
fn only_trusted_peers_are_believed() {
    bolero::check!().with_type::<(Result<[u8; 4], [u8; 16]>, Vec<Damage>)>().for_each(|(peer, lines)| {
        let peer =
            peer.map_or_else(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)), |bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
        let mut headers = HeaderMap::new();
        let mut text = String::new();
        for value in lines.iter().filter_map(|line| HeaderValue::from_bytes(&line.of(&LINES)).ok()) {
            text.extend(value.to_str().ok().into_iter().chain([","]));
            headers.append("x-forwarded-for", value);
        }
        let nobody = client_address(peer, &[], &headers);
        assert_eq!(nobody, peer.to_canonical());

        let everybody = ["0.0.0.0/1".parse().unwrap(), "::/1".parse().unwrap()];
        let client = client_address(peer, &everybody, &headers);
        assert_eq!(client, client.to_canonical());
        let stood_there = |entry: &str| {
            let entry = entry.trim();
            let with_port = entry.parse::<std::net::SocketAddr>().map(|socket| socket.ip());
            entry.parse::<IpAddr>().or(with_port).is_ok_and(|address| address.to_canonical() == client)
        };
        assert!(client == peer.to_canonical() || text.split(',').any(stood_there), "{client} is not in {text:?}");
    });
}
