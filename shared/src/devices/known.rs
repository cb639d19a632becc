//! Known devices: browsers and programs that a user signed in with, and the notice of a login with another one.
//!
//! ```text
//! cookie      up to five random values, one for each user of the browser; a row holds the digest of each
//! fingerprint digest of network and program; all that a client without cookies can be known by
//! ```
//!
//! A value in the cookie is taken over from the client only to be compared: a login with none that is the user's gets a
//! fresh one, so nobody can make a device of theirs known by planting its cookie.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr, Statement, Value};

use crate::{
    client::Client,
    clock::Timestamp,
    db::Tx,
    kernel::Kernel,
    secret::{self, Redacted},
    users::{User, UserId},
};

/// Users that one browser remembers.
const USERS_PER_BROWSER: usize = 5;
/// Length of one value: prefix and 256 bits in base64url.
const VALUE_LENGTH: usize = 5 + 43;
/// A second login that looks the same within this time is the same new device, whose first answer is still under way.
const SAME_MOMENT: Duration = Duration::from_secs(60);

/// What the cookie holds, as far as it can be ours.
fn values(cookie: Option<&Redacted<String>>) -> Vec<&str> {
    let text = cookie.map_or("", |cookie| cookie.expose().as_str());
    let is_ours = |value: &&str| value.len() == VALUE_LENGTH && value.starts_with("gpkd_");
    text.split('.').filter(is_ours).take(USERS_PER_BROWSER).collect()
}

/// The digest of the device, if it signed in to this account before: `account` is a normalised address.
///
/// # Errors
/// When the database fails.
pub async fn find_known(
    kernel: &Kernel,
    account: &str,
    cookie: Option<&Redacted<String>>,
) -> Result<Option<Vec<u8>>, DbErr> {
    let digests: Vec<Value> = values(cookie).into_iter().map(|value| secret::digest(value).into()).collect();
    if digests.is_empty() {
        return Ok(None);
    }
    let db = kernel.db.reader();
    let sql = format!(
        "SELECT known_devices.digest FROM known_devices JOIN users ON users.id = known_devices.user_id
         WHERE users.email_normalised = $1 AND known_devices.expires_at > $2 AND known_devices.digest IN ({}) LIMIT 1",
        places(3, digests.len())
    );
    let fixed: [Value; 2] = [account.into(), kernel.clock.now().0.into()];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, fixed.into_iter().chain(digests));
    db.query_one_raw(statement).await?.map(|row| row.try_get("", "digest")).transpose()
}

/// `$3, $4, …`
fn places(first: usize, count: usize) -> String {
    (first..first + count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

/// What a login found out about its device.
#[derive(Debug)]
pub struct Recognition {
    /// What the browser keeps from now on.
    pub cookie: Option<Redacted<String>>,
    /// The user has signed in before, and never with this device.
    pub is_unknown: bool,
}

/// Makes the device known to the user, in the transaction of the login, and says whether it was.
///
/// # Errors
/// When the database fails.
pub async fn recognise(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    user: &User,
    (cookie, keeps_cookies): (Option<&Redacted<String>>, bool),
) -> Result<Recognition, DbErr> {
    let (now, values) = (kernel.clock.now(), values(cookie));
    let expires_at = now + Duration::from_secs(kernel.config.devices.known_seconds);
    if keeps_cookies && see(tx, user.id, &values, expires_at, now).await? {
        return Ok(Recognition { cookie: cookie.cloned(), is_unknown: false });
    }
    let has_history = has_history(tx, user.id).await?;
    let fresh = keeps_cookies.then(|| secret::mint("gpkd_"));
    let last_seen = add(tx, user.id, (&fingerprint(kernel, client, user.id), fresh.as_ref()), expires_at, now).await?;
    let within =
        if keeps_cookies { SAME_MOMENT } else { Duration::from_secs(kernel.config.devices.fingerprint_seconds) };
    let was_seen = last_seen.is_some_and(|at| at + within > now);
    let cookie = fresh.map(|fresh| {
        let kept = values.iter().skip((values.len() + 1).saturating_sub(USERS_PER_BROWSER)).copied();
        Redacted::new(kept.chain([fresh.expose().as_str()]).collect::<Vec<_>>().join("."))
    });
    Ok(Recognition { cookie, is_unknown: has_history && !was_seen })
}

/// Records a login of a device that the user signed in with before. False when none of these values is the user's.
async fn see(tx: &Tx, user_id: UserId, values: &[&str], expires_at: Timestamp, now: Timestamp) -> Result<bool, DbErr> {
    if values.is_empty() {
        return Ok(false);
    }
    let sql = format!(
        "UPDATE known_devices SET seen_at = $1, expires_at = $2
         WHERE user_id = $3 AND expires_at > $1 AND digest IN ({})",
        places(4, values.len())
    );
    let fixed: [Value; 3] = [now.0.into(), expires_at.0.into(), user_id.0.into()];
    let digests = values.iter().map(|value| secret::digest(value).into());
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, fixed.into_iter().chain(digests));
    Ok(tx.execute_raw(statement).await?.rows_affected() > 0)
}

/// Whether the user ever signed in. Revoked devices count: they keep their row.
async fn has_history(tx: &Tx, user_id: UserId) -> Result<bool, DbErr> {
    let sql = "SELECT 1 AS found FROM known_devices WHERE user_id = $1 LIMIT 1";
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, [user_id.0.into()]);
    Ok(tx.query_one_raw(statement).await?.is_some())
}

