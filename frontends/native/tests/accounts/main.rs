//! Logins and the permissions of each role, over a real connection, with the log in memory.

use rejoin_accounts::testing::{TestAccounts, password};
use rejoin_accounts::{AccountsFile, Role};
use rejoin_engine::testing::{Hold, in_memory};
use rejoin_engine::{Config, Engine, SmolRuntime};
use rejoin_http::test_client::Received;
use rejoin_http::test_server::TestServer;
use serde_json::{Value, json};
use std::sync::Arc;

struct World {
    engine: Engine,
    http: TestServer,
    accounts: TestAccounts,
}

impl World {
    /// An account for each role, and a second operator.
    fn new() -> Self {
        Self::with(&[
            ("vic", Role::Viewer),
            ("olga", Role::Operator),
            ("bob", Role::Operator),
            ("ada", Role::Admin),
        ])
    }

    fn with(accounts: &[(&str, Role)]) -> Self {
        let accounts = TestAccounts::new(accounts);
        let services = Hold::services(["hold"]);
        let engine = in_memory(Config::default(), Arc::new(SmolRuntime), services, &[]);
        let mut app = rejoin_http::Router::default();
        rejoin_native::mount(&mut app, engine.clone(), accounts.accounts().clone());
        let http = TestServer::start(app);
        Self {
            engine,
            http,
            accounts,
        }
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Received {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        self.http
            .client()
            .request(method, path, headers, body.as_bytes())
            .unwrap()
    }

    fn login(&self, name: &str, password: &str) -> Received {
        let body = json!({"name": name, "password": password});
        self.ask("POST", "/login", &[], &body)
    }

    fn token(&self, name: &str) -> String {
        let body = json_body(&self.login(name, &format!("{name}-pw")));
        body["token"]
            .as_str()
            .unwrap_or_else(|| panic!("{body}"))
            .into()
    }

    fn ask_as(&self, token: &str, method: &str, path: &str, body: &Value) -> Received {
        let bearer = format!("Bearer {token}");
        self.ask(method, path, &[("authorization", &bearer)], body)
    }

    /// A session of the account: its UUID and its number.
    fn session(&self, token: &str) -> (String, u64) {
        let body = json_body(&self.ask_as(token, "POST", "/sessions", &Value::Null));
        let number = body["number"].as_u64();
        (
            body["id"]
                .as_str()
                .unwrap_or_else(|| panic!("{body}"))
                .into(),
            number.unwrap(),
        )
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.engine.begin_closing();
    }
}

fn json_body(received: &Received) -> Value {
    serde_json::from_slice(&received.body).unwrap_or_default()
}

fn assert_problem(received: &Received, status: u16, code: &str) {
    let body = json_body(received);
    assert_eq!(
        (received.status, &body["code"]),
        (status, &json!(code)),
        "{body}"
    );
    let kind = Some("application/problem+json");
    assert_eq!(received.header("content-type"), kind);
    // Not a scheme for which browsers show a password dialog.
    let challenge = (status == 401).then_some(r#"Bearer realm="rejoin""#);
    assert_eq!(received.header("www-authenticate"), challenge);
}

#[test]
fn a_refused_login_says_why_and_no_browser_shows_a_password_dialog() {
    let world = World::new();
    for headers in [
        &[][..],
        &[("authorization", "Basic ###")],
        &[("authorization", "Bearer abc")],
        &[("cookie", "rejoin_session=abc")],
        &[("cookie", "asession=abc; token_sig=abc; PALO_SESSION_ID=abc")],
    ] {
        for (method, path) in [
            ("GET", "/me"),
            ("GET", "/sessions"),
            ("POST", "/sessions"),
            ("GET", "/sessions/1"),
            ("DELETE", "/sessions/1"),
            ("POST", "/sessions/1/consumers"),
            ("DELETE", "/sessions/1/consumers/x"),
            ("GET", "/sessions/1/events"),
            ("GET", "/sessions/1/stream"),
            ("POST", "/sessions/1/interrupt"),
            ("GET", "/sessions/1/jobs"),
            ("POST", "/sessions/1/jobs"),
            ("GET", "/sessions/1/jobs/1"),
            ("POST", "/sessions/1/jobs/1/interrupt"),
            ("POST", "/sessions/1/jobs/1/input"),
        ] {
            let received = world.ask(method, path, headers, &Value::Null);
            assert_problem(&received, 401, "unauthorized");
        }
    }
    let wrong = [("authorization", "Basic YWRhOm5v")];
    let received = world.ask("GET", "/me", &wrong, &Value::Null);
    assert_problem(&received, 401, "unauthorized");
    assert_problem(&world.login("ada", "no"), 401, "unauthorized");
    assert_problem(&world.login("nobody", "ada-pw"), 401, "unauthorized");
}

#[test]
fn a_login_gives_a_token_and_a_cookie_until_the_logout() {
    let world = World::new();
    let login = world.login("olga", "olga-pw");
    let login_body = json_body(&login);
    let token = login_body["token"].as_str().unwrap();
    let set = login.header("set-cookie").unwrap();
    let kept = format!("rejoin_session={token}");
    assert_eq!(set, format!("{kept}; Path=/; HttpOnly; SameSite=Strict"));
    let bearer = format!("Bearer {token}");
    let basic = "Basic b2xnYTpvbGdhLXB3";
    for header in [
        ("cookie", kept.as_str()),
        ("authorization", &bearer),
        ("authorization", basic),
    ] {
        let me = world.ask("GET", "/me", &[header], &Value::Null);
        let olga = json!({"accounts": true, "name": "olga", "role": "operator"});
        assert_eq!(json_body(&me), olga);
    }
    let cookie = [("cookie", kept.as_str())];
    let left = world.ask("POST", "/logout", &cookie, &Value::Null);
    assert_eq!(left.status, 204);
    assert!(left.header("set-cookie").unwrap().contains("Max-Age=0"));
    let after = world.ask("GET", "/me", &cookie, &Value::Null);
    assert_problem(&after, 401, "unauthorized");
}

#[test]
fn each_role_may_what_the_table_says_in_a_session_that_it_knows() {
    let run = json!({"statement": "x"});
    let none = Value::Null;
    let world = World::new();
    let tokens = ["vic", "bob", "ada"].map(|name| world.token(name));
    let olga = &world.token("olga");
    // The session's UUID is the secret that grants access.
    for (method, end, body, vic, bob, ada) in [
        ("POST", "/sessions", &none, 403, 201, 201),
        ("GET", "/sessions/UUID", &none, 200, 200, 200),
        ("POST", "/sessions/UUID/consumers", &none, 201, 201, 201),
        ("GET", "/sessions/UUID/events", &none, 200, 200, 200),
        ("GET", "/sessions/UUID/jobs", &none, 200, 200, 200),
        ("GET", "/sessions/UUID/jobs/JOB", &none, 200, 200, 200),
        ("POST", "/sessions/UUID/jobs", &run, 403, 409, 409),
        (
            "POST",
            "/sessions/UUID/jobs/JOB/input",
            &none,
            403,
            409,
            409,
        ),
        ("POST", "/sessions/UUID/interrupt", &none, 403, 202, 202),
        (
            "POST",
            "/sessions/UUID/jobs/JOB/interrupt",
            &none,
            403,
            202,
            202,
        ),
        ("DELETE", "/sessions/UUID", &none, 403, 403, 204),
        // By its number, only an admin finds it.
        ("GET", "/sessions/NUMBER", &none, 404, 404, 200),
        ("GET", "/sessions/NUMBER/events", &none, 404, 404, 200),
        ("POST", "/sessions/NUMBER/consumers", &none, 404, 404, 201),
        ("POST", "/sessions/NUMBER/jobs", &run, 403, 404, 409),
        ("DELETE", "/sessions/NUMBER", &none, 403, 404, 204),
    ] {
        for (asker, status) in [(&tokens[0], vic), (&tokens[1], bob), (&tokens[2], ada)] {
            let (session, number) = world.session(olga);
            let jobs = format!("/sessions/{session}/jobs");
            let job = json_body(&world.ask_as(olga, "POST", &jobs, &run));
            let path = end.replace("UUID", &session);
            let path = path.replace("NUMBER", &number.to_string());
            let path = path.replace("JOB", &job["job"].to_string());
            let received = world.ask_as(asker, method, &path, body);
            let text = received.text();
            assert_eq!(received.status, status, "{method} {end}: {text}");
            if status == 403 {
                assert_problem(&received, 403, "forbidden");
            }
        }
    }
}

#[test]
fn a_list_shows_an_accounts_own_sessions_and_an_admin_all() {
    let world = World::new();
    let (olga, bob, ada) = (world.token("olga"), world.token("bob"), world.token("ada"));
    world.session(&olga);
    let (closed, _) = world.session(&olga);
    world.session(&bob);
    let path = format!("/sessions/{closed}");
    assert_eq!(
        world.ask_as(&olga, "DELETE", &path, &Value::Null).status,
        204
    );
    let numbers = |token: &str, query: &str| {
        let received = world.ask_as(token, "GET", &format!("/sessions{query}"), &Value::Null);
        let body = json_body(&received);
        let sessions = body["sessions"].as_array().unwrap().iter();
        let all: Vec<_> = sessions.map(|it| it["number"].as_u64().unwrap()).collect();
        all
    };
    assert_eq!(numbers(&olga, ""), [2, 1], "ended ones too");
    assert_eq!(numbers(&bob, ""), [3]);
    assert_eq!(numbers(&ada, ""), [3, 2, 1]);
    assert_eq!(numbers(&olga, "?user=bob"), [0; 0]);
    assert_eq!(numbers(&ada, "?user=bob"), [3]);
}

#[test]
fn a_session_can_only_be_created_in_ones_own_name() {
    let world = World::new();
    let olga = world.token("olga");
    let as_bob = world.ask_as(&olga, "POST", "/sessions", &json!({"user": "bob"}));
    assert_problem(&as_bob, 403, "forbidden");
    let as_herself = world.ask_as(&olga, "POST", "/sessions", &json!({"user": "olga"}));
    assert_eq!(json_body(&as_herself)["user"], "olga");
}

#[test]
fn another_password_ends_the_tokens_and_too_many_wrong_ones_are_slowed_down() {
    let world = World::new();
    let token = world.token("vic");
    let change = |file: &mut AccountsFile| file.set_password("vic", &password("new"));
    world.accounts.change(change);
    let me = || world.ask_as(&token, "GET", "/me", &Value::Null);
    assert_problem(&me(), 401, "unauthorized");
    for _ in 0..5 {
        assert_problem(&world.login("vic", "vic-pw"), 401, "unauthorized");
    }
    let later = world.login("vic", "new-pw");
    assert_problem(&later, 429, "logins_failed");
    assert!(later.header("retry-after").is_some());
    world.accounts.pass(1);
    assert_eq!(world.login("vic", "new-pw").status, 200);
}

#[test]
fn a_stream_ends_with_the_login_by_which_it_is_read() {
    let world = World::new();
    let (olga, vic) = (world.token("olga"), world.token("vic"));
    let (session, _) = world.session(&olga);
    let follow = |token: &str| {
        let mut client = world.http.client();
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let path = format!("/sessions/{session}/stream");
        client.send_request("GET", &path, &headers, b"").unwrap();
        assert_eq!(client.receive_head().unwrap().status, 200);
        let mut said = String::new();
        while !said.contains("session-created") {
            let part = client.receive_chunk().unwrap().expect("the stream goes on");
            said += std::str::from_utf8(&part).unwrap();
        }
        client
    };
    let (mut stays, mut ends) = (follow(&olga), follow(&vic));
    world.accounts.change(|file| file.remove("vic"));
    let jobs = format!("/sessions/{session}/jobs");
    let run = json!({"statement": "not for vic"});
    assert_eq!(world.ask_as(&olga, "POST", &jobs, &run).status, 201);
    assert_eq!(ends.receive_chunk().unwrap(), None);
    let part = stays.receive_chunk().unwrap().unwrap();
    assert!(std::str::from_utf8(&part).unwrap().contains("not for vic"));
}

#[test]
fn without_accounts_everybody_is_an_admin_without_a_name() {
    let world = World::with(&[]);
    let me = world.ask("GET", "/me", &[], &Value::Null);
    let nobody = json!({"accounts": false, "name": null, "role": "admin"});
    assert_eq!(json_body(&me), nobody);
    let created = world.ask("POST", "/sessions", &[], &json!({"user": "anybody"}));
    assert_eq!(json_body(&created)["user"], "anybody");
}

#[test]
fn a_query_finds_only_what_a_list_shows_and_a_title_needs_the_right_to_run() {
    let world = World::new();
    let [olga, bob, vic, ada] = ["olga", "bob", "vic", "ada"].map(|name| world.token(name));
    let (session, number) = world.session(&olga);
    let path = format!("/sessions/{session}");
    let title = json!({"title": "Release"});
    assert_eq!(world.ask_as(&olga, "PATCH", &path, &title).status, 200);
    let found = |token: &str| {
        let listed = world.ask_as(token, "GET", "/sessions?q=release", &Value::Null);
        json_body(&listed)["sessions"].as_array().unwrap().len()
    };
    assert_eq!(
        [&olga, &bob, &vic, &ada].map(|token| found(token)),
        [1, 0, 0, 1]
    );
    // Who has entered a session by its UUID finds it.
    assert_eq!(world.ask_as(&vic, "GET", &path, &Value::Null).status, 200);
    assert_eq!(found(&vic), 1);
    assert_eq!(world.ask_as(&vic, "PATCH", &path, &title).status, 403);
    let search = format!("/sessions/{number}/search?q=a");
    assert_eq!(world.ask_as(&bob, "GET", &search, &Value::Null).status, 404);
    assert_eq!(world.ask_as(&vic, "GET", &search, &Value::Null).status, 200);
}

#[test]
fn an_account_makes_sees_and_removes_its_own_tokens_and_no_others() {
    let world = World::new();
    let (vic, olga) = (world.token("vic"), world.token("olga"));
    let add = |by: &str, body: Value| world.ask_as(by, "POST", "/tokens", &body);
    let list =
        |by: &str| json_body(&world.ask_as(by, "GET", "/tokens", &Value::Null))["tokens"].clone();
    assert_eq!(list(&olga), json!([]));

    let added = add(
        &olga,
        json!({"name": "ci", "role": "viewer", "expires": "1h"}),
    );
    assert_eq!(added.status, 201, "{}", added.text());
    assert_eq!(added.header("cache-control"), Some("no-store"));
    let added = json_body(&added);
    // The clock of the test began at 1,000 seconds.
    let shown = json!({"name": "ci", "role": "viewer", "expires": 4_600_000});
    assert_eq!(list(&olga), json!([shown]));
    assert_eq!(list(&vic), json!([]), "each sees its own");
    let ci = added["token"].as_str().unwrap();
    let file = std::fs::read_to_string(world.accounts.path()).unwrap();
    assert!(!file.contains(ci), "only its digest is kept");

    // It works at once, does what its role may, and no more.
    let me = json_body(&world.ask_as(ci, "GET", "/me", &Value::Null));
    assert_eq!(
        (&me["name"], &me["role"]),
        (&json!("olga"), &json!("viewer"))
    );
    assert_problem(
        &world.ask_as(ci, "POST", "/sessions", &Value::Null),
        403,
        "forbidden",
    );
    // A token makes, sees and removes no tokens.
    assert_problem(&add(ci, json!({"name": "more"})), 403, "forbidden");
    assert_problem(
        &world.ask_as(ci, "GET", "/tokens", &Value::Null),
        403,
        "forbidden",
    );
    assert_problem(
        &world.ask_as(ci, "DELETE", "/tokens/ci", &Value::Null),
        403,
        "forbidden",
    );

    // A viewer's token never does more than a viewer.
    let asked = json_body(&add(&vic, json!({"name": "v", "role": "admin"})));
    assert_eq!(
        (&asked["role"], &asked["expires"]),
        (&json!("viewer"), &Value::Null)
    );
    for (body, status, code) in [
        (json!({"name": "ci"}), 409, "token_exists"),
        (json!({"name": "a b"}), 400, "request_invalid"),
        (json!({"name": "x", "role": "king"}), 400, "request_invalid"),
        (
            json!({"name": "x", "expires": "soon"}),
            400,
            "request_invalid",
        ),
        (
            json!({"name": "x", "expires": "0d"}),
            400,
            "request_invalid",
        ),
        (json!({"name": "x", "expires": "é"}), 400, "request_invalid"),
        (json!({"role": "viewer"}), 400, "request_invalid"),
    ] {
        assert_problem(&add(&olga, body), status, code);
    }
    let remove =
        |by: &str, name: &str| world.ask_as(by, "DELETE", &format!("/tokens/{name}"), &Value::Null);
    assert_problem(&remove(&vic, "ci"), 404, "token_not_found");
    assert_eq!(remove(&olga, "ci").status, 204);
    assert_problem(
        &world.ask_as(ci, "GET", "/me", &Value::Null),
        401,
        "unauthorized",
    );
    assert_problem(&remove(&olga, "ci"), 404, "token_not_found");
    assert_problem(
        &world.ask("GET", "/tokens", &[], &Value::Null),
        401,
        "unauthorized",
    );
}

#[test]
fn without_accounts_there_are_no_tokens() {
    let world = World::with(&[]);
    for (method, path) in [
        ("GET", "/tokens"),
        ("POST", "/tokens"),
        ("DELETE", "/tokens/x"),
    ] {
        let received = world.ask(method, path, &[], &json!({"name": "x"}));
        assert_problem(&received, 409, "no_accounts");
    }
}
