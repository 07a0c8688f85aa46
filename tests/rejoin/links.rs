//! Links: the holder of one watches one session, and does and sees nothing else.

use crate::accounts::with_accounts;
use crate::admin::scrape;
use crate::server::{Server, directory, outcome, rejoin};
use crate::shell::wait_until;
use rejoin_http::test_client::Received;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const ADA: &str = "Basic YWRhOmFkYS1zZWNyZXQ=";
const OLGA: &str = "Basic b2xnYTpvbGdhLXNlY3JldA==";
const VIC: &str = "Basic dmljOnZpYy1zZWNyZXQ=";

fn ask(server: &Server, method: &str, path: &str, authorization: &str, body: &Value) -> Received {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let mut client = server.client();
    let headers = [("authorization", authorization)];
    // Of a stream, the head is enough.
    if path.contains("/stream") {
        client.send_request(method, path, &headers, b"").unwrap();
        let head = client.receive_head().unwrap();
        if head.status == 200 {
            return head;
        }
        client = server.client();
    }
    client
        .request(method, path, &headers, body.as_bytes())
        .unwrap()
}

/// A session with a job that has ended; its path by UUID.
fn session(server: &Server, authorization: &str) -> String {
    let session = ask(server, "POST", "/sessions", authorization, &json!({}));
    let path = format!("/sessions/{}", session.json()["id"].as_str().unwrap());
    let job = json!({"statement": "echo needle"});
    let submitted = ask(server, "POST", &format!("{path}/jobs"), authorization, &job);
    let job = submitted.json()["job"].clone();
    wait_until("the job has ended", || {
        let job = ask(
            server,
            "GET",
            &format!("{path}/jobs/{job}"),
            authorization,
            &Value::Null,
        );
        job.json()["state"] == "finished"
    });
    path
}

/// Makes a link; its name, and what its holder sends.
fn link(server: &Server, path: &str, authorization: &str, lifetime: &str) -> (String, String) {
    let body = json!({"expires": lifetime});
    let made = ask(
        server,
        "POST",
        &format!("{path}/links"),
        authorization,
        &body,
    );
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let secret = made["secret"].as_str().unwrap();
    let number = ask(server, "GET", path, authorization, &Value::Null);
    let number = number.json()["number"].clone();
    assert_eq!(made["path"], format!("/#session={number}&link={secret}"));
    (
        made["link"].as_str().unwrap().into(),
        format!("Bearer {secret}"),
    )
}

/// What a link may ask of its session. All else in the document is refused.
const READS: [&str; 8] = [
    "/sessions/{session}",
    "/sessions/{session}/events",
    "/sessions/{session}/stream",
    "/sessions/{session}/output",
    "/sessions/{session}/search",
    "/sessions/{session}/jobs",
    "/sessions/{session}/jobs/{job}",
    "/sessions/{session}/jobs/{job}/screen",
];

/// What anybody may ask, a stranger, too: it says nothing of a session, or is the login itself.
const PUBLIC: [&str; 11] = [
    "/openapi.json",
    "/login",
    "/logout",
    "/metrics",
    "/healthz",
    "/readyz",
    "/",
    "/v1",
    "/v1/auth",
    "/rest/v1/login",
    "/rest/v1/logout",
];

