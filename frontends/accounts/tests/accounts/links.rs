//! Links: how long they last, and with whom they end.

use rejoin_accounts::limits::{LINK_LIFETIME, LINKS_OF_SESSION};
use rejoin_accounts::testing::TestAccounts;
use rejoin_accounts::{Accounts, Caller, Denied, LinkError, Permission, Role};
use rejoin_core::SessionId;
use smol::block_on;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SESSION: SessionId = SessionId::from_bytes([1; 16]);
const OTHER: SessionId = SessionId::from_bytes([2; 16]);
const HOUR: Duration = Duration::from_secs(3_600);

/// Ada, as she is when she logs in with an access token of this role.
fn ada_by_token(world: &TestAccounts, name: &str) -> Caller {
    let mut text = String::new();
    world.change(|file| {
        text = file.add_token("ada", name, None, None)?;
        Ok(())
    });
    world.accounts().caller_of_access_token(&text).unwrap()
}

fn made(accounts: &Accounts, caller: &Caller, lifetime: Duration) -> (Arc<str>, String) {
    let added = block_on(accounts.add_link(caller, SESSION, lifetime));
    let (link, secret) = added.unwrap();
    (link.id, secret)
}

#[test]
fn a_link_shows_one_session_and_has_no_right_but_to_read() {
    let accounts = Accounts::open().unwrap();
    let (id, secret) = made(&accounts, &Caller::local(), HOUR);
    let caller = accounts.caller_of_link(&secret).unwrap();
    assert_eq!(caller.link(), Some((SESSION, &id)));
    assert!(caller.may(Permission::Read) && !caller.may(Permission::Run));
    // Not even what belongs to nobody, or to a user without a name.
    assert!(!caller.sees(None) && !caller.sees(Some("")) && !caller.may_close(None));
    assert!(!caller.may_use("shell") && !accounts.shows(&caller, None, 1));
    assert!(caller.shown_user().is_some_and(|user| !user.is_empty()));
    let actor = caller.actor("native", None);
    assert_eq!((actor.account.clone(), actor.link()), (None, Some(&id)));
    assert!(accounts.is_current(&caller));
    for wrong in ["", "rejoin_link_", &secret[..secret.len() - 1]] {
        assert_eq!(accounts.caller_of_link(wrong), Err(Denied::LinkEnded));
    }
}

#[test]
fn a_link_ends_at_its_time_however_the_wall_clock_is_set() {
    for set in [0_i64, -7_200, 7_200] {
        let world = TestAccounts::new(&[("ada", Role::Operator)]);
        let accounts = world.accounts();
        let wall = Arc::new(AtomicU64::new(1_000));
        let date = wall.clone();
        accounts.expire_by(Arc::new(move || {
            Duration::from_secs(date.load(Ordering::SeqCst))
        }));
        let ada = ada_by_token(&world, "desk");
        let (_, secret) = made(accounts, &ada, HOUR);
        let caller = accounts.caller_of_link(&secret).unwrap();
        wall.store(1_000_u64.saturating_add_signed(set), Ordering::SeqCst);
        // A date that is past its end ends it; no date keeps it.
        assert_eq!(accounts.is_current(&caller), set <= 0, "{set}");
        world.pass(3_599);
        assert_eq!(accounts.is_current(&caller), set <= 0, "{set}");
        world.pass(1);
        assert!(!accounts.is_current(&caller), "{set}");
        assert_eq!(accounts.caller_of_link(&secret), Err(Denied::LinkEnded));
        assert!(accounts.links(SESSION).is_empty());
    }
}

#[test]
fn a_link_ends_when_it_is_removed_and_with_who_made_it() {
    let world = TestAccounts::new(&[("ada", Role::Operator), ("bob", Role::Admin)]);
    let accounts = world.accounts();
    let (first, second) = (ada_by_token(&world, "one"), ada_by_token(&world, "two"));
    let (id, removed) = made(accounts, &first, HOUR);
    let (_, of_first) = made(accounts, &first, HOUR);
    let (_, of_second) = made(accounts, &second, HOUR);
    let is_valid = |secret: &str| accounts.caller_of_link(secret).is_ok();
    let not_here = block_on(accounts.remove_link(OTHER, &id));
    assert!(matches!(not_here, Err(LinkError::Unknown(_))));
    block_on(accounts.remove_link(SESSION, &id)).unwrap();
    assert!(!is_valid(&removed) && is_valid(&of_first) && is_valid(&of_second));
    world.change(|file| file.remove_token("ada", "one"));
    assert!(!is_valid(&of_first) && is_valid(&of_second));
    world.change(|file| file.remove("ada"));
    assert!(!is_valid(&of_second));
    assert!(accounts.links(SESSION).is_empty());
}

#[test]
fn links_are_found_again_in_their_file_which_has_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("links.json");
    let accounts = Accounts::open().unwrap();
    accounts.keep_links(file.clone()).unwrap();
    let (id, secret) = made(&accounts, &Caller::local(), HOUR);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(&*id) && !text.contains(&secret) && !text.contains(&secret[12..]));
    let again = Accounts::open().unwrap();
    assert!(again.caller_of_link(&secret).is_err());
    again.keep_links(file.clone()).unwrap();
    assert!(again.caller_of_link(&secret).is_ok());
    assert_eq!(*again.links(SESSION)[0].id, *id);
    block_on(again.remove_link(SESSION, &id)).unwrap();
    let third = Accounts::open().unwrap();
    third.keep_links(file.clone()).unwrap();
    assert!(third.caller_of_link(&secret).is_err());

    std::fs::write(&file, "{\"version\":1,\"links\":[{\"digest\":\"abc\"}]}").unwrap();
    let error = third.keep_links(file).unwrap_err().to_string();
    assert!(
        error.contains("links.json") && !error.contains("abc"),
        "{error}"
    );
}

#[test]
fn links_have_bounds() {
    let accounts = Accounts::open().unwrap();
    let local = Caller::local();
    let add = |session, lifetime| block_on(accounts.add_link(&local, session, lifetime));
    for wrong in [Duration::ZERO, LINK_LIFETIME + Duration::from_secs(1)] {
        assert!(matches!(add(SESSION, wrong), Err(LinkError::Lifetime)));
    }
    for _ in 0..LINKS_OF_SESSION {
        add(SESSION, LINK_LIFETIME).unwrap();
    }
    assert!(matches!(add(SESSION, HOUR), Err(LinkError::Full)));
    assert_eq!(accounts.link_count(), LINKS_OF_SESSION);
    add(OTHER, HOUR).unwrap();
}
