//! Reading deliveries: bytes in, events out.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::{
    capture::{self, Batch, CaptureError, Delivery},
    clock::Timestamp,
    fault::Fault,
};

use super::{gzip, percent};

/// Some time in 2026.
const NOW: Timestamp = Timestamp(1_795_000_000_000_000);
const MIB: usize = 1024 * 1024;

fn delivery(body: &[u8]) -> Delivery<'_> {
    Delivery {
        body,
        query: "",
        content_type: "text/plain",
        received_at: NOW,
        may_lack_names: false,
        unpacked_limit: 20 * MIB,
    }
}

fn read(body: &Value) -> Result<Batch, CaptureError> {
    capture::read(&delivery(body.to_string().as_bytes()))
}

/// The only event of a delivery.
fn one(body: &Value) -> shared::identify::CapturedEvent {
    let mut batch = read(body).unwrap();
    assert_eq!(batch.events.len(), 1);
    batch.events.remove(0)
}

/// The status that a delivery is refused with.
fn status(outcome: Result<Batch, CaptureError>) -> u16 {
    Fault::from(outcome.unwrap_err()).kind.status
}

fn event() -> Value {
    json!({ "api_key": "gpc_1", "event": "seen", "distinct_id": "ann", "properties": { "text": "a+b ü" } })
}

/// ID-33, ID-32: every encoding that clients use is recognised by what it looks like, whatever headers and parameters say
#[test]
fn every_encoding_is_recognised() {
    let json = event().to_string();
    let (zipped, base64) = (gzip(json.as_bytes()), STANDARD.encode(&json));
    let zipped_base64 = STANDARD.encode(&zipped);
    assert!(STANDARD.encode([0xfb, 0xef]).contains('+'));
    let form = |data: &str| format!("data={data}").into_bytes();
    let escaped = |data: &str| format!("data={}", percent(data.as_bytes())).into_bytes();
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("plain JSON", json.clone().into_bytes()),
        ("JSON after a line break", format!("\r\n {json}").into_bytes()),
        ("gzip", zipped.clone()),
        ("gzip of gzip in base64", gzip(zipped_base64.as_bytes())),
        ("base64", base64.clone().into_bytes()),
        ("base64 without padding", base64.trim_end_matches('=').as_bytes().to_vec()),
        ("form of base64", escaped(&base64)),
        ("form of base64 that was not escaped", form(&base64)),
        ("form of gzip in base64", escaped(&zipped_base64)),
        ("form of gzip in base64 that was not escaped", form(&zipped_base64)),
        ("form of JSON", escaped(&json)),
        ("form with other fields", [b"ip=1&".as_slice(), &escaped(&base64), b"&compression=base64"].concat()),
        ("gzip of a form", gzip(&escaped(&base64))),
    ];
    let types = ["", "text/plain", "application/json", "application/x-www-form-urlencoded; charset=UTF-8"];
    for (what, body) in &bodies {
        for content_type in types {
            if what.contains("form with") && !content_type.contains("form") {
                continue;
            }
            for query in ["", "compression=gzip-js&ip=1", "compression=base64"] {
                let read = capture::read(&Delivery { content_type, query, ..delivery(body) });
                let batch = read.unwrap_or_else(|error| panic!("{what} as {content_type:?} with {query:?}: {error}"));
                assert_eq!(batch.project_token, "gpc_1", "{what}");
                assert_eq!(batch.events[0].properties["text"], "a+b ü", "{what}");
            }
        }
    }
    for data in [percent(json.as_bytes()), percent(base64.as_bytes()), base64, percent(zipped_base64.as_bytes())] {
        let query = format!("ip=1&data={data}&_=1");
        let batch = capture::read(&Delivery { query: &query, ..delivery(b"") }).unwrap();
        assert_eq!(batch.events[0].event, "seen", "{query}");
    }
}