#[test]
fn a_link_is_refused_on_every_route_but_those_that_read_its_session() {
    for has_accounts in [true, false] {
        let data = if has_accounts {
            with_accounts()
        } else {
            directory()
        };
        let server = Server::start(data.path(), &[]);
        let by = if has_accounts { OLGA } else { "" };
        let (mine, other) = (session(&server, by), session(&server, by));
        let (_, holder) = link(&server, &mine, by, "1h");
        let document = ask(&server, "GET", "/openapi.json", "", &Value::Null);
        let document = document.json();
        let mut walked = 0;
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in ["get", "put", "post", "patch", "delete"] {
                if methods.get(method).is_none() || PUBLIC.contains(&path.as_str()) {
                    continue;
                }
                walked += 1;
                let is_read = method == "get" && READS.contains(&path.as_str());
                let name = |session: &str| {
                    let (_, id) = session.rsplit_once('/').unwrap();
                    let target = path.replace("{session}", id).replace("{job}", "1");
                    target
                        .split('/')
                        .map(|part| if part.starts_with('{') { "1" } else { part })
                        .collect::<Vec<_>>()
                        .join("/")
                };
                let body = match method {
                    "get" | "delete" => Value::Null,
                    _ => json!({"action": "session_info", "sessionId": "x", "statement": "true"}),
                };
                let answer = ask(
                    &server,
                    &method.to_uppercase(),
                    &name(&mine),
                    &holder,
                    &body,
                );
                let shown = format!(
                    "{has_accounts} {method} {path}: {} {}",
                    answer.status,
                    answer.text()
                );
                let is_refused = |answer: &Received| match answer.status {
                    401 | 403 | 404 => true,
                    // Doris says it in the body.
                    200 => path.starts_with("/rest") && answer.json()["code"] != 0,
                    _ => false,
                };
                if !is_read {
                    assert!(is_refused(&answer), "{shown}");
                    assert!(!answer.text().contains("needle"), "{shown}");
                    continue;
                }
                // There is no terminal, and a search needs its words.
                let expected = match path.rsplit('/').next() {
                    Some("screen") => 409,
                    Some("search") => 400,
                    _ => 200,
                };
                assert_eq!(answer.status, expected, "{shown}");
                let answer = ask(&server, "GET", &name(&other), &holder, &Value::Null);
                assert_eq!(answer.status, 404, "{shown}");
            }
        }
        assert!(walked >= 40, "{walked}");
        let found = ask(
            &server,
            "GET",
            &format!("{mine}/search?q=needle"),
            &holder,
            &Value::Null,
        );
        assert_eq!(found.json()["matches"].as_array().unwrap().len(), 1);
        // A host that is not the server's is refused with a link, too.
        let headers = [("authorization", holder.as_str()), ("host", "evil.example")];
        let mut client = server.client();
        let answer = client.request("GET", &mine, &headers, b"").unwrap();
        assert_eq!(answer.status, 403, "{}", answer.text());
    }
}

#[test]
fn a_link_does_not_say_by_what_its_session_could_be_entered_with_more_rights() {
    let data = with_accounts();
    let server = Server::start(data.path(), &[]);
    let path = session(&server, OLGA);
    let (_, id) = path.rsplit_once('/').unwrap();
    assert_eq!(scrape(server.address).value("rejoin_links"), 0.0);
    let (_, holder) = link(&server, &path, OLGA, "1h");
    let metrics = scrape(server.address);
    assert_eq!(metrics.value("rejoin_links"), 1.0);
    assert_eq!(metrics.value("rejoin_links_limit"), 10_000.0);
    for part in [
        "",
        "/events",
        "/jobs",
        "/jobs/1",
        "/output",
        "/records?format=asciicast",
    ] {
        let answer = ask(
            &server,
            "GET",
            &format!("/sessions/1{part}"),
            &holder,
            &Value::Null,
        );
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!answer.text().contains(id), "{part}: {}", answer.text());
    }
    assert_eq!(
        ask(&server, "GET", "/sessions/1", &holder, &Value::Null).json()["id"],
        "1"
    );
    for format in ["jsonl", "log"] {
        let records = format!("/sessions/1/records?format={format}");
        let answer = ask(&server, "GET", &records, &holder, &Value::Null);
        assert_eq!(answer.status, 403, "{}", answer.text());
        assert!(answer.text().contains("`format=asciicast`"));
    }
    let all = "/sessions/1/records?format=asciicast&all=true";
    let answer = ask(&server, "GET", all, &holder, &Value::Null);
    assert_eq!(answer.status, 403, "{}", answer.text());
}

#[test]
fn only_the_creator_and_admins_share_a_session() {
    let data = with_accounts();
    let server = Server::start(data.path(), &[]);
    let path = format!("{}/links", session(&server, OLGA));
    for (by, status) in [(VIC, 403), (ADA, 201), (OLGA, 201), ("", 401)] {
        let answer = ask(&server, "POST", &path, by, &Value::Null);
        assert_eq!(answer.status, status, "{}", answer.text());
        let listed = ask(&server, "GET", &path, by, &Value::Null);
        assert_eq!(listed.status, if status == 201 { 200 } else { status });
        assert!(!listed.text().contains("rejoin_link_"), "{}", listed.text());
    }
    for wrong in ["31d", "0s", "soon"] {
        let answer = ask(&server, "POST", &path, OLGA, &json!({"expires": wrong}));
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text());
    }
    let answer = ask(
        &server,
        "DELETE",
        &format!("{path}/none"),
        OLGA,
        &Value::Null,
    );
    assert_eq!(
        (answer.status, answer.json()["code"].clone()),
        (404, json!("link_not_found"))
    );
}

