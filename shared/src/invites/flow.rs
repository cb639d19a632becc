//! Use cases: inviting, looking, taking back, accepting.

use sea_orm::{ConnectionTrait, DbErr};
use serde_json::json;

use super::{
    Invite, InviteError, InviteId, NotifyMemberJoined, SendInvite,
    store::{self, Request},
};
use crate::{
    audit::{self, AuditEvent, AuditRow, Outcome},
    client::Client,
    db::Tx,
    jobs,
    kernel::Kernel,
    orgs::{self, Access, Actor, By, OrgError, OrgId, Organization, Permission, Role},
    rate_limit::{self, Verdict},
    users::{self, Email, User, UserId},
};

/// Those who manage an organization and are told of a newcomer, at most.
const TOLD: u64 = 100;

/// Whom to invite, as what.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Address.
    pub email: String,
    /// Role.
    pub role: Role,
}

/// Whether someone of the role `own` may bring in somebody of the role `granted`: nobody grants more than they have.
fn may_grant(own: Role, granted: Role) -> bool {
    own.may(Permission::ManageMembers) && granted <= own
}

/// Invites an address. An earlier invite of it to the same organization is void.
///
/// # Errors
/// When the role does not allow it, the address is malformed or a member's, too many invites were sent, no mail can be
/// sent at all, or the database fails.
pub async fn create(kernel: &Kernel, by: By<'_>, org_id: OrgId, wish: Wish) -> Result<Invite, InviteError> {
    const ACTION: &str = "invites.create";
    let (tx, access) = orgs::enter(kernel, by, org_id, (Permission::ManageMembers, ACTION)).await?;
    if !may_grant(access.role, wish.role) {
        orgs::refuse(kernel, tx, by, (org_id, ACTION), "forbidden").await?;
        return Err(OrgError::Forbidden.into());
    }
    let email = Email::parse(&wish.email).map_err(|_| InviteError::InvalidAddress)?;
    if !kernel.config.mail.is_available() {
        return Err(InviteError::EmailNotAvailable);
    }
    if let Some(user) = users::find_by_email(&*tx, &email).await?
        && orgs::find_role(&*tx, org_id, user.id).await?.is_some()
    {
        return Err(InviteError::AlreadyMember);
    }
    reserve(kernel, &tx, by.actor, &email).await?;
    let now = kernel.clock.now();
    let request = Request {
        org_id,
        email: &email,
        role: wish.role,
        invited_by: by.actor.user_id,
        created_at: now,
        expires_at: now + kernel.config.invites.validity(),
    };
    let invite = store::insert(&*tx, request).await?;
    jobs::enqueue(&tx, kernel.clock.as_ref(), &SendInvite { invite_id: invite.id }).await?;
    let detail = json!({ "invite_id": invite.id, "email": email.masked(), "role": wish.role.as_str() });
    orgs::record(kernel, &tx, by, org_id, (ACTION, Outcome::Success, detail)).await?;
    tx.commit().await?;
    Ok(invite)
}

/// Counts an invite against its address and its sender.
async fn reserve(kernel: &Kernel, tx: &Tx, actor: &Actor, email: &Email) -> Result<(), InviteError> {
    let limits = &kernel.config.invites;
    let sender = actor.user_id.map(|user_id| user_id.to_string()).unwrap_or_default();
    let scopes = [
        (limits.per_address, ("invites.address", email.normalised())),
        (limits.per_user, ("invites.user", sender.as_str())),
    ];
    for (limit, scope) in scopes {
        if let Verdict::Denied(wait) = rate_limit::check(&**tx, &kernel.keys, kernel.clock.now(), limit, scope).await? {
            return Err(InviteError::Throttled(wait));
        }
    }
    Ok(())
}

/// The invites of an organization that wait to be accepted, the newest first.
///
/// # Errors
/// When the role does not allow it, or the database fails.
pub async fn list(
    kernel: &Kernel,
    actor: &Actor,
    org_id: OrgId,
    page: (u64, Option<InviteId>),
) -> Result<Vec<Invite>, InviteError> {
    let db = kernel.db.reader();
    orgs::require(db, actor, org_id, Permission::ManageMembers).await?;
    Ok(store::list(db, org_id, page, kernel.clock.now()).await?)
}

