//! Accounts as frontends ask them, on a clock of the test's own.

mod links;
mod sharing;

use rejoin_accounts::testing::{TestAccounts, password};
use rejoin_accounts::{Accounts, AccountsFile, Credentials, Denied, Permission, Role, TokenKind};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

const KIND: TokenKind = TokenKind {
    name: "test",
    idle: Duration::from_secs(60),
    absolute: Duration::from_secs(600),
};

fn verify(world: &TestAccounts, name: &str, password: &str) -> Result<Role, Denied> {
    let credentials = Credentials::new(name, password);
    smol::block_on(world.accounts().verify(credentials, HERE)).map(|caller| caller.role())
}

#[test]
fn who_gives_the_password_is_let_in() {
    let world = TestAccounts::new(&[("ada", Role::Operator)]);
    assert_eq!(verify(&world, "ada", "ada-pw"), Ok(Role::Operator));
    for (name, password) in [("ada", "wrong"), ("ada", ""), ("bob", "ada-pw"), ("", "")] {
        assert_eq!(verify(&world, name, password), Err(Denied::Wrong));
    }
}

#[test]
fn an_unknown_account_costs_the_same_hash_as_a_wrong_password() {
    let world = TestAccounts::new(&[("ada", Role::Viewer)]);
    let cost = |name, password| {
        let before = world.accounts().hashed();
        let _ = verify(&world, name, password);
        world.accounts().hashed() - before
    };
    assert_eq!(cost("ada", "wrong"), 1);
    assert_eq!(cost("nobody", "wrong"), 1);
    assert_eq!(cost("nobody", ""), 1);
    assert_eq!(cost("ada", "ada-pw"), 1);
    assert_eq!(cost("ada", "ada-pw"), 0, "it is known by now");
    assert_eq!(
        cost("ada", "wrong"),
        1,
        "failures are not remembered as such"
    );
}

#[test]
fn repeated_failures_are_slowed_down() {
    let world = TestAccounts::new(&[("ada", Role::Viewer), ("bob", Role::Viewer)]);
    for _ in 0..5 {
        assert_eq!(verify(&world, "ada", "guess"), Err(Denied::Wrong));
    }
    assert_eq!(verify(&world, "ada", "ada-pw"), Err(Denied::Later));
    assert_eq!(world.accounts().hashed(), 5, "who has to wait is not heard");
    assert_eq!(verify(&world, "bob", "bob-pw"), Ok(Role::Viewer));
    let elsewhere = Credentials::new("ada", "ada-pw");
    let elsewhere = world.accounts().verify(elsewhere, [10, 0, 0, 1].into());
    assert!(smol::block_on(elsewhere).is_ok());
    world.pass(1);
    assert_eq!(verify(&world, "ada", "ada-pw"), Ok(Role::Viewer));
}

#[test]
fn names_without_an_account_keep_no_right_password_waiting_and_a_wrong_one_waits_with_them() {
    const STRANGERS: u64 = 16;
    let others = ["bob", "carol", "dan", "eve"];
    let names = ["ada"].into_iter().chain(others);
    let accounts: Vec<_> = names.map(|name| (name, Role::Viewer)).collect();
    let world = TestAccounts::new(&accounts);
    let answered_after = |name: &str, password: &str, strangers: u64| {
        let verify = |name: String, password: &str| {
            let credentials = Credentials::new(name, password);
            let accounts = world.accounts().clone();
            async move { accounts.verify(credentials, HERE).await }
        };
        let before = world.accounts().hashed();
        let strangers = (0..strangers).map(|number| {
            let mut stranger = Box::pin(verify(format!("{name} {number}"), "x"));
            // It takes its place before anybody who comes later.
            assert!(smol::block_on(smol::future::poll_once(&mut stranger)).is_none());
            smol::spawn(stranger)
        });
        let strangers: Vec<_> = strangers.collect();
        let answer = smol::block_on(verify(name.into(), password));
        let hashed = world.accounts().hashed() - before;
        for stranger in strangers {
            let denied = smol::block_on(stranger).unwrap_err();
            assert!(matches!(denied, Denied::Wrong | Denied::Later));
        }
        (answer.map(|caller| caller.role()), hashed)
    };
    let (answer, hashed) = answered_after("ada", "ada-pw", STRANGERS);
    assert_eq!(answer, Ok(Role::Viewer));
    assert!(hashed < STRANGERS / 2, "{hashed}");
    // The queue is not strictly in the order of arrival: on a busy machine, one may come early.
    let waited = others.iter().any(|name| {
        let (answer, hashed) = answered_after(name, "wrong", STRANGERS);
        assert_eq!(answer, Err(Denied::Wrong));
        hashed > STRANGERS / 2
    });
    assert!(waited);
    // More than there is room for: all but the right password is refused.
    let (answer, _) = answered_after("bob", "bob-pw", 90);
    assert_eq!(answer, Ok(Role::Viewer));
}

