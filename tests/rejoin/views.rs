//! The same sessions in the words of three products: what one does the others see.

use crate::server::{Server, directory, outcome, rejoin};
use crate::shell::wait_until_none_run;
use rejoin_http::test_client::{Client, Received};
use serde_json::{Value, json};
use std::io::BufRead;
use std::net::SocketAddr;
use std::process::Stdio;

fn request(address: SocketAddr, method: &str, path: &str) -> Received {
    let mut client = Client::connect(address).unwrap();
    client.request(method, path, &[], b"").unwrap()
}

fn get(address: SocketAddr, path: &str) -> Value {
    let received = request(address, "GET", path);
    assert_eq!(received.status, 200, "{path}");
    received.json()
}

#[test]
fn a_session_of_arthas_is_in_both_lists_and_gone_once_maxscale_kills_it() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let (other, _) = server.create();
    let (session, consumer) = server.create();
    server.api(&json!({"action": "session_info", "sessionId": session, "userId": "ada"}));
    server.run(&session, "echo ready; exec sleep 1000 >/dev/null 2>&1");
    server.pull_until(&session, &consumer, |result| result["content"] == "ready\n");

    let listed = get(
        server.address,
        "/v1/sessions?filter=attributes/user=%22ada%22",
    );
    let [maxscale] = &listed["data"].as_array().unwrap()[..] else {
        panic!("{listed}")
    };
    assert_eq!(maxscale["id"], "2");
    let attributes = &maxscale["attributes"];
    assert_eq!(
        (&attributes["remote"], &attributes["idle"]),
        (&json!("127.0.0.1"), &json!(0.0))
    );
    assert!(
        attributes["queries"][0]["statement"]
            .as_str()
            .unwrap()
            .starts_with("echo ready")
    );

    let table = get(server.address, "/rest/v1/session/all");
    assert_eq!(
        (&table["msg"], &table["count"]),
        (&json!("success"), &json!(2))
    );
    let row = &table["data"]["rows"][1];
    assert_eq!(
        (&row["FE"], &row["Id"], &row["User"]),
        (&json!("127.0.0.1"), &json!("2"), &json!("ada"))
    );
    assert_eq!(
        (&row["Db"], &row["Command"]),
        (&json!("shell"), &json!("Query"))
    );
    assert_eq!(row["Host"], format!("127.0.0.1:{}", attributes["port"]));

    assert_eq!(
        request(server.address, "DELETE", "/v1/sessions/2").status,
        200
    );
    let pull = json!({"action": "pull_results", "sessionId": session, "consumerId": consumer});
    let gone = server.api(&pull);
    assert_eq!(gone["message"], format!("session not found: {session}"));
    assert_eq!(get(server.address, "/rest/v1/session/all")["count"], 1);
    assert_eq!(request(server.address, "GET", "/v1/sessions/2").status, 404);
    wait_until_none_run("what it ran has ended", &session);
    let left = server.api(&json!({"action": "session_info", "sessionId": other}));
    assert_eq!(left["state"], "SUCCEEDED");
}

#[test]
fn lists_are_the_same_after_a_restart() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let sessions: Vec<_> = (0..3).map(|_| server.create().0).collect();
    server.exec(&sessions[0], "true");
    server.api(&json!({"action": "close_session", "sessionId": sessions[1]}));
    // The ports are others, and time goes on.
    let shown = |server: &Server| {
        let fields = "fields[sessions]=connected,queries,user,services/data,port";
        get(
            server.address,
            &format!("/v1/sessions?{fields}&page[size]=9"),
        )["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| {
                (
                    it["id"].clone(),
                    it["attributes"].clone(),
                    it["relationships"].clone(),
                )
            })
            .collect::<Vec<_>>()
    };
    let before = shown(&server);
    assert_eq!(before.len(), 2);
    server.kill();
    let server = Server::start(data.path(), &[]);
    assert_eq!(shown(&server), before);
}

#[test]
fn a_frontend_with_a_separate_address_is_served_only_there() {
    let data = directory();
    let any = "127.0.0.1:0";
    let mut server = Server::start(
        data.path(),
        &[
            "--maxscale-listen",
            any,
            "--doris-listen",
            any,
            "--doris-columns",
            "newer",
        ],
    );
    server.create();
    let mut found = |name: &str| -> SocketAddr {
        let mut line = String::new();
        server.out.read_line(&mut line).unwrap();
        let start = format!("{name} API: http://");
        line.trim_end()
            .strip_prefix(&start)
            .unwrap_or_else(|| panic!("{line}"))
            .parse()
            .unwrap()
    };
    let (maxscale, doris) = (found("MaxScale"), found("Doris"));
    assert_eq!(get(maxscale, "/v1/sessions")["data"][0]["id"], "1");
    let names = get(doris, "/rest/v1/session")["data"]["column_names"].clone();
    assert_eq!(names.as_array().unwrap().len(), 14);
    for (address, path) in [
        (server.address, "/v1/sessions"),
        (server.address, "/rest/v1/session"),
        (maxscale, "/rest/v1/session"),
        (maxscale, "/api"),
        (doris, "/v1/sessions"),
    ] {
        assert_eq!(
            request(address, "GET", path).status,
            404,
            "{address} {path}"
        );
    }
    assert_eq!(server.signal("-TERM").code(), Some(0));
    assert!(Client::connect(maxscale).is_err() && Client::connect(doris).is_err());
}

#[test]
fn without_accounts_no_frontend_listens_on_a_public_address() {
    let data = directory();
    let path = data.path().to_str().unwrap();
    for flag in ["--maxscale-listen", "--doris-listen"] {
        let (status, out, err) = outcome(&["serve", "--data", path, flag, "0.0.0.0:0"]);
        assert_eq!((status.code(), &*out), (Some(1), ""));
        assert!(err.contains("refusing to listen on 0.0.0.0:0"), "{err}");
    }
}

