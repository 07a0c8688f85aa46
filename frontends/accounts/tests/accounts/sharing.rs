//! Several servers with one key and one store: who logs in at one of them is logged in at each.

use super::{HERE, KIND};
use rejoin_accounts::limits::LOGIN_KEY_BYTES;
use rejoin_accounts::testing::{TestAccounts, password};
use rejoin_accounts::{
    Accounts, Caller, Credentials, FileError, FileStore, LinkError, LoginKey, LoginKeyError,
    OwnTokenError, Permission, Replaced, Role, SharedStore, StoreError, Stored, TokenKind,
};
use rejoin_core::SessionId;
use smol::block_on;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const SESSION: SessionId = SessionId::from_bytes([7; 16]);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A kind that lasts longer than a use is noted for.
const LONG: TokenKind = TokenKind {
    name: "long",
    idle: Duration::from_secs(30 * 60),
    absolute: Duration::from_secs(24 * 60 * 60),
};

/// A store of several servers.
#[derive(Default)]
struct Memory {
    stored: Mutex<Stored>,
    changed: Condvar,
    /// It answers nothing.
    is_away: AtomicBool,
    /// How many of the next changes are made without an answer.
    unanswered: AtomicUsize,
}

impl SharedStore for Memory {
    fn read(&self) -> Result<Stored, StoreError> {
        self.answer()?;
        Ok(self.stored.lock().unwrap().clone())
    }

    fn replace(&self, revision: u64, bytes: &[u8]) -> Result<Replaced, StoreError> {
        self.answer()?;
        let mut stored = self.stored.lock().unwrap();
        if stored.revision != revision {
            return Ok(Replaced::Conflict);
        }
        *stored = Stored {
            revision: revision + 1,
            bytes: bytes.to_owned(),
        };
        self.changed.notify_all();
        let lost = |left: usize| left.checked_sub(1);
        let order = Ordering::SeqCst;
        match self.unanswered.fetch_update(order, order, lost) {
            Ok(_) => Err(StoreError("no answer".to_owned())),
            Err(_) => Ok(Replaced::Done(revision + 1)),
        }
    }

    fn wait(&self, patience: Duration) -> bool {
        let stored = self.stored.lock().unwrap();
        let waited = self.changed.wait_timeout(stored, patience).unwrap();
        !waited.1.timed_out()
    }

    fn is_shared(&self) -> bool {
        true
    }
}

impl Memory {
    fn answer(&self) -> Result<(), StoreError> {
        match self.is_away.load(Ordering::SeqCst) {
            true => Err(StoreError("no answer".to_owned())),
            false => Ok(()),
        }
    }
}

fn key_file(directory: &Path, name: &str, secret: &str) -> PathBuf {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let path = directory.join(name);
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600);
    std::io::Write::write_all(&mut file.open(&path).unwrap(), secret.as_bytes()).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    path
}

const SECRET: &str = "0123456789abcdef0123456789abcdef\n";

/// Another server with the same accounts, and the clock of the first.
fn server(world: &TestAccounts, secret: &str, scope: &str) -> Accounts {
    let accounts = world.another();
    let directory = tempfile::tempdir().unwrap();
    let key = key_file(directory.path(), "key", secret);
    accounts.sign_logins(LoginKey::of_file(&key, scope).unwrap());
    accounts
}

fn shared_server(world: &TestAccounts, store: &Arc<Memory>) -> Accounts {
    let accounts = server(world, SECRET, "c");
    accounts.share(store.clone()).unwrap();
    accounts
}

fn login(accounts: &Accounts, name: &str, kind: TokenKind) -> (Caller, String) {
    let credentials = Credentials::new(name, format!("{name}-pw"));
    block_on(accounts.login(credentials, HERE, kind)).unwrap()
}

/// As an operator may edit the file: passwords stay.
fn make_viewers(world: &TestAccounts) {
    let text = std::fs::read_to_string(world.path()).unwrap();
    std::fs::write(world.path(), text.replace("operator", "viewer")).unwrap();
    world.pass(1);
}

/// Real threads carry it over; it does not take a second.
fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..3_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it does not become so: {what}");
}