#[test]
fn the_file_may_change_while_the_server_runs() {
    let world = TestAccounts::new(&[("ada", Role::Viewer)]);
    let token = world.accounts().token(
        &smol::block_on(
            world
                .accounts()
                .verify(Credentials::new("ada", "ada-pw"), HERE),
        )
        .unwrap(),
        KIND,
    );
    let token = token.unwrap();
    world.change(|file| file.add("bob", Role::Admin, &password("bob")));
    assert_eq!(verify(&world, "bob", "bob-pw"), Ok(Role::Admin));
    assert!(world.accounts().caller_of_token(&token, KIND).is_ok());
    world.change(|file| file.set_password("ada", &password("new")));
    assert_eq!(verify(&world, "ada", "ada-pw"), Err(Denied::Wrong));
    assert_eq!(verify(&world, "ada", "new-pw"), Ok(Role::Viewer));
    let ended = world.accounts().caller_of_token(&token, KIND);
    assert_eq!(ended, Err(Denied::Expired));
    world.change(|file| file.remove("bob"));
    assert_eq!(verify(&world, "bob", "bob-pw"), Err(Denied::Wrong));
}

#[test]
fn without_accounts_everybody_may_everything_until_there_is_one() {
    let world = TestAccounts::new(&[]);
    assert!(world.accounts().is_open());
    assert_eq!(verify(&world, "anybody", "anything"), Ok(Role::Admin));
    world.change(|file| file.add("ada", Role::Viewer, &password("ada")));
    assert_eq!(verify(&world, "anybody", "anything"), Err(Denied::Wrong));
    world.change(|file| file.remove("ada"));
    assert!(
        !world.accounts().is_open(),
        "not again before the next start"
    );
    std::fs::remove_file(world.path()).unwrap();
    world.pass(1);
    assert_eq!(verify(&world, "ada", "ada-pw"), Err(Denied::Wrong));
}

#[test]
fn a_malformed_file_changes_nothing_and_shows_nothing() {
    let world = TestAccounts::new(&[("ada", Role::Viewer)]);
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ";
    std::fs::write(
        world.path(),
        format!("[ada]\nrole = \"king\"\nhash = \"{hash}\"\n"),
    )
    .unwrap();
    world.pass(1);
    assert_eq!(verify(&world, "ada", "ada-pw"), Ok(Role::Viewer));
    let error = AccountsFile::read(world.path()).unwrap_err().to_string();
    assert!(error.contains("line 2"), "{error}");
    assert!(!error.contains("argon2"), "{error}");
}

#[test]
fn a_token_is_of_its_account_until_it_ends() {
    let world = TestAccounts::new(&[("ada", Role::Operator)]);
    let login = |kind| {
        let credentials = Credentials::new("ada", "ada-pw");
        smol::block_on(world.accounts().login(credentials, HERE, kind))
            .unwrap()
            .1
    };
    let (token, other) = (login(KIND), login(KIND));
    assert!(token.len() == 32 && token.bytes().all(|it| it.is_ascii_alphanumeric()));
    assert_ne!(token, other);
    let caller = world.accounts().caller_of_token(&token, KIND).unwrap();
    assert_eq!(caller.name().map(|name| &**name), Some("ada"));
    assert!(caller.may(Permission::Run) && !caller.may(Permission::SeeAll));
    smol::block_on(world.accounts().logout(&token, KIND));
    assert!(world.accounts().caller_of_token(&token, KIND).is_err());
    assert!(world.accounts().caller_of_token(&other, KIND).is_ok());
    world.pass(60);
    assert!(world.accounts().caller_of_token(&other, KIND).is_err());
}

#[test]
fn a_json_web_token_ends_with_its_time_its_password_and_its_process() {
    let world = TestAccounts::new(&[("ada", Role::Admin)]);
    let verify = world
        .accounts()
        .verify(Credentials::new("ada", "ada-pw"), HERE);
    let caller = smol::block_on(verify).unwrap();
    let life = Duration::from_secs(30);
    let token = world
        .accounts()
        .jwt(&caller, "maxscale", "admin", life)
        .unwrap();
    assert_eq!(world.accounts().caller_of_jwt(&token), Ok(caller.clone()));
    let clock = Arc::new(|| Duration::from_secs(1_000));
    let restarted = Accounts::of_file(world.path().to_owned(), clock).unwrap();
    assert_eq!(restarted.caller_of_jwt(&token), Err(Denied::Expired));
    world.pass(30);
    assert_eq!(world.accounts().caller_of_jwt(&token), Err(Denied::Expired));
    let token = world
        .accounts()
        .jwt(&caller, "maxscale", "admin", life)
        .unwrap();
    world.change(|file| file.set_password("ada", &password("new")));
    assert_eq!(world.accounts().caller_of_jwt(&token), Err(Denied::Expired));
}

