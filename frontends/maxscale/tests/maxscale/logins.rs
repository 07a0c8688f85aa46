//! Logins in the ways of this API's clients, and the permissions of each role.

use crate::support::Server;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rejoin_accounts::testing::{TestAccounts, password};
use rejoin_accounts::{AccountsFile, Role};
use rejoin_http::test_client::Received;
use serde_json::Value;

struct World {
    server: Server,
    accounts: TestAccounts,
}

/// A header of a request.
type Header = (&'static str, String);

impl World {
    /// An account for each role and a second operator; session 1 is olga's, 2 is bob's, 3 vic's.
    fn new() -> Self {
        let accounts = TestAccounts::new(&[
            ("vic", Role::Viewer),
            ("olga", Role::Operator),
            ("bob", Role::Operator),
            ("ada", Role::Admin),
        ]);
        let server = Server::start_with(accounts.accounts().clone());
        for user in ["olga", "bob", "vic"] {
            server.create(Some(user), "shell");
        }
        Self { server, accounts }
    }

    fn ask(&self, method: &str, path: &str, headers: &[Header]) -> Received {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, it)| (*name, it.as_str()))
            .collect();
        self.server.request(method, path, &headers, "")
    }

    fn status(&self, method: &str, path: &str, header: Header) -> u16 {
        self.ask(method, path, &[header]).status
    }

    fn ids(&self, path: &str, header: Header) -> Vec<String> {
        let shown: Value = serde_json::from_slice(&self.ask("GET", path, &[header]).body).unwrap();
        let data = shown["data"].as_array().unwrap().iter();
        data.map(|it| it["id"].as_str().unwrap().into()).collect()
    }

    fn token(&self, name: &str, query: &str) -> String {
        let received = self.ask("GET", &format!("/v1/auth{query}"), &[basic(name)]);
        let answer: Value = serde_json::from_slice(&received.body).unwrap();
        assert_eq!(received.status, 200, "{answer}");
        answer["meta"]["token"].as_str().unwrap().into()
    }
}

fn basic(name: &str) -> Header {
    of(name, &format!("{name}-pw"))
}

fn of(name: &str, password: &str) -> Header {
    let encoded = STANDARD.encode(format!("{name}:{password}"));
    ("authorization", format!("Basic {encoded}"))
}

fn bearer(token: &str) -> Header {
    ("authorization", format!("Bearer {token}"))
}

fn cookie(token: &str) -> Header {
    ("cookie", format!("token_sig={token}"))
}

fn assert_denied(received: &Received, challenges: bool) {
    assert_eq!(received.status, 401);
    let denied = r#"{"errors": [ { "detail": "Access denied" } ] }"#;
    assert_eq!(received.text(), denied);
    assert_eq!(received.header("content-type"), None);
    let realm = challenges.then_some(r#"Basic realm="maxscale""#);
    assert_eq!(received.header("www-authenticate"), realm);
}

#[test]
fn a_refused_login_is_challenged_unless_a_script_sent_it() {
    let world = World::new();
    let sessions = "/v1/sessions";
    for headers in [
        vec![],
        vec![of("ada", "wrong")],
        vec![of("nobody", "ada-pw")],
        vec![("authorization", "Basic YWRh".into())],
        vec![("authorization", "Basic ###".into())],
        vec![("authorization", "Digest x".into())],
    ] {
        for (method, path) in [
            ("GET", sessions),
            ("OPTIONS", sessions),
            ("GET", "/v1/none"),
        ] {
            assert_denied(&world.ask(method, path, &headers), true);
        }
        let mut by_script = headers;
        by_script.push(("x-requested-with", "XMLHttpRequest".into()));
        assert_denied(&world.ask("GET", sessions, &by_script), false);
    }
    for header in [bearer("abc"), bearer("a.b.c"), cookie("abc")] {
        assert_denied(&world.ask("GET", sessions, &[header]), false);
    }
    // The cookie takes precedence.
    let both = [cookie("abc"), basic("ada")];
    assert_denied(&world.ask("GET", sessions, &both), false);
}

#[test]
fn each_role_sees_and_may_do_what_the_table_says() {
    let world = World::new();
    for (method, path, vic, olga, ada) in [
        ("GET", "/v1/sessions/OLGA", 404, 200, 200),
        ("GET", "/v1/sessions/BOB", 404, 404, 200),
        ("GET", "/v1/sessions/VIC", 200, 404, 200),
        (
            "GET",
            "/v1/sessions/BOB/relationships/services",
            404,
            404,
            200,
        ),
        ("HEAD", "/v1/sessions/BOB", 404, 404, 200),
        ("OPTIONS", "/v1/sessions/OLGA", 200, 200, 200),
        ("POST", "/v1/sessions/BOB/restart", 401, 404, 200),
        ("POST", "/v1/sessions/OLGA/restart", 401, 200, 200),
        ("PATCH", "/v1/sessions/BOB", 401, 404, 400),
        ("DELETE", "/v1/sessions/BOB", 401, 404, 200),
        ("DELETE", "/v1/sessions/OLGA", 401, 200, 200),
        ("DELETE", "/v1/sessions/VIC", 401, 404, 200),
        ("DELETE", "/v1/sessions/VIC?ttl=9", 401, 404, 200),
        ("GET", "/v1/maxscale", 200, 200, 200),
    ] {
        for (name, status) in [("vic", vic), ("olga", olga), ("ada", ada)] {
            let mut own = path.to_owned();
            for user in ["olga", "bob", "vic"] {
                let session = world.server.create(Some(user), "shell");
                let session = world.server.engine.session_view(session).unwrap();
                own = own.replace(&user.to_uppercase(), &session.number.to_string());
            }
            let asked = world.status(method, &own, basic(name));
            assert_eq!(asked, status, "{name} {method} {path}");
        }
    }
}

#[test]
fn a_list_shows_an_accounts_own_sessions_and_an_admin_all() {
    let world = World::new();
    for (name, ids) in [
        ("vic", &["3"][..]),
        ("olga", &["1"]),
        ("bob", &["2"]),
        ("ada", &["1", "2", "3"]),
    ] {
        assert_eq!(world.ids("/v1/sessions", basic(name)), ids);
        let page = "/v1/sessions?page[size]=9";
        let answer = world.ask("GET", page, &[basic(name)]);
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer["meta"]["total"], ids.len());
        // A filter never shows more sessions.
        let others = "/v1/sessions?filter[attributes.user]=eq(%22bob%22)";
        let others = world.ids(others, basic(name));
        assert_eq!(others.is_empty(), !ids.contains(&"2"), "{name}");
    }
    let tag = |name| {
        let received = world.ask("GET", "/v1/sessions", &[basic(name)]);
        received.header("etag").unwrap().to_owned()
    };
    assert_ne!(tag("vic"), tag("olga"), "each sees different sessions");
}

