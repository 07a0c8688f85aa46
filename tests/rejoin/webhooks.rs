//! Webhooks: a receiver that fails and comes back gets everything, once it takes it, and can check
//! who sent it.

mod receiver;

use crate::server::{Server, directory, outcome};
use crate::shell::wait_until;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use receiver::{Delivery, Receiver, SECRET, config, table};
use serde_json::{Value, json};
use sha2::Sha256;
use std::fs;

fn post(server: &Server, path: &str, body: &Value) -> Value {
    let received = server.client().post(path, &body.to_string()).unwrap();
    assert!(received.status < 300, "{}", received.text());
    serde_json::from_slice(&received.body).unwrap_or_default()
}

fn run(server: &Server, session: u64, statement: &str) {
    let path = format!("/sessions/{session}/jobs");
    let job = post(server, &path, &json!({"statement": statement}))["job"].clone();
    wait_until("the job has ended", || {
        let job = server.client().get(&format!("{path}/{job}")).unwrap();
        job.text().contains(r#""state":"finished""#)
    });
}

fn metric(server: &Server, name: &str) -> u64 {
    let metrics = server.client().get("/metrics").unwrap();
    let line = metrics
        .text()
        .lines()
        .find_map(|line| line.strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("no {name}"));
    line.trim().parse().unwrap()
}

#[test]
fn a_receiver_that_fails_gets_each_event_once_it_takes_it_though_the_server_was_killed_meanwhile() {
    let data = directory();
    let receiver = Receiver::start(503);
    let more = "attempts = 100\nconsole = 'https://rejoin.example/'";
    let file = config(data.path(), &table(&receiver, more));
    let arguments = ["--config", file.as_str()];
    let mut server = Server::start(data.path(), &arguments);
    let id = post(&server, "/sessions", &json!({}))["id"].clone();
    let patch = json!({"title": "Nightly", "labels": {"env": "test"}}).to_string();
    let patched = server.client().request(
        "PATCH",
        "/sessions/1",
        &[("content-type", "application/json")],
        patch.as_bytes(),
    );
    assert_eq!(patched.unwrap().status, 200);
    run(&server, 1, "exit 3");
    wait_until("it has tried again", || receiver.deliveries().len() >= 3);
    post(
        &server,
        "/sessions/1/jobs",
        &json!({"statement": "sleep 1000"}),
    );
    wait_until("it runs", || {
        let shown = server.client().get("/sessions/1").unwrap();
        shown.text().contains(r#""state":"running""#)
    });
    server.kill();
    let before = receiver.deliveries().len();
    let mut server = Server::start(data.path(), &arguments);
    wait_until("it tries again after the restart", || {
        receiver.deliveries().len() > before + 1
    });
    assert!(receiver.taken().is_empty());
    let first = receiver.deliveries()[0].id().to_owned();
    assert!(
        receiver.deliveries().iter().all(|it| it.id() == first),
        "the same ID, in order"
    );
    receiver.answer(200);
    wait_until("both are delivered", || receiver.taken().len() >= 2);
    run(&server, 1, "true");
    wait_until("the next is delivered, too", || receiver.taken().len() >= 3);
    wait_until("that is on the disk", || {
        let id = receiver.taken()[2].id().to_owned();
        fs::read_to_string(data.path().join("notify-chat.json"))
            .unwrap()
            .contains(&id)
    });
    server.kill();
    let server = Server::start(data.path(), &arguments);
    server
        .client()
        .request("DELETE", "/sessions/1", &[], b"")
        .unwrap();
    wait_until("the end of the session is delivered", || {
        receiver.taken().len() >= 4
    });

    let taken = receiver.taken();
    let kinds: Vec<_> = taken.iter().map(|it| it.json()["type"].clone()).collect();
    assert_eq!(
        kinds,
        ["job.failed", "job.lost", "job.finished", "session.closed"],
        "each once"
    );
    let delivered = taken[0].json();
    assert_eq!(delivered["id"], first.as_str());
    let data = &delivered["data"];
    for (name, value) in [
        ("session", json!(1)),
        ("job", json!(1)),
        ("statement", json!("exit 3")),
        ("outcome", json!("failed")),
        ("status", json!(3)),
        ("title", json!("Nightly")),
        ("labels", json!({"env": "test"})),
        ("service", json!("shell")),
    ] {
        assert_eq!(data[name], value, "{name}");
    }
    assert!(
        data["console"]
            .as_str()
            .unwrap()
            .starts_with("https://rejoin.example/#session=1&at=")
    );
    assert!(data["finished"].as_u64() >= data["submitted"].as_u64());
    for it in &taken {
        assert!(
            !it.body.contains(id.as_str().unwrap()),
            "the session's UUID is a secret"
        );
        let (id, at) = (it.id(), &it.headers["webhook-timestamp"]);
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(format!("{id}.{at}.{}", it.body).as_bytes());
        let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(it.headers["webhook-signature"], signature);
    }
    wait_until("nothing waits", || {
        metric(&server, "rejoin_webhook_waiting ") == 0
    });
}

#[test]
fn what_waits_for_a_receiver_says_nothing_of_a_session_that_was_deleted_meanwhile() {
    let data = directory();
    let receiver = Receiver::start(500);
    let file = config(data.path(), &table(&receiver, "attempts = 100"));
    let server = Server::start(data.path(), &["--config", &file]);
    post(&server, "/sessions", &json!({}));
    let headers = [("content-type", "application/json")];
    let patch = json!({"title": "SECRET title", "labels": {"env": "SECRET-label"}}).to_string();
    let mut client = server.client();
    let patched = client.request("PATCH", "/sessions/1", &headers, patch.as_bytes());
    assert_eq!(patched.unwrap().status, 200);
    run(&server, 1, "echo SECRET command; exit 3");
    wait_until("it was tried", || !receiver.deliveries().is_empty());
    let id = receiver.deliveries()[0].id().to_owned();
    let path = "/sessions/1/records";
    let deleted = server.client().request("DELETE", path, &[], b"").unwrap();
    assert!(deleted.status < 300, "{}", deleted.text());
    let before = receiver.deliveries().len();
    // One attempt may have been on its way.
    wait_until("it was tried again", || {
        receiver.deliveries().len() > before + 1
    });
    receiver.answer(200);
    wait_until("it is delivered", || !receiver.taken().is_empty());
    let delivered = receiver.taken()[0].clone();
    assert_eq!(delivered.id(), id);
    let body = delivered.json();
    assert_eq!(body["type"], "job.failed");
    for (name, value) in [
        ("removed", json!(true)),
        ("session", json!(1)),
        ("status", json!(3)),
        ("title", Value::Null),
        ("statement", Value::Null),
        ("labels", json!({})),
    ] {
        assert_eq!(body["data"][name], value, "{name}: {body}");
    }
    for it in receiver.taken() {
        assert!(!it.body.contains("SECRET"), "{}", it.body);
    }
}

#[test]
fn a_webhook_gets_what_it_asks_for_and_no_more() {
    let data = directory();
    let receiver = Receiver::start(200);
    let more = "events = ['job-failed']\nlonger-than = '300ms'\nstatement = false\nlabels = {env = 'live'}";
    let file = config(data.path(), &table(&receiver, more));
    let server = Server::start(data.path(), &["--config", &file]);
    for labels in [json!({}), json!({"env": "live"})] {
        let number = post(&server, "/sessions", &json!({}))["number"]
            .as_u64()
            .unwrap();
        let patch = json!({"labels": labels}).to_string();
        let path = format!("/sessions/{number}");
        let headers = [("content-type", "application/json")];
        server
            .client()
            .request("PATCH", &path, &headers, patch.as_bytes())
            .unwrap();
        run(&server, number, "false");
        run(&server, number, "sleep 0.4");
        run(&server, number, "sleep 0.4; exit 9");
    }
    wait_until("it is delivered", || !receiver.deliveries().is_empty());
    // What was not sent would have been sent before this.
    run(&server, 2, "sleep 0.4; exit 8");
    wait_until("it has the last", || receiver.deliveries().len() >= 2);
    let delivered: Vec<_> = receiver.deliveries().iter().map(Delivery::json).collect();
    let statuses: Vec<_> = delivered
        .iter()
        .map(|it| it["data"]["status"].clone())
        .collect();
    assert_eq!(statuses, [json!(9), json!(8)]);
    assert!(delivered[0]["data"].get("statement").is_none());
    assert_eq!(delivered[0]["data"]["session"], 2);
}

#[test]
fn private_addresses_and_redirects_are_not_followed_and_an_event_is_given_up_at_last() {
    let data = directory();
    let receiver = Receiver::start(302);
    let port = receiver.port;
    let private = format!(
        "\n[notify.inside]\nurl = 'http://localhost:{port}/inside'\nSECRET\nallow-http = true\n\
         attempts = 2\nfirst-pause = '10ms'\n"
    );
    let tables = table(&receiver, "attempts = 2") + &private;
    let file = config(data.path(), &tables);
    let server = Server::start(data.path(), &["--config", &file]);
    post(&server, "/sessions", &json!({}));
    run(&server, 1, "true");
    let given_up = r#"rejoin_webhook_messages_total{result="given-up"} "#;
    wait_until("both are given up", || metric(&server, given_up) == 2);
    assert_eq!(metric(&server, "rejoin_webhook_failures_total "), 4);
    let delivered = receiver.deliveries();
    assert_eq!(delivered.len(), 2, "only that which may be delivered here");
    assert!(
        delivered.iter().all(|it| it.path == "/hook"),
        "{delivered:?}"
    );
    receiver.answer(200);
    run(&server, 1, "exit 5");
    wait_until("the next event is delivered", || {
        !receiver.taken().is_empty()
    });
    assert_eq!(receiver.taken()[0].json()["data"]["status"], 5);
}

#[test]
fn a_server_with_a_webhook_that_it_cannot_use_does_not_start_and_says_why() {
    let data = directory();
    let file = config(
        data.path(),
        "[notify.chat]\nurl = 'http://chat.example'\nSECRET\n",
    );
    let folder = data.path().to_str().unwrap();
    let (status, _, err) = outcome(&["serve", "--data", folder, "--config", &file]);
    assert!(!status.success());
    assert!(
        err.contains("[notify.chat]: `url` is not encrypted"),
        "{err}"
    );
}
