//! A node with the permissions that the book gives it, and no others.

use crate::logins::{ask, login, user};
use crate::server::{Server, directory, outcome};
use crate::servers::{ServerOptions, Servers};
use crate::{arguments, until};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;

const BOOK: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../book/src/cluster.md"
));
const HASH: &str = "$2a$11$…";
const PASSWORD: &str = "of-the-nodes";

/// The accounts of the book's servers, with a password that this test knows.
fn accounts_of_nats() -> String {
    let begin = BOOK.find("\naccounts {").expect("the book has accounts");
    let (block, _) = BOOK[begin..].split_once("\n```").unwrap();
    assert!(block.contains(HASH), "{block}");
    block.replace(HASH, PASSWORD)
}

fn write_secret(file: &Path, secret: &str) {
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(file).unwrap();
    file.write_all(secret.as_bytes()).unwrap();
}

#[test]
fn the_permissions_in_the_book_are_all_that_a_node_needs() {
    let nats = Servers::start_with(1, ServerOptions::USUAL, &accounts_of_nats());
    let directory = directory();
    let place = |name: &str| directory.path().join(name);
    let path = |name: &str| place(name).to_str().unwrap().to_owned();
    user(
        &place("accounts"),
        &["add", "ada", "--role", "admin"],
        "ada-secret",
    );
    write_secret(&place("login.key"), "6f1c0e8a5b7d4c3f9e2a1b0c8d7e6f5a");
    write_secret(&place("nats.password"), PASSWORD);
    write_secret(&place("ada.password"), "ada-secret");
    let start = |name: &str| {
        let mut all = arguments(&nats, name);
        for (flag, value) in [
            ("--cluster-name", "ops".to_owned()),
            ("--cluster-replicas", "1".to_owned()),
            ("--cluster-user", "rejoin".to_owned()),
            ("--cluster-password-file", path("nats.password")),
            ("--accounts", path("accounts")),
            ("--login-key-file", path("login.key")),
        ] {
            all.extend([flag.to_owned(), value]);
        }
        let all: Vec<_> = all.iter().map(String::as_str).collect();
        let said = File::create(place(&format!("{name}.err"))).unwrap();
        Server::start_saying(&place(name), &all, Stdio::from(said))
    };

    // All that users do, at a node that is alone and at one that joins it.
    let mut one = start("n1");
    let entered = login(&one, "ada", "ada-secret");
    assert_eq!(entered.status, 200, "{}", entered.text());
    let cookie = entered.cookie();
    let bearer = format!("Bearer {}", entered.json()["token"].as_str().unwrap());
    let header = ("authorization", &*bearer);
    let made = ask(&one, "POST", "/sessions", header, &json!({})).json();
    let session = format!("/sessions/{}", made["id"].as_str().unwrap());
    let two = start("n2");
    until("the second node knows the session", || {
        ask(&two, "GET", &session, header, &Value::Null).status == 200
    });
    let jobs = format!("{session}/jobs");
    for node in [&one, &two] {
        let new = json!({"statement": "echo hello"});
        until("the session is free and runs a command", || {
            ask(node, "POST", &jobs, header, &new).status < 300
        });
    }
    let links = format!("{session}/links");
    let link = ask(&one, "POST", &links, header, &json!({})).json();
    let link = format!("{links}/{}", link["link"].as_str().unwrap());
    let removed = ask(&one, "DELETE", &link, header, &Value::Null);
    assert_eq!(removed.status, 204, "{}", removed.text());
    let left = ask(&one, "POST", "/logout", ("cookie", &cookie), &Value::Null);
    assert_eq!(left.status, 204, "{}", left.text());

    // What admins do, and the end of a node.
    let (server, password) = (format!("http://{}", two.address), path("ada.password"));
    let as_admin = |arguments: &[&str]| {
        let access = ["--server", &server, "--login", "ada"];
        let all = [arguments, &access, &["--password-file", &password]].concat();
        let (status, out, err) = outcome(&all);
        assert!(status.success(), "{out}{err}");
        out
    };
    assert!(as_admin(&["cluster", "status"]).starts_with("Cluster ops, as node n2 sees it"));
    assert!(one.signal("-TERM").success());
    let entered = login(&two, "ada", "ada-secret").json();
    let bearer = format!("Bearer {}", entered["token"].as_str().unwrap());
    let header = ("authorization", &*bearer);
    until("the second node goes on with the session", || {
        let shown = ask(&two, "GET", "/cluster", header, &Value::Null).json();
        shown["logs"][0]["node"] == "n2"
    });
    as_admin(&["cluster", "retire", "n1"]);
    drop(two);

    for name in ["n1.err", "n2.err"] {
        let said = std::fs::read_to_string(place(name)).unwrap();
        let is_refusal = |line: &&str| line.contains("refuse") || line.contains("Permissions");
        let refusals: Vec<_> = said.lines().filter(is_refusal).collect();
        assert!(refusals.is_empty(), "{name}: {refusals:#?}");
    }
    let said = nats.said(0);
    assert!(said.contains("Server is ready"), "{said}");
    let violations: Vec<_> = said.lines().filter(|it| it.contains("Violation")).collect();
    assert!(violations.is_empty(), "{violations:#?}");
}