/// Takes an invite back.
///
/// # Errors
/// When the organization has no such invite, the role does not allow it, or the database fails.
pub async fn revoke(kernel: &Kernel, by: By<'_>, org_id: OrgId, id: InviteId) -> Result<(), InviteError> {
    const ACTION: &str = "invites.delete";
    let (tx, _) = orgs::enter(kernel, by, org_id, (Permission::ManageMembers, ACTION)).await?;
    if !store::revoke(&*tx, org_id, id, kernel.clock.now()).await? {
        return Err(InviteError::NotFound);
    }
    orgs::record(kernel, &tx, by, org_id, (ACTION, Outcome::Success, json!({ "invite_id": id }))).await?;
    tx.commit().await?;
    Ok(())
}

/// What whoever has the link may know.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Where to.
    pub organization: Organization,
    /// The invite.
    pub invite: Invite,
    /// The address, for people, without giving it away.
    pub masked_email: String,
}

/// What an invite is for.
///
/// # Errors
/// When it opens nothing, for whatever reason.
pub async fn preview(kernel: &Kernel, id: InviteId) -> Result<Preview, InviteError> {
    let (invite, organization) = find_good(kernel, kernel.db.reader(), id).await?.ok_or(InviteError::Invalid)?;
    let masked_email = Email::parse(&invite.address).map(|email| email.masked()).unwrap_or_default();
    Ok(Preview { organization, invite, masked_email })
}

/// The address that an invite was sent to, for code that does not tell.
///
/// # Errors
/// When it opens nothing, for whatever reason.
pub async fn address(kernel: &Kernel, id: InviteId) -> Result<String, InviteError> {
    Ok(preview(kernel, id).await?.invite.address)
}

/// An invite that can be accepted, of an organization that exists, by somebody who could still send it.
async fn find_good<C: ConnectionTrait>(
    kernel: &Kernel,
    db: &C,
    id: InviteId,
) -> Result<Option<(Invite, Organization)>, DbErr> {
    let Some(invite) = store::find_live(db, id, kernel.clock.now()).await? else { return Ok(None) };
    let Some(organization) = orgs::find(db, invite.organization_id).await? else { return Ok(None) };
    let Some(sender) = invite.invited_by else { return Ok(None) };
    let is_active = users::find(db, sender).await?.is_some_and(|user| user.is_active());
    let role = orgs::find_role(db, organization.id, sender).await?;
    let is_good = is_active && role.is_some_and(|role| may_grant(role, invite.role));
    Ok(is_good.then_some((invite, organization)))
}

/// Like [`find_good`], in a transaction in which the organization does not change.
async fn lock_good(kernel: &Kernel, tx: &Tx, id: InviteId) -> Result<Option<Invite>, DbErr> {
    let Some(invite) = store::find_live(&**tx, id, kernel.clock.now()).await? else { return Ok(None) };
    orgs::lock(&**tx, invite.organization_id).await?;
    Ok(find_good(kernel, &**tx, id).await?.map(|(invite, _)| invite))
}

/// Accepts an invite for a user who has proven its address.
///
/// # Errors
/// When it opens nothing, the user has not proven its address, or the database fails.
pub async fn accept(kernel: &Kernel, client: &Client, user: &User, id: InviteId) -> Result<Access, InviteError> {
    let tx = kernel.db.write_tx().await?;
    let invite = lock_good(kernel, &tx, id).await?;
    let outcome = match &invite {
        Some(invite) if user.is_verified() && user.email_normalised == invite.address_normalised => {
            admit(kernel, &tx, client, user.id, invite).await?.ok_or(InviteError::Invalid)
        }
        Some(_) => Err(InviteError::AnotherAddress),
        None => Err(InviteError::Invalid),
    };
    if outcome.is_err() {
        refuse(kernel, &tx, client, user.id, invite.as_ref()).await?;
    }
    tx.commit().await?;
    outcome
}

/// Spends an invite and makes its user a member, in the caller's transaction. `None` when another request was faster.
async fn admit(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    user_id: UserId,
    invite: &Invite,
) -> Result<Option<Access>, DbErr> {
    let (org_id, now) = (invite.organization_id, kernel.clock.now());
    if !store::consume(&**tx, invite.id, now).await? {
        return Ok(None);
    }
    let Some(is_new) = orgs::join(tx, org_id, (user_id, invite.role), now).await? else { return Ok(None) };
    let event = AuditEvent {
        action: "invites.accept",
        outcome: Outcome::Success,
        user_id: Some(user_id.0),
        client: Some(client),
        detail: json!({ "invite_id": invite.id, "role": invite.role.as_str(), "was_member": !is_new }),
    };
    let audit_id = audit::record_in(&**tx, kernel.clock.as_ref(), org_id.0, event).await?;
    if is_new {
        for admin in orgs::find_admins(&**tx, org_id, TOLD).await?.into_iter().filter(|admin| admin.id != user_id) {
            let notice =
                NotifyMemberJoined { user_id: admin.id, organization_id: org_id, member_id: user_id, audit_id };
            jobs::enqueue(tx, kernel.clock.as_ref(), &notice).await?;
        }
    }
    let organization = orgs::find(&**tx, org_id).await?;
    let role = orgs::find_role(&**tx, org_id, user_id).await?;
    Ok(organization.zip(role).map(|(organization, role)| Access { organization, role }))
}

