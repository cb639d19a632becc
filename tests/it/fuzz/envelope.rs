//! What crosses the broker.

use shared::broker::Dispatch;

use super::Damage;

const GOOD: [&str; 2] = [
    r#"{"job_id":"01993b8c-50d1-7000-8000-000000000000","name":"recovery.send_link","version":1,"attempt":0}"#,
    r#"{"job_id":"01993b8c-50d1-7000-8000-000000000000","name":"x","version":65535,"attempt":3,"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","later":[1]}"#,
];

/// Fuzzing: what a broker hands over is an envelope or nothing; an envelope says the same when it is sent on.
#[test]
fn bytes_from_the_broker_are_an_envelope_or_nothing() {
    for good in GOOD {
        assert!(serde_json::from_str::<Dispatch>(good).is_ok());
    }
    bolero::check!().with_type::<Damage>().for_each(|damage| {
        if let Ok(envelope) = serde_json::from_slice::<Dispatch>(&damage.of(&GOOD)) {
            let sent_on = serde_json::to_vec(&envelope).unwrap();
            assert_eq!(serde_json::from_slice::<Dispatch>(&sent_on).unwrap(), envelope);
        }
    });
}