/// The JavaScript clients of these lists take a time without a zone for one of their own.
#[test]
fn times_are_in_the_zone_of_the_server_and_those_that_programs_compute_with_say_so() {
    let data = directory();
    let path = data.path().to_str().unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data", path];
    for (zone, offset) in [
        ("Asia/Kathmandu", 345),
        ("<+0545>-5:45", 345),
        ("UTC", 0),
        ("EST5", -300),
    ] {
        let server = Server::spawned(rejoin(&arguments).env("TZ", zone).stderr(Stdio::inherit()));
        let (session, _) = server.create();
        server.api(&json!({"action": "exec", "sessionId": session, "command": "true"}));
        let listed = get(server.address, "/v1/sessions");
        let shown = listed["data"].as_array().unwrap().last().unwrap();
        let attributes = &shown["attributes"];
        let created = get(server.address, &format!("/sessions/{session}"))["created"].clone();
        let created = jiff::Timestamp::from_millisecond(created.as_i64().unwrap()).unwrap();
        let offset = jiff::tz::Offset::from_seconds(offset * 60).unwrap();
        let local = created.to_zoned(offset.to_time_zone());
        let connected = local.strftime("%a %b %e %H:%M:%S %Y").to_string();
        assert_eq!(attributes["connected"], connected, "{zone}");
        let query = &attributes["queries"][0];
        for time in [&query["received"], &query["completed"]] {
            let time = time.as_str().unwrap();
            let instant: jiff::Timestamp = time.parse().unwrap();
            let since_created = instant.duration_since(created).as_secs();
            assert!((0..60).contains(&since_created), "{zone} {time}");
            let written = local.strftime("%:z").to_string();
            assert!(time.ends_with(&written), "{zone} {time}");
        }
    }
}

#[test]
fn a_session_of_nobody_is_shown_as_the_user_that_the_server_runs_as() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let (nobodys, _) = server.create();
    let (adas, _) = server.create();
    server.api(&json!({"action": "session_info", "sessionId": adas, "userId": "ada"}));
    let jobs = server.api(&json!({"action": "exec", "command": "id -un"}));
    let user = jobs["body"]["results"][0]["content"]
        .as_str()
        .unwrap()
        .trim_end();

    let maxscale = get(server.address, "/v1/sessions");
    let doris = get(server.address, "/rest/v1/session");
    let native = get(server.address, "/sessions?state=idle");
    for (index, wanted) in [user, "ada"].into_iter().enumerate() {
        assert_eq!(maxscale["data"][index]["attributes"]["user"], wanted);
        assert_eq!(doris["data"]["rows"][index]["User"], wanted);
        assert_eq!(native["sessions"][1 - index]["user"], wanted);
    }
    let found = |user: &str| get(server.address, &format!("/sessions?user={user}&state=idle"));
    assert_eq!(found(user)["sessions"][0]["id"], *nobodys);
    assert_eq!(found("ada")["sessions"][0]["id"], *adas);
    assert_eq!(found("")["sessions"], json!([]));
    // What everybody sees in a list is not what the log says.
    let events = get(server.address, &format!("/sessions/{nobodys}/events"));
    assert_eq!(events["events"][0]["user"], Value::Null);
}

#[test]
fn a_page_of_the_sessions_of_the_server_goes_on_after_the_last() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let user = {
        let jobs = server.api(&json!({"action": "exec", "command": "id -un"}));
        let content = jobs["body"]["results"][0]["content"].as_str().unwrap();
        content.trim_end().to_owned()
    };
    // Some are shown as the server's user because they are nobody's, some have that name.
    for number in 0..5 {
        let (session, _) = server.create();
        if number % 2 == 0 {
            server.api(&json!({"action": "session_info", "sessionId": session, "userId": user}));
        }
    }
    let (mut seen, mut before) = (vec![], u64::MAX.to_string());
    loop {
        let path = format!("/sessions?user={user}&state=idle&limit=2&before={before}");
        let page = get(server.address, &path);
        let numbers = page["sessions"].as_array().unwrap().iter();
        seen.extend(numbers.map(|it| it["number"].as_u64().unwrap()));
        match page["next"].as_u64() {
            Some(next) => before = next.to_string(),
            None => break,
        }
    }
    assert_eq!(seen, [6, 5, 4, 3, 2]);
}

#[test]
fn the_address_of_maxscale_answers_health_checks_and_unknown_paths_as_the_product_does() {
    let data = directory();
    let mut server = Server::start(data.path(), &["--maxscale-listen", "127.0.0.1:0"]);
    let mut line = String::new();
    server.out.read_line(&mut line).unwrap();
    let address = line
        .trim_end()
        .split_once("://")
        .unwrap()
        .1
        .parse()
        .unwrap();
    for (method, path, status) in [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("GET", "/v1/", 200),
        ("GET", "/servers", 404),
        ("GET", "/v1/servers", 404),
        ("GET", "/console/main.js", 404),
        ("DELETE", "/", 404),
    ] {
        let received = request(address, method, path);
        let found = (received.status, received.body.len());
        assert_eq!(found, (status, 0), "{method} {path}");
        assert_eq!(received.header("content-type"), None, "{method} {path}");
        assert_eq!(received.header("x-frame-options"), Some("Deny"));
    }
    assert_eq!(request(address, "GET", "/openapi.json").status, 200);
    // The common address keeps its own pages.
    assert!(request(server.address, "GET", "/").text().contains("<html"));
}
