//! What an authenticator says, damaged in every way: it is refused, and nothing breaks.

use harness::{Authenticator, TestApp};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};
use shared::secret;

use super::{ADA, LOGIN_FINISH, PASSKEYS, START, add, answer_to, signed_in, start_login, user_with_passkey};

/// One damage to some bytes. Numbers are places, taken as shares of the length.
#[derive(Clone, Debug)]
enum Damage {
    Flip(u16, u8),
    Set(u16, u8),
    Cut(u16),
    Insert(u16, Vec<u8>),
    Remove(u16, u8),
    Repeat(u16, u8, u8),
    Replace(Vec<u8>),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |share: u16| usize::from(share) * bytes.len() / 65_536;
        match self {
            Self::Flip(at, mask) => {
                let at = place(*at);
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= mask);
            }
            Self::Set(at, value) => {
                let at = place(*at);
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = *value);
            }
            Self::Cut(at) => bytes.truncate(place(*at)),
            Self::Insert(at, more) => {
                let at = place(*at);
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Remove(at, count) => {
                let at = place(*at);
                let end = (at + usize::from(*count)).min(bytes.len());
                bytes.drain(at..end);
            }
            Self::Repeat(at, count, times) => {
                let at = place(*at);
                let part: Vec<u8> = bytes.iter().skip(at).take(usize::from(*count)).copied().collect();
                let part = part.repeat(usize::from(*times));
                bytes.splice(at..at, part);
            }
            Self::Replace(with) => bytes.clone_from(with),
        }
    }
}

/// Starts of CBOR items that lie about what follows: lengths, nesting, indefinite items, tags, reserved values.
fn cbor() -> impl Strategy<Value = u8> {
    prop_oneof![
        Just(0x5b),
        Just(0x7b),
        Just(0x9b),
        Just(0xbb),
        Just(0x9f),
        Just(0xbf),
        Just(0xff),
        Just(0xf8),
        Just(0xfb),
        Just(0xdb),
        Just(0x81),
        Just(0xa1),
        any::<u8>(),
    ]
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let at = any::<u16>();
    let damage = prop_oneof![
        4 => (at, 1..=255_u8).prop_map(|(at, mask)| Damage::Flip(at, mask)),
        4 => (at, cbor()).prop_map(|(at, value)| Damage::Set(at, value)),
        1 => at.prop_map(Damage::Cut),
        2 => (at, prop::collection::vec(cbor(), 1..12)).prop_map(|(at, more)| Damage::Insert(at, more)),
        2 => (at, 1..16_u8).prop_map(|(at, count)| Damage::Remove(at, count)),
        1 => (at, 1..40_u8, 1..100_u8).prop_map(|(at, count, times)| Damage::Repeat(at, count, times)),
        1 => prop::collection::vec(cbor(), 0..400).prop_map(Damage::Replace),
    ];
    prop::collection::vec(damage, 1..4)
}

/// How many answers are damaged, of each kind.
fn cases() -> usize {
    if std::env::var_os("GATEPOST_TEST_FULL").is_some() { 4000 } else { 250 }
}

fn runner() -> TestRunner {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(Config { failure_persistence: None, ..Config::default() }, rng)
}

/// The credential with damage to one of the members of its response; `None` when nothing changed.
fn damaged(credential: &Value, member: &str, damages: &[Damage]) -> Option<Value> {
    let mut bytes = credential["response"][member].as_str().and_then(secret::decode)?;
    let before = bytes.clone();
    for damage in damages {
        damage.apply(&mut bytes);
    }
    let mut credential = credential.clone();
    credential["response"][member] = json!(secret::encode(&bytes));
    (bytes != before).then_some(credential)
}

/// T-WA-12: a registration whose client data or attestation is damaged never adds a passkey by itself, and never breaks
/// anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_registration_breaks_nothing() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (mut runner, strategy) = (runner(), damages());
    for case in 0..cases() {
        if case % 100 == 0 {
            // Proofs are limited per minute.
            app.advance(std::time::Duration::from_secs(60));
            super::prove_again(&browser).await;
        }
        let make = if case % 2 == 0 { Authenticator::new } else { Authenticator::eddsa };
        let mut passkey = make(&app.origin());
        let challenge = browser.post(START, json!({})).await.expect(200).json();
        let credential = passkey.create(&challenge["public_key"]);
        let damages = strategy.new_tree(&mut runner).expect("a case").current();
        let member = if case % 3 == 0 { "clientDataJSON" } else { "attestationObject" };
        let Some(credential) = damaged(&credential, member, &damages) else { continue };
        let answer = browser.post(PASSKEYS, answer_to(&challenge, &credential)).await;
        // Nobody signs a registration: what is good still, or again, is asked to verify itself.
        let is_asked = answer.status == 200 && answer.json()["status"] == "verification_required";
        assert!(answer.status == 400 || is_asked, "{member} {damages:?}: {} {}", answer.status, answer.text);
    }
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM passkeys").await, 0);
}

/// T-WA-12: a damaged assertion never signs anybody in, and never breaks anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_assertion_signs_nobody_in() {
    let app = TestApp::new().await;
    let (owner, es256) = user_with_passkey(&app, ADA).await;
    let mut eddsa = Authenticator::eddsa(&app.origin());
    add(&app, &owner, &mut eddsa).await;
    let mut passkeys = [es256, eddsa];
    let (mut runner, strategy) = (runner(), damages());
    let members = ["clientDataJSON", "authenticatorData", "signature", "userHandle"];
    let browser = app.browser();
    for case in 0..cases() {
        if case % 500 == 0 {
            app.advance(std::time::Duration::from_secs(3600));
        }
        let challenge = start_login(&browser).await;
        let credential = passkeys[case / members.len() % 2].get(&challenge["public_key"]);
        let damages = strategy.new_tree(&mut runner).expect("a case").current();
        let member = members[case % members.len()];
        let Some(credential) = damaged(&credential, member, &damages) else { continue };
        let answer = browser.post(LOGIN_FINISH, answer_to(&challenge, &credential)).await;
        assert_eq!(answer.status, 400, "{member} {damages:?}: {}", answer.text);
        answer.expect_problem(400, "invalid_passkey");
    }
    for mut passkey in passkeys {
        super::try_passkey(&browser, &mut passkey).await.expect(200);
    }
}
