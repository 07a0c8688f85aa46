//! The same sessions in the words of three products: what one does the others see.

use crate::server::{Server, directory, outcome, running_under};
use crate::shell::wait_until;
use rejoin_http::test_client::{Client, Received};
use serde_json::{Value, json};
use std::io::BufRead;
use std::net::SocketAddr;

fn request(address: SocketAddr, method: &str, path: &str) -> Received {
    let mut client = Client::connect(address).unwrap();
    client.request(method, path, &[], b"").unwrap()
}

fn get(address: SocketAddr, path: &str) -> Value {
    let received = request(address, "GET", path);
    assert_eq!(received.status, 200, "{path}");
    serde_json::from_slice(&received.body).unwrap()
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
    wait_until("what it ran has ended", || {
        running_under(&session).is_empty()
    });
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
