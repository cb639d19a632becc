//! The use case: what an address is signed in with.

use uuid::Uuid;

use super::{PrecheckError, decoy::decoy};
use crate::{
    client::Client,
    domains,
    kernel::Kernel,
    passkey,
    rate_limit::{self, Verdict},
    secret::{Keyring, encode},
    users::{self, Email, User, UserId},
};

/// Passkeys that are told of at most. Decoys are as many.
const MOST: u64 = 3;

/// What kinds of passkeys decoys look like: how they are reached, and the length of their ids. Phones and laptops that share
/// their passkeys, and password managers, are most of what there is. How a passkey is reached is told in these words only; an
/// id of another length is its authenticator's.
const KINDS: [(&[&str], usize); 16] = [
    (&["hybrid", "internal"], 20),
    (&["hybrid", "internal"], 20),
    (&["hybrid", "internal"], 20),
    (&["hybrid", "internal"], 16),
    (&["hybrid", "internal"], 16),
    (&["hybrid", "internal"], 16),
    (&["hybrid", "internal"], 32),
    (&["internal"], 16),
    (&["internal"], 20),
    (&["internal"], 32),
    (&["internal"], 32),
    (&["nfc", "usb"], 48),
    (&["nfc", "usb"], 64),
    (&["usb"], 64),
    (&[], 32),
    (&[], 16),
];

/// A passkey that may be asked for, real or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// What the authenticator knows it by, in base64url.
    pub credential_id: String,
    /// How it can be reached, as in WebAuthn.
    pub transports: Vec<String>,
}

/// What an address is signed in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Precheck {
    /// The provider that its domain demands.
    pub sso_enforcement: Option<String>,
    /// Passkeys, or what looks like some; none where a provider is demanded.
    pub passkeys: Vec<Offered>,
}

/// Says what an address is signed in with. `own` is the user of the session that the request carries: whoever asks about
/// themselves learns nothing and is not counted.
///
/// # Errors
/// When this is no address, the client's network asked too often, or the database fails.
pub async fn precheck(
    kernel: &Kernel,
    client: &Client,
    (text, own): (&str, Option<&User>),
) -> Result<Precheck, PrecheckError> {
    let email = Email::parse(text);
    let is_own = |email: &Email| own.is_some_and(|user| user.email_normalised == email.normalised());
    if !email.as_ref().is_ok_and(is_own) {
        count(kernel, client).await?;
    }
    let email = email.map_err(|_| PrecheckError::InvalidAddress)?;
    let db = kernel.db.reader();
    if let Some(demand) = domains::find_demand(kernel, db, &email).await? {
        return Ok(Precheck { sso_enforcement: Some(demand.provider), passkeys: Vec::new() });
    }
    let user = users::find_by_email(db, &email).await?.filter(User::is_active);
    // Of nobody as well, so that the same statements run.
    let user_id = user.map_or(UserId(Uuid::nil()), |user| user.id);
    let held = passkey::list(db, user_id, None, MOST).await?;
    let mut passkeys: Vec<Offered> = held
        .into_iter()
        .map(|one| Offered { credential_id: encode(&one.credential_id), transports: told(one.transports()) })
        .collect();
    if passkeys.is_empty() {
        passkeys = decoys(&kernel.keys, &email);
    }
    Ok(Precheck { sso_enforcement: None, passkeys })
}

/// Counts a question of the client's network before anything is looked up.
async fn count(kernel: &Kernel, client: &Client) -> Result<(), PrecheckError> {
    let (network, limit) = (client.network(), kernel.config.precheck.per_network);
    let scope = ("precheck.network", network.as_str());
    // One statement is a transaction of its own.
    match rate_limit::check(kernel.db.writer(), &kernel.keys, kernel.clock.now(), limit, scope).await? {
        Verdict::Allowed => Ok(()),
        Verdict::Denied(wait) => Err(PrecheckError::Throttled(wait)),
    }
}

/// How a passkey is reached, in an order that does not say which browser named it; not at all where no decoy is reached so.
fn told(mut transports: Vec<String>) -> Vec<String> {
    transports.sort_unstable();
    if KINDS.iter().any(|(known, _)| *known == transports) { transports } else { Vec::new() }
}

/// What stands in place of passkeys: one mostly, at times two or three, always the same for an address.
fn decoys(keys: &Keyring, email: &Email) -> Vec<Offered> {
    let draw = |purpose: &str, index: u8| keys.blind(purpose, &[email.normalised().as_bytes(), &[index]]);
    let [first, ..] = draw("precheck.count", 0);
    let count = match first {
        0..=183 => 1,
        184..=235 => 2,
        236..=255 => 3,
    };
    let one = |index: u8| {
        let [kind, ..] = draw("precheck.kind", index);
        let (transports, length) = KINDS.get(usize::from(kind) % KINDS.len()).copied().unwrap_or((&["internal"], 32));
        Offered {
            credential_id: encode(&decoy(keys, email, (index, length))),
            transports: transports.iter().map(|name| (*name).to_owned()).collect(),
        }
    };
    (0..count).map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn of(keys: &Keyring, number: usize) -> Vec<Offered> {
        decoys(keys, &Email::parse(&format!("user{number}@example.test")).unwrap())
    }

    #[test]
    fn passkeys_are_reached_as_decoys_are() {
        let of = |names: &[&str]| told(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(of(&["internal", "hybrid"]), ["hybrid", "internal"]);
        assert_eq!(of(&["usb", "nfc"]), ["nfc", "usb"]);
        for seldom in [&["ble"] as &[&str], &["internal", "usb"], &["smart-card"], &[]] {
            assert!(of(seldom).is_empty(), "{seldom:?}");
        }
        assert!(KINDS.iter().any(|(transports, _)| transports.is_empty()));
    }

    #[test]
    fn decoys_are_stable_different_and_as_many_as_people_have() {
        let keys = Keyring::parse(&["one:insecure-key-for-development-only-0000"]).unwrap();
        let other = Keyring::parse(&["one:insecure-key-for-development-only-0001"]).unwrap();
        let (mut counts, mut ids) = (BTreeMap::<usize, usize>::new(), BTreeSet::new());
        for number in 0..1000 {
            let passkeys = of(&keys, number);
            assert_eq!(passkeys, of(&keys, number));
            assert_ne!(passkeys, of(&other, number));
            *counts.entry(passkeys.len()).or_default() += 1;
            ids.extend(passkeys.into_iter().map(|one| one.credential_id));
        }
        assert!(counts[&1] > 600 && counts[&2] > 100 && counts[&3] > 30, "{counts:?}");
        assert_eq!(ids.len(), counts.iter().map(|(count, times)| count * times).sum::<usize>());
    }
}
