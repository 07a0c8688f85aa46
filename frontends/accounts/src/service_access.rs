//! Services that only some accounts may run commands on.

use crate::role::Role;
use std::collections::BTreeMap;

/// Who may run commands on which service, where that is less than what roles allow. Reading is not
/// limited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceAccess(BTreeMap<String, ServiceRule>);

/// Who may run commands on a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceRule {
    /// Only these accounts, if it is set.
    pub accounts: Option<Vec<String>>,
    /// Only accounts with at least this role, if it is set.
    pub role: Option<Role>,
}

impl ServiceAccess {
    /// Limits a service.
    pub fn limit(&mut self, service: impl Into<String>, rule: ServiceRule) {
        self.0.insert(service.into(), rule);
    }

    /// Whether no service is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn allows(&self, service: &str, name: &str, role: Role) -> bool {
        let Some(rule) = self.0.get(service) else {
            return true;
        };
        let is_named = |names: &Vec<String>| names.iter().any(|known| known == name);
        rule.accounts.as_ref().is_none_or(is_named) && rule.role.is_none_or(|least| role >= least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_may_be_limited_to_accounts_and_to_roles() {
        let mut access = ServiceAccess::default();
        assert!(access.is_empty());
        let accounts = Some(vec!["ada".to_owned(), "bob".to_owned()]);
        let role = Some(Role::Admin);
        access.limit(
            "named",
            ServiceRule {
                accounts: accounts.clone(),
                role: None,
            },
        );
        access.limit(
            "admins",
            ServiceRule {
                accounts: None,
                role,
            },
        );
        access.limit("both", ServiceRule { accounts, role });
        for (service, name, own, may) in [
            ("other", "eve", Role::Operator, true),
            ("named", "ada", Role::Operator, true),
            ("named", "eve", Role::Admin, false),
            ("admins", "eve", Role::Admin, true),
            ("admins", "ada", Role::Operator, false),
            ("both", "ada", Role::Admin, true),
            ("both", "ada", Role::Operator, false),
            ("both", "eve", Role::Admin, false),
        ] {
            assert_eq!(
                access.allows(service, name, own),
                may,
                "{service} {name} {own}"
            );
        }
    }
}
