//! The link: what it is, how long it is good, and what makes it void.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use harness::{OTHER_PASSWORD, PASSWORD, TestApp, code_in, token_in};
use poem::http::Method;
use serde_json::json;
use shared::{clock::Timestamp, ids, secret::SignedId, users};

use super::{ADA, BOB, FRESH_PASSWORD, app_with_ada, assert_dead, complete, new_token, request, validate};

/// C05: 256 bits that only the keys' owner can make, and nothing of them in the database.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_cannot_be_guessed_and_is_not_stored() {
    let app = app_with_ada().await;
    let (first, second) = (new_token(&app, ADA).await, new_token(&app, ADA).await);
    let bytes = |token: &str| URL_SAFE_NO_PAD.decode(token).unwrap();
    let (first_bytes, second_bytes) = (bytes(&first), bytes(&second));
    assert_eq!((first_bytes.len(), second_bytes.len()), (48, 48));
    assert_ne!(first_bytes[16..], second_bytes[16..]);
    let dump = app.dump().await;
    assert!(dump.contains(ADA) && dump.contains("password_resets"), "the dump shows no values");
    for bytes in [first_bytes, second_bytes] {
        let hex = format!("{:032x}", u128::from_be_bytes(bytes[16..32].try_into().unwrap()));
        assert!(!dump.to_lowercase().contains(&hex));
        assert!(!dump.contains(&format!("{:?}", &bytes[16..])));
        assert!(!dump.contains(&URL_SAFE_NO_PAD.encode(&bytes[16..])));
    }
    assert!(!dump.contains(&first) && !dump.contains(&second));
}

/// C05, T-RST-03, T-CLK-01: to the second, at use, with no sweep.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_good_for_one_day() {
    let app = app_with_ada().await;
    let token = new_token(&app, ADA).await;
    let requested_at = Timestamp(app.number("SELECT created_at AS number FROM password_resets").await);
    let after = |seconds| app.gateway_at(requested_at + Duration::from_secs(seconds));
    for seconds in [86_400, 86_401] {
        let late = after(seconds);
        let browser = app.browser().through(&late);
        validate(&browser, &token).await.expect_problem(400, "invalid_token");
        complete(&browser, &token, FRESH_PASSWORD).await.expect_problem(400, "invalid_token");
        browser.get(&format!("/reset?token={token}")).await.expect(400);
    }
    let in_time = after(86_399);
    let browser = app.browser().through(&in_time);
    validate(&browser, &token).await.expect(200);
    complete(&browser, &token, FRESH_PASSWORD).await.expect(200);
    app.advance(Duration::from_secs(86_400));
    app.drain().await;
}

/// C07, T-RST-03: only the newest one works.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_link_replaces_the_one_before() {
    let app = app_with_ada().await;
    let first = new_token(&app, ADA).await;
    let second = new_token(&app, ADA).await;
    assert_dead(&app, &first).await;
    complete(&app.browser(), &second, FRESH_PASSWORD).await.expect(200);
    app.drain().await;
    // The newest one wins at the request, not at the mail: the older job sends nothing.
    let links = super::count_links(&app, ADA).await;
    request(&app.browser(), ADA).await.expect(204);
    request(&app.browser(), ADA).await.expect(204);
    app.drain().await;
    assert_eq!(super::count_links(&app, ADA).await, links + 1);
}

/// C08: a change of the password.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_change_voids_the_link() {
    let app = app_with_ada().await;
    let owner = app.browser();
    owner.log_in(ADA, PASSWORD).await;
    let token = new_token(&app, ADA).await;
    let change = json!({ "current_password": PASSWORD, "new_password": OTHER_PASSWORD });
    owner.post("/api/users/@me/password", change).await.expect(204);
    app.drain().await;
    assert_dead(&app, &token).await;
}

/// C08, T-RST-03: a change of the address.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_change_voids_the_link() {
    let app = app_with_ada().await;
    let owner = app.browser();
    owner.log_in(ADA, PASSWORD).await;
    let token = new_token(&app, ADA).await;
    owner.patch("/api/users/@me", json!({ "email": BOB })).await.expect(200);
    app.drain().await;
    validate(&app.browser(), &token).await.expect(200);
    let code = code_in(&app.mail_to(BOB).await.text);
    owner.post("/api/email_verification/confirm", json!({ "email": BOB, "code": code })).await.expect(200);
    app.drain().await;
    assert_dead(&app, &token).await;
}

/// C08: an end of the account; its link is not mailed any more either.
#[tokio::test(flavor = "multi_thread")]
async fn disabling_the_user_voids_the_link() {
    let app = app_with_ada().await;
    app.browser().sign_up_verified(BOB).await;
    let token = new_token(&app, ADA).await;
    request(&app.browser(), BOB).await.expect(204);
    for email in [ADA, BOB] {
        users::disable(&app.kernel, app.user(email).await.id).await.unwrap();
    }
    app.drain().await;
    assert_dead(&app, &token).await;
    assert_eq!(super::count_links(&app, BOB).await, 0);
}