/// ID-34: one event, a list and an envelope are read, each with its token where clients put it
#[test]
fn every_shape_is_read() {
    let bare = |name: &str| json!({ "event": name, "properties": { "distinct_id": "ann", "token": "gpc_1" } });
    for (shape, count) in [
        (bare("a"), 1),
        (json!([bare("a"), bare("b")]), 2),
        (json!({ "api_key": "gpc_1", "batch": [{ "event": "a", "distinct_id": "ann" }, bare("b")] }), 2),
        (json!({ "token": "gpc_1", "batch": [{ "event": "a", "$distinct_id": "ann" }] }), 1),
        (json!({ "$token": "gpc_1", "event": "a", "$distinct_id": "ann" }), 1),
        (json!({ "api_key": " gpc_1 ", "event": "a", "distinct_id": "ann", "properties": null }), 1),
    ] {
        let batch = read(&shape).unwrap_or_else(|error| panic!("{shape}: {error}"));
        assert_eq!((batch.events.len(), batch.project_token.as_str()), (count, "gpc_1"), "{shape}");
        assert!(batch.events.iter().all(|event| event.distinct_id == "ann"), "{shape}");
    }
    let engage = json!({ "$token": "gpc_1", "$distinct_id": "ann", "$set": { "plan": "free" } }).to_string();
    assert_eq!(status(capture::read(&delivery(engage.as_bytes()))), 400);
    let batch = capture::read(&Delivery { may_lack_names: true, ..delivery(engage.as_bytes()) }).unwrap();
    assert_eq!((batch.events[0].event.as_str(), &batch.events[0].set["plan"]), ("$set", &json!("free")));
}

#[test]
fn what_is_none_of_them_is_refused_as_a_whole() {
    let good = json!({ "event": "a", "distinct_id": "ann" });
    for bad in [
        json!({}),
        json!([]),
        json!("text"),
        json!(7),
        json!({ "api_key": "gpc_1", "batch": [] }),
        json!({ "api_key": "gpc_1", "batch": {} }),
        json!({ "api_key": "gpc_1", "batch": [good, 5] }),
        json!({ "api_key": "gpc_1", "batch": [good, { "event": "a" }] }),
        json!({ "api_key": "gpc_1", "batch": [good, { "event": "a", "distinct_id": "" }] }),
        json!({ "api_key": "gpc_1", "batch": [good, { "event": "a", "distinct_id": null }] }),
        json!({ "api_key": "gpc_1", "batch": [good, { "distinct_id": "ann" }] }),
        json!({ "api_key": "gpc_1", "batch": [good, { "event": "", "distinct_id": "ann" }] }),
        json!({ "api_key": "gpc_1", "batch": [good, { "event": "a", "distinct_id": "ann", "properties": [] }] }),
    ] {
        assert_eq!(status(read(&bad)), 400, "{bad}");
    }
    for bytes in [&b""[..], b"  ", b"{", b"hello", b"\x1f\x8b\x08", b"\xff\xfe", b"data=", b"%", b"{\"a\":\"\xff\"}"] {
        assert_eq!(status(capture::read(&delivery(bytes))), 400, "{bytes:?}");
    }
    let lz64 = Delivery { query: "compression=lz64", ..delivery(b"{}") };
    assert_eq!(status(capture::read(&lz64)), 400);
}