#[test]
fn a_login_at_one_server_is_one_at_each_with_the_key_until_the_logout_at_any() {
    let world = TestAccounts::new(&[("ada", Role::Operator)]);
    let store = Arc::new(Memory::default());
    let [one, two] = [(); 2].map(|()| shared_server(&world, &store));
    let (_, token) = login(&one, "ada", KIND);
    let (_, other) = login(&one, "ada", KIND);
    assert_ne!(token, other);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    assert!(token.bytes().all(is_plain) && token.len() < 400, "{token}");
    let caller = two.caller_of_token(&token, KIND).unwrap();
    assert_eq!(caller.name().map(|name| &**name), Some("ada"));
    assert!(caller.may(Permission::Run) && !caller.may(Permission::SeeAll));

    block_on(two.logout(&token, KIND));
    assert!(two.caller_of_token(&token, KIND).is_err(), "at once");
    until("the other server knows", || {
        one.caller_of_token(&token, KIND).is_err()
    });
    assert!(one.caller_of_token(&other, KIND).is_ok());
    // A server that starts later knows it, too.
    let three = shared_server(&world, &store);
    assert!(three.caller_of_token(&token, KIND).is_err());
    assert!(three.caller_of_token(&other, KIND).is_ok());
    let kept = String::from_utf8(store.stored.lock().unwrap().bytes.clone()).unwrap();
    assert!(
        !kept.contains(&token) && !kept.contains(SECRET.trim()),
        "{kept}"
    );
}

#[test]
fn what_is_forged_cut_old_or_of_another_cluster_kind_or_key_is_no_login() {
    let world = TestAccounts::new(&[("ada", Role::Admin), ("bob", Role::Viewer)]);
    let one = server(&world, SECRET, "c");
    let (_, token) = login(&one, "bob", KIND);
    assert!(one.caller_of_token(&token, KIND).is_ok());
    let other_key = SECRET.replace('0', "9");
    for other in [server(&world, SECRET, "d"), server(&world, &other_key, "c")] {
        assert!(other.caller_of_token(&token, KIND).is_err());
    }
    assert!(one.caller_of_token(&token, LONG).is_err(), "another kind");
    assert!(one.caller_of_jwt(&token).is_err(), "no token of a product");
    let parts: Vec<_> = token.split('.').collect();
    let [head, claims, code] = parts[..] else {
        panic!("three parts: {token}");
    };
    let (_, of_ada) = login(&one, "ada", KIND);
    let claims_of_ada = of_ada.split('.').nth(1).unwrap();
    for forged in [
        format!("{head}.{claims_of_ada}.{code}"),
        format!("{head}.{claims}."),
        format!("{head}.{claims}"),
        format!("{head}.{claims}.{}", &code[1..]),
        format!("{token}A"),
        token[1..].to_owned(),
        String::new(),
        "a".repeat(100_000),
    ] {
        assert!(one.caller_of_token(&forged, KIND).is_err());
    }
    world.pass(599);
    let (_, late) = login(&one, "ada", KIND);
    world.pass(1);
    assert!(
        one.caller_of_token(&token, KIND).is_err(),
        "its time is over"
    );
    assert!(one.caller_of_token(&late, KIND).is_ok());
}

#[test]
fn a_login_ends_with_its_password_and_its_account_and_has_the_role_of_now_at_each_server() {
    let world = TestAccounts::new(&[("ada", Role::Operator), ("bob", Role::Operator)]);
    let store = Arc::new(Memory::default());
    let [one, two] = [(); 2].map(|()| shared_server(&world, &store));
    let (tokens, jwt) = {
        let (ada, token) = login(&one, "ada", KIND);
        let jwt = one.jwt(&ada, "maxscale", "basic", HOUR).unwrap();
        ([token, login(&one, "bob", KIND).1], jwt)
    };
    assert!(two.caller_of_jwt(&jwt).is_ok());
    world.change(|file| file.set_password("ada", &password("new")));
    for server in [&one, &two] {
        assert!(server.caller_of_token(&tokens[0], KIND).is_err());
        assert!(server.caller_of_jwt(&jwt).is_err());
    }
    make_viewers(&world);
    let bob = two.caller_of_token(&tokens[1], KIND).unwrap();
    assert!(!bob.may(Permission::Run));
    world.change(|file| file.remove("bob"));
    for server in [&one, &two] {
        assert!(server.caller_of_token(&tokens[1], KIND).is_err());
    }
}

