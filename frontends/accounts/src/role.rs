//! Roles, and the permissions of each. Pure.

use crate::service_access::ServiceAccess;
use rejoin_core::{Actor, SessionId};
use rejoin_http::ClientAddress;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The role of an account. Each has all permissions of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Lists, joins and reads.
    Viewer,
    /// Also creates sessions, runs and interrupts commands in sessions that it may enter, and closes
    /// its own sessions.
    Operator,
    /// Also sees and closes all sessions.
    Admin,
}

/// An action that needs a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// List sessions, join them, pull their results.
    Read,
    /// Create a session.
    Create,
    /// Run a command in a session that the account may enter.
    Run,
    /// Interrupt a job in a session that the account may enter.
    Interrupt,
    /// Close the account's own session.
    CloseOwn,
    /// Close any session.
    CloseAny,
    /// See all sessions in lists.
    SeeAll,
}

impl Role {
    /// All roles, from the least to the most trusted.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// Whether the role has the permission.
    ///
    /// ```
    /// use rejoin_accounts::{Permission, Role};
    ///
    /// assert!(Role::Viewer.may(Permission::Read));
    /// assert!(!Role::Viewer.may(Permission::Run));
    /// assert!(!Role::Operator.may(Permission::CloseAny));
    /// ```
    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        let least = match permission {
            Permission::Read => Self::Viewer,
            Permission::Create | Permission::Run | Permission::Interrupt | Permission::CloseOwn => {
                Self::Operator
            }
            Permission::CloseAny | Permission::SeeAll => Self::Admin,
        };
        self >= least
    }

    /// Its name, as the file and the command line have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let role = Self::ALL.into_iter().find(|role| role.as_str() == name);
        role.ok_or_else(|| format!("{name:?} is no role: there are viewer, operator and admin"))
    }
}

/// The account that a request is from, or anybody if there are no accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    name: Option<Arc<str>>,
    role: Role,
    /// The code of the password's hash at the time of the login.
    pub(crate) seal: Seal,
    /// The access token that proved it, if one did.
    pub(crate) access: Option<AccessProof>,
    /// The link by which it came, if it has no account.
    link: Option<LinkProof>,
    /// Which services it may not use.
    pub(crate) services: Option<Arc<ServiceAccess>>,
}

/// An access token that proved an account.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct AccessProof {
    /// The token's name.
    pub(crate) name: Arc<str>,
    pub(crate) digest: Arc<str>,
}

/// A link that lets its holder read one session.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct LinkProof {
    /// Its public name.
    pub(crate) id: Arc<str>,
    pub(crate) digest: Arc<str>,
    pub(crate) session: SessionId,
}

impl fmt::Debug for LinkProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkProof({})", self.id)
    }
}

impl fmt::Debug for AccessProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessProof({})", self.name)
    }
}

/// An authentication code that only this process can compute.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Seal(pub(crate) [u8; 32]);

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

impl Caller {
    /// The caller of a server without accounts: has no name, and may do everything.
    #[must_use]
    pub fn local() -> Self {
        Self {
            name: None,
            role: Role::Admin,
            seal: Seal::default(),
            access: None,
            link: None,
            services: None,
        }
    }

    /// Somebody without an account, who has a link.
    pub(crate) fn of_link(link: LinkProof) -> Self {
        Self {
            name: None,
            role: Role::Viewer,
            seal: Seal::default(),
            access: None,
            link: Some(link),
            services: None,
        }
    }

    /// The session that a link shows to this caller, who may read that and nothing else; and the
    /// link's public name. None for an account, and where nobody has to log in.
    #[must_use]
    pub fn link(&self) -> Option<(SessionId, &Arc<str>)> {
        self.link.as_ref().map(|link| (link.session, &link.id))
    }

    pub(crate) fn link_proof(&self) -> Option<&LinkProof> {
        self.link.as_ref()
    }

    pub(crate) fn new(name: Arc<str>, role: Role, seal: Seal) -> Self {
        Self {
            name: Some(name),
            role,
            seal,
            access: None,
            link: None,
            services: None,
        }
    }

    /// The caller that an access token proves. It does not depend on the password.
    pub(crate) fn of_access(name: Arc<str>, role: Role, proof: AccessProof) -> Self {
        Self {
            name: Some(name),
            role,
            seal: Seal::default(),
            access: Some(proof),
            link: None,
            services: None,
        }
    }