/// ID-35: timestamp and offset give the same time; the client's clock is corrected by when it says that it sent
#[test]
fn the_time_of_an_event_is_by_the_servers_clock() {
    let at = |event: Value, query: &str| {
        let body = event.to_string();
        capture::read(&Delivery { query, ..delivery(body.as_bytes()) }).unwrap().events[0].at
    };
    let with = |members: Value| {
        let mut event = event();
        event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        event
    };
    let expected = NOW - Duration::from_secs(90);
    // A client whose clock is a day ahead, and one that is a year behind.
    for skew in [Duration::from_secs(86_400), Duration::ZERO] {
        let (sent, seen) = (NOW + skew, NOW + skew - Duration::from_secs(90));
        assert_eq!(at(with(json!({ "timestamp": seen, "sent_at": sent })), ""), expected);
        let query = format!("ip=1&_={}&ver=1.200.0", sent.0 / 1_000);
        assert_eq!(at(with(json!({ "timestamp": seen })), &query), expected);
        assert_eq!(at(with(json!({ "timestamp": seen })), &format!("sent_at={sent}")), expected);
        let envelope = json!({ "api_key": "gpc_1", "sent_at": sent, "batch": [with(json!({ "timestamp": seen }))] });
        assert_eq!(at(envelope, ""), expected);
        assert_eq!(at(with(json!({ "offset": 90_000 })), &query), expected);
    }
    assert_eq!(at(with(json!({ "offset": 90_000 })), ""), expected);
    assert_eq!(at(with(json!({ "timestamp": expected })), ""), expected);
    assert_eq!(at(event(), ""), NOW);
    // What cannot be, or cannot be read, is the time of arrival; what is too old is as old as may be.
    let oldest = NOW - Duration::from_hours(72);
    for (members, expected) in [
        (json!({ "timestamp": NOW + Duration::from_secs(5) }), NOW),
        (json!({ "offset": -5000 }), NOW),
        (json!({ "timestamp": "yesterday" }), NOW),
        (json!({ "timestamp": {} }), NOW),
        (json!({ "timestamp": "1999-01-01T00:00:00Z" }), oldest),
        (json!({ "offset": 1e300 }), oldest),
        (json!({ "timestamp": NOW.0 / 1_000 }), NOW),
        (json!({ "timestamp": NOW.0 / 1_000_000 }), NOW),
        (json!({ "timestamp": "0001-01-01T00:00:00Z", "sent_at": "9999-12-31T23:59:59Z" }), oldest),
    ] {
        assert_eq!(at(with(members.clone()), ""), expected, "{members}");
    }
}

#[test]
fn times_are_read_as_clients_write_them() {
    let at = |text: &str| one(&json!({ "api_key": "gpc_1", "event": "a", "distinct_id": "ann", "timestamp": text })).at;
    let expected = Timestamp(1_794_999_600_123_000);
    for text in [
        "2026-11-18T11:00:00.123Z",
        "2026-11-18T11:00:00.123+00:00",
        "2026-11-18T11:00:00.123000",
        "2026-11-18 11:00:00.123",
        "2026-11-18T12:00:00.123+0100",
        "2026-11-18t06:30:00.123-04:30",
        "1794999600123",
        "1794999600.123",
    ] {
        assert_eq!(at(text), expected, "{text}");
    }
    assert_eq!(at("2026-11-17"), Timestamp(1_794_873_600_000_000));
}

/// ID-36: what unpacks to more than the limit is refused while it unpacks, in every place where gzip is looked for
#[test]
fn a_bomb_is_refused_while_it_unpacks() {
    let limit = 2 * MIB;
    // Six gigabytes in some megabytes: gzip may have several members.
    let bomb = gzip(&vec![b' '; 16 * MIB]).repeat(400);
    assert!(bomb.len() < 10 * MIB, "{}", bomb.len());
    let before = resident();
    let base64 = STANDARD.encode(&bomb).into_bytes();
    let form = [b"data=".as_slice(), &base64].concat();
    let twice = gzip(&bomb);
    for (what, body) in [("gzip", &bomb), ("gzip of gzip", &twice)] {
        assert_eq!(status(capture::read(&Delivery { unpacked_limit: limit, ..delivery(body) })), 413, "{what}");
    }
    let room = 10 * MIB;
    for (what, body) in [("base64", &base64), ("form", &form)] {
        assert_eq!(status(capture::read(&Delivery { unpacked_limit: room, ..delivery(body) })), 413, "{what}");
    }
    let many = gzip(b" ").repeat(100_001);
    assert_eq!(status(capture::read(&Delivery { unpacked_limit: 100_000, ..delivery(&many) })), 413, "members");
    let values = [b"[".as_slice(), &b"0,".repeat(5_000_000)].concat();
    assert_eq!(status(capture::read(&delivery(&values))), 413, "values");
    assert_eq!(status(capture::read(&delivery(&vec![b' '; 21 * MIB]))), 413, "plain");
    let grown = resident().saturating_sub(before);
    assert!(grown < 1024 * MIB, "{} MiB", grown / MIB);
}