fn audit(data: &Path) -> Vec<Value> {
    let (status, out, err) = outcome(&["log", data.to_str().unwrap(), "--audit", "--json"]);
    assert!(status.success(), "{err}");
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_link_outlives_the_server_and_who_watches_by_it_is_cut_off_when_it_is_removed() {
    let data = with_accounts();
    let mut server = Server::start(data.path(), &[]);
    let path = session(&server, OLGA);
    let (name, holder) = link(&server, &path, OLGA, "1h");
    server.kill();
    let server = Server::start(data.path(), &[]);
    let mut watching = server.client();
    watching.set_patience(Duration::from_secs(60)).unwrap();
    let headers = [("authorization", holder.as_str())];
    watching
        .send_request("GET", &format!("{path}/stream"), &headers, b"")
        .unwrap();
    assert_eq!(watching.receive_head().unwrap().status, 200);
    let address = watching.local_addr().unwrap().to_string();
    let events = || {
        let read = ask(
            &server,
            "GET",
            &format!("{path}/events"),
            OLGA,
            &Value::Null,
        );
        read.json()["events"].as_array().unwrap().clone()
    };
    let joined = events()
        .into_iter()
        .find(|event| event["type"] == "link-joined");
    let joined = joined.expect("it is in the log before the first event is sent");
    assert_eq!(joined["link"], name.as_str());
    let by = json!({
        "account": null, "token": null, "link": name, "frontend": "native", "address": address,
    });
    assert_eq!(joined["by"], by);
    // The console says so, too.
    let viewers = ask(
        &server,
        "GET",
        &format!("{path}/viewers"),
        OLGA,
        &Value::Null,
    );
    assert_eq!(viewers.json()["viewers"][0]["by"]["link"], name.as_str());

    let gone = ask(
        &server,
        "DELETE",
        &format!("{path}/links/{name}"),
        OLGA,
        &Value::Null,
    );
    assert_eq!(gone.status, 204, "{}", gone.text());
    let mut rest = vec![];
    while let Some(chunk) = watching.receive_chunk().unwrap() {
        rest.extend(chunk);
    }
    let rest = String::from_utf8(rest).unwrap();
    assert!(
        rest.contains("needle") && !rest.contains("link-removed"),
        "{rest}"
    );
    let refused = ask(&server, "GET", &path, &holder, &Value::Null);
    assert_eq!(
        (refused.status, refused.json()["code"].clone()),
        (401, json!("link_ended"))
    );
    let listed = ask(&server, "GET", &format!("{path}/links"), OLGA, &Value::Null);
    assert_eq!(listed.json()["links"], json!([]));
    drop(server);
    let done: Vec<_> = audit(data.path())
        .into_iter()
        .filter(|event| event["link"] == name.as_str())
        .map(|event| (event["event"].clone(), event["by"]["account"].clone()))
        .collect();
    let expected = [
        (json!("link-added"), json!("olga")),
        (json!("link-joined"), Value::Null),
        (json!("link-removed"), json!("olga")),
    ];
    // That nobody watches any more is said when it has been so for a while.
    assert_eq!(done[..3], expected);
}

#[test]
fn a_link_ends_at_its_time_and_shows_ended_sessions_until_then() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let path = session(&server, "");
    assert_eq!(ask(&server, "DELETE", &path, "", &Value::Null).status, 204);
    let (_, long) = link(&server, &path, "", "1h");
    let (_, short) = link(&server, &path, "", "1s");
    let output = ask(
        &server,
        "GET",
        &format!("{path}/output"),
        &long,
        &Value::Null,
    );
    assert_eq!((output.status, output.text()), (200, "needle\n"));
    wait_until("it has ended", || {
        ask(&server, "GET", &path, &short, &Value::Null).status == 401
    });
    assert_eq!(ask(&server, "GET", &path, &long, &Value::Null).status, 200);
}

#[test]
fn links_are_made_listed_and_removed_on_the_command_line() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let url = format!("http://{}", server.address);
    let path = session(&server, "");
    let rejoin = |arguments: &[&str]| {
        let (status, out, err) = outcome(&[arguments, &["--server", &url]].concat());
        assert!(status.success(), "{err}");
        (out, err)
    };
    let (out, err) = rejoin(&["link", "add", "1", "--expires", "2h"]);
    assert!(err.contains("others cannot open this address"), "{err}");
    let secret = out
        .trim()
        .strip_prefix(&format!("{url}/#session=1&link="))
        .unwrap();
    let holder = format!("Bearer {secret}");
    assert_eq!(
        ask(&server, "GET", &path, &holder, &Value::Null).status,
        200
    );
    let (out, _) = rejoin(&["link", "list", "1"]);
    let name = out
        .lines()
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    rejoin(&["link", "remove", "1", name]);
    assert_eq!(
        ask(&server, "GET", &path, &holder, &Value::Null).status,
        401
    );
    let (out, err) = rejoin(&["link", "list", "1"]);
    assert_eq!((out.as_str(), err.contains("no links")), ("", true));
}

