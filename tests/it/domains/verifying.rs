//! Proving a domain by a record of its name server.

use std::time::Duration;

use futures_util::future::join_all;
use harness::dns::Zone;
use serde_json::{Value, json};

use super::{CORP, RECORD, World, text};

/// What there is at names, with this value.
type Zones = fn(&str) -> Vec<(&str, Zone)>;

fn strings(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|part| (*part).to_owned()).collect()
}

/// N02, W22: one record of many, of one string or several, here or where aliases lead to
#[tokio::test(flavor = "multi_thread")]
async fn the_record_counts_wherever_and_however_it_stands() {
    let world = World::new().await;
    let house = world.house("owner@example.com").await;
    let zones: [(&str, Zones); 6] = [
        ("plain", |value| vec![(RECORD, Zone::Txt(vec![strings(&[value])]))]),
        ("blanks", |value| vec![(RECORD, Zone::Txt(vec![strings(&[&format!(" {value}\n")])]))]),
        ("strings", |value| {
            let (head, tail) = value.split_at(7);
            vec![(RECORD, Zone::Txt(vec![strings(&[head, "", tail])]))]
        }),
        ("records", |value| {
            let others = [strings(&["v=spf1 -all"]), strings(&[""]), strings(&[value]), strings(&["other"])];
            vec![(RECORD, Zone::Txt(others.to_vec()))]
        }),
        ("aliases in one answer", |value| {
            vec![
                (RECORD, Zone::Alias("one.example".to_owned())),
                ("one.example", Zone::Alias("two.example".to_owned())),
                ("two.example", Zone::Txt(vec![strings(&[value])])),
            ]
        }),
        ("aliases one by one", |value| {
            vec![
                (RECORD, Zone::BareAlias("three.example".to_owned())),
                ("three.example", Zone::BareAlias("four.example".to_owned())),
                ("four.example", Zone::Txt(vec![strings(&[value])])),
            ]
        }),
    ];
    for (name, zones) in zones {
        let domain = house.claim(CORP).await;
        for (name, zone) in zones(&text(&domain["challenge_value"])) {
            world.names.set(name, zone);
        }
        let answer = house.verify(&domain).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
        let verified = answer.json();
        assert_eq!(verified["is_verified"], true, "{name}");
        assert_eq!(verified["verified_at"], verified["last_checked_at"], "{verified}");
        assert!(verified["verified_at"].is_string(), "{verified}");
        house.owner.delete(&house.path(&format!("/{}", text(&domain["id"])))).await.expect(204);
    }
}

/// N02: a part of the value, the value of another claim, or a record elsewhere proves nothing
#[tokio::test(flavor = "multi_thread")]
async fn other_records_prove_nothing() {
    let world = World::new().await;
    let (house, other) = (world.house("owner@example.com").await, world.house("other@example.com").await);
    let (domain, foreign) = (house.claim(CORP).await, other.claim(CORP).await);
    let value = text(&domain["challenge_value"]);
    world.names.set_txt(CORP, &value);
    world.names.set_txt("_gatepost-challenge.www.corp.example", &value);
    let swapped: String = value
        .chars()
        .map(|one| if one.is_ascii_lowercase() { one.to_ascii_uppercase() } else { one.to_ascii_lowercase() })
        .collect();
    let halves = value.split_at(20);
    for records in [
        vec![strings(&[&text(&foreign["challenge_value"])])],
        vec![strings(&[halves.0])],
        vec![strings(&[halves.0]), strings(&[halves.1])],
        vec![strings(&[&format!("{value}x")])],
        vec![strings(&[&swapped])],
    ] {
        world.names.set(RECORD, Zone::Txt(records.clone()));
        let answer = house.verify(&domain).await.expect(200).json();
        assert_eq!(answer["is_verified"], false, "{records:?}");
    }
}

/// N03, W22: what there is not is an answer, with the time of the check; what fails or is silent is to be tried again
#[tokio::test(flavor = "multi_thread")]
async fn no_record_is_an_answer_and_no_answer_is_to_be_tried_again() {
    let world = World::with(|config| config.domains.lookup_seconds = 3).await;
    let house = world.house("owner@example.com").await;
    let domain = house.claim(CORP).await;
    let mut last = String::new();
    for (zone, after) in [(None, 10), (Some(Zone::Other), 20), (Some(Zone::Alias("nowhere.example".to_owned())), 30)] {
        world.app.advance(Duration::from_secs(after));
        if let Some(zone) = zone {
            world.names.set(RECORD, zone);
        }
        let answer = house.verify(&domain).await.expect(200).json();
        assert_eq!(answer["is_verified"], false, "{answer}");
        assert!(text(&answer["last_checked_at"]) > last, "{answer}");
        last = text(&answer["last_checked_at"]);
        assert!(answer.get("verified_at").is_none());
    }
    let before = house.get(&domain).await;
    world.app.advance(Duration::from_secs(60));
    for zone in [Zone::Failure, Zone::Silence] {
        world.names.set(RECORD, zone);
        let answer = house.verify(&domain).await;
        answer.expect_problem(503, "dns_unavailable");
        assert!(answer.header("retry-after").is_some());
        assert_eq!(house.get(&domain).await, before);
    }
    let rows = world.audited("domains.verify").await;
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert!(rows.iter().all(|(outcome, _)| outcome == "failure"), "{rows:?}");
    house.publish(&domain);
    assert_eq!(house.verify(&domain).await.expect(200).json()["is_verified"], true);
}