#[test]
fn a_login_that_is_used_at_any_server_is_not_idle_and_an_unused_one_ends() {
    let world = TestAccounts::new(&[("ada", Role::Viewer)]);
    let store = Arc::new(Memory::default());
    let [one, two] = [(); 2].map(|()| shared_server(&world, &store));
    let (_, used) = login(&one, "ada", LONG);
    let (_, unused) = login(&one, "ada", LONG);
    for _ in 0..4 {
        world.pass(25 * 60);
        let before = store.stored.lock().unwrap().revision;
        assert!(two.caller_of_token(&used, LONG).is_ok());
        until("the use is noted", || {
            store.stored.lock().unwrap().revision > before
        });
    }
    until("the first server knows of it", || {
        one.caller_of_token(&used, LONG).is_ok()
    });
    for server in [&one, &two] {
        assert!(server.caller_of_token(&unused, LONG).is_err());
    }
}

#[test]
fn a_logout_while_the_store_is_away_holds_here_at_once_and_elsewhere_when_it_is_back() {
    let world = TestAccounts::new(&[("ada", Role::Viewer)]);
    let store = Arc::new(Memory::default());
    let [one, two] = [(); 2].map(|()| shared_server(&world, &store));
    let (_, token) = login(&one, "ada", KIND);
    store.is_away.store(true, Ordering::SeqCst);
    assert!(two.caller_of_token(&token, KIND).is_ok(), "needs no store");
    block_on(one.logout(&token, KIND));
    assert!(one.caller_of_token(&token, KIND).is_err());
    store.is_away.store(false, Ordering::SeqCst);
    until("the other server knows", || {
        two.caller_of_token(&token, KIND).is_err()
    });
}

