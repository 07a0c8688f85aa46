//! Who asked for what: named in the log by every frontend, and shown by the API and the command line.

use crate::accounts::with_accounts;
use crate::server::{Server, directory, outcome};
use crate::shell::wait_until;
use rejoin_http::test_client::Received;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;

const ADA: &str = "Basic YWRhOmFkYS1zZWNyZXQ=";
const OLGA: &str = "Basic b2xnYTpvbGdhLXNlY3JldA==";

/// Sends a request, and answers where it came from, too.
fn ask(
    server: &Server,
    method: &str,
    path: &str,
    authorization: &str,
    body: &Value,
) -> (Value, SocketAddr) {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let mut client = server.client();
    let headers = [("authorization", authorization)];
    let received: Received = client
        .request(method, path, &headers, body.as_bytes())
        .unwrap();
    assert!(received.status < 300, "{path}: {}", received.text());
    let answer = serde_json::from_slice(&received.body).unwrap_or_default();
    (answer, client.local_addr().unwrap())
}

fn audit(data: &Path, more: &[&str]) -> Vec<Value> {
    let arguments = [&["log", data.to_str().unwrap(), "--audit", "--json"], more].concat();
    let (status, out, err) = outcome(&arguments);
    assert!(status.success(), "{err}");
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The type of an event, its session's number, and who asked for it.
fn summary(event: &Value) -> (String, u64, Value) {
    let kind = event["event"].as_str().unwrap().to_owned();
    (kind, event["number"].as_u64().unwrap(), event["by"].clone())
}

#[test]
fn who_asked_for_what_is_in_the_log_whatever_the_frontend() {
    let data = with_accounts();
    let arguments = ["token", "add", "olga", "ci", "--data"];
    let arguments = [&arguments[..], &[data.path().to_str().unwrap()]].concat();
    let (status, token, err) = outcome(&arguments);
    assert!(status.success(), "{err}");
    let token = format!("Bearer {}", token.trim());
    let mut server = Server::start(data.path(), &[]);
    let mut expected = vec![];
    let mut expect = |kind: &str, number: u64, account, token, frontend: &str, at: SocketAddr| {
        let by = json!({
            "account": account, "token": token, "frontend": frontend, "address": at.to_string(),
        });
        // What is not set is left out.
        let by = match by {
            Value::Object(mut by) => {
                by.retain(|_, value| !value.is_null());
                Value::Object(by)
            }
            by => by,
        };
        expected.push((kind.to_owned(), number, by));
    };

    let (session, at) = ask(&server, "POST", "/sessions", OLGA, &json!({}));
    let path = format!("/sessions/{}", session["id"].as_str().unwrap());
    expect(
        "session-created",
        1,
        Some("olga"),
        None::<&str>,
        "native",
        at,
    );
    let cat = json!({"statement": "cat", "input": true});
    let (job, at) = ask(&server, "POST", &format!("{path}/jobs"), &token, &cat);
    expect("job-submitted", 1, Some("olga"), Some("ci"), "native", at);
    let input = format!("{path}/jobs/{}/input", job["job"]);
    let (_, at) = ask(&server, "POST", &input, OLGA, &json!("a password"));
    expect("input", 1, Some("olga"), None, "native", at);
    wait_until("it has answered", || {
        let path = format!("{path}/events");
        let (read, _) = ask(&server, "GET", &path, OLGA, &Value::Null);
        let events = read["events"].as_array().unwrap();
        events.iter().any(|event| event["type"] == "result")
    });
    let (_, at) = ask(
        &server,
        "POST",
        &format!("{path}/interrupt"),
        ADA,
        &Value::Null,
    );
    expect("interrupt-requested", 1, Some("ada"), None, "native", at);
    let join = json!({"action": "join_session", "sessionId": session["id"]});
    let (_, at) = ask(&server, "POST", "/api", ADA, &join);
    expect("consumer-joined", 1, Some("ada"), None, "arthas", at);
    let (_, at) = ask(&server, "DELETE", "/v1/sessions/1", ADA, &Value::Null);
    expect("session-closed", 1, Some("ada"), None, "maxscale", at);

    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "run", "arguments": {"command": "true"},
    }});
    let (_, at) = ask(&server, "POST", "/mcp", &token, &call);
    expect("session-created", 2, Some("olga"), Some("ci"), "mcp", at);
    expect("job-submitted", 2, Some("olga"), Some("ci"), "mcp", at);

    // The API says so, too: in events, and in the list of jobs.
    let (events, _) = ask(
        &server,
        "GET",
        &format!("{path}/events"),
        OLGA,
        &Value::Null,
    );
    let events = events["events"].as_array().unwrap();
    let of = |kind: &str| events.iter().find(|event| event["type"] == kind).unwrap();
    assert_eq!(of("job-submitted")["by"]["token"], "ci");
    assert_eq!(of("interrupt-requested")["by"]["account"], "ada");
    assert_eq!(of("interrupt-requested")["by"]["token"], Value::Null);
    for kind in ["job-started", "result"] {
        assert_eq!(of(kind).get("by"), None, "nobody asks for {kind}");
    }
    let (agents, _) = ask(&server, "GET", "/sessions/2", ADA, &Value::Null);
    assert_eq!(agents["jobs"][0]["by"]["frontend"], "mcp");
    server.signal("-TERM");

    // All of it is in the log, in its order, and what was typed is not in the audit.
    let all = audit(data.path(), &[]);
    assert_eq!(all.iter().map(summary).collect::<Vec<_>>(), expected);
    let typed = &all[2];
    assert_eq!(
        (&typed["inputBytes"], typed.get("content")),
        (&json!(12), None)
    );
    let count = |more: &[&str]| audit(data.path(), more).len();
    assert_eq!(count(&["--account", "ada"]), 3);
    assert_eq!(count(&["--account", "nobody"]), 0);
    assert_eq!(count(&["2"]), 2);
    assert_eq!(count(&["--since", "1h"]), all.len());
    assert_eq!(count(&["--until", "1h"]), 0);
    assert_eq!(count(&["--limit", "4"]), 4);

    // For people.
    let path = data.path().to_str().unwrap();
    let (_, lines, _) = outcome(&["log", path, "--audit"]);
    for words in [
        "  olga (native, 127.0.0.1:",
        "  session 1: ran \"cat\" as job 1\n",
        "  olga (token ci, mcp, 127.0.0.1:",
        "  session 2: ran \"true\" as job 2\n",
        "  session 1: wrote 12 bytes to job 1\n",
        "  session 1: interrupted job 1\n",
        "  session 1: closed it\n",
    ] {
        assert!(lines.contains(words), "{words:?} in {lines}");
    }
    let (_, replayed, _) = outcome(&["replay", path, "1", "--events"]);
    for words in [
        "[session 1 created by olga on the service shell (native, 127.0.0.1:",
        "[job 1 is of olga (token ci, native, 127.0.0.1:",
        "[interrupting job 1: requested, by ada (native, 127.0.0.1:",
        "[session closed: requested, by ada (maxscale, 127.0.0.1:",
    ] {
        assert!(replayed.contains(words), "{words:?} in {replayed}");
    }
}

#[test]
fn without_accounts_the_log_says_how_and_from_where() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    server.create();
    server.signal("-TERM");
    let all = audit(data.path(), &[]);
    assert_eq!(all.len(), 2, "created, and joined by its creator");
    for event in all {
        assert_eq!(event["by"]["frontend"], "arthas");
        assert_eq!(event["by"].get("account"), None);
        assert!(event["by"]["address"].is_string());
    }
    let (_, lines, _) = outcome(&["log", data.path().to_str().unwrap(), "--audit"]);
    assert!(lines.contains("  someone (arthas, 127.0.0.1:"), "{lines}");
}