/// C09: unknown, malformed, wrong, expired, spent and replaced are the same in every byte.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_token_is_a_bad_token() {
    let app = app_with_ada().await;
    app.browser().sign_up_verified(BOB).await;
    let expired = new_token(&app, BOB).await;
    app.advance(Duration::from_secs(86_400));
    let (replaced, good) = (new_token(&app, ADA).await, new_token(&app, ADA).await);
    let spent = new_token(&app, BOB).await;
    complete(&app.browser(), &spent, FRESH_PASSWORD).await.expect(200);
    app.drain().await;
    let wrong = SignedId::new(SignedId::parse(&good).unwrap().id, [7; 32]).to_text();
    let unknown = SignedId::new(ids::next(), [7; 32]).to_text();
    let malformed = ["", "x", "../../etc/passwd", &good[1..], &format!("{good}="), &"A".repeat(3000)];
    let browser = app.browser();
    let reference = complete(&browser, &unknown, FRESH_PASSWORD).await;
    reference.expect_problem(400, "invalid_token");
    let hashes = app.hasher.computed();
    for token in [&wrong, &expired, &replaced, &spent].into_iter().map(String::as_str).chain(malformed) {
        assert_eq!(validate(&browser, token).await.fingerprint(), reference.fingerprint(), "{token}");
        assert_eq!(complete(&browser, token, FRESH_PASSWORD).await.fingerprint(), reference.fingerprint(), "{token}");
        assert_eq!(complete(&browser, token, "weak").await.fingerprint(), reference.fingerprint(), "{token}");
    }
    assert_eq!(app.hasher.computed(), hashes);
    validate(&browser, &good).await.expect(200);
}

/// T-RST-04: no bit of a token may differ.
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_refused() {
    let app = app_with_ada().await;
    let token = new_token(&app, ADA).await;
    let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
    for bit in (0..bytes.len() * 8).step_by(5) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let flipped = URL_SAFE_NO_PAD.encode(flipped);
        validate(&app.browser(), &flipped).await.expect_problem(400, "invalid_token");
    }
    validate(&app.browser(), &token).await.expect(200);
}

/// T-RST-04: what belongs to one user or purpose is good for no other.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_others_and_of_other_purposes_are_refused() {
    let app = app_with_ada().await;
    let newcomer = app.browser();
    newcomer.sign_up(BOB).await;
    let verification = token_in(&app.mail_to(BOB).await.text);
    app.browser().begin_login(ADA, PASSWORD).await;
    let login = token_in(&app.mail_to(ADA).await.text);
    let (of_ada, of_bob) = (new_token(&app, ADA).await, new_token(&app, BOB).await);
    let bytes = |token: &str| URL_SAFE_NO_PAD.decode(token).unwrap();
    let crossed = URL_SAFE_NO_PAD.encode([&bytes(&of_ada)[..16], &bytes(&of_bob)[16..]].concat());
    for token in [&verification, &login, &crossed] {
        assert_dead(&app, token).await;
    }
    let confirm = newcomer.post("/api/email_verification/confirm", json!({ "token": of_bob })).await;
    confirm.expect_problem(400, "invalid_token");
    let finish = newcomer.post("/api/login/email_mfa", json!({ "token": of_ada })).await;
    finish.expect_problem(400, "login_not_found");
    for token in [&of_ada, &of_bob] {
        validate(&app.browser(), token).await.expect(200);
    }
}

async fn assert_still_good(app: &TestApp, token: &str) {
    complete(&app.browser(), token, FRESH_PASSWORD).await.expect(200);
    app.drain().await;
}

/// C10: checking a token does not spend it, and writes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn checking_a_token_leaves_it_good() {
    let app = app_with_ada().await;
    let token = new_token(&app, ADA).await;
    let rows = app.row_counts().await;
    for _ in 0..5 {
        let answer = validate(&app.browser(), &token).await.expect(200);
        assert_eq!(answer.json(), json!({ "status": "valid" }));
    }
    assert_eq!(app.row_counts().await, rows);
    assert_still_good(&app, &token).await;
}

/// C11: a mail scanner may open the link as often as it likes.
#[tokio::test(flavor = "multi_thread")]
async fn opening_the_link_leaves_it_good() {
    let app = app_with_ada().await;
    let token = new_token(&app, ADA).await;
    let (rows, address) = (app.row_counts().await, format!("/reset?token={token}"));
    for _ in 0..5 {
        for method in [Method::HEAD, Method::GET] {
            let page = app.browser().send(method, &address, None).await.expect(200);
            assert_eq!(page.header("set-cookie"), None);
        }
    }
    assert_eq!(app.row_counts().await, rows);
    assert_still_good(&app, &token).await;
}