#[test]
fn many_change_a_file_at_once_and_nothing_is_lost() {
    let world = TestAccounts::new(&[]);
    let names: Vec<String> = (0..8).map(|number| format!("user{number}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            let add = || world.change(|file| file.add(name, Role::Viewer, &password(name)));
            scope.spawn(add);
        }
    });
    let file = AccountsFile::read(world.path()).unwrap();
    let found: Vec<&str> = file.list().map(|(name, _)| name).collect();
    assert_eq!(found, names);
}

#[cfg(unix)]
#[test]
fn a_data_directory_that_the_file_creates_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("rejoin-data");
    let add = |file: &mut AccountsFile| file.add("ada", Role::Viewer, &password("ada"));
    rejoin_accounts::change(&directory.join("accounts.toml"), add).unwrap();
    let mode = std::fs::metadata(&directory).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[cfg(unix)]
#[test]
fn only_its_owner_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let world = TestAccounts::new(&[("ada", Role::Viewer)]);
    std::fs::set_permissions(world.path(), PermissionsExt::from_mode(0o644)).unwrap();
    world.change(|file| file.add("bob", Role::Viewer, &password("bob")));
    let mode = std::fs::metadata(world.path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn an_access_token_lasts_until_it_is_removed_expires_or_its_account_goes() {
    let world = TestAccounts::new(&[("ada", Role::Operator), ("bob", Role::Viewer)]);
    let add = |account: &str, name: &str, role, expires: Option<u64>| {
        let mut text = None;
        world.change(|file| {
            let expires = expires.map(Duration::from_secs);
            text = Some(file.add_token(account, name, role, expires)?);
            Ok(())
        });
        text.unwrap()
    };
    let role = |text: &str| {
        let caller = world.accounts().caller_of_access_token(text);
        caller.map(|caller| caller.role())
    };
    let ci = add("ada", "ci", None, None);
    let reader = add("ada", "reader", Some(Role::Viewer), None);
    let short = add("ada", "short", None, Some(1_010));
    let bobs = add("bob", "admin", Some(Role::Admin), None);
    assert_eq!(role(&ci), Ok(Role::Operator));
    assert_eq!(role(&reader), Ok(Role::Viewer));
    assert_eq!(role(&short), Ok(Role::Operator));
    assert_eq!(role(&bobs), Ok(Role::Viewer), "no more than its account");
    for wrong in ["", "rejoin_", &ci[1..], &format!("{ci}x")] {
        assert_eq!(role(wrong), Err(Denied::Expired), "{wrong}");
    }
    let file = std::fs::read_to_string(world.path()).unwrap();
    assert!(!file.contains(&ci), "only its digest is kept");

    // It gives no login, which could do more or last longer.
    let caller = world.accounts().caller_of_access_token(&reader).unwrap();
    assert!(world.accounts().token(&caller, KIND).is_none());
    assert!(
        world
            .accounts()
            .jwt(&caller, "x", "x", Duration::from_secs(60))
            .is_none()
    );
    assert!(world.accounts().is_current(&caller));
    world.change(|file| file.remove_token("ada", "reader"));
    assert!(!world.accounts().is_current(&caller));
    assert_eq!(role(&reader), Err(Denied::Expired));

    // A new password changes nothing for programs.
    world.change(|file| file.set_password("ada", &password("other")));
    assert_eq!(role(&ci), Ok(Role::Operator));
    world.pass(10);
    assert_eq!(role(&short), Err(Denied::Expired));
    let names = AccountsFile::read(world.path()).unwrap();
    let names: Vec<_> = names
        .tokens()
        .map(|token| (token.account.to_owned(), token.name.to_owned()))
        .collect();
    let named = |account: &str, name: &str| (account.to_owned(), name.to_owned());
    assert_eq!(
        names,
        [
            named("ada", "ci"),
            named("ada", "short"),
            named("bob", "admin")
        ]
    );
    world.change(|file| file.remove("ada"));
    assert_eq!(role(&ci), Err(Denied::Expired));
    assert_eq!(role(&bobs), Ok(Role::Viewer));
}

#[test]
fn tokens_have_a_bound_and_names_of_their_own() {
    let world = TestAccounts::new(&[("ada", Role::Operator)]);
    world.change(|file| {
        for number in 0..rejoin_accounts::limits::ACCESS_TOKENS {
            file.add_token("ada", &format!("t{number}"), None, None)?;
        }
        let refused = |file: &mut AccountsFile, account, name| {
            file.add_token(account, name, None, None)
                .unwrap_err()
                .to_string()
        };
        assert!(refused(file, "ada", "one-more").contains("too many"));
        assert!(refused(file, "bob", "x").contains("no account"));
        file.remove_token("ada", "t0")?;
        assert!(refused(file, "ada", "t1").contains("already"));
        assert!(refused(file, "ada", "a b").contains("cannot be a name"));
        assert!(file.remove_token("ada", "t0").is_err());
        file.add_token("ada", "again", None, None).map(drop)
    });
}