/// Resident memory of this process, which other tests use as well.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// ID-47: a delivery names one project; a secret key is no project token; a distinct id is cut after 200 characters
#[test]
fn a_delivery_names_one_project() {
    let with = |token: Value| json!({ "api_key": token, "event": "a", "distinct_id": "ann" });
    for token in ["", "  ", "gpx_secret", "gps_secret", "phx_secret", "gpc_ü", "gpc a", &"x".repeat(65)] {
        assert_eq!(status(read(&with(json!(token)))), 401, "{token}");
    }
    for token in [Value::Null, json!(5), json!([])] {
        assert_eq!(status(read(&with(token))), 401);
    }
    let of = |token: &str| json!({ "event": "a", "properties": { "distinct_id": "ann", "token": token } });
    assert_eq!(status(read(&json!([of("gpc_1"), of("gpc_2")]))), 401);
    assert_eq!(status(read(&json!({ "api_key": "gpc_1", "batch": [of("gpc_2")] }))), 401);
    assert!(read(&json!([of("gpc_1"), of("gpc_1")])).is_ok());
    assert!(read(&with(json!("x".repeat(64)))).is_ok());
    let long = json!({ "api_key": "gpc_1", "event": "e".repeat(300), "distinct_id": "ü".repeat(300) });
    assert_eq!(one(&long).distinct_id, "ü".repeat(200));
    assert_eq!(one(&long).event.len(), 200);
    for (sent, text) in [(json!(42), "42"), (json!(true), "true"), (json!([1, "a"]), "[1,\"a\"]"), (json!({}), "{}")] {
        assert_eq!(one(&json!({ "api_key": "gpc_1", "event": "a", "distinct_id": sent })).distinct_id, text);
    }
}

/// ID-15, ID-14: what stands beside the properties wins over what stands within, and a null is not set once
#[test]
fn person_properties_are_read_from_both_places() {
    let read = one(&json!({
        "api_key": "gpc_1", "event": "$identify", "distinct_id": "ann",
        "$set": { "plan": "paid" }, "$set_once": { "first": "a", "nothing": null }, "$unset": ["ignored"],
        "properties": {
            "$set": { "plan": "free", "city": "Ulm" }, "$set_once": { "first": "b", "void": null, "second": 0 },
            "$unset": { "old": "" },
        },
    }));
    assert_eq!(Value::Object(read.set), json!({ "plan": "paid", "city": "Ulm" }));
    assert_eq!(Value::Object(read.set_once), json!({ "first": "a", "second": 0 }));
    assert_eq!(read.unset, ["old"]);
    assert!(!read.may_merge_dangerously);
}