#[test]
fn a_read_only_token_may_not_write() {
    let world = World::new();
    let token = world.token("vic", "");
    for header in [bearer(&token), cookie(&token)] {
        let received = world.ask("DELETE", "/v1/sessions/3", &[header]);
        assert_eq!(received.status, 403);
        let answer = r#"{"errors": [ { "detail": "Administrative access required" } ] }"#;
        assert_eq!(received.text(), answer);
    }
    // Nor with an overriding method.
    for (real, named) in [("GET", "DELETE"), ("POST", "GET")] {
        let named = ("x-http-method-override", named.to_owned());
        let received = world.ask(real, "/v1/sessions/3", &[basic("vic"), named]);
        assert_denied(&received, true);
    }
    assert_eq!(world.server.engine.view(|views| views.open_count()), 3);
}

#[test]
fn a_password_gets_a_token_that_expires_and_ends_with_the_password() {
    let world = World::new();
    let token = world.token("olga", "");
    let claims = token.split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(claims)
        .unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["sub"], "olga");
    assert_eq!(claims["iss"], "maxscale");
    assert_eq!(claims["account"], "admin");
    assert_eq!(claims["exp"].as_u64(), Some(1_000 + 28_800));
    let get = |header| world.status("GET", "/v1/sessions/1", header);
    assert_eq!((get(bearer(&token)), get(cookie(&token))), (200, 200));

    let short = world.token("olga", "?max-age=10");
    for nonsense in ["0", "-1", "x", "2147483647"] {
        world.token("olga", &format!("?max-age={nonsense}"));
    }
    world.accounts.pass(10);
    assert_eq!((get(bearer(&short)), get(bearer(&token))), (401, 200));
    let change = |file: &mut AccountsFile| file.set_password("olga", &password("new"));
    world.accounts.change(change);
    assert_eq!(get(bearer(&token)), 401);
}

#[test]
fn a_token_can_be_set_as_a_cookie_and_deleted() {
    let world = World::new();
    let kept = |query: &str| {
        let received = world.ask(
            "GET",
            &format!("/v1/auth?persist=yes{query}"),
            &[basic("ada")],
        );
        assert_eq!((received.status, received.text()), (204, ""));
        received.header("set-cookie").unwrap().to_owned()
    };
    let plain = kept("");
    assert!(
        plain.ends_with("; Path=/; SameSite=Strict; HttpOnly"),
        "{plain}"
    );
    let token = plain.split(['=', ';']).nth(1).unwrap();
    assert_eq!(world.status("GET", "/v1/sessions/2", cookie(token)), 200);
    let aged = kept("&max-age=604800");
    assert!(
        aged.ends_with("; Path=/; Max-Age=604800; SameSite=Strict; HttpOnly"),
        "{aged}"
    );

    let left = world.ask("GET", "/auth?logout=yes", &[]);
    assert_eq!((left.status, left.text()), (200, ""));
    let forget = left.header("set-cookie").unwrap();
    assert!(forget.starts_with("token_sig=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT"));
}

#[test]
fn a_token_cannot_request_another_token() {
    let world = World::new();
    let token = world.token("ada", "");
    for headers in [
        vec![],
        vec![bearer(&token)],
        vec![cookie(&token)],
        vec![of("ada", "no")],
    ] {
        assert_denied(&world.ask("GET", "/v1/auth", &headers), false);
    }
}

#[test]
fn without_accounts_everyone_gets_a_token() {
    let server = Server::start();
    let answer = server.get("/v1/auth?pretty=false");
    assert!(
        answer.text().starts_with(r#"{"meta":{"token":"#),
        "{}",
        answer.text()
    );
    assert_eq!(server.get("/v1/sessions").status, 200);
}
