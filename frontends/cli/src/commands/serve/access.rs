//! Access to the server: accounts, and the host names that clients may use.
//!
//! Invariant: a server without accounts listens on loopback addresses only.

use super::{OpenedEngine, ServeError};
use crate::settings::{Address, Settings, accounts_file};
use rejoin_accounts::{Accounts, Clock, FileStore, LoginKey, SharedStore};
use rejoin_engine::{Runtime, SmolRuntime};
use rejoin_http::HostCheck;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The accounts from the settings, or from the directory that is served. Without accounts, anyone on
/// this machine can use the server, until the first account is added.
pub(super) fn accounts(
    settings: &Settings,
    read_only: Option<&Path>,
) -> Result<Accounts, ServeError> {
    let directory = read_only.map_or_else(|| settings.data(), Into::into);
    let path = accounts_file(settings.accounts().map(Into::into), Some(directory));
    let accounts = Accounts::of_file(path.clone(), clock());
    let accounts = accounts.map_err(|error| ServeError::Start(error.into()))?;
    accounts.expire_by(Arc::new(|| {
        Duration::from_millis(SmolRuntime.now().as_millis())
    }));
    if let Some(file) = settings.login_key_file() {
        let scope = settings.cluster().cluster_name().unwrap_or_default();
        let key = LoginKey::of_file(file, scope);
        accounts.sign_logins(key.map_err(|error| ServeError::Start(error.into()))?);
    } else if settings.cluster().is_set() && !accounts.is_open() {
        tracing::warn!(
            "there is no login key, so who logs in at this node is not logged in at the others: set --login-key-file \
             on all nodes"
        );
    }
    // A server that only reads a log changes nothing, and its directory may be a copy. Nodes share links.
    if read_only.is_none() && !settings.cluster().is_set() {
        let links = accounts.keep_links(settings.data().join("links.json"));
        links.map_err(|error| ServeError::Start(error.into()))?;
    }
    let services = settings.service_access();
    if !services.is_empty() && accounts.is_open() {
        tracing::warn!(
            "some services are limited to accounts or roles, but there are no accounts: everyone may use them"
        );
    }
    if !services.is_empty() {
        accounts.limit_services(services);
    }
    if !accounts.is_open() {
        return Ok(accounts);
    }
    // A wrong path must not turn off logins.
    if settings.accounts().is_some() {
        return Err(ServeError::NoAccounts(path));
    }
    let separate = [settings.maxscale_listen(), settings.doris_listen()];
    let mut all = separate.into_iter().flatten().chain([settings.listen()]);
    match all.find(|address| !address.is_local()) {
        Some(address) => Err(ServeError::NotLoopback {
            address,
            accounts: path,
        }),
        None => Ok(accounts),
    }
}

/// Shares logins, links and access tokens with the other nodes, or keeps what is known of logins for the next
/// process.
pub(super) async fn share(
    accounts: &Accounts,
    settings: &Settings,
    opened: &OpenedEngine,
) -> Result<(), ServeError> {
    let store: Arc<dyn SharedStore> = match &opened.member {
        Some(member) => {
            member.show_accounts(accounts.clone());
            member.shared_store()?
        }
        None if settings.login_key_file().is_some() && !opened.is_read_only => {
            Arc::new(FileStore::new(opened.data.join("logins.json")))
        }
        None => return Ok(()),
    };
    let accounts = accounts.clone();
    let shared = smol::unblock(move || accounts.share(store)).await;
    shared.map_err(|error| ServeError::Start(format!("cannot share logins: {error}").into()))
}

/// Which `Host` and `Origin` headers are accepted at an address.
pub(super) fn host_check(settings: &Settings, accounts: &Accounts, address: &Address) -> HostCheck {
    let mut check = HostCheck::local();
    if let Some(address) = address.tcp().filter(|_| !accounts.is_open()) {
        check = check.allow_address(address.ip());
    }
    for name in settings.allow_host() {
        check = check.allow_host(name);
    }
    for origin in settings.allow_origin() {
        check = check.allow_origin(origin);
    }
    check
}

/// The wall's time when the server started, and the time since then: however the wall clock is set,
/// logins, their tokens and waits after failures last as long as they should.
fn clock() -> Clock {
    let (wall, begin) = (SmolRuntime.now(), SmolRuntime.elapsed());
    Arc::new(move || {
        let passed = SmolRuntime.elapsed().saturating_sub(begin);
        Duration::from_millis(wall.as_millis()).saturating_add(passed)
    })
}
