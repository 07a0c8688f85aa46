//! What an operator sees of the real server: its numbers after a known story, its health from the
//! start to the end, its requests as they are logged, and what systemd gets.

mod exposition;

use crate::server::{Server, can, directory, outcome, rejoin, text, under};
use crate::shell::wait_until;
use exposition::Exposition;
use rejoin_http::test_client::Client;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
use std::process::Stdio;
use std::time::Duration;

const APART: [&str; 2] = ["--admin-listen", "127.0.0.1:0"];

/// Where the server's own address for health is: its second line of output.
fn health_address(server: &mut Server) -> SocketAddr {
    let mut line = String::new();
    server.out.read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("Health and metrics: http://");
    address
        .unwrap_or_else(|| panic!("{line:?}"))
        .parse()
        .unwrap()
}

pub(crate) fn scrape(address: SocketAddr) -> Exposition {
    let mut client = Client::connect(address).unwrap();
    let received = client.get("/metrics").unwrap();
    assert_eq!(received.status, 200);
    let kind = received.header("content-type").unwrap();
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    Exposition::parse(received.text())
}

fn ask(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let received = Client::connect(address).ok()?.get(path).ok()?;
    Some((received.status, received.text().to_owned()))
}

#[test]
fn metrics_agree_with_a_known_workload() {
    let data = directory();
    let mut server = Server::start(data.path(), &APART);
    let address = health_address(&mut server);
    let before = scrape(address);
    assert_eq!(before.value("rejoin_sessions_created_total"), 0.0);
    assert_eq!(before.value("rejoin_ready"), 1.0);

    let (first, _) = server.create();
    server.exec(&first, "echo done");
    server.exec(&first, "exit 3");
    let (second, consumer) = server.create();
    server.run(&second, "echo ready; sleep 1000");
    server.pull_until(&second, &consumer, |result| result["content"] == "ready\n");
    let during = scrape(address);
    assert_eq!(during.value("rejoin_jobs_running"), 1.0);
    let interrupted = server.api(&json!({"action": "interrupt_job", "sessionId": second}));
    assert_eq!(interrupted["state"], "SUCCEEDED", "{interrupted}");
    wait_until("the job has ended", || {
        scrape(address).value("rejoin_jobs_running") == 0.0
    });
    let again = server.api(&json!({"action": "interrupt_job", "sessionId": second}));
    assert_ne!(again["state"], "SUCCEEDED", "{again}");
    server.api(&json!({"action": "close_session", "sessionId": first}));

    let after = scrape(address);
    for (sample, expected) in [
        ("rejoin_sessions_open", 1.0),
        ("rejoin_sessions_created_total", 2.0),
        (r#"rejoin_sessions_closed_total{cause="requested"}"#, 1.0),
        (r#"rejoin_sessions_closed_total{cause="idle"}"#, 0.0),
        ("rejoin_consumers", 1.0),
        ("rejoin_consumers_joined_total", 2.0),
        (
            r#"rejoin_consumers_left_total{cause="session-closed"}"#,
            1.0,
        ),
        ("rejoin_jobs_submitted_total", 3.0),
        (r#"rejoin_jobs_finished_total{outcome="completed"}"#, 1.0),
        (r#"rejoin_jobs_finished_total{outcome="failed"}"#, 1.0),
        (r#"rejoin_jobs_finished_total{outcome="interrupted"}"#, 1.0),
        (r#"rejoin_jobs_finished_total{outcome="lost"}"#, 0.0),
        (
            r#"rejoin_commands_total{kind="submit_job",decision="accepted"}"#,
            3.0,
        ),
        (
            r#"rejoin_commands_total{kind="interrupt_job",decision="refused"}"#,
            1.0,
        ),
        (
            r#"rejoin_rejections_total{reason="no_foreground_job"}"#,
            1.0,
        ),
        ("rejoin_overloaded_total", 0.0),
        ("rejoin_queue_limit", 4096.0),
        ("rejoin_clock_jumps_total", 0.0),
        ("rejoin_clock_behind_seconds", 0.0),
        ("rejoin_pulls_open", 0.0),
        (
            r#"rejoin_http_requests_total{frontend="doris",class="2xx"}"#,
            0.0,
        ),
        (r#"rejoin_log_files{kind="active"}"#, 1.0),
    ] {
        assert_eq!(after.value(sample), expected, "{sample}");
    }
    let records = after.value("rejoin_log_records_total");
    assert!(records > 10.0, "{records}");
    // The one sync before these were counted is that of resuming, which has no record.
    assert_eq!(after.value("rejoin_log_batch_records_sum"), records);
    let batches = after.value("rejoin_log_batch_records_count");
    let syncs = after.value("rejoin_log_sync_seconds_count");
    assert!(
        batches <= syncs && syncs <= batches + 1.0,
        "{batches} {syncs}"
    );
    assert!(after.value("rejoin_result_bytes_total") > 0.0);
    let requests = after.value(r#"rejoin_http_requests_total{frontend="arthas",class="2xx"}"#);
    let timed = after.value(r#"rejoin_http_request_seconds_count{frontend="arthas"}"#);
    assert!(requests >= 8.0 && timed == requests, "{requests} {timed}");
    assert!(after.value("process_open_fds") > 3.0);
    before.has_only_grown_to(&after);
}

#[test]
fn requests_are_counted_per_frontend() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let paths = [
        ("arthas", "/api"),
        ("native", "/sessions"),
        ("maxscale", "/v1/sessions"),
        ("doris", "/rest/v1/session"),
        ("operate", "/healthz"),
        ("other", "/nothing"),
    ];
    let mut client = server.client();
    for (_, path) in paths {
        client.get(path).unwrap();
    }
    let read = scrape(server.address);
    for (frontend, _) in paths {
        let sample = format!(r#"rejoin_http_request_seconds_count{{frontend="{frontend}"}}"#);
        assert_eq!(read.value(&sample), 1.0, "{frontend}");
    }
    let missed = r#"rejoin_http_requests_total{frontend="other",class="4xx"}"#;
    assert_eq!(read.value(missed), 1.0);
    assert_eq!(read.value("rejoin_http_connections_open"), 2.0);
}

#[test]
fn the_book_explains_every_metric_and_no_other() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let logged = scrape(server.address).names();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../book/src/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    // Those of several nodes: see tests/cluster.
    let (page, _) = page.split_once("\n## Several nodes\n").unwrap();
    let explained: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(|name| name.split('{').next().unwrap().to_owned())
        .filter(|name| !name.starts_with('/'))
        .collect();
    assert_eq!(explained, logged);
}

#[test]
fn a_server_that_shuts_down_is_healthy_but_not_ready() {
    let data = directory();
    let patient = ["--interrupt-grace", "1h", "--shutdown-grace", "1h"];
    let mut server = Server::start(data.path(), &[&APART[..], &patient].concat());
    let address = health_address(&mut server);
    assert_eq!(ask(address, "/healthz"), Some((200, "well\n".into())));
    assert_eq!(ask(address, "/readyz"), Some((200, "ready\n".into())));
    let head = server
        .client()
        .request("HEAD", "/readyz", &[], b"")
        .unwrap();
    assert_eq!(head.status, 404, "these paths are elsewhere");
    let mut client = Client::connect(address).unwrap();
    let head = client.request("HEAD", "/readyz", &[], b"").unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
    let at = address.to_string();
    let (status, out, _) = outcome(&["health", "--ready", "--at", &at]);
    assert_eq!((status.code(), out.as_str()), (Some(0), "ready\n"));

    let (session, consumer) = server.create();
    server.run(
        &session,
        "trap '' INT TERM; echo ready; while :; do sleep 1; done",
    );
    server.pull_until(&session, &consumer, |result| result["content"] == "ready\n");
    server.send_signal("-TERM");
    wait_until("it says that it ends", || {
        ask(address, "/readyz") == Some((503, "closing\n".into()))
    });
    assert_eq!(ask(address, "/healthz"), Some((200, "well\n".into())));
    assert_eq!(scrape(address).value("rejoin_ready"), 0.0);
    let (status, out, _) = outcome(&["health", "--ready", "--at", &at]);
    assert_eq!((status.code(), out.as_str()), (Some(1), "closing\n"));
    let (status, ..) = outcome(&["health", "--at", &at]);
    assert_eq!(status.code(), Some(0));
    assert_eq!(server.signal("-TERM").code(), Some(1));
    let (status, _, err) = outcome(&["health", "--at", &at]);
    assert_eq!(status.code(), Some(1), "nobody answers any more");
    assert!(err.starts_with("rejoin: "), "{err}");
}

#[test]
fn requests_are_entries_of_systemds_journal_with_a_field_for_each_value() {
    if !can("mount", "unshare", &["--mount", "true"]) {
        return;
    }
    // The server's /run is a directory of this test, with a journal in it.
    let run = directory();
    let journal = run.path().join("systemd/journal");
    std::fs::create_dir_all(&journal).unwrap();
    let journal = UnixDatagram::bind(journal.join("socket")).unwrap();
    journal
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let mount = format!(
        "mount --bind '{}' /run && exec \"$@\"",
        run.path().display()
    );
    let starter = ["unshare", "--mount", "sh", "-c", &mount, "sh"];
    let data = directory();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--log-requests", "all"];
    let place = ["--log-format", "journald", "--data"];
    let path = data.path().to_str().unwrap();
    let arguments = [&serve[..], &place, &[path]].concat();
    let mut server = Server::spawned(under(&starter, &arguments).stderr(Stdio::inherit()));
    let mut client = server.client();
    client.get("/sessions/17?secret=x").unwrap();
    let mut client = server.client();
    client
        .request("GET", "/nothing%0APRIORITY=0", &[], b"")
        .unwrap();

    let mut entries = std::iter::repeat_with(|| {
        let mut entry = [0; 4096];
        let length = journal.recv(&mut entry).unwrap();
        String::from_utf8(entry[..length].to_vec()).unwrap()
    })
    .filter(|entry| entry.contains("REJOIN_TARGET=rejoin::request\n"));
    let entry = entries.next().unwrap();
    for line in [
        "PRIORITY=6",
        "SYSLOG_IDENTIFIER=rejoin",
        "REJOIN_FRONTEND=native",
        "REJOIN_METHOD=GET",
        "REJOIN_PATH=/sessions/17",
        "REJOIN_STATUS=404",
    ] {
        assert!(entry.lines().any(|it| it == line), "{line} in {entry}");
    }
    let message = "MESSAGE=request frontend=native method=GET path=/sessions/17 status=404 ";
    assert!(entry.starts_with(message), "{entry}");
    let entry = entries.next().unwrap();
    let priorities = entry.lines().filter(|line| line.starts_with("PRIORITY="));
    assert_eq!(priorities.count(), 1, "{entry}");
    assert!(server.signal("-TERM").success());

    // Without a journal it does not start, and says why.
    drop(journal);
    std::fs::remove_dir_all(run.path().join("systemd")).unwrap();
    let failed = under(&starter, &arguments).output().unwrap();
    let err = String::from_utf8(failed.stderr).unwrap();
    assert!(!failed.status.success());
    assert!(
        err.contains("--log-format journald: there is no journal at /run/"),
        "{err}"
    );
}

#[test]
fn requests_are_logged_with_session_and_job_and_without_secrets() {
    let data = directory();
    let said = data.path().join("said");
    let file = std::fs::File::create(&said).unwrap();
    let logged = ["--log-requests", "all", "--log-format", "json"];
    let mut server = Server::start_saying(data.path(), &logged, file.into());
    let (session, _) = server.create();
    server.exec(&session, "echo sesame");
    let mut client = server.client();
    let secrets = [
        ("authorization", "Bearer sesame"),
        ("cookie", "token=sesame"),
    ];
    let path = "/v1/sessions/1?password=sesame";
    client.request("GET", path, &secrets, b"").unwrap();
    let path = format!("/sessions/{session}/jobs/1?token=sesame");
    client.request("GET", &path, &secrets, b"").unwrap();
    client.get("/nothing?user=sesame").unwrap();
    // Anybody can send a method that nobody implements: that is no warning.
    client.request("NONSENSE", "/nothing", &[], b"").unwrap();
    assert!(server.signal("-TERM").success());

    let said = std::fs::read_to_string(&said).unwrap();
    assert!(!said.contains("sesame"), "{said}");
    let events: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|event: &Value| event["target"] == "rejoin::request")
        .collect();
    let logged: Vec<_> = events
        .iter()
        .map(|event| {
            assert!(event["seconds"].as_f64().unwrap() >= 0.0);
            assert!(event["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
            let words = ["frontend", "method", "path", "session", "job"];
            let words = words.map(|name| event[name].as_str().unwrap_or("-"));
            (words, event["status"].as_u64().unwrap())
        })
        .collect();
    let id = session.as_str();
    let job = format!("/sessions/{id}/jobs/1");
    let expected = [
        (["arthas", "POST", "/api", id, "-"], 200),
        (["arthas", "POST", "/api", id, "1"], 200),
        (["maxscale", "GET", "/v1/sessions/1", id, "-"], 200),
        (["native", "GET", &job, id, "1"], 200),
        (["other", "GET", "/nothing", "-", "-"], 404),
        (["other", "NONSENSE", "/nothing", "-", "-"], 501),
    ];
    assert_eq!(logged, expected);
    assert!(
        events.iter().all(|event| event["level"] == "INFO"),
        "{said}"
    );
}

#[test]
fn successful_requests_are_logged_only_on_request() {
    let data = directory();
    let said = data.path().join("said");
    let file = std::fs::File::create(&said).unwrap();
    let mut server = Server::start_saying(data.path(), &["--log-level", "trace"], file.into());
    server.create();
    assert!(server.signal("-TERM").success());
    let said = std::fs::read_to_string(&said).unwrap();
    assert!(said.contains("opened the log"), "{said}");
    assert!(!said.contains("/api"), "{said}");
}

#[test]
fn systemd_is_notified_of_readiness_and_shutdown() {
    let data = directory();
    let path = data.path().join("notify");
    let name = format!("rejoin-test-{}", std::process::id());
    let abstract_address = UnixAddr::from_abstract_name(&name).unwrap();
    let sockets = [
        (
            UnixDatagram::bind(&path).unwrap(),
            path.display().to_string(),
        ),
        (
            UnixDatagram::bind_addr(&abstract_address).unwrap(),
            format!("@{name}"),
        ),
    ];
    for (socket, name) in sockets {
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let heard = || {
            let mut words = [0; 64];
            let count = socket.recv(&mut words).unwrap();
            String::from_utf8_lossy(&words[..count]).into_owned()
        };
        let log = data.path().join("log").display().to_string();
        let mut child = rejoin(&["serve", "--listen", "127.0.0.1:0", "--data", &log])
            .env("NOTIFY_SOCKET", &name)
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        assert_eq!(heard(), "READY=1");
        // What it runs does not speak for it.
        let address = line
            .split("http://")
            .nth(1)
            .unwrap()
            .split(',')
            .next()
            .unwrap();
        let mut client = Client::connect(address.parse().unwrap()).unwrap();
        let exec = json!({"action": "exec", "command": "echo \"<$NOTIFY_SOCKET>\""});
        let done = client.post("/api", &exec.to_string()).unwrap();
        let done: Value = done.json();
        assert_eq!(text(&done["body"]["results"][0]["content"]), "<>\n");
        let id = child.id().to_string();
        let kill = std::process::Command::new("kill")
            .args(["-TERM", &id])
            .status();
        assert!(kill.unwrap().success());
        assert_eq!(heard(), "STOPPING=1");
        assert!(child.wait().unwrap().success());
    }
}
