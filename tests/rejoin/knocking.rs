//! Promise 10 against clients that only knock: whatever they hold has a bound in all, the server goes
//! on, and others are served meanwhile.

use crate::accounts::with_accounts;
use crate::server::{Server, directory, said, under};
use crate::shell::wait_until;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Bytes of the server's memory.
pub(crate) fn resident(server: &Server) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next());
    kibibytes.unwrap().parse::<usize>().unwrap() * 1024
}

fn metric(server: &Server, name: &str) -> u64 {
    let metrics = server.client().get("/metrics").unwrap().text().to_owned();
    let prefix = format!("{name} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&prefix));
    value
        .unwrap_or_else(|| panic!("no {name}"))
        .parse()
        .unwrap()
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
        .set_write_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

#[test]
fn silent_connections_leave_the_server_its_files_and_others_their_answers() {
    let data = directory();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data"];
    let arguments = [&arguments[..], &[data.path().to_str().unwrap()]].concat();
    let limited = ["sh", "-c", "ulimit -n 200; exec \"$0\" \"$@\""];
    let server = Server::spawned(&mut under(&limited, &arguments));
    assert_eq!(metric(&server, "rejoin_http_connections_limit"), 100);
    let (session, consumer) = server.create();
    server.run(&session, "while :; do echo tick; sleep 0.01; done");
    let mut knocking = Vec::new();
    for number in 0..400 {
        knocking.push(connect(&server));
        if number % 50 == 49 {
            // Their requests and those of who watches are answered, and jobs get their pipes.
            assert_eq!(server.client().get("/healthz").unwrap().status, 200);
            let done = server.api(&json!({"action": "exec", "command": "echo on"}));
            let results = done["body"]["results"].as_array().unwrap();
            assert_eq!(said(results, "stdout"), "on\n", "{done}");
            let open = fs::read_dir(format!("/proc/{}/fd", server.id()))
                .unwrap()
                .count();
            assert!(open < 180, "{open} of 200 files are open");
        }
    }
    assert!(metric(&server, "rejoin_http_connections_silent_closed_total") >= 300);
    assert_eq!(metric(&server, "rejoin_http_connections_refused_total"), 0);
    let tick = |result: &Value| result["type"] == "shell";
    server.pull_until(&session, &consumer, tick);
}

#[test]
fn the_limit_of_open_files_is_raised_as_far_as_it_may_be() {
    let data = directory();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data"];
    let arguments = [&arguments[..], &[data.path().to_str().unwrap()]].concat();
    let limited = [
        "sh",
        "-c",
        "ulimit -Sn 64; ulimit -Hn 1000; exec \"$0\" \"$@\"",
    ];
    let server = Server::spawned(&mut under(&limited, &arguments));
    assert_eq!(metric(&server, "process_max_fds"), 1000);
    assert_eq!(metric(&server, "rejoin_http_connections_limit"), 750);
}

#[test]
fn nothing_is_kept_of_a_body_that_nobody_may_send() {
    let data = with_accounts();
    let separate = ["--maxscale-listen", "127.0.0.1:0"];
    let server = Server::start(data.path(), &separate);
    let before = resident(&server);
    let mut open = Vec::new();
    for (path, status) in [
        ("/nosuch", "404"),
        ("/api", "401"),
        ("/sessions", "401"),
        ("/sessions/x/jobs/1/input", "401"),
        ("/v1/sessions/1", "404"),
        ("/rest/v1/login", "413"),
        ("/login", "413"),
        ("/metrics", "405"),
        ("/healthz", "405"),
    ] {
        for _ in 0..10 {
            let mut stream = connect(&server);
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10000000\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            // It may be closed meanwhile.
            for _ in 0..10 {
                let _ = stream.write_all(&[b' '; 100_000]);
            }
            let mut start = [0; 12];
            stream.read_exact(&mut start).unwrap();
            assert_eq!(&start[9..], status.as_bytes(), "{path}");
            open.push(stream);
        }
    }
    let grown = resident(&server).saturating_sub(before);
    assert!(
        grown < 32 << 20,
        "{grown} bytes are kept of 90 MB that were sent"
    );
}

#[test]
fn a_viewer_that_may_not_is_refused_before_its_body_is_taken() {
    const VIEWER: &str = "authorization: Basic dmljOnZpYy1zZWNyZXQ=\r\n";
    let data = with_accounts();
    let server = Server::start(data.path(), &[]);
    let ask = |path: &str, length: usize, sent: &str| {
        let mut client = server.client();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\n{VIEWER}content-length: {length}\r\n\r\n{sent}"
        );
        client.send_raw(head.as_bytes()).unwrap();
        client.receive().unwrap()
    };
    // Nothing of the body is sent, so an answer shows that nothing is waited for.
    for (path, status) in [
        ("/sessions", 403),
        ("/sessions/1/jobs", 403),
        ("/sessions/1/jobs/1/input", 403),
        ("/sessions/1/jobs/1/interrupt", 403),
        ("/sessions/1/interrupt", 403),
        ("/sessions/1/consumers", 413),
        ("/v1/sessions/1", 401),
        // What these two ask for is in the body.
        ("/api", 413),
        ("/mcp", 413),
    ] {
        assert_eq!(ask(path, 10_000_000, "").status, status, "{path}");
    }
    // A short body is read, so that the connection can be used again.
    let mut client = server.client();
    let headers = [("authorization", "Basic dmljOnZpYy1zZWNyZXQ=")];
    for _ in 0..2 {
        let body = br#"{"statement":"true"}"#;
        let refused = client.request("POST", "/sessions/1/jobs", &headers, body);
        let refused = refused.unwrap();
        assert_eq!(refused.status, 403);
        let problem: Value = refused.json();
        assert_eq!(problem["detail"], "the role viewer may not run commands");
    }
    let listed = client.request("POST", "/api", &headers, br#"{"action":"init_session"}"#);
    assert_eq!(listed.unwrap().status, 200);
}

#[test]
fn an_agent_that_is_not_known_learns_which_of_its_requests_was_refused() {
    let data = with_accounts();
    let server = Server::start(data.path(), &[]);
    for (body, id) in [
        (r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#, json!(7)),
        (r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#, json!("a")),
        ("[", Value::Null),
    ] {
        let denied = server.client().post("/mcp", body).unwrap();
        assert_eq!(denied.status, 401, "{body}");
        let answer: Value = denied.json();
        assert_eq!(answer["id"], id, "{answer}");
        assert_eq!(answer["error"]["code"], -32001);
    }
}

#[test]
fn bodies_beyond_their_bound_are_refused_in_each_frontends_shape() {
    let data = directory();
    let bounds = ["--max-bodies", "1000000", "--max-body", "2000000"];
    let server = Server::start(data.path(), &bounds);
    let ask = |path: &str, length: usize| {
        let mut client = server.client();
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n");
        client.send_raw(head.as_bytes()).unwrap();
        let _ = client.send_raw(&vec![b' '; length.min(1_900_000)]);
        client.receive().unwrap()
    };
    let full = "the server receives too many large requests; try again";
    let refused = ask("/api", 1_900_000);
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (200, Some("1"))
    );
    assert_eq!(
        refused.text(),
        format!(r#"{{"message":"{full}","state":"REFUSED"}}"#)
    );
    let refused = ask("/sessions", 1_900_000);
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("1"))
    );
    let problem: Value = refused.json();
    assert_eq!(problem["code"], "overloaded");
    assert_eq!(problem["retryable"], true);
    let refused = ask("/v1/sessions/1", 1_900_000);
    assert_eq!(refused.status, 503);
    let errors: Value = refused.json();
    assert_eq!(errors["errors"][0]["detail"], full);
    assert_eq!(metric(&server, "rejoin_http_bodies_refused_total"), 3);
    assert_eq!(metric(&server, "rejoin_http_bodies_limit_bytes"), 1_000_000);
    wait_until("nothing of them is kept", || {
        metric(&server, "rejoin_http_bodies_bytes") == 0
    });
    // Beyond what one may send, it says so.
    let refused = ask("/api", 3_000_000);
    assert_eq!((refused.status, &*refused.body), (413, &b""[..]));
    let refused = ask("/sessions", 3_000_000);
    let problem: Value = refused.json();
    assert_eq!(
        (refused.status, &problem["code"]),
        (413, &json!("body_too_large"))
    );
    let refused = ask("/rest/v1/login", 3_000_000);
    let envelope: Value = refused.json();
    assert_eq!((refused.status, &envelope["code"]), (413, &json!(413)));
}

#[test]
fn the_answer_of_a_long_exec_comes_from_the_log_as_its_client_takes_it() {
    let data = directory();
    // Whatever is closed is removed at once.
    let bounds = ["--max-exec-answers", "10000", "--retain-bytes", "0"];
    let server = Server::start(data.path(), &bounds);
    let (session, _) = server.create();
    let print = |bytes: usize| format!("head -c {bytes} /dev/zero | tr '\\0' x | fold -w 1000");
    let before = resident(&server);
    for named in [json!(session), Value::Null] {
        for bytes in [1_000, 20_000, 2_000_000, 20_000_000] {
            let command = print(bytes);
            let done = server.api(
                &json!({"action": "exec", "sessionId": named, "command": command, "requestId": "r"}),
            );
            assert_eq!(done["state"], "SUCCEEDED", "{}", done["message"]);
            assert_eq!(done["requestId"], "r");
            let body = &done["body"];
            assert_eq!(body["jobStatus"], "TERMINATED");
            assert_eq!(body["timeExpired"], false);
            assert_eq!(body["command"], command);
            let results = body["results"].as_array().unwrap();
            assert_eq!(said(results, "stdout").matches('x').count(), bytes);
            assert_eq!(results.last().unwrap()["type"], "status");
        }
    }
    // Some that nobody reads, whose jobs end.
    let mut unread = Vec::new();
    for _ in 0..8 {
        let mut stream = connect(&server);
        let body = json!({"action": "exec", "command": print(20_000_000)}).to_string();
        let head = format!(
            "POST /api HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        unread.push(stream);
    }
    wait_until("the first bytes of all answers are there", || {
        let mut first = [0];
        let mut streams = unread.iter();
        streams.all(|stream| stream.peek(&mut first).is_ok())
    });
    let grown = resident(&server).saturating_sub(before);
    assert!(grown < 150 << 20, "{grown} bytes for 160 MB of answers");
    assert!(metric(&server, "rejoin_exec_answers_refused_total") > 0);
    drop(unread);
    wait_until("their sessions are closed", || {
        metric(&server, "rejoin_sessions_open") == 1
    });
    wait_until("nothing of them is kept", || {
        metric(&server, "rejoin_exec_answers_bytes") == 0
    });
}

#[test]
fn readers_that_do_not_read_cost_little_and_others_do_not_notice() {
    let data = directory();
    let server = Server::start(data.path(), &["--write-timeout", "10s"]);
    let (session, _) = server.create();
    server.exec(&session, "true");
    let fill = "head -c 8000000 /dev/zero | tr '\\0' x | fold -w 1000";
    let (shown, consumer) = server.create();
    let job = server.run(&shown, fill);
    server.pull_until(&shown, &consumer, crate::server::is_status_of(job));
    let before = resident(&server);
    let mut readers = Vec::new();
    for _ in 0..200 {
        let mut stream = connect(&server);
        let head = format!("GET /sessions/{shown}/stream HTTP/1.1\r\nhost: localhost\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        readers.push(stream);
    }
    wait_until("all are being served", || {
        metric(&server, "rejoin_http_streams_open") == 200
    });
    let grown = resident(&server).saturating_sub(before);
    assert!(grown < 40 << 20, "{grown} bytes for 200 readers");
    assert_eq!(said(&server.exec(&session, "echo on"), "stdout"), "on\n");
    wait_until("they are cut", || {
        metric(&server, "rejoin_http_streams_open") == 0
    });
}

#[test]
fn what_is_held_for_clients_that_do_not_read_is_bounded_in_all_and_the_newest_are_served() {
    let data = directory();
    let bounds = ["--max-unread", "3000000", "--write-timeout", "60s"];
    let server = Server::start(data.path(), &bounds);
    let (shown, consumer) = server.create();
    let fill = "head -c 20000000 /dev/zero | tr '\\0' x | fold -w 1000";
    let job = server.run(&shown, fill);
    server.pull_until(&shown, &consumer, crate::server::is_status_of(job));
    let stream = format!("GET /sessions/{shown}/stream HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let events =
        format!("GET /sessions/{shown}/events?limit=10000 HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .repeat(100);
    let mut readers = Vec::new();
    // How much of an answer the system takes off the server differs: there are more of them until it
    // does not take enough.
    wait_until("some of them are cut", || {
        if readers.len() < 600 {
            let mut reader = connect(&server);
            reader.write_all(events.as_bytes()).unwrap();
            readers.push(reader);
        }
        metric(&server, "rejoin_http_unread_closed_total") >= 20
    });
    assert_eq!(metric(&server, "rejoin_http_unread_limit_bytes"), 3_000_000);
    let held = metric(&server, "rejoin_http_unread_bytes");
    assert!((1..=3_000_000).contains(&held), "{held}");
    // Who reads gets everything.
    let mut reader = connect(&server);
    reader.write_all(stream.as_bytes()).unwrap();
    let (mut seen, mut part) = (0, vec![0; 1 << 16]);
    while seen < 20_000_000 {
        let read = reader.read(&mut part).unwrap();
        assert!(read > 0, "it was cut after {seen} bytes");
        seen += part[..read].iter().filter(|byte| **byte == b'x').count();
    }
    drop(readers);
    wait_until("nothing is held", || {
        metric(&server, "rejoin_http_unread_bytes") == 0
    });
}

#[test]
fn nothing_personal_is_kept_by_a_browser_and_no_type_is_guessed() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    server.create();
    for path in [
        "/sessions",
        "/sessions/1",
        "/me",
        "/v1/sessions",
        "/rest/v1/session",
        "/rest/v1/session/all",
        "/api",
        "/metrics",
        "/nosuch",
    ] {
        let received = server.client().get(path).unwrap();
        assert_eq!(
            received.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        let kept = received.header("cache-control").unwrap();
        assert!(kept.contains("no-store"), "{path}: {kept}");
    }
    let page = server.client().get("/").unwrap();
    assert_eq!(page.header("cache-control"), Some("no-cache"));
}