/// `rejoin attach` with these arguments: its exit status, standard output and standard error.
fn attached(arguments: &[&str]) -> (i32, String, String) {
    let (status, out, err) = outcome(&[&["attach"], arguments].concat());
    (status.code().unwrap(), out, err)
}

#[test]
fn the_command_line_watches_by_a_links_address_until_the_link_ends() {
    let data = with_accounts();
    let server = Server::start(data.path(), &[]);
    let path = session(&server, OLGA);
    let address = |holder: &str| {
        let secret = holder.strip_prefix("Bearer ").unwrap();
        format!("http://{}/#session=1&link={secret}", server.address)
    };
    let (name, holder) = link(&server, &path, OLGA, "1h");
    let by_link = address(&holder);
    let out = data.path().join("watched");
    let err = data.path().join("complaints");
    // The credentials here are for another server, and are not sent to this one.
    let mut watching = rejoin(&["attach", &by_link, "--token-file", "/nonexistent"])
        .stdout(std::fs::File::create(&out).unwrap())
        .stderr(std::fs::File::create(&err).unwrap())
        .spawn()
        .unwrap();
    let shown = || std::fs::read_to_string(&out).unwrap();
    wait_until("what ran before is shown", || shown().contains("needle"));
    let job = json!({"statement": "echo live"});
    ask(&server, "POST", &format!("{path}/jobs"), OLGA, &job);
    wait_until("what runs is shown", || shown().contains("\nlive\n"));

    // It reads, and changes nothing.
    let (status, found, _) = outcome(&["search", &by_link, "needle"]);
    assert!(status.success() && found.contains("needle"), "{found}");
    assert_eq!(outcome(&["wait", &by_link, "1"]).0.code(), Some(0));
    for refused in [&["close", &by_link][..], &["interrupt", &by_link]] {
        let (status, _, err) = outcome(refused);
        assert!(!status.success(), "{refused:?}");
        assert!(
            err.contains("a link shows its session, and nothing else"),
            "{err}"
        );
    }

    // Commands that read records say so, however the link is given.
    let url = format!("http://{}", server.address);
    for command in ["export", "replay", "verify"] {
        let format: &[&str] = match command {
            "export" => &["--format", "text"],
            _ => &[],
        };
        let secret = by_link.rsplit('=').next().unwrap();
        let by_token = rejoin(&[&[command, "1", "--server", &url], format].concat())
            .env("REJOIN_TOKEN", secret)
            .output()
            .unwrap();
        let by_address = rejoin(&[&[command, &by_link], format].concat())
            .output()
            .unwrap();
        for refused in [by_token, by_address] {
            let said = String::from_utf8(refused.stderr).unwrap();
            assert!(!refused.status.success() && refused.stdout.is_empty());
            assert!(
                said.contains("`rejoin attach` with the link's address"),
                "{command}: {said}"
            );
            assert!(!said.contains("rejoin_link_"), "{said}");
        }
    }

    let removed = format!("{path}/links/{name}");
    assert_eq!(
        ask(&server, "DELETE", &removed, OLGA, &Value::Null).status,
        204
    );
    // Those who watch are cut off, and those who come later are too late.
    let status = watching.wait().unwrap();
    let cut = std::fs::read_to_string(&err).unwrap();
    assert_eq!(status.code(), Some(2), "{cut}");
    let (code, _, late) = attached(&[&by_link]);
    assert_eq!(code, 2, "{late}");
    for said in [&cut, &late] {
        assert!(
            said.contains("this link has ended or was removed: ask for a new one"),
            "{said}"
        );
    }
    let (_, short) = link(&server, &path, OLGA, "1s");
    let short = address(&short);
    wait_until("the link has expired", || {
        let (code, _, err) = attached(&[&short]);
        code == 2 && err.contains("this link has ended or was removed: ask for a new one")
    });
    let (code, _, err) = attached(&[&by_link.replace("&link=", "&lnk=")]);
    assert_eq!(code, 2);
    assert!(
        err.contains("none of a link") && !err.contains("rejoin_link_"),
        "{err}"
    );
}