/// Adds the fingerprint and the fresh value in one statement; returns when the fingerprint was seen before. Logins at
/// the same moment wait for one another here, so that only the first of them sees nothing.
async fn add(
    tx: &Tx,
    user_id: UserId,
    (fingerprint, fresh): (&[u8], Option<&Redacted<String>>),
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<Option<Timestamp>, DbErr> {
    let mut values: Vec<Value> = vec![user_id.0.into(), now.0.into(), expires_at.0.into(), fingerprint.to_vec().into()];
    let second = if let Some(fresh) = fresh {
        values.push(secret::digest(fresh.expose()).into());
        ", ($1, $5, $2, $3)"
    } else {
        ""
    };
    let sql = format!(
        "INSERT INTO known_devices (user_id, digest, seen_at, expires_at) VALUES ($1, $4, $2, $3){second}
         ON CONFLICT (user_id, digest) DO UPDATE SET
           previous_seen_at = CASE WHEN known_devices.expires_at > $2 THEN known_devices.seen_at END,
           seen_at = excluded.seen_at, expires_at = excluded.expires_at
         RETURNING digest, previous_seen_at"
    );
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
    for row in tx.query_all_raw(statement).await? {
        if row.try_get::<Vec<u8>>("", "digest")? == fingerprint {
            return Ok(row.try_get::<Option<i64>>("", "previous_seen_at")?.map(Timestamp));
        }
    }
    Ok(None)
}

/// What a client without cookies is known by; a keyed digest, so that the table tells nothing of networks.
fn fingerprint(kernel: &Kernel, client: &Client, user_id: UserId) -> Vec<u8> {
    let (network, program) = (client.network(), client.user_agent.as_deref().unwrap_or_default());
    let parts: [&[u8]; 3] = [user_id.0.as_bytes(), network.as_bytes(), program.as_bytes()];
    kernel.keys.blind("devices.fingerprint", &parts).to_vec()
}

/// No device of the user is known any more.
///
/// # Errors
/// When the database fails.
pub async fn forget_all(tx: &Tx, user_id: UserId, now: Timestamp) -> Result<(), DbErr> {
    let sql = "UPDATE known_devices SET expires_at = $1 WHERE user_id = $2 AND expires_at > $1";
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, [now.0.into(), user_id.0.into()]);
    tx.execute_raw(statement).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_yields_only_what_can_be_ours() {
        let ours = secret::mint("gpkd_").expose().clone();
        let cookie = Redacted::new(format!("x..{ours}.gpkd_short.{}", [ours.as_str(); 9].join(".")));
        assert_eq!(values(Some(&cookie)), vec![ours.as_str(); USERS_PER_BROWSER]);
        assert!(values(None).is_empty());
    }

    #[test]
    fn places_are_numbered() {
        assert_eq!(places(3, 2), "$3, $4");
    }
}
