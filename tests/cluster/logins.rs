//! Who logs in at one node is logged in at each, until the logout at any.

use crate::server::{Server, directory, rejoin};
use crate::servers::{ServerOptions, Servers};
use crate::{arguments, until};
use rejoin_http::test_client::Received;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

const SECRET: &str = "6f1c0e8a5b7d4c3f9e2a1b0c8d7e6f5a";

/// `rejoin user`, with a password on its standard input.
pub(crate) fn user(accounts: &Path, arguments: &[&str], password: &str) {
    let file = accounts.to_str().unwrap();
    let all = [
        &["user"],
        arguments,
        &["--accounts", file, "--password-stdin"],
    ]
    .concat();
    let mut child = rejoin(&all).stdin(Stdio::piped()).spawn().unwrap();
    let given = format!("{password}\n");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(given.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

pub(crate) fn ask(
    server: &Server,
    method: &str,
    path: &str,
    header: (&str, &str),
    body: &Value,
) -> Received {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let mut client = server.client();
    client
        .request(method, path, &[header], body.as_bytes())
        .unwrap()
}

pub(crate) fn login(server: &Server, name: &str, password: &str) -> Received {
    let body = json!({"name": name, "password": password});
    ask(server, "POST", "/login", ("accept", "*/*"), &body)
}

/// Whether a node lets in who sends this.
fn lets_in(server: &Server, header: (&str, &str)) -> bool {
    let answer = ask(server, "GET", "/me", header, &Value::Null);
    match answer.status {
        200 => true,
        401 => false,
        other => panic!("{other} {}", answer.text()),
    }
}

#[test]
fn who_logs_in_at_one_node_is_logged_in_at_each_until_the_logout_at_any() {
    let nats = Servers::start(1, ServerOptions::USUAL);
    let directory = directory();
    let place = |name: &str| directory.path().join(name);
    let (accounts, other_accounts, key) = (place("accounts"), place("other"), place("key"));
    for file in [&accounts, &other_accounts] {
        user(file, &["add", "ada", "--role", "admin"], "ada-secret");
    }
    user(
        &accounts,
        &["add", "olga", "--role", "operator"],
        "olga-secret",
    );
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .mode(0o600)
        .open(&key)
        .unwrap();
    file.write_all(SECRET.as_bytes()).unwrap();
    let start = |name: &str, accounts: &Path| {
        let mut all = arguments(&nats, name);
        let (accounts, key) = (accounts.to_str().unwrap(), key.to_str().unwrap());
        for more in [
            "--cluster-replicas",
            "1",
            "--accounts",
            accounts,
            "--login-key-file",
            key,
        ] {
            all.push(more.to_owned());
        }
        let all: Vec<_> = all.iter().map(String::as_str).collect();
        Server::start(&place(name), &all)
    };
    let mut nodes: Vec<_> = ["n1", "n2", "n3"].map(|name| start(name, &accounts)).into();
    let olga = login(&nodes[0], "olga", "olga-secret");
    assert_eq!(olga.status, 200, "{}", olga.text());
    let cookie = olga.cookie();
    let bearer = format!("Bearer {}", olga.json()["token"].as_str().unwrap());
    let (by_cookie, by_bearer) = (("cookie", &*cookie), ("authorization", &*bearer));
    for node in &nodes {
        assert!(lets_in(node, by_cookie) && lets_in(node, by_bearer));
        let sign = &bearer[bearer.len() - 4..];
        let forged = bearer.replace(sign, if sign == "AAAA" { "BBBB" } else { "AAAA" });
        assert!(!lets_in(node, ("authorization", &forged)));
    }
    // The products' own logins: each made at one node, and used at another.
    let basic = ("authorization", "Basic b2xnYTpvbGdhLXNlY3JldA==");
    let version = json!({"action": "session_info", "sessionId": "x"});
    let arthas = ask(&nodes[0], "POST", "/api", basic, &version).cookie();
    assert!(arthas.starts_with("asession="), "{arthas}");
    let answer = ask(&nodes[1], "POST", "/api", ("cookie", &arthas), &version);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let doris = ask(&nodes[1], "POST", "/rest/v1/login", basic, &Value::Null).cookie();
    let answer = ask(
        &nodes[2],
        "GET",
        "/rest/v1/session",
        ("cookie", &doris),
        &Value::Null,
    );
    assert_eq!(answer.json()["code"], 0, "{}", answer.text());
    let maxscale = ask(&nodes[2], "GET", "/v1/auth", basic, &Value::Null).json();
    let maxscale = format!("Bearer {}", maxscale["meta"]["token"].as_str().unwrap());
    let by_maxscale = ("authorization", &*maxscale);
    let sessions = |node: &Server| ask(node, "GET", "/v1/sessions", by_maxscale, &Value::Null);
    assert_eq!(sessions(&nodes[0]).status, 200);

    // A link and an access token.
    let made = ask(&nodes[0], "POST", "/sessions", by_bearer, &json!({}));
    assert_eq!(made.status, 201, "{}", made.text());
    let path = format!("/sessions/{}", made.json()["id"].as_str().unwrap());
    until("the other nodes know the session", || {
        let known = |node: &Server| ask(node, "GET", &path, by_bearer, &Value::Null).status == 200;
        nodes.iter().all(known)
    });
    let links = format!("{path}/links");
    let link = ask(&nodes[0], "POST", &links, by_bearer, &json!({})).json();
    let holder = format!("Bearer {}", link["secret"].as_str().unwrap());
    let opens = |node: &Server| {
        let header = ("authorization", &*holder);
        ask(node, "GET", &path, header, &Value::Null).status == 200
    };
    let took = until("the link opens everywhere", || nodes.iter().all(opens));
    assert!(took < Duration::from_secs(10), "{took:?}");
    let new = json!({"name": "ci", "role": "viewer"});
    let token = ask(&nodes[1], "POST", "/tokens", by_bearer, &new).json();
    let token = format!("Bearer {}", token["token"].as_str().unwrap());
    let by_token = ("authorization", &*token);
    until("the access token works everywhere", || {
        nodes.iter().all(|node| lets_in(node, by_token))
    });
    let link = format!("{links}/{}", link["link"].as_str().unwrap());
    let removed = ask(&nodes[2], "DELETE", &link, by_bearer, &Value::Null);
    assert_eq!(removed.status, 204, "{}", removed.text());
    until("the link opens nowhere", || !nodes.iter().any(opens));
    let removed = ask(&nodes[0], "DELETE", "/tokens/ci", by_bearer, &Value::Null);
    assert_eq!(removed.status, 204, "{}", removed.text());
    until("the access token works nowhere", || {
        !nodes.iter().any(|node| lets_in(node, by_token))
    });

    // A logout at one node.
    let left = ask(&nodes[2], "POST", "/logout", by_cookie, &Value::Null);
    assert_eq!(left.status, 204);
    assert!(!lets_in(&nodes[2], by_cookie), "here at once");
    let begun = Instant::now();
    until("it holds at the others", || {
        !nodes.iter().any(|node| lets_in(node, by_cookie))
    });
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");

    // A node with other accounts is noticed, and its logins hold nowhere else.
    nodes.push(start("n4", &other_accounts));
    let ada = format!(
        "Bearer {}",
        login(&nodes[0], "ada", "ada-secret").json()["token"]
            .as_str()
            .unwrap()
    );
    let by_ada = ("authorization", &*ada);
    let others = || {
        let status = ask(&nodes[0], "GET", "/cluster", by_ada, &Value::Null).json();
        let nodes = status["nodes"].as_array().unwrap().clone().into_iter();
        let others = nodes.filter(|node| node["otherAccounts"] == true);
        others
            .map(|node| crate::server::text(&node["node"]))
            .collect::<Vec<_>>()
    };
    until("the other accounts are noticed", || others() == ["n4"]);
    assert!(!lets_in(&nodes[3], by_ada));

    // The login outlives its node, and ends with its password at all nodes.
    nodes[0].kill();
    assert!(lets_in(&nodes[1], by_ada) && lets_in(&nodes[2], by_ada));
    user(&accounts, &["passwd", "ada"], "new-secret");
    until("the password's change holds", || {
        !nodes[1..].iter().any(|node| lets_in(node, by_ada))
    });
    assert_eq!(login(&nodes[2], "ada", "new-secret").status, 200);
}