/// N04: a domain that is verified is not verified again, and its name server is left alone
#[tokio::test(flavor = "multi_thread")]
async fn a_verified_domain_is_not_verified_again() {
    let world = World::new().await;
    let house = world.house("owner@example.com").await;
    let domain = house.prove(CORP, json!({})).await;
    let asked = world.names.count(RECORD);
    house.verify(&domain).await.expect_problem(409, "already_verified");
    assert_eq!(world.names.count(RECORD), asked);
    assert_eq!(house.get(&domain).await["is_verified"], true);
}

/// N05, T-SAML-18, W22: any number of organizations claim a domain, the first proof has it, also of proofs at once
#[tokio::test(flavor = "multi_thread")]
async fn the_first_proof_has_the_domain() {
    let world = World::new().await;
    let houses = [
        world.house("one@example.com").await,
        world.house("two@example.com").await,
        world.house("three@example.com").await,
    ];
    let claims: Vec<Value> = join_all(houses.iter().map(|house| house.claim(CORP))).await;
    let records = claims.iter().map(|claim| vec![text(&claim["challenge_value"])]).collect();
    world.names.set(RECORD, Zone::Txt(records));
    let answers = join_all(houses.iter().zip(&claims).map(|(house, claim)| house.verify(claim))).await;
    let won: Vec<usize> = (0..answers.len()).filter(|at| answers[*at].status == 200).collect();
    assert_eq!(won.len(), 1, "{:?}", answers.iter().map(|answer| &answer.text).collect::<Vec<_>>());
    for (at, answer) in answers.iter().enumerate().filter(|(at, _)| !won.contains(at)) {
        answer.expect_problem(409, "domain_taken");
        assert_eq!(houses[at].get(&claims[at]).await["is_verified"], false);
    }
    // Whoever gives it up lets the next one have it.
    let (winner, loser) = (won[0], (won[0] + 1) % 3);
    houses[loser].verify(&claims[loser]).await.expect_problem(409, "domain_taken");
    let gone = houses[winner].path(&format!("/{}", text(&claims[winner]["id"])));
    houses[winner].owner.delete(&gone).await.expect(204);
    assert_eq!(houses[loser].verify(&claims[loser]).await.expect(200).json()["is_verified"], true);
}

/// T-SAML-18: what changes while the name server is asked is not verified by its answer
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_about_a_domain_that_changed_meanwhile_proves_nothing() {
    let world = World::new().await;
    let house = world.house("owner@example.com").await;
    let domain = house.claim(CORP).await;
    house.publish(&domain);
    let other = world.app.member("admin@example.com").await;
    world.app.join("Acme", "admin@example.com", "admin").await;
    let one = house.path(&format!("/{}", text(&domain["id"])));
    let asked = async || {
        while world.names.count(RECORD) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // Claimed anew, which makes another challenge.
    world.names.hold();
    let change = async {
        asked().await;
        other.delete(&one).await.expect(204);
        let anew = house.claim(CORP).await;
        world.names.release();
        anew
    };
    let (answer, anew) = futures_util::join!(house.verify(&domain), change);
    answer.expect_problem(409, "domain_changed");
    assert_eq!(house.get(&anew).await["is_verified"], false);
    // The role is looked at again, too.
    house.publish(&anew);
    world.names.hold();
    let path = house.path(&format!("/{}/verify", text(&anew["id"])));
    let before = world.names.count(RECORD);
    let demote = async {
        while world.names.count(RECORD) == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let member = world.app.user("admin@example.com").await.id;
        let role = json!({ "role": "member" });
        house.owner.patch(&format!("/api/organizations/{}/members/{member}", house.id), role).await.expect(200);
        world.names.release();
    };
    let (answer, ()) = futures_util::join!(other.post(&path, json!({})), demote);
    answer.expect_problem(403, "forbidden");
    assert_eq!(house.get(&anew).await["is_verified"], false);
}

/// N03: lookups are counted, so that nobody lets this installation ask without end
#[tokio::test(flavor = "multi_thread")]
async fn lookups_of_an_organization_are_counted() {
    let world = World::with(|config| config.domains.lookups_per_organization.count = 3).await;
    let house = world.house("owner@example.com").await;
    let domain = house.claim(CORP).await;
    for _ in 0..3 {
        house.verify(&domain).await.expect(200);
    }
    let asked = world.names.count(RECORD);
    let answer = house.verify(&domain).await;
    answer.expect_problem(429, "throttled");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(world.names.count(RECORD), asked);
    let other = world.house("other@example.com").await;
    let elsewhere = other.claim(CORP).await;
    other.verify(&elsewhere).await.expect(200);
}
