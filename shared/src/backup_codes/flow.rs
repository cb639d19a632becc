//! Use cases: making codes, and using one.

use sea_orm::{ActiveValue::Set, DbErr};
use serde_json::json;

use super::{
    NotifyBackupCodeUsed,
    entity::{ActiveModel, BackupCodeId, Model},
    store,
};
use crate::{
    audit::{self, AuditEvent, Outcome},
    client::Client,
    db::Tx,
    jobs,
    kernel::Kernel,
    secret::{self, Redacted},
    users::UserId,
};

/// Codes of one set.
const COUNT: usize = 10;
/// Characters of a code, 5 bits each.
const LENGTH: usize = 10;
/// Crockford's base32: no i, l, o and u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Makes ten codes; the earlier ones are void. They cannot be read again.
///
/// # Errors
/// When the database fails.
pub async fn replace(kernel: &Kernel, tx: &Tx, user_id: UserId) -> Result<Vec<Redacted<String>>, DbErr> {
    let now = kernel.clock.now();
    let key_id = kernel.keys.current();
    let codes: Vec<String> = (0..COUNT).map(|_| mint()).collect();
    let mut rows = Vec::with_capacity(COUNT);
    for code in &codes {
        let digest = digest(kernel, key_id, user_id, code).ok_or_else(|| DbErr::Custom("no signing key".to_owned()))?;
        rows.push(ActiveModel {
            id: Set(BackupCodeId::next()),
            user_id: Set(user_id),
            key_id: Set(key_id.to_owned()),
            digest: Set(digest.to_vec()),
            created_at: Set(now),
            used_at: Set(None),
        });
    }
    store::remove_all(&**tx, user_id).await?;
    store::insert(&**tx, rows).await?;
    Ok(codes.iter().map(|code| Redacted::new(display(code))).collect())
}

/// Uses a code up and tells its owner. False when it is none of theirs or was used.
///
/// # Errors
/// When the database fails.
pub async fn spend(kernel: &Kernel, tx: &Tx, client: &Client, user_id: UserId, typed: &str) -> Result<bool, DbErr> {
    let Some(code) = normalise(typed) else { return Ok(false) };
    let live = store::find_live(&**tx, user_id).await?;
    let is_match = |row: &&Model| {
        digest(kernel, &row.key_id, user_id, &code).is_some_and(|digest| secret::equal(&digest, &row.digest))
    };
    let Some(row) = live.iter().find(is_match) else { return Ok(false) };
    if !store::consume(&**tx, user_id, row.id, kernel.clock.now()).await? {
        return Ok(false);
    }
    let left = store::count_left(&**tx, user_id).await?;
    let event = AuditEvent {
        action: "backup_codes.spend",
        outcome: Outcome::Success,
        user_id: Some(user_id.0),
        client: Some(client),
        detail: json!({ "left": left }),
    };
    let audit_id = audit::record(&**tx, kernel.clock.as_ref(), event).await?;
    jobs::enqueue(tx, kernel.clock.as_ref(), &NotifyBackupCodeUsed { user_id, audit_id }).await?;
    Ok(true)
}

fn mint() -> String {
    secret::random_bytes::<LENGTH>().iter().filter_map(|byte| letter(byte & 31)).map(char::from).collect()
}

fn letter(value: u8) -> Option<u8> {
    ALPHABET.get(usize::from(value)).copied()
}

/// As people read it: in two halves.
fn display(code: &str) -> String {
    let (left, right) = code.split_at(LENGTH / 2);
    format!("{left}-{right}")
}

/// The code behind what was typed; `None` when it cannot be one.
fn normalise(typed: &str) -> Option<String> {
    let significant =
        typed.chars().filter(|letter| !letter.is_whitespace() && !matches!(letter, '-' | '‐' | '–' | '—'));
    let mut code = String::with_capacity(LENGTH);
    for letter in significant {
        let letter = match letter.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        };
        let is_known = u8::try_from(letter).is_ok_and(|byte| ALPHABET.contains(&byte));
        if !is_known || code.len() == LENGTH {
            return None;
        }
        code.push(letter);
    }
    (code.len() == LENGTH).then_some(code)
}

fn digest(kernel: &Kernel, key_id: &str, user_id: UserId, code: &str) -> Option<[u8; 32]> {
    kernel.keys.derive(key_id, "backup_codes.code", &[user_id.0.as_bytes(), code.as_bytes()])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_have_fifty_bits_that_differ() {
        let codes: HashSet<String> = (0..1000).map(|_| mint()).collect();
        assert_eq!(codes.len(), 1000);
        assert!(codes.iter().all(|code| code.len() == 10 && code.bytes().all(|byte| ALPHABET.contains(&byte))));
        let letters: HashSet<u8> = codes.iter().flat_map(|code| code.bytes()).collect();
        assert_eq!(letters.len(), 32);
    }

    #[test]
    fn typing_is_forgiven_and_nothing_else() {
        for typed in ["01abc-defgh", " O1ABC DEFGH ", "olabcdefgh", "0-1-a-b-c-d-e-f-g-h", "0iabc–defgh"] {
            assert_eq!(normalise(typed).as_deref(), Some("01abcdefgh"), "{typed}");
        }
        for typed in ["", "01abcdefg", "01abcdefghj", "01abcdefgu", "01abcdefg!", "01abcdefgé"] {
            assert_eq!(normalise(typed), None, "{typed}");
        }
    }
}
