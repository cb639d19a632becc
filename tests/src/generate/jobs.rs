//! `openapi/jobs.schema.json`, and the table of payloads that it is made of.
//!
//! A payload that has shipped has a frozen example in `tests/fixtures/jobs/`; the tests decode it with today's code and
//! hold it against this table. An older version stays in the table for as long as the code still reads it.

use anyhow::{Context as _, ensure};
use serde_json::{Map, Value, json};
use shared::{
    CATALOG, api_keys, backup_codes, break_glass, deletion, devices, domains, email_mfa, email_verification,
    enforcement, idempotency, identify, invites,
    jobs::{CatalogEntry, Job, entry, sweep},
    lockout, login, mail, passkey, password, persons, recovery, secret_keys, sessions, signup, social, totp,
    two_factor, two_factor_reset, users,
};

/// Where the schema is published.
const ADDRESS: &str = "https://gatepost.dev/jobs.schema.json";

/// A payload of one version of one job.
pub struct Payload {
    /// The job.
    pub entry: CatalogEntry,
    /// What the job does.
    pub title: &'static str,
    /// The members of the payload, all of them mandatory.
    pub fields: &'static [Field],
    recode: fn(&str) -> serde_json::Result<Value>,
}

/// A member of a payload.
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What values it has.
    pub shape: Shape,
    /// What it means.
    pub meaning: &'static str,
}

/// Values of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A UUID.
    Id,
    /// A list of UUIDs.
    Ids,
    /// An id that a client chose.
    Text,
    /// An instant as in RFC 3339.
    Instant,
    /// An e-mail address.
    Address,
    /// A number from 1.
    Count,
    /// A number from 0: time divided by a cadence.
    Window,
    /// Yes or no.
    Flag,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

impl Shape {
    /// As JSON Schema.
    fn schema(self) -> Value {
        match self {
            Self::Id => json!({ "type": "string", "format": "uuid" }),
            Self::Ids => json!({ "type": "array", "items": { "type": "string", "format": "uuid" } }),
            Self::Text => json!({ "type": "string" }),
            Self::Instant => json!({ "type": "string", "format": "date-time" }),
            Self::Address => json!({ "type": "string", "format": "email" }),
            Self::Count => json!({ "type": "integer", "minimum": 1 }),
            Self::Window => json!({ "type": "integer", "minimum": 0 }),
            Self::Flag => json!({ "type": "boolean" }),
            Self::OneOf(words) => json!({ "type": "string", "enum": words }),
        }
    }

    /// Whether a value is one of them.
    #[must_use]
    pub fn admits(self, value: &Value) -> bool {
        match self {
            Self::Id => value.as_str().is_some_and(|text| uuid::Uuid::parse_str(text).is_ok()),
            Self::Ids => value.as_array().is_some_and(|ids| ids.iter().all(|id| Self::Id.admits(id))),
            Self::Text => value.is_string(),
            Self::Instant => value.as_str().is_some_and(|text| text.contains('T') && text.ends_with('Z')),
            Self::Address => value.as_str().is_some_and(|text| text.contains('@')),
            Self::Count => value.as_i64().is_some_and(|number| number >= 1),
            Self::Window => value.as_i64().is_some_and(|number| number >= 0),
            Self::Flag => value.is_boolean(),
            Self::OneOf(words) => value.as_str().is_some_and(|text| words.contains(&text)),
        }
    }
}

impl Payload {
    /// `<name>.v<version>`: its name in the schema, and its file's without extension.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}.v{}", self.entry.name, self.entry.version)
    }

    /// Reads a payload with today's code and writes it again.
    ///
    /// # Errors
    /// When it does not decode.
    pub fn recode(&self, payload: &str) -> serde_json::Result<Value> {
        (self.recode)(payload)
    }

    fn schema(&self) -> Value {
        let names: Vec<_> = self.fields.iter().map(|field| field.name).collect();
        let mut properties = Map::new();
        for field in self.fields {
            let mut shape = field.shape.schema();
            if let Some(shape) = shape.as_object_mut() {
                shape.insert("description".to_owned(), json!(field.meaning));
            }
            properties.insert(field.name.to_owned(), shape);
        }
        json!({
            "title": self.title,
            "type": "object",
            "required": names,
            "properties": properties,
            "x-job": {
                "name": self.entry.name,
                "version": self.entry.version,
                "queue": self.entry.queue.as_str(),
                "expires_seconds": self.entry.expires.map(|validity| validity.as_secs()),
                "attempts": self.entry.retry.attempts,
            },
        })
    }
}