/// Audits an invite that was not accepted; in its organization's trail when it is one that could have been.
async fn refuse(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    user_id: UserId,
    invite: Option<&Invite>,
) -> Result<(), DbErr> {
    let reason = if invite.is_some() { "another_address" } else { "invalid_invite" };
    let event = AuditEvent {
        action: "invites.accept",
        outcome: Outcome::Failure,
        user_id: Some(user_id.0),
        client: Some(client),
        detail: json!({ "reason": reason, "invite_id": invite.map(|invite| invite.id) }),
    };
    match invite {
        Some(invite) => audit::record_in(&**tx, kernel.clock.as_ref(), invite.organization_id.0, event).await,
        None => audit::record(&**tx, kernel.clock.as_ref(), event).await,
    }
    .map(|_| ())
}

/// Remembers that a user signed up with an invite, in the caller's transaction. An invite of another address is not
/// theirs, and nothing is remembered.
///
/// # Errors
/// When the database fails.
pub async fn claim(kernel: &Kernel, tx: &Tx, id: InviteId, newcomer: (UserId, &Email)) -> Result<(), DbErr> {
    store::claim(&**tx, id, newcomer, kernel.clock.now()).await
}

/// Accepts what a user signed up with, now that their address is proven, in the caller's transaction.
///
/// # Errors
/// When the database fails.
pub async fn accept_claimed(kernel: &Kernel, tx: &Tx, client: &Client, user: &User) -> Result<(), DbErr> {
    for claimed in store::list_claimed(&**tx, user.id, kernel.clock.now()).await? {
        if claimed.address_normalised == user.email_normalised
            && let Some(invite) = lock_good(kernel, tx, claimed.id).await?
        {
            admit(kernel, tx, client, user.id, &invite).await?;
        }
    }
    Ok(())
}

/// What the mail of an invite is made of; `None` when the invite opens nothing any more.
///
/// # Errors
/// When the database fails.
pub async fn invite_mail(kernel: &Kernel, id: InviteId) -> Result<Option<(Invite, Organization, User)>, DbErr> {
    let db = kernel.db.reader();
    let Some((invite, organization)) = find_good(kernel, db, id).await? else { return Ok(None) };
    let Some(sender) = invite.invited_by else { return Ok(None) };
    Ok(users::find(db, sender).await?.map(|sender| (invite, organization, sender)))
}

/// What the notice of a newcomer is made of.
#[derive(Debug)]
pub struct JoinedMail {
    /// Whom it goes to.
    pub admin: User,
    /// Who joined.
    pub member: User,
    /// As what.
    pub role: Role,
    /// Where.
    pub organization: Organization,
    /// The circumstances.
    pub event: AuditRow,
}

/// What to tell of a newcomer; `None` when either left, or the recipient no longer manages the organization.
///
/// # Errors
/// When the database fails.
pub async fn joined_mail(kernel: &Kernel, job: &NotifyMemberJoined) -> Result<Option<JoinedMail>, DbErr> {
    let db = kernel.db.reader();
    let manages = orgs::find_role(db, job.organization_id, job.user_id).await?;
    if !manages.is_some_and(|role| role.may(Permission::ManageMembers)) {
        return Ok(None);
    }
    let found = (
        users::find(db, job.user_id).await?.filter(User::is_active),
        users::find(db, job.member_id).await?,
        orgs::find_role(db, job.organization_id, job.member_id).await?,
        orgs::find(db, job.organization_id).await?,
        audit::find(db, job.audit_id).await?,
    );
    let (Some(admin), Some(member), Some(role), Some(organization), Some(event)) = found else { return Ok(None) };
    Ok(Some(JoinedMail { admin, member, role, organization, event }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_grants_more_than_they_have() {
        use Role::{Admin, Member, Owner};
        for (own, granted, expected) in [
            (Member, Member, false),
            (Admin, Member, true),
            (Admin, Admin, true),
            (Admin, Owner, false),
            (Owner, Owner, true),
        ] {
            assert_eq!(may_grant(own, granted), expected, "{own:?} grants {granted:?}");
        }
    }
}
