//! Accounts as frontends ask them, on a clock of the test's own.

use rejoin_accounts::{
    Accounts, AccountsFile, Credentials, Denied, FileError, Password, Permission, Role, TokenKind,
    change,
};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

const KIND: TokenKind = TokenKind {
    name: "test",
    idle: Duration::from_secs(60),
    absolute: Duration::from_secs(600),
};

struct World {
    _directory: tempfile::TempDir,
    path: PathBuf,
    seconds: Arc<AtomicU64>,
    accounts: Accounts,
}

impl World {
    fn new(accounts: &[(&str, Role)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("accounts.toml");
        for (name, role) in accounts {
            change(&path, |file| file.add(name, *role, &password(name))).unwrap();
        }
        let seconds = Arc::new(AtomicU64::new(1_000));
        let clock = seconds.clone();
        let clock = Arc::new(move || Duration::from_secs(clock.load(Ordering::SeqCst)));
        let accounts = Accounts::of_file(path.clone(), clock).unwrap();
        Self {
            _directory: directory,
            path,
            seconds,
            accounts,
        }
    }

    fn verify(&self, name: &str, password: &str) -> Result<Role, Denied> {
        let credentials = Credentials::new(name, password);
        smol::block_on(self.accounts.verify(credentials, HERE)).map(|caller| caller.role())
    }

    /// Changes the file, and lets so much time pass that it is looked at again.
    fn change(&self, how: impl FnOnce(&mut AccountsFile) -> Result<(), FileError>) {
        change(&self.path, how).unwrap();
        self.pass(1);
    }

    fn pass(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }
}

/// Each has a password that has its name in it.
fn password(name: &str) -> Password {
    Password::new(format!("{name}'s secret")).unwrap()
}

#[test]
fn who_gives_the_password_is_let_in() {
    let world = World::new(&[("ada", Role::Operator)]);
    assert_eq!(world.verify("ada", "ada's secret"), Ok(Role::Operator));
    for (name, password) in [
        ("ada", "wrong"),
        ("ada", ""),
        ("bob", "ada's secret"),
        ("", ""),
    ] {
        assert_eq!(world.verify(name, password), Err(Denied::Wrong));
    }
}

#[test]
fn an_unknown_account_costs_the_same_hash_as_a_wrong_password() {
    let world = World::new(&[("ada", Role::Viewer)]);
    let cost = |name, password| {
        let before = world.accounts.hashed();
        let _ = world.verify(name, password);
        world.accounts.hashed() - before
    };
    assert_eq!(cost("ada", "wrong"), 1);
    assert_eq!(cost("nobody", "wrong"), 1);
    assert_eq!(cost("nobody", ""), 1);
    assert_eq!(cost("ada", "ada's secret"), 1);
    assert_eq!(cost("ada", "ada's secret"), 0, "it is known by now");
    assert_eq!(
        cost("ada", "wrong"),
        1,
        "failures are not remembered as such"
    );
}

#[test]
fn repeated_failures_are_slowed_down() {
    let world = World::new(&[("ada", Role::Viewer), ("bob", Role::Viewer)]);
    for _ in 0..5 {
        assert_eq!(world.verify("ada", "guess"), Err(Denied::Wrong));
    }
    assert_eq!(world.verify("ada", "ada's secret"), Err(Denied::Later));
    assert_eq!(world.accounts.hashed(), 5, "who has to wait is not heard");
    assert_eq!(world.verify("bob", "bob's secret"), Ok(Role::Viewer));
    let elsewhere = Credentials::new("ada", "ada's secret");
    let elsewhere = world.accounts.verify(elsewhere, [10, 0, 0, 1].into());
    assert!(smol::block_on(elsewhere).is_ok());
    world.pass(1);
    assert_eq!(world.verify("ada", "ada's secret"), Ok(Role::Viewer));
}

#[test]
fn the_file_may_change_while_the_server_runs() {
    let world = World::new(&[("ada", Role::Viewer)]);
    let token = world.accounts.token(
        &smol::block_on(
            world
                .accounts
                .verify(Credentials::new("ada", "ada's secret"), HERE),
        )
        .unwrap(),
        KIND,
    );
    let token = token.unwrap();
    world.change(|file| file.add("bob", Role::Admin, &password("bob")));
    assert_eq!(world.verify("bob", "bob's secret"), Ok(Role::Admin));
    assert!(world.accounts.caller_of_token(&token, KIND).is_ok());
    world.change(|file| file.set_password("ada", &password("new")));
    assert_eq!(world.verify("ada", "ada's secret"), Err(Denied::Wrong));
    assert_eq!(world.verify("ada", "new's secret"), Ok(Role::Viewer));
    let ended = world.accounts.caller_of_token(&token, KIND);
    assert_eq!(ended, Err(Denied::Expired));
    world.change(|file| file.remove("bob"));
    assert_eq!(world.verify("bob", "bob's secret"), Err(Denied::Wrong));
}

#[test]
fn without_accounts_everybody_may_everything_until_there_is_one() {
    let world = World::new(&[]);
    assert!(world.accounts.is_open());
    assert_eq!(world.verify("anybody", "anything"), Ok(Role::Admin));
    world.change(|file| file.add("ada", Role::Viewer, &password("ada")));
    assert_eq!(world.verify("anybody", "anything"), Err(Denied::Wrong));
    world.change(|file| file.remove("ada"));
    assert!(!world.accounts.is_open(), "not again before the next start");
    std::fs::remove_file(&world.path).unwrap();
    world.pass(1);
    assert_eq!(world.verify("ada", "ada's secret"), Err(Denied::Wrong));
}

#[test]
fn a_malformed_file_changes_nothing_and_shows_nothing() {
    let world = World::new(&[("ada", Role::Viewer)]);
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ";
    std::fs::write(
        &world.path,
        format!("[ada]\nrole = \"king\"\nhash = \"{hash}\"\n"),
    )
    .unwrap();
    world.pass(1);
    assert_eq!(world.verify("ada", "ada's secret"), Ok(Role::Viewer));
    let error = AccountsFile::read(&world.path).unwrap_err().to_string();
    assert!(error.contains("line 2"), "{error}");
    assert!(!error.contains("argon2"), "{error}");
}

#[test]
fn a_token_is_of_its_account_until_it_ends() {
    let world = World::new(&[("ada", Role::Operator)]);
    let login = |kind| {
        let credentials = Credentials::new("ada", "ada's secret");
        smol::block_on(world.accounts.login(credentials, HERE, kind))
            .unwrap()
            .1
    };
    let (token, other) = (login(KIND), login(KIND));
    assert!(token.len() == 32 && token.bytes().all(|it| it.is_ascii_alphanumeric()));
    assert_ne!(token, other);
    let caller = world.accounts.caller_of_token(&token, KIND).unwrap();
    assert_eq!(caller.name().map(|name| &**name), Some("ada"));
    assert!(caller.may(Permission::Run) && !caller.may(Permission::SeeAll));
    world.accounts.logout(&token, KIND);
    assert!(world.accounts.caller_of_token(&token, KIND).is_err());
    assert!(world.accounts.caller_of_token(&other, KIND).is_ok());
    world.pass(60);
    assert!(world.accounts.caller_of_token(&other, KIND).is_err());
}

#[test]
fn a_json_web_token_ends_with_its_time_its_password_and_its_process() {
    let world = World::new(&[("ada", Role::Admin)]);
    let verify = world
        .accounts
        .verify(Credentials::new("ada", "ada's secret"), HERE);
    let caller = smol::block_on(verify).unwrap();
    let life = Duration::from_secs(30);
    let token = world
        .accounts
        .jwt(&caller, "maxscale", "admin", life)
        .unwrap();
    assert_eq!(world.accounts.caller_of_jwt(&token), Ok(caller.clone()));
    let clock = Arc::new(|| Duration::from_secs(1_000));
    let restarted = Accounts::of_file(world.path.clone(), clock).unwrap();
    assert_eq!(restarted.caller_of_jwt(&token), Err(Denied::Expired));
    world.pass(30);
    assert_eq!(world.accounts.caller_of_jwt(&token), Err(Denied::Expired));
    let token = world
        .accounts
        .jwt(&caller, "maxscale", "admin", life)
        .unwrap();
    world.change(|file| file.set_password("ada", &password("new")));
    assert_eq!(world.accounts.caller_of_jwt(&token), Err(Denied::Expired));
}

#[test]
fn many_change_a_file_at_once_and_nothing_is_lost() {
    let world = World::new(&[]);
    let names: Vec<String> = (0..8).map(|number| format!("user{number}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            let add = || world.change(|file| file.add(name, Role::Viewer, &password(name)));
            scope.spawn(add);
        }
    });
    let file = AccountsFile::read(&world.path).unwrap();
    let found: Vec<&str> = file.list().map(|(name, _)| name).collect();
    assert_eq!(found, names);
}

#[cfg(unix)]
#[test]
fn only_its_owner_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new(&[("ada", Role::Viewer)]);
    std::fs::set_permissions(&world.path, PermissionsExt::from_mode(0o644)).unwrap();
    world.change(|file| file.add("bob", Role::Viewer, &password("bob")));
    let mode = std::fs::metadata(&world.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