#[test]
fn a_server_that_is_alone_has_its_logins_after_a_restart_and_the_ends_of_others() {
    let world = TestAccounts::new(&[("ada", Role::Viewer)]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("logins.json");
    let start = || {
        let accounts = server(&world, SECRET, "");
        let store = Arc::new(FileStore::new(file.clone()));
        accounts.share(store).unwrap();
        accounts
    };
    let first = start();
    let (_, stays) = login(&first, "ada", KIND);
    let (_, ends) = login(&first, "ada", KIND);
    block_on(first.logout(&ends, KIND));
    drop(first);
    let second = start();
    assert!(second.caller_of_token(&stays, KIND).is_ok());
    assert!(second.caller_of_token(&ends, KIND).is_err());
    std::fs::write(&file, "{").unwrap();
    let third = server(&world, SECRET, "");
    assert!(third.share(Arc::new(FileStore::new(file))).is_err());
}

#[test]
fn a_link_made_at_one_server_opens_at_each_and_ends_at_each() {
    let world = TestAccounts::new(&[("ada", Role::Operator)]);
    let store = Arc::new(Memory::default());
    let [one, two] = [(); 2].map(|()| shared_server(&world, &store));
    let (ada, _) = login(&one, "ada", KIND);
    // It is unknown whether the first try was stored; it is there once all the same.
    store.unanswered.store(1, Ordering::SeqCst);
    let (link, secret) = block_on(one.add_link(&ada, SESSION, HOUR)).unwrap();
    until("it opens at the other server", || {
        two.caller_of_link(&secret).is_ok()
    });
    let listed = two.links(SESSION);
    assert_eq!((listed.len(), &listed[0]), (1, &link));
    store.unanswered.store(1, Ordering::SeqCst);
    block_on(two.remove_link(SESSION, &link.id)).unwrap();
    until("it has ended at the other server", || {
        one.caller_of_link(&secret).is_err()
    });
    let again = block_on(two.remove_link(SESSION, &link.id));
    assert!(matches!(again, Err(LinkError::Unknown(_))), "{again:?}");
}

#[test]
fn an_access_token_made_at_one_server_works_at_each_until_it_or_its_account_is_removed() {
    let world = TestAccounts::new(&[("ada", Role::Operator), ("bob", Role::Viewer)]);
    let store = Arc::new(Memory::default());
    let [one, two] = [(); 2].map(|()| shared_server(&world, &store));
    let before = std::fs::read(world.path()).unwrap();
    let (ada, _) = login(&one, "ada", KIND);
    let make = |name: &str| block_on(one.add_own_token(&ada, name, Some(Role::Viewer), None));
    let (_, text) = make("ci").unwrap();
    let (_, other) = make("agent").unwrap();
    let again = make("ci").unwrap_err();
    assert!(matches!(
        again,
        OwnTokenError::File(FileError::TokenExists(_))
    ));
    until("both work at the other server", || {
        [&text, &other]
            .iter()
            .all(|it| two.caller_of_access_token(it).is_ok())
    });
    let caller = two.caller_of_access_token(&text).unwrap();
    assert_eq!(caller.role(), Role::Viewer);
    assert!(two.is_current(&caller));
    let own: Vec<_> = two.own_tokens(&ada).unwrap();
    let names: Vec<_> = own.iter().map(|token| &*token.name).collect();
    assert_eq!(names, ["ci", "agent"]);
    block_on(two.remove_own_token(&ada, "ci")).unwrap();
    until("it is refused at the first server", || {
        one.caller_of_access_token(&text).is_err()
    });
    let now = std::fs::read(world.path()).unwrap();
    assert!(before == now, "servers of a cluster leave the file alone");

    // An account of the same name that is made later may be somebody else's.
    world.change(|file| file.remove("ada"));
    assert!(one.caller_of_access_token(&other).is_err());
    until("the token is gone", || {
        let bytes = store.stored.lock().unwrap().bytes.clone();
        !String::from_utf8(bytes).unwrap().contains("agent")
    });
    world.change(|file| file.add("ada", Role::Admin, &password("ada")));
    assert!(one.caller_of_access_token(&other).is_err());
}

#[test]
fn nothing_shared_is_changed_while_the_store_does_not_answer() {
    let world = TestAccounts::new(&[("ada", Role::Operator)]);
    let store = Arc::new(Memory::default());
    *store.stored.lock().unwrap() = Stored {
        revision: 3,
        bytes: b"of a later version".to_vec(),
    };
    let accounts = server(&world, SECRET, "c");
    let refused = accounts.share(store.clone()).unwrap_err().to_string();
    assert!(refused.contains("newer"), "{refused}");
    assert_eq!(store.stored.lock().unwrap().bytes, b"of a later version");
}

#[test]
fn the_mark_is_the_same_where_accounts_and_key_are_and_no_key_has_none() {
    let world = TestAccounts::new(&[("ada", Role::Operator)]);
    let mark = |secret: &str, scope: &str| server(&world, secret, scope).mark().unwrap();
    let before = mark(SECRET, "c");
    assert_eq!(before, mark(SECRET, "c"));
    assert_eq!(before.len(), 16);
    assert_ne!(before, mark(SECRET, "d"));
    assert_ne!(before, mark(&SECRET.replace('1', "2"), "c"));
    make_viewers(&world);
    assert_ne!(before, mark(SECRET, "c"));
    assert_eq!(world.accounts().mark(), None);
}

#[test]
fn a_key_that_others_can_read_that_is_short_or_that_is_not_there_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = key_file(directory.path(), "key", SECRET);
    assert!(LoginKey::of_file(&path, "").is_ok());
    for mode in [0o640, 0o604, 0o666] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let refused = LoginKey::of_file(&path, "").unwrap_err();
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
    }
    let short = format!(" {} \n", "a".repeat(LOGIN_KEY_BYTES - 1));
    for wrong in [short, String::new(), "a".repeat(5_000)] {
        let path = key_file(directory.path(), "key", &wrong);
        let refused = LoginKey::of_file(&path, "").unwrap_err();
        assert!(matches!(refused, LoginKeyError::Length(..)));
        assert!(refused.to_string().contains("openssl rand"), "{refused}");
    }
    let gone = LoginKey::of_file(&directory.path().join("none"), "");
    assert!(matches!(gone, Err(LoginKeyError::Read(..))));
}
