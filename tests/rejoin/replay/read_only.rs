//! A copied log, served in all frontends by a server that may not change it.

use super::KILLED;
use super::killed::all_of;
use crate::server::{Server, outcome};
use serde_json::{Value, json};

fn start() -> Server {
    // Its own `--data` is not looked at.
    let nowhere = std::path::Path::new("nowhere");
    Server::start(nowhere, &["--read-only", KILLED.copy()])
}

#[test]
fn a_read_only_server_shows_everything_and_changes_nothing() {
    let killed = &*KILLED;
    let before = all_of(killed.copy());
    let mut server = start();
    assert!(
        server.first_line.contains("and only reads the log in"),
        "{}",
        server.first_line
    );
    // As somebody with a name, who reads from the first line.
    let join = json!({"action": "join_session", "sessionId": killed.session, "userId": "eve"});
    let consumer = server.api(&join)["consumerId"].as_str().unwrap().to_owned();
    let last = killed.pulled.last().unwrap()["jobId"].as_u64().unwrap();
    let results = server.pull_until(&killed.session, &consumer, |result| {
        result["type"] == "status" && result["jobId"] == last
    });
    let essence = |results: &[Value]| -> Vec<Value> {
        let of_jobs = results.iter().filter(|it| it["jobId"] != 0);
        of_jobs.cloned().collect()
    };
    let (mut expected, read) = (essence(&killed.pulled), essence(&results));
    // What ran when the copy was made does not run here.
    expected.push(read.last().unwrap().clone());
    assert_eq!(read, expected);
    assert_eq!(
        read.last().unwrap()["message"],
        "the server ended while the job ran"
    );

    let mut client = server.client();
    let listed = client.get("/v1/sessions").unwrap();
    let listed: Value = listed.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 2, "{listed}");
    let table = client.get("/rest/v1/session").unwrap();
    let table: Value = table.json();
    assert_eq!(
        table["data"]["rows"].as_array().unwrap().len(),
        2,
        "{table}"
    );

    // Another one that reads it at the same time.
    let other = start();
    other.join(&killed.session);
    assert_eq!(server.signal("-TERM").code(), Some(0));
    drop(other);
    assert_eq!(all_of(killed.copy()), before);
    assert!(!std::path::Path::new("nowhere").exists());
}

#[test]
fn a_read_only_server_rejects_changes_in_the_format_of_each_api() {
    let killed = &*KILLED;
    let server = start();
    let words = "this server is read-only";
    let session = &killed.session;
    for request in [
        json!({"action": "init_session"}),
        json!({"action": "exec", "command": "echo"}),
        json!({"action": "exec", "sessionId": session, "command": "echo"}),
        json!({"action": "async_exec", "sessionId": session, "command": "echo"}),
        json!({"action": "async_exec", "sessionId": session, "command": ""}),
        json!({"action": "interrupt_job", "sessionId": session}),
        json!({"action": "close_session", "sessionId": session}),
    ] {
        let answer = server.api(&request);
        assert_eq!(answer["state"], "FAILED", "{request}: {answer}");
        let message = answer["message"].as_str().unwrap();
        let is_empty = request["command"] == "";
        assert!(is_empty || message.contains(words), "{request}: {answer}");
    }
    let mut client = server.client();
    for path in ["/v1/sessions/1", "/v1/sessions/1?ttl=5"] {
        let refused = client.request("DELETE", path, &[], b"").unwrap();
        assert_eq!(refused.status, 403, "{path}");
        let body: Value = refused.json();
        let detail = body["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{body}");
    }
    // Nobody has written anything, and everybody can still read.
    server.join(session);
}

#[test]
fn a_directory_without_a_log_is_named() {
    let empty = crate::server::directory();
    let path = empty.path().to_str().unwrap();
    let (status, out, err) = outcome(&["serve", "--read-only", path, "--listen", "127.0.0.1:0"]);
    assert_eq!((status.code(), out.as_str()), (Some(1), ""));
    assert!(err.contains("no log in"), "{err}");
    assert_eq!(empty.path().read_dir().unwrap().count(), 0);
}
