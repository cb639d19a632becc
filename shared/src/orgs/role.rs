//! What each role may do: the one table.

use sea_orm::{DeriveActiveEnum, EnumIter};

/// What a user is in an organization, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Role {
    /// Works there.
    #[sea_orm(string_value = "member")]
    Member,
    /// Manages people, projects and policy.
    #[sea_orm(string_value = "admin")]
    Admin,
    /// May do everything, also delete it.
    #[sea_orm(string_value = "owner")]
    Owner,
}

/// Something to do in an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter)]
pub enum Permission {
    /// See it, its members and its projects.
    View,
    /// See persons and events of its projects.
    ReadPersons,
    /// Delete and split persons of its projects.
    ManagePersons,
    /// Create, change and delete projects, and their tokens and secret keys.
    ManageProjects,
    /// Invite people, and change and remove members of lower roles.
    ManageMembers,
    /// Change its name and the policy that its members live under.
    ManagePolicy,
    /// Claim and prove e-mail domains, and say what holds for their addresses.
    ManageDomains,
    /// See its audit trail.
    ReadAudit,
    /// Make others owners, and change and remove owners.
    ManageOwners,
    /// Make a code by which owners sign in where the provider that a domain demands does not work.
    BreakGlass,
    /// Delete it.
    Delete,
}

impl Permission {
    /// The least role that may do it.
    #[must_use]
    pub const fn least_role(self) -> Role {
        match self {
            Self::View | Self::ReadPersons | Self::ManagePersons => Role::Member,
            Self::ManageProjects | Self::ManageMembers | Self::ManagePolicy | Self::ManageDomains | Self::ReadAudit => {
                Role::Admin
            }
            Self::ManageOwners | Self::BreakGlass | Self::Delete => Role::Owner,
        }
    }
}

impl Role {
    /// Whether this role may do it.
    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        self >= permission.least_role()
    }

    /// The role with this name on the wire.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Member, Self::Admin, Self::Owner].into_iter().find(|role| role.as_str() == name)
    }

    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::Iterable;

    use super::*;

    #[test]
    fn an_owner_may_do_everything_and_a_member_manages_nothing_of_the_organization() {
        assert!(Permission::iter().all(|permission| Role::Owner.may(permission)));
        for permission in [Permission::ManageProjects, Permission::ManageMembers, Permission::ManagePolicy] {
            assert!(!Role::Member.may(permission) && Role::Admin.may(permission));
        }
        assert!(!Role::Admin.may(Permission::Delete));
    }
}