    /// Whether the other is the same account, with the same role, by the same password or token.
    pub(crate) fn is_same_login(&self, other: &Self) -> bool {
        (&self.name, self.role, &self.seal, &self.access)
            == (&other.name, other.role, &other.seal, &other.access)
    }

    /// The account's name; none where there are no accounts.
    #[must_use]
    pub fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    /// The account's role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The caller as records name it, with the frontend and the client's address.
    ///
    /// ```
    /// use rejoin_accounts::Caller;
    ///
    /// let actor = Caller::local().actor("native", None);
    /// assert_eq!((actor.account, &*actor.frontend), (None, "native"));
    /// ```
    #[must_use]
    pub fn actor(&self, frontend: &str, address: Option<ClientAddress>) -> Actor {
        Actor {
            account: self.name.clone(),
            token: match &self.link {
                Some(link) => Some(link.id.clone()),
                None => self.access.as_ref().map(|proof| proof.name.clone()),
            },
            frontend: frontend.into(),
            address: address.map(|address| address.to_string().into()),
        }
    }

    /// Whether the role has the permission.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.role.may(permission)
    }

    /// Whether there are services that the caller may not be allowed to use.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.services.is_some() && self.name.is_some()
    }

    /// Whether the caller may run commands on a service, if its role lets it run any.
    #[must_use]
    pub fn may_use(&self, service: &str) -> bool {
        self.may_use_as(self.role, service)
    }

    /// As [`may_use`](Self::may_use), with another role than the account's.
    #[must_use]
    pub fn may_use_as(&self, role: Role, service: &str) -> bool {
        if self.link.is_some() {
            return false;
        }
        match (&self.services, &self.name) {
            (Some(services), Some(name)) => services.allows(service, name, role),
            _ => true,
        }
    }

    /// Whether a session of `owner` is visible to the caller before the caller has entered it. A
    /// caller who knows a session's UUID may enter it anyway: the UUID is a secret. Then lists show
    /// it, too: see [`Accounts::shows`](crate::Accounts::shows).
    #[must_use]
    pub fn sees(&self, owner: Option<&str>) -> bool {
        self.may(Permission::SeeAll) || self.is(owner)
    }

    /// Whether the caller may close a session of `owner`.
    #[must_use]
    pub fn may_close(&self, owner: Option<&str>) -> bool {
        self.may(Permission::CloseAny) || (self.may(Permission::CloseOwn) && self.is(owner))
    }

    /// Whose sessions lists show, beside those that the caller has
    /// [entered](crate::Accounts::entered); none means all sessions.
    #[must_use]
    pub fn shown_user(&self) -> Option<&str> {
        if self.may(Permission::SeeAll) {
            return None;
        }
        if self.link.is_some() {
            // No user has this name.
            return Some("\0");
        }
        self.name.as_deref()
    }

    fn is(&self, owner: Option<&str>) -> bool {
        self.name.is_some() && self.name.as_deref() == owner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_the_table_says() {
        use Permission::{CloseAny, CloseOwn, Create, Interrupt, Read, Run, SeeAll};
        let all = [Read, Create, Run, Interrupt, CloseOwn, CloseAny, SeeAll];
        for (role, may) in [
            (Role::Viewer, 1),
            (Role::Operator, 5),
            (Role::Admin, all.len()),
        ] {
            for (place, permission) in all.into_iter().enumerate() {
                assert_eq!(role.may(permission), place < may, "{role} {permission:?}");
            }
        }
    }

    #[test]
    fn a_session_belongs_to_its_creator() {
        let ada = Caller::new("ada".into(), Role::Operator, Seal::default());
        assert!(ada.sees(Some("ada")) && ada.may_close(Some("ada")));
        for owner in [Some("bob"), None] {
            assert!(!ada.sees(owner) && !ada.may_close(owner));
        }
        let viewer = Caller::new("vic".into(), Role::Viewer, Seal::default());
        assert!(viewer.sees(Some("vic")) && !viewer.may_close(Some("vic")));
        assert!(Caller::local().sees(None) && Caller::local().may_close(Some("bob")));
    }
}