/// ID-20: an event without an id of its own gets the same one when it is sent again, and twins in one delivery differ
#[test]
fn a_copy_has_the_id_of_the_original() {
    let ids = |body: &Value, received_at| {
        let text = body.to_string();
        let batch = capture::read(&Delivery { received_at, ..delivery(text.as_bytes()) }).unwrap();
        batch.events.iter().map(|event| event.uuid).collect::<Vec<_>>()
    };
    let seen = json!({ "event": "seen", "distinct_id": "ann", "timestamp": "2026-11-18T11:00:00Z" });
    let retry = |sent_at: &str| json!({ "api_key": "gpc_1", "sent_at": sent_at, "batch": [seen, seen, event()] });
    let first = ids(&retry("2026-11-18T11:00:01Z"), NOW);
    assert_eq!(first, ids(&retry("2026-11-18T11:00:01Z"), NOW + Duration::from_secs(9)));
    assert_eq!(first[..2], ids(&retry("2026-11-18T11:00:09Z"), NOW)[..2], "a retry may tell a new time of sending");
    assert_eq!(first.iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
    let given = json!({ "api_key": "gpc_1", "event": "a", "distinct_id": "ann", "uuid": uuid::Uuid::nil() });
    assert_eq!(ids(&given, NOW), [uuid::Uuid::nil()]);
    let timeless = ids(&event(), NOW);
    assert_ne!(timeless, ids(&event(), NOW), "nothing tells a copy from another event");
}

#[test]
fn texts_that_a_database_would_refuse_are_mended() {
    let half = br#"{"api_key":"gpc_1","event":"a\ud83d","distinct_id":"b\udc00c","properties":{"x\u0000y":"\u0000\ud83d\ude00\\ud83d"}}"#;
    let mut batch = capture::read(&delivery(half)).unwrap();
    let event = batch.events.remove(0);
    assert_eq!((event.event.as_str(), event.distinct_id.as_str()), ("a\u{fffd}", "b\u{fffd}c"));
    assert_eq!(Value::Object(event.properties), json!({ "x\u{fffd}y": "\u{fffd}😀\\ud83d" }));
}

/// What looks like a zone by its length may have letters that cannot be cut in two.
#[test]
fn a_time_that_is_none_is_the_time_of_receipt() {
    for timestamp in ["2026-11-18T11:00:00+\u{fffd}a", "2026-11-18T11:00:00+0\u{e9}a", "2026-11-18 \u{1f600}"] {
        let body = json!({ "api_key": "gpc_1", "event": "a", "distinct_id": "ann", "timestamp": timestamp });
        let batch = capture::read(&delivery(body.to_string().as_bytes())).unwrap();
        assert_eq!(batch.events[0].at, NOW, "{timestamp}");
    }
}

/// JSON of any shape, with the names that matter more often than others.
fn any_json() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "event",
        "distinct_id",
        "$distinct_id",
        "properties",
        "token",
        "api_key",
        "batch",
        "uuid",
        "timestamp",
        "offset",
        "sent_at",
        "$set",
        "$set_once",
        "$unset",
        "$process_person_profile",
        "\u{0}",
        "😀",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[0-9TZ:+. -]{0,30}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        let member = (names.clone().prop_map(str::to_owned), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::from),
            prop::collection::vec(member, 0..10).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..400), query in ".{0,60}", layers in 0..4_u8) {
        let body = match layers {
            1 => gzip(&body),
            2 => [b"data=".as_slice(), STANDARD.encode(&body).as_bytes()].concat(),
            3 => STANDARD.encode(gzip(&body)).into_bytes(),
            _ => body,
        };
        for content_type in ["", "application/x-www-form-urlencoded"] {
            drop(capture::read(&Delivery { query: &query, content_type, unpacked_limit: 10_000, ..delivery(&body) }));
        }
    }

    #[test]
    fn no_json_makes_it_panic_and_what_is_read_is_bounded(value in any_json(), breaks in any::<Option<prop::sample::Index>>()) {
        let mut text = value.to_string();
        if let Some(index) = breaks {
            let at = text.char_indices().nth(index.index(text.chars().count().max(1))).map_or(0, |(at, _)| at);
            text.insert_str(at, "\\ud800");
        }
        if let Ok(batch) = capture::read(&delivery(text.as_bytes())) {
            for event in batch.events {
                prop_assert!(!event.distinct_id.is_empty() && event.distinct_id.chars().count() <= capture::MAX_CHARACTERS);
                prop_assert!(event.at <= NOW && event.at >= NOW - capture::LATEST);
                prop_assert!(!event.distinct_id.contains('\0'));
            }
        }
    }
}