const fn payload<J: Job>(title: &'static str, fields: &'static [Field]) -> Payload {
    Payload { entry: entry::<J>(), title, fields, recode: recode::<J> }
}

const fn field(name: &'static str, shape: Shape, meaning: &'static str) -> Field {
    Field { name, shape, meaning }
}

fn recode<J: Job>(payload: &str) -> serde_json::Result<Value> {
    serde_json::to_value(serde_json::from_str::<J>(payload)?)
}

/// What the payload of scheduled work consists of.
const WINDOW: &[Field] = &[field("window", Shape::Window, "The schedule's window, which makes one job per window.")];

/// What a notice about one audited event consists of.
const NOTICE: &[Field] =
    &[field("user_id", Shape::Id, "The user."), field("audit_id", Shape::Id, "Audit row of the event.")];

/// What a notice about a personal API key consists of.
const KEY_NOTICE: &[Field] =
    &[field("api_key_id", Shape::Id, "The key."), field("audit_id", Shape::Id, "Audit row of the event.")];

/// All payloads that the code reads.
pub const PAYLOADS: &[Payload] = &[
    payload::<api_keys::NotifyKeyCreated>("Tell a user that a personal API key was created.", KEY_NOTICE),
    payload::<api_keys::NotifyKeyExpired>("Tell a user that an unused personal API key has expired.", KEY_NOTICE),
    payload::<api_keys::NotifyKeyExpiring>("Tell a user that an unused personal API key expires soon.", KEY_NOTICE),
    payload::<api_keys::NotifyKeyExposed>("Tell a user that a personal API key has leaked.", KEY_NOTICE),
    payload::<api_keys::SweepKeyExpiry>(
        "Warn of personal API keys that expire soon, and mark those that have.",
        &[
            field("window", Shape::Window, "The schedule's window."),
            field("step", Shape::Window, "Which batch of the window, from 0; a batch enqueues the next one."),
        ],
    ),
    payload::<backup_codes::NotifyBackupCodeUsed>(
        "Tell a user that one of their backup codes was used.",
        &[field("user_id", Shape::Id, "The user."), field("audit_id", Shape::Id, "Audit row of the use.")],
    ),
    payload::<break_glass::NotifyBreakGlass>(
        "Tell one who manages an organization that a break-glass code was made or used.",
        &[
            field("user_id", Shape::Id, "Whom to tell."),
            field("organization_id", Shape::Id, "The organization."),
            field("audit_id", Shape::Id, "Audit row of the event."),
        ],
    ),
    payload::<deletion::PurgeProject>(
        "Remove the rows of a project that was deleted.",
        &[field("project_id", Shape::Id, "The project.")],
    ),
    payload::<devices::NotifyNewDevice>(
        "Tell a user of a login with a device that they never used before.",
        &[field("user_id", Shape::Id, "The user."), field("audit_id", Shape::Id, "Audit row of the login.")],
    ),
    payload::<devices::SweepDevices>("Delete devices that nobody has used for a long time.", WINDOW),
    payload::<domains::NotifyProofLost>(
        "Tell one who manages an organization that the proof of a domain is gone.",
        &[
            field("user_id", Shape::Id, "Whom to tell."),
            field("organization_id", Shape::Id, "The organization."),
            field("domain_id", Shape::Id, "The domain."),
            field("audit_id", Shape::Id, "Audit row of the loss."),
        ],
    ),
    payload::<domains::SweepProofs>(
        "Look whether the proofs of domains still stand, a batch at a time.",
        &[
            field("window", Shape::Window, "The schedule's window."),
            field("after_id", Shape::Id, "The last domain of the batch before; the nil UUID in the first one."),
        ],
    ),
    payload::<email_mfa::SendLoginCode>(
        "Mail the code and link of a pending login.",
        &[
            field("login_id", Shape::Id, "The pending login."),
            field("send", Shape::Count, "Which send of it; an earlier one is void once there is a later one."),
        ],
    ),
    payload::<email_verification::SendVerification>(
        "Mail a link and a code to an address that is to be proven.",
        &[field("verification_id", Shape::Id, "The verification.")],
    ),
    payload::<email_verification::SweepVerifications>("Delete verifications that are long over.", WINDOW),
    payload::<enforcement::NotifyMembers>(
        "Enqueue the notices for one batch of an organization's members, and the next batch.",
        &[
            field("organization_id", Shape::Id, "The organization."),
            field("audit_id", Shape::Id, "Audit row of the change."),
            field("after_user_id", Shape::Id, "The batch begins after this user; nil for the first one."),
        ],
    ),
    payload::<enforcement::NotifyTwoFactorRequired>(
        "Tell a member that their organization demands a second factor from now on.",
        &[
            field("organization_id", Shape::Id, "The organization."),
            field("user_id", Shape::Id, "The member."),
            field("audit_id", Shape::Id, "Audit row of the change."),
        ],
    ),
    payload::<idempotency::SweepIdempotencyKeys>("Delete kept answers that are too old to be repeated.", WINDOW),
    payload::<identify::ApplyFacts>(
        "Make persons what these facts say.",
        &[
            field("project_id", Shape::Id, "Whose."),
            field("fact_ids", Shape::Ids, "Uuids of the facts' events."),
            field("is_oversized", Shape::Flag, "Whether it was found before that a merge is too large."),
        ],
    ),
    payload::<identify::DeletePersonsOf>(
        "Delete the persons of a deleted user in all projects.",
        &[field("user_id", Shape::Id, "The user.")],
    ),
    payload::<identify::RecordSignIn>(
        "Merge what an anonymous client did before into the user who signed in with it.",
        &[
            field("project_id", Shape::Id, "The project that the client captures events for."),
            field("session_id", Shape::Id, "The session that was opened."),
            field("user_id", Shape::Id, "Who signed in."),
            field("anonymous_distinct_id", Shape::Text, "What the client called its anonymous user."),
            field("signed_in_at", Shape::Instant, "When."),
        ],
    ),
    payload::<invites::NotifyMemberJoined>(
        "Tell one who manages an organization that somebody joined it.",
        &[
            field("user_id", Shape::Id, "Whom to tell."),
            field("organization_id", Shape::Id, "The organization."),
            field("member_id", Shape::Id, "Who joined."),
            field("audit_id", Shape::Id, "Audit row of the event."),
        ],
    ),
    payload::<invites::SendInvite>("Mail an invite to its address.", &[field("invite_id", Shape::Id, "The invite.")]),
    payload::<invites::SweepInvites>("Delete invites that are long over.", WINDOW),
    payload::<sweep::SweepFinishedJobs>("Delete finished jobs after the configured time.", WINDOW),
    payload::<lockout::NotifyDisabled>(
        "Tell the owner of an account that a way of signing in was disabled.",
        &[field("audit_id", Shape::Id, "Audit row of it, which says whose account it is.")],
    ),
    payload::<lockout::NotifyLocked>(
        "Tell the owner of an account that somebody guesses, once per window.",
        &[
            field("account_id", Shape::Id, "Digest of the account's address."),
            field("audit_id", Shape::Id, "Audit row of the lock, which says whose account it is."),
            field("window", Shape::Window, "Time divided by the length of a lock."),
        ],
    ),
    payload::<lockout::SweepLockouts>("Delete counts of failures that restrict nothing any more.", WINDOW),
    payload::<login::SweepLogins>("Delete pending logins that are long over.", WINDOW),
    payload::<mail::SendTestMail>(
        "Send a test mail to an operator, by the way that every mail goes.",
        &[field("to", Shape::Address, "The operator's address.")],
    ),
    payload::<passkey::NotifyPasskeyAdded>("Tell a user that a passkey was added.", NOTICE),
    payload::<passkey::NotifyPasskeyCloned>("Tell a user that a passkey seems to be copied.", NOTICE),
    payload::<passkey::NotifyPasskeyRemoved>("Tell a user that a passkey was removed.", NOTICE),
    payload::<passkey::SweepPasskeyCeremonies>("Delete passkey challenges that are over.", WINDOW),
    payload::<password::NotifyPasswordChanged>(
        "Tell a user that their password changed.",
        &[field("user_id", Shape::Id, "The user."), field("audit_id", Shape::Id, "Audit row of the change.")],
    ),
    payload::<persons::SweepEvents>("Delete events and warnings after the configured time.", WINDOW),
    payload::<recovery::SendResetLink>("Mail a reset link.", &[field("reset_id", Shape::Id, "The request.")]),
    payload::<recovery::SweepResets>("Delete reset requests that are long over.", WINDOW),
    payload::<secret_keys::NotifySecretKeyExposed>(
        "Tell one who manages an organization that a secret key of a project has leaked.",
        &[
            field("user_id", Shape::Id, "Whom to tell."),
            field("secret_key_id", Shape::Id, "The key."),
            field("audit_id", Shape::Id, "Audit row of the report."),
        ],
    ),
    payload::<sessions::SweepEndedSessions>("Delete sessions that are long over.", WINDOW),
    payload::<signup::SendExistingAccountNotice>(
        "Tell the owner of an address that someone tried to sign up with it.",
        &[field("user_id", Shape::Id, "The owner.")],
    ),
    payload::<social::NotifyLinked>("Tell a user that an identity was linked to their account.", NOTICE),
    payload::<social::NotifyUnlinked>("Tell a user that an identity was unlinked from their account.", NOTICE),
    payload::<social::SweepSocialLogins>("Delete sign-ins that no provider answered in time.", WINDOW),
    payload::<totp::NotifyTotpDisabled>(
        "Tell a user that the authenticator app is no longer asked for.",
        &[field("user_id", Shape::Id, "The user."), field("audit_id", Shape::Id, "Audit row of the change.")],
    ),
    payload::<totp::NotifyTotpEnabled>(
        "Tell a user that an authenticator app is asked for from now on.",
        &[field("user_id", Shape::Id, "The user."), field("audit_id", Shape::Id, "Audit row of the change.")],
    ),
    payload::<totp::ResealSecrets>(
        "Seal the secrets of older keys with the key that signs now, a batch at a time.",
        &[
            field(
                "window",
                Shape::Window,
                "The schedule's window, or a number of its own for a run that was asked for.",
            ),
            field("after_id", Shape::Id, "The last user of the batch before; the nil UUID in the first one."),
        ],
    ),
    payload::<two_factor::NotifyTwoFactorPasskeys>(
        "Tell a user that passkeys are a second factor from now on, or no longer.",
        &[
            field("user_id", Shape::Id, "The user."),
            field("audit_id", Shape::Id, "Audit row of the change."),
            field("is_enabled", Shape::Flag, "Whether they are one."),
        ],
    ),
    payload::<two_factor_reset::NotifyTwoFactorReset>("Tell a user that their second factors were reset.", NOTICE),
    payload::<two_factor_reset::SendTwoFactorResetLink>(
        "Mail the link of a reset of second factors to its user.",
        &[field("reset_id", Shape::Id, "The request.")],
    ),
    payload::<two_factor_reset::SweepTwoFactorResets>("Delete resets of second factors that are long over.", WINDOW),
    payload::<users::NotifyEmailChanged>(
        "Tell one of the two addresses that the user's address changed.",
        &[
            field("user_id", Shape::Id, "The user."),
            field("verification_id", Shape::Id, "The verification that carries both addresses."),
            field("side", Shape::OneOf(&["old", "new"]), "Which address to tell."),
        ],
    ),
];

/// `openapi/jobs.schema.json`.
///
/// # Errors
/// When a job of the catalog has no payload in the table, or a payload stands there twice.
pub fn schema() -> anyhow::Result<String> {
    for job in CATALOG {
        PAYLOADS
            .iter()
            .find(|payload| payload.entry == *job)
            .with_context(|| format!("no payload for {} version {} in the table", job.name, job.version))?;
    }
    let mut definitions = Map::new();
    for payload in PAYLOADS {
        let is_first = definitions.insert(payload.id(), payload.schema()).is_none();
        ensure!(is_first, "two payloads {}", payload.id());
    }
    Ok(openapi::render(&json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ADDRESS,
        "title": "Jobs of Gatepost",
        "description": "The payloads of all jobs, by name and version. `x-job` says how a job is run: on which queue, \
                        how long after its creation it still serves its purpose (null: for ever), and how often it is \
                        tried. Readers ignore members that they do not know.",
        "$defs": definitions,
    })))
}
