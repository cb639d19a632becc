//! Deliveries of analytics clients.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bolero::TypeGenerator;
use shared::{
    capture::{self, Delivery},
    clock::Timestamp,
    fault::Fault,
};

use super::Damage;
use crate::capture::{gzip, percent};

const EVENT: &str = r#"{"api_key":"gpc_1","event":"seen","distinct_id":"ann","timestamp":"2026-11-29T12:00:00Z","properties":{"$set":{"a":1}}}"#;
const BATCH: &str = r#"{"token":"gpc_1","sent_at":"2026-11-29T12:00:00Z","batch":[{"event":"$identify","distinct_id":"ann","properties":{"$anon_distinct_id":"x"}}]}"#;
const QUERIES: [&str; 2] = ["compression=gzip-js&ver=1.1&_=1795000000000", "data=e30="];
const LIMIT: usize = 64 * 1024;

/// What a client sends.
#[derive(Debug, TypeGenerator)]
struct Sent {
    body: Damage,
    /// What the damaged body is packed into.
    packing: u8,
    query: Damage,
    content_type: u8,
    may_lack_names: bool,
}

impl Sent {
    fn body(&self) -> Vec<u8> {
        let zipped = gzip(BATCH.as_bytes());
        let good = [EVENT.as_bytes().to_vec(), BATCH.as_bytes().to_vec(), zipped, STANDARD.encode(EVENT).into_bytes()];
        let body = self.body.of(&good);
        match self.packing % 5 {
            0 => gzip(&body),
            1 => STANDARD.encode(&body).into_bytes(),
            2 => format!("data={}", percent(&body)).into_bytes(),
            3 => format!("data={}", STANDARD.encode(gzip(&body))).into_bytes(),
            _ => body,
        }
    }
}

fn delivery<'a>(body: &'a [u8], query: &'a str, content_type: &'a str) -> Delivery<'a> {
    let received_at = Timestamp(1_795_000_000_000_000);
    Delivery { body, query, content_type, received_at, may_lack_names: false, unpacked_limit: LIMIT }
}

/// Fuzzing: a delivery is events of one project, within the limits, or a refusal that says it is the client's fault.
#[test]
fn a_delivery_is_events_or_a_refusal() {
    for good in [EVENT, BATCH] {
        assert_eq!(capture::read(&delivery(good.as_bytes(), "", "")).unwrap().events.len(), 1);
    }
    let types = ["", "text/plain", "application/json", "application/x-www-form-urlencoded"];
    bolero::check!().with_type::<Sent>().for_each(|sent| {
        let (body, query) = (sent.body(), sent.query.text_of(&QUERIES));
        let content_type = types[usize::from(sent.content_type) % types.len()];
        let mut delivery = delivery(&body, &query, content_type);
        delivery.may_lack_names = sent.may_lack_names;
        match capture::read(&delivery) {
            Ok(batch) => {
                assert!(!batch.events.is_empty() && batch.bytes <= LIMIT);
                assert!(!batch.project_token.is_empty() && batch.project_token.chars().count() <= 64);
            }
            Err(error) => {
                let status = Fault::from(error).kind.status;
                assert!((400..500).contains(&status), "{status}");
            }
        }
    });
}
