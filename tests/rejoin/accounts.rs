//! Accounts of the whole program: from the command line that makes them to the clients that log in.

use crate::server::{Server, directory, outcome, rejoin};
use crate::shell::wait_until;
use rejoin_http::test_client::{Client, Received};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, Write};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use tempfile::TempDir;

const ADA: &str = "Basic YWRhOmFkYS1zZWNyZXQ=";
const OLGA: &str = "Basic b2xnYTpvbGdhLXNlY3JldA==";
const VIC: &str = "Basic dmljOnZpYy1zZWNyZXQ=";
const WRONG: &str = "Basic YWRhOndyb25nLXNlY3JldA==";

/// Runs `rejoin user` for a server's directory; what `given` says comes in on standard input.
fn user(data: &Path, arguments: &[&str], given: &str) -> (ExitStatus, String, String) {
    let data = data.to_str().unwrap();
    let arguments = [&["user"], arguments, &["--data", data]].concat();
    let mut child = rejoin(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Who refuses before it reads has closed it.
    let _ = stdin.write_all(given.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status, text(output.stdout), text(output.stderr))
}

fn add(data: &Path, name: &str, role: &str) {
    let password = format!("{name}-secret\n");
    let arguments = ["add", name, "--role", role, "--password-stdin"];
    let (status, out, err) = user(data, &arguments, &password);
    assert!(status.success(), "{err}");
    assert_eq!((out.as_str(), err.as_str()), ("", ""));
}

/// A directory with an account for each role.
pub(crate) fn with_accounts() -> TempDir {
    let data = directory();
    for (name, role) in [("ada", "admin"), ("olga", "operator"), ("vic", "viewer")] {
        add(data.path(), name, role);
    }
    data
}

fn ask(
    server: &Server,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Received {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let mut client = server.client();
    client
        .request(method, path, headers, body.as_bytes())
        .unwrap()
}

fn by(authorization: &str) -> [(&'static str, &str); 1] {
    [("authorization", authorization)]
}

/// Asks each product for its list, or its version, with these headers: whether it answers.
fn let_in(server: &Server, headers: &[(&str, &str)]) -> [bool; 4] {
    let version = json!({"action": "session_info", "sessionId": "x"});
    let arthas = ask(server, "POST", "/api", headers, &version);
    let doris = ask(server, "GET", "/rest/v1/session", headers, &Value::Null);
    let maxscale = ask(server, "GET", "/v1/sessions", headers, &Value::Null);
    let native = ask(server, "GET", "/sessions", headers, &Value::Null);
    [
        arthas.status == 200,
        doris.json()["code"] == 0,
        maxscale.status == 200,
        native.status == 200,
    ]
}

#[test]
fn accounts_are_added_listed_changed_and_removed() {
    let data = with_accounts();
    let list = || user(data.path(), &["list"], "").1;
    assert_eq!(list(), "ada   admin\nolga  operator\nvic   viewer\n");
    for (arguments, given, words) in [
        (
            &["add", "ada", "--role", "viewer", "--password-stdin"][..],
            "x",
            "already",
        ),
        (
            &["add", "a b", "--role", "viewer", "--password-stdin"],
            "x",
            "cannot be",
        ),
        (
            &["add", "bob", "--role", "viewer", "--password-stdin"],
            "\n",
            "1 to 1024 bytes",
        ),
        (
            &["add", "bob", "--role", "viewer"],
            "x",
            "without a terminal",
        ),
        (
            &["passwd", "bob", "--password-stdin"],
            "x",
            "no account \"bob\"",
        ),
        (&["remove", "bob"], "", "no account \"bob\""),
        (
            &["add", "bob", "--role", "king", "--password-stdin"],
            "x",
            "is no role",
        ),
        (&["add", "bob", "--password-stdin"], "x", "--role"),
        (
            &["add", "bob", "secret", "--role", "viewer"],
            "",
            "unexpected argument",
        ),
    ] {
        let (status, out, err) = user(data.path(), arguments, given);
        assert!(!status.success() && out.is_empty(), "{arguments:?}");
        assert!(err.contains(words), "{arguments:?}: {err}");
    }
    assert_eq!(list().lines().count(), 3);
    assert!(user(data.path(), &["remove", "vic"], "").0.success());
    assert_eq!(list(), "ada   admin\nolga  operator\n");
    let none = directory();
    let (status, out, err) = user(none.path(), &["list"], "");
    assert!(status.success() && out.is_empty());
    assert!(err.contains("no accounts in "), "{err}");
}

#[test]
fn clients_of_each_product_log_in_their_own_way() {
    let data = with_accounts();
    let server = Server::start(data.path(), &[]);
    assert_eq!(let_in(&server, &[]), [false; 4]);
    assert_eq!(
        let_in(&server, &by(WRONG)),
        [false; 4],
        "also from 127.0.0.1"
    );
    assert_eq!(let_in(&server, &by(OLGA)), [true; 4]);

    let exec = json!({"action": "exec", "command": "echo hello"});
    let path = "/api?username=olga&password=olga-secret";
    let ran = ask(&server, "POST", path, &[], &exec);
    assert_eq!(ran.json()["state"], "SUCCEEDED");
    let arthas = ran.cookie();

    let in_doris = ask(&server, "POST", "/rest/v1/login", &by(OLGA), &Value::Null);
    let doris = in_doris.cookie();

    let path = "/v1/auth?persist=yes";
    let maxscale = ask(&server, "GET", path, &by(OLGA), &Value::Null).cookie();
    let token = ask(&server, "GET", "/v1/auth", &by(OLGA), &Value::Null).json();
    let token = format!("Bearer {}", token["meta"]["token"].as_str().unwrap());
    assert_eq!(let_in(&server, &by(&token)), [false, false, true, false]);

    let credentials = json!({"name": "olga", "password": "olga-secret"});
    let in_native = ask(&server, "POST", "/login", &[], &credentials);
    let native = in_native.cookie();
    let token = format!("Bearer {}", in_native.json()["token"].as_str().unwrap());
    assert_eq!(let_in(&server, &by(&token)), [false, false, false, true]);

    // Each product's cookie is good for that product.
    for (place, cookie) in [arthas, doris, maxscale, native].iter().enumerate() {
        let mut expected = [false; 4];
        expected[place] = true;
        assert_eq!(let_in(&server, &[("cookie", cookie)]), expected, "{place}");
    }
}

#[test]
fn sessions_of_others_are_hidden_and_a_viewer_cannot_run_commands() {
    let data = with_accounts();
    add(data.path(), "bob", "operator");
    let bob = "Basic Ym9iOmJvYi1zZWNyZXQ=";
    let server = Server::start(data.path(), &[]);
    let api = |who: &str, request: Value| ask(&server, "POST", "/api", &by(who), &request).json();
    let created = api(OLGA, json!({"action": "init_session", "userId": "bob"}));
    let session = created["sessionId"].as_str().unwrap();

    let run = |who| {
        api(
            who,
            json!({"action": "exec", "sessionId": session, "command": "id -u"}),
        )
    };
    let refused = run(VIC);
    assert_eq!(refused["state"], "REFUSED");
    let message = refused["message"].as_str().unwrap();
    assert_eq!(
        message,
        "Error! command not permitted: the role viewer may not run commands"
    );
    let count = |who: &str| {
        let get = |path: &str| ask(&server, "GET", path, &by(who), &Value::Null).json();
        let count = |value: &Value| value.as_array().unwrap().len();
        [
            count(&get("/v1/sessions")["data"]),
            count(&get("/rest/v1/session/all")["data"]["rows"]),
            count(&get("/sessions")["sessions"]),
        ]
    };
    assert_eq!([bob, OLGA, ADA].map(count), [[0; 3], [1; 3], [1; 3]]);
    let by_number = |who: &str| ask(&server, "DELETE", "/v1/sessions/1", &by(who), &Value::Null);
    assert_eq!(by_number(bob).status, 404);

    // Who knows its identity may enter it, and an operator runs in it.
    let joined = api(VIC, json!({"action": "join_session", "sessionId": session}));
    assert_eq!(joined["state"], "SUCCEEDED");
    assert_eq!(run(bob)["state"], "SUCCEEDED");

    // From then on, their lists show it.
    assert_eq!([VIC, bob, OLGA, ADA].map(count), [[1; 3]; 4]);

    let close = |who| {
        api(
            who,
            json!({"action": "close_session", "sessionId": session}),
        )
    };
    assert_eq!(close(bob)["state"], "REFUSED");
    assert_eq!(by_number(bob).status, 403);
    let by_identity = format!("/sessions/{session}");
    let closed = ask(&server, "DELETE", &by_identity, &by(bob), &Value::Null);
    assert_eq!(closed.status, 403);
    assert_eq!(by_number(ADA).status, 200);
}

#[test]
fn a_session_that_a_viewer_was_shown_is_found_in_every_list_among_those_of_others() {
    let data = with_accounts();
    let server = Server::start(data.path(), &[]);
    let create = |who: &str| {
        let created = ask(&server, "POST", "/sessions", &by(who), &json!({}));
        created.json()["id"].as_str().unwrap().to_owned()
    };
    let sessions: Vec<_> = (0..4).map(|_| create(OLGA)).collect();
    create(ADA);
    let get = |path: &str| ask(&server, "GET", path, &by(VIC), &Value::Null);
    let numbers = |path: &str| -> Vec<u64> {
        let listed = get(path).json();
        let listed = listed["sessions"].as_array().unwrap().iter();
        listed.map(|it| it["number"].as_u64().unwrap()).collect()
    };
    let ids = |path: &str| -> Vec<String> {
        let listed = get(path).json();
        let listed = listed["data"].as_array().unwrap().iter();
        listed.map(|it| it["id"].as_str().unwrap().into()).collect()
    };
    assert!(numbers("/sessions").is_empty() && ids("/v1/sessions").is_empty());
    assert_eq!(get("/sessions/2").status, 404);
    let before = get("/v1/sessions").header("etag").unwrap().to_owned();

    for session in [&sessions[3], &sessions[1]] {
        assert_eq!(get(&format!("/sessions/{session}")).status, 200);
    }
    assert_eq!(get("/sessions/2").status, 200);
    assert_eq!(get("/sessions/3").status, 404, "its number is no secret");
    assert_eq!(numbers("/sessions"), [4, 2]);
    assert_eq!(numbers("/sessions?limit=1"), [4]);
    assert_eq!(numbers("/sessions?before=4&service=shell&state=idle"), [2]);
    assert_eq!(numbers("/sessions?user=olga"), [4, 2]);
    for none in ["user=vic", "user=ada", "state=running", "service=x"] {
        assert!(numbers(&format!("/sessions?{none}")).is_empty(), "{none}");
    }
    assert_ne!(get("/v1/sessions").header("etag").unwrap(), before);
    assert_eq!(ids("/v1/sessions"), ["2", "4"]);
    assert_eq!(ids("/v1/sessions?page[size]=1&page[number]=1"), ["4"]);
    assert_eq!(
        ids("/v1/sessions?filter[attributes.user]=%22olga%22"),
        ["2", "4"]
    );
    assert_eq!(ids("/v1/sessions?filter[id]=gt(2)"), ["4"]);
    assert!(ids("/v1/sessions?filter[attributes.user]=%22ada%22").is_empty());
    let service = get("/v1/services/shell").json();
    assert_eq!(
        service["data"]["attributes"]["statistics"]["connections"],
        2
    );
    let table = get("/rest/v1/session").json();
    let rows = table["data"]["rows"].as_array().unwrap().iter();
    let rows: Vec<_> = rows.map(|row| row["Id"].clone()).collect();
    assert_eq!(rows, ["2", "4"]);

    // Another account of the same name has been shown nothing.
    user(data.path(), &["remove", "vic"], "");
    wait_until("vic is gone", || get("/sessions").status == 401);
    add(data.path(), "vic", "viewer");
    wait_until("another vic is there", || get("/sessions").status == 200);
    assert!(numbers("/sessions").is_empty());
}

#[test]
fn account_changes_apply_to_a_running_server() {
    let data = with_accounts();
    let server = Server::start(data.path(), &[]);
    let logins = |authorization: &str| {
        let own = by(authorization);
        let info = json!({"action": "session_info", "sessionId": "x"});
        [
            ask(&server, "POST", "/api", &own, &info).cookie(),
            ask(&server, "POST", "/rest/v1/login", &own, &Value::Null).cookie(),
            ask(&server, "GET", "/v1/auth?persist=yes", &own, &Value::Null).cookie(),
        ]
    };
    let (olga, vic) = (logins(OLGA).join("; "), logins(VIC).join("; "));
    let products = |cookies: &str| {
        let [arthas, doris, maxscale, _] = let_in(&server, &[("cookie", cookies)]);
        [arthas, doris, maxscale]
    };
    assert_eq!((products(&olga), products(&vic)), ([true; 3], [true; 3]));
    let passwd = ["passwd", "olga", "--password-stdin"];
    assert!(user(data.path(), &passwd, "new-secret\n").0.success());
    assert!(user(data.path(), &["remove", "vic"], "").0.success());
    wait_until("the old logins have ended", || {
        products(&olga) == [false; 3] && products(&vic) == [false; 3]
    });
    assert_eq!(let_in(&server, &by(OLGA)), [false; 4]);
    assert_eq!(let_in(&server, &by(VIC)), [false; 4]);
    let new = "Basic b2xnYTpuZXctc2VjcmV0";
    assert_eq!(let_in(&server, &by(new)), [true; 4]);

    // The last account's end does not open the server.
    for name in ["ada", "olga"] {
        assert!(user(data.path(), &["remove", name], "").0.success());
    }
    wait_until("nobody is let in", || {
        let_in(&server, &by(new)) == [false; 4]
    });
    assert_eq!(let_in(&server, &[]), [false; 4]);
}

#[test]
fn the_first_account_turns_on_logins_on_a_running_server() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    assert_eq!(let_in(&server, &[]), [true; 4]);
    add(data.path(), "ada", "admin");
    wait_until("somebody has to log in", || {
        let_in(&server, &[]) == [false; 4]
    });
    assert_eq!(let_in(&server, &by(ADA)), [true; 4]);
}

#[test]
fn guessing_passwords_is_slowed_down_and_reveals_nothing() {
    let data = with_accounts();
    let server = Server::start(data.path(), &[]);
    let guess = |name: &str, password: &str| {
        let body = json!({"name": name, "password": password});
        ask(&server, "POST", "/login", &[], &body).status
    };
    for name in ["ada", "nobody"] {
        let answers: Vec<u16> = (0..9).map(|_| guess(name, "guess")).collect();
        assert!(
            answers.iter().all(|status| [401, 429].contains(status)),
            "{answers:?}"
        );
        assert_eq!(answers[..5], [401; 5], "{name}");
        assert!(answers.contains(&429), "{name}: {answers:?}");
    }
    // Nobody else waits, and other products say it in their own words.
    assert_eq!(guess("olga", "olga-secret"), 200);
    let refused = ask(&server, "GET", "/v1/sessions", &by(WRONG), &Value::Null);
    assert_eq!(refused.status, 401);
}

#[test]
fn a_flood_of_unknown_names_refuses_nobody_who_has_the_right_password() {
    let data = directory();
    let names: Vec<_> = (0..10).map(|number| format!("user{number}")).collect();
    for name in &names {
        add(data.path(), name, "viewer");
    }
    let server = Server::start_saying(data.path(), &["--log-level", "error"], Stdio::null());
    let server = &server;
    let is_over = &AtomicBool::new(false);
    let refused = &AtomicUsize::new(0);
    thread::scope(|scope| {
        let log_in = |name: &String| {
            let body = json!({"name": name, "password": format!("{name}-secret")});
            let received = ask(server, "POST", "/login", &[], &body);
            assert_eq!(received.status, 200, "{name}: {}", received.text());
        };
        // However this ends, the flood ends.
        let over = OnDrop(is_over);
        let (first, rest) = names.split_at(2);
        first.iter().for_each(log_in);
        for number in 0..120 {
            scope.spawn(move || {
                let mut client = server.client();
                for guess in 0.. {
                    if is_over.load(Ordering::SeqCst) {
                        break;
                    }
                    let body = json!({"name": format!("x{number}-{guess}"), "password": "x"});
                    let body = body.to_string();
                    let received = client.request("POST", "/login", &[], body.as_bytes());
                    let status = received.unwrap().status;
                    assert!(matches!(status, 401 | 429), "{status}");
                    refused.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        wait_until("the flood to begin", || {
            refused.load(Ordering::SeqCst) >= 120
        });
        rest.iter().for_each(log_in);
        drop(over);
    });
}

/// Sets the flag when it is dropped.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A test of the name, for operators who feed the log to fail2ban.
#[test]
fn a_failed_login_is_logged_with_its_name_and_address_and_the_book_has_the_line_for_it() {
    let data = with_accounts();
    let log = data.path().join("stderr");
    let file = fs::File::create(&log).unwrap();
    let server = Server::start_saying(data.path(), &[], file.into());
    let logged = || fs::read_to_string(&log).unwrap();
    let guess = |authorization: &str| {
        assert_eq!(
            ask(&server, "GET", "/me", &by(authorization), &Value::Null).status,
            401
        );
    };
    guess(WRONG);
    // "eve" address=6.6.6.6, with a line break: a client chooses the name.
    guess("Basic ImV2ZSIgYWRkcmVzcz02LjYuNi42CmxvZ2luIGZhaWxlZDp4");
    wait_until("two lines", || {
        logged().matches("login failed").count() >= 2
    });
    let log = logged();
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("login failed"))
        .collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(lines[0].contains(r#"name="ada""#), "{log}");
    let book = include_str!("../../book/src/accounts.md");
    let filter = book.lines().find(|line| line.starts_with("failregex = "));
    let filter = filter.unwrap().replace("failregex = ", "");
    let (before, after) = filter.split_once("<HOST>").unwrap();
    assert_eq!((before, after), ("WARN login failed .*address=", "$"));
    for line in lines {
        let (_, logged) = line.split_once("WARN login failed ").unwrap();
        assert_eq!(
            logged.rsplit_once("address=").unwrap().1,
            "127.0.0.1",
            "{log}"
        );
    }
    assert!(!log.contains("wrong-secret"));
}

#[test]
fn without_accounts_only_this_machine_can_use_the_server() {
    let data = directory();
    let path = data.path().to_str().unwrap();
    for flag in ["--listen", "--maxscale-listen", "--doris-listen"] {
        let mut arguments = vec!["serve", "--data", path];
        if flag != "--listen" {
            arguments.extend(["--listen", "127.0.0.1:0"]);
        }
        arguments.extend([flag, "0.0.0.0:0"]);
        let (status, out, err) = outcome(&arguments);
        assert_eq!((status.code(), out.as_str()), (Some(1), ""), "{flag}");
        assert!(
            err.contains("refusing to listen on 0.0.0.0:0"),
            "{flag}: {err}"
        );
        assert!(err.contains("rejoin user add"), "{flag}: {err}");
    }
    let file = data.path().join("other.toml");
    let file = file.to_str().unwrap();
    let (status, _, err) = outcome(&["serve", "--data", path, "--accounts", file]);
    assert_eq!(status.code(), Some(1), "a wrong path opens nothing");
    assert!(err.contains(file), "{err}");
    let wrong = data.path().join("accounts.toml");
    fs::write(&wrong, "[ada]\nrole = 'king'\nhash = 'hash-secret'\n").unwrap();
    let (status, _, err) = outcome(&["serve", "--data", path, "--listen", "127.0.0.1:0"]);
    assert_eq!(status.code(), Some(1));
    assert!(
        err.contains("accounts.toml") && !err.contains("hash-secret"),
        "{err}"
    );
}

#[test]
fn with_accounts_it_accepts_its_addresses_and_allowed_host_names() {
    let data = with_accounts();
    let names = "Rejoin.example,other.example";
    let elsewhere = ["--maxscale-listen", "0.0.0.0:0", "--allow-host", names];
    let mut server = Server::start(data.path(), &elsewhere);
    let mut line = String::new();
    server.out.read_line(&mut line).unwrap();
    let port = line.trim().rsplit(':').next().unwrap();
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let status = |host: &str, origin: Option<&str>| {
        let mut headers = vec![("authorization", ADA), ("host", host)];
        headers.extend(origin.map(|origin| ("origin", origin)));
        let mut client = Client::connect(address).unwrap();
        let received = client.request("GET", "/v1/sessions", &headers, b"");
        received.unwrap().status
    };
    for host in [
        "127.0.0.1",
        "localhost:1",
        "10.1.2.3:8563",
        "rejoin.example",
        "other.example:1",
    ] {
        assert_eq!(status(host, None), 200, "{host}");
        assert_eq!(status(host, Some(&format!("http://{host}"))), 200, "{host}");
        assert_eq!(status(host, Some("http://localhost:3000")), 403, "{host}");
        assert_eq!(status(host, Some("https://evil.example")), 403, "{host}");
    }
    for host in ["evil.example", "rejoin.example.evil"] {
        assert_eq!(status(host, None), 403, "{host}");
    }
}

#[test]
fn no_secret_appears_anywhere() {
    let data = with_accounts();
    let said = data.path().join("stderr");
    let err = fs::File::create(&said).unwrap();
    let loud = "--log-level trace --log-format json --log-requests all";
    let loud: Vec<&str> = loud.split(' ').collect();
    let mut server = Server::start_saying(data.path(), &loud, err.into());
    let mut secrets: Vec<String> = ["ada-secret", "olga-secret", "vic-secret", "wrong-secret"]
        .map(Into::into)
        .into();
    let headers = [ADA, OLGA, VIC, WRONG];
    secrets.extend(headers.map(|it| it.trim_start_matches("Basic ").into()));
    for header in headers {
        let_in(&server, &by(header));
    }
    let exec = json!({"action": "exec", "command": "env; cat /proc/$PPID/cmdline"});
    let query = "/api?username=ada&password=ada-secret";
    let ran = ask(&server, "POST", query, &[], &exec);
    let shown = ran.text().to_owned();
    let credentials = json!({"name": "ada", "password": "ada-secret"});
    for received in [
        ran,
        ask(&server, "POST", "/login", &[], &credentials),
        ask(&server, "POST", "/rest/v1/login", &by(ADA), &Value::Null),
        ask(
            &server,
            "GET",
            "/v1/auth?persist=yes",
            &by(ADA),
            &Value::Null,
        ),
    ] {
        let cookie = received.cookie();
        let (_, token) = cookie.split_once('=').unwrap();
        assert!(token.len() >= 32);
        secrets.push(token.into());
    }
    // What can't be understood is not logged either.
    let broken = json!({"name": "ada", "password": 1, "other": "ada-secret"});
    ask(&server, "POST", "/login", &[], &broken);
    let accounts = fs::read_to_string(data.path().join("accounts.toml")).unwrap();
    let hashes = accounts
        .lines()
        .filter_map(|line| line.strip_prefix("hash = "));
    let hashes = hashes.map(|it| it.trim_matches('"').rsplit('$').next().unwrap().to_owned());
    secrets.extend(hashes);
    assert_eq!(secrets.len(), 4 + 4 + 4 + 3);

    let cmdline = fs::read(format!("/proc/{}/cmdline", server.id())).unwrap();
    assert!(server.signal("-TERM").success());
    let mut places = vec![
        ("what jobs see".to_owned(), shown.into_bytes()),
        ("the command line".into(), cmdline),
        (
            "the first line".into(),
            server.first_line.clone().into_bytes(),
        ),
    ];
    let mut directories = vec![data.path().to_owned()];
    while let Some(directory) = directories.pop() {
        for found in fs::read_dir(directory).unwrap() {
            let path = found.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if !path.ends_with("accounts.toml") {
                let bytes = fs::read(&path).unwrap();
                places.push((path.display().to_string(), bytes));
            }
        }
    }
    let failed = fs::read_to_string(&said).unwrap();
    assert!(failed.contains("login failed"), "it does log: {failed}");
    for (place, bytes) in &places {
        let text = String::from_utf8_lossy(bytes);
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{secret} in {place}");
        }
    }
}

#[test]
fn a_service_that_is_limited_runs_commands_of_those_accounts_only() {
    let data = with_accounts();
    let config = data.path().join("rejoin.toml");
    let settings = "[services.shell]\nkind = 'shell'\n\
                    [services.named]\nkind = 'shell'\naccounts = ['ada']\n\
                    [services.admins]\nkind = 'shell'\nrole = 'admin'\n\
                    [frontends.arthas]\nservice = 'named'\n";
    fs::write(&config, settings).unwrap();
    let server = Server::start(data.path(), &["--config", config.to_str().unwrap()]);
    let with = |who: &'static str| [("authorization", who)];
    let create = |who, service: &str| {
        let body = json!({ "service": service });
        ask(&server, "POST", "/sessions", &with(who), &body)
    };
    for (who, service, status) in [
        (ADA, "named", 201),
        (ADA, "admins", 201),
        (OLGA, "shell", 201),
        (OLGA, "named", 403),
        (OLGA, "admins", 403),
    ] {
        let created = create(who, service);
        assert_eq!(created.status, status, "{service}: {}", created.text());
    }
    // In a session of somebody else, too, which is known by its UUID.
    let id = |received: &Received| -> String {
        let created: Value = received.json();
        created["id"].as_str().unwrap().to_owned()
    };
    let session = id(&create(ADA, "named"));
    let jobs = format!("/sessions/{session}/jobs");
    let statement = json!({"statement": "echo no"});
    assert_eq!(
        ask(&server, "POST", &jobs, &with(OLGA), &statement).status,
        403
    );
    assert_eq!(
        ask(&server, "POST", &jobs, &with(ADA), &statement).status,
        201
    );
    // Arthas' clients, on the service that is theirs.
    for (who, action, state) in [
        (OLGA, json!({"action": "init_session"}), "REFUSED"),
        (
            OLGA,
            json!({"action": "exec", "command": "true"}),
            "REFUSED",
        ),
        (
            OLGA,
            json!({"action": "exec", "command": "true", "sessionId": session}),
            "REFUSED",
        ),
        (
            ADA,
            json!({"action": "exec", "command": "true"}),
            "SUCCEEDED",
        ),
    ] {
        let answered = ask(&server, "POST", "/api", &with(who), &action);
        let answer: Value = answered.json();
        assert_eq!(answer["state"], state, "{answer}");
        let reason = answer["message"].as_str().unwrap_or_default();
        assert_eq!(
            reason.contains("on the service named"),
            who == OLGA,
            "{answer}"
        );
    }
    // Agents.
    for (who, is_refused) in [(OLGA, true), (ADA, false)] {
        let arguments = json!({"command": "true", "service": "admins"});
        let params = json!({"name": "run", "arguments": arguments});
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let answered = ask(&server, "POST", "/mcp", &with(who), &call);
        let answer: Value = answered.json();
        assert_eq!(answer["result"]["isError"] == true, is_refused, "{answer}");
    }
    let listed = ask(&server, "GET", "/services", &with(OLGA), &json!({}));
    let listed: Value = listed.json();
    assert_eq!(listed, json!({"services": ["shell"]}));
}

#[test]
fn with_a_login_key_a_login_outlives_the_server_and_a_logout_does_too() {
    let data = with_accounts();
    let key = data.path().join("login.key");
    let path = key.to_str().unwrap();
    let flags = ["--login-key-file", path];
    let refused = |words: &str| {
        let data = data.path().to_str().unwrap();
        let start = ["serve", "--listen", "127.0.0.1:0", "--data", data];
        let (status, out, err) = outcome(&[&start[..], &flags].concat());
        assert_eq!((status.code(), &*out), (Some(1), ""), "{err}");
        assert!(err.contains(words) && !err.contains("0123456789"), "{err}");
    };
    refused("cannot read the login key");
    fs::write(&key, "0123456789").unwrap();
    set_mode(&key, 0o644);
    refused("chmod 600");
    set_mode(&key, 0o600);
    refused("openssl rand -hex 32");
    fs::write(&key, "0123456789abcdef0123456789abcdef\n").unwrap();

    let mut server = Server::start(data.path(), &flags);
    let log_in = |server: &Server| {
        let ada = json!({"name": "ada", "password": "ada-secret"});
        let login = ask(server, "POST", "/login", &[], &ada);
        assert_eq!(login.status, 200, "{}", login.text());
        (
            login.json()["token"].as_str().unwrap().to_owned(),
            login.cookie(),
        )
    };
    let is_in = |server: &Server, header: (&str, &str)| {
        ask(server, "GET", "/me", &[header], &Value::Null).status == 200
    };
    let ((stays, _), (_, ends)) = (log_in(&server), log_in(&server));
    let stays = format!("Bearer {stays}");
    let (stays, ends) = (("authorization", &*stays), ("cookie", &*ends));
    assert!(is_in(&server, stays) && is_in(&server, ends));
    let left = ask(&server, "POST", "/logout", &[ends], &Value::Null);
    assert_eq!(left.status, 204);
    assert!(!is_in(&server, ends));
    server.kill();
    let server = Server::start(data.path(), &flags);
    assert!(is_in(&server, stays) && !is_in(&server, ends));
    let notes = fs::read_to_string(data.path().join("logins.json")).unwrap();
    assert!(
        !notes.contains(ends.1) && !notes.contains("0123456789abcdef"),
        "{notes}"
    );
    let metrics = ask(&server, "GET", "/metrics", &[], &Value::Null);
    let metrics = metrics.text().to_owned();
    assert!(metrics.contains("\nrejoin_noted_logins 1\n"), "{metrics}");
    drop(server);
    // Another key ends what the old one has signed.
    fs::write(&key, "fedcba9876543210fedcba9876543210\n").unwrap();
    let server = Server::start(data.path(), &flags);
    assert!(!is_in(&server, stays));
    drop(server);
    let server = Server::start(data.path(), &[]);
    assert!(!is_in(&server, stays));
}

fn set_mode(file: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, PermissionsExt::from_mode(mode)).unwrap();
}
