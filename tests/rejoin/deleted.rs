//! What is said of a session that was deleted, and who can ask what was asked for.

use crate::accounts::with_accounts;
use crate::server::{Server, outcome, rejoin};
use crate::shell::wait_until;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;
use tempfile::TempDir;

const ADA: &str = "Basic YWRhOmFkYS1zZWNyZXQ=";
const OLGA: &str = "Basic b2xnYTpvbGdhLXNlY3JldA==";

fn ask(server: &Server, who: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let headers = [("authorization", who)];
    let answer = server
        .client()
        .request(method, path, &headers, body.as_bytes())
        .unwrap();
    let json = serde_json::from_slice(&answer.body).unwrap_or_default();
    (answer.status, json)
}

/// A session of olga's that has ended a command.
fn ran(server: &Server, command: &str) -> String {
    let (status, session) = ask(server, OLGA, "POST", "/sessions", &json!({}));
    assert_eq!(status, 201, "{session}");
    let session = session["id"].as_str().unwrap().to_owned();
    let job = json!({"statement": command});
    let jobs = format!("/sessions/{session}/jobs");
    let (status, job) = ask(server, OLGA, "POST", &jobs, &job);
    assert_eq!(status, 201, "{job}");
    let path = format!("{jobs}/{}", job["job"]);
    wait_until("the command has ended", || {
        let (status, job) = ask(server, OLGA, "GET", &path, &Value::Null);
        assert_eq!(status, 200, "{job}");
        job["state"] == "finished"
    });
    session
}

/// Runs the command line as an account.
fn run_as(
    server: &Server,
    passwords: &TempDir,
    who: &str,
    arguments: &[&str],
) -> (bool, String, String) {
    let file = password_file(passwords, who);
    let url = format!("http://{}", server.address);
    let login = [
        "--server",
        &url,
        "--login",
        who,
        "--password-file",
        file.to_str().unwrap(),
    ];
    let (command, rest) = arguments.split_first().unwrap();
    let (status, out, err) = outcome(&[&[*command], &login[..], rest].concat());
    (status.success(), out, err)
}

fn password_file(directory: &TempDir, who: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let file = directory.path().join(who);
    std::fs::write(&file, format!("{who}-secret\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file
}

#[test]
fn a_deleted_session_says_who_deleted_it_wherever_it_is_asked_for() {
    let data = with_accounts();
    let passwords = tempfile::tempdir().unwrap();
    let mut server = Server::start(data.path(), &[]);
    let session = ran(&server, "echo gone");
    let kept = ran(&server, "echo kept");
    let records = format!("/sessions/{session}/records");
    let (status, deleted) = ask(&server, OLGA, "DELETE", &records, &Value::Null);
    assert_eq!(status, 204, "{deleted}");

    for start in 0..2 {
        for (method, rest, body) in [
            ("GET", "", json!(null)),
            ("DELETE", "", json!(null)),
            ("PATCH", "", json!({"title": "x"})),
            ("GET", "/jobs", json!(null)),
            ("GET", "/jobs/1", json!(null)),
            ("GET", "/jobs/1/screen", json!(null)),
            ("POST", "/jobs", json!({"statement": "true"})),
            ("POST", "/interrupt", json!(null)),
            ("GET", "/output", json!(null)),
            ("GET", "/output?raw=true", json!(null)),
            ("GET", "/search?q=gone", json!(null)),
            ("GET", "/records", json!(null)),
            ("GET", "/records?format=log", json!(null)),
            ("GET", "/viewers", json!(null)),
            ("POST", "/consumers", json!(null)),
            ("GET", "/links", json!(null)),
            ("POST", "/redactions", json!({"records": [5]})),
            ("DELETE", "/records", json!(null)),
        ] {
            let path = format!("/sessions/{session}{rest}");
            let (status, problem) = ask(&server, OLGA, method, &path, &body);
            assert_eq!(status, 410, "{method} {path}: {problem}");
            assert_eq!(problem["code"], "session_gone", "{problem}");
            assert_eq!(problem["cause"], "deletion", "{problem}");
            assert_eq!(problem["by"]["account"], "olga", "{problem}");
            assert!(problem["at"].is_u64(), "{problem}");
            let said = format!("session {session} was deleted by olga (native, ");
            assert!(
                problem["detail"].as_str().unwrap().starts_with(&said),
                "{problem}"
            );
        }
        // Its events end with one that says so.
        let (status, read) = ask(
            &server,
            OLGA,
            "GET",
            &format!("/sessions/{session}/events"),
            &Value::Null,
        );
        assert_eq!(status, 200, "{read}");
        let last = read["events"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(last["type"], "records-lost", "{read}");
        assert_eq!(last["cause"], "deletion", "{read}");
        assert_eq!(
            (&last["by"]["account"], &read["ended"]),
            (&json!("olga"), &json!(true))
        );

        for command in [
            "show", "attach", "replay", "verify", "log", "wait", "search",
        ] {
            let mut arguments = vec![command, &session];
            if command == "search" {
                arguments.push("gone");
            }
            let (is_done, out, err) = run_as(&server, &passwords, "olga", &arguments);
            assert!(!is_done, "{command}: {out}");
            assert!(
                err.contains("was deleted by olga (native, "),
                "{command}: {err}"
            );
        }
        let (status, shown) = ask(
            &server,
            OLGA,
            "GET",
            &format!("/sessions/{kept}"),
            &Value::Null,
        );
        assert_eq!(status, 200, "{shown}");
        if start == 0 {
            server.kill();
            server = Server::start(data.path(), &[]);
        }
    }
    server.signal("-TERM");
    let (status, out, err) = outcome(&["verify", data.path().to_str().unwrap()]);
    assert!(status.success(), "{err}");
    assert!(out.contains("Deleted by a request: 1 session."), "{out}");
    assert!(!out.contains("retention"), "{out}");
}

#[test]
fn an_admin_asks_a_server_who_asked_for_what_as_of_its_directory() {
    let data = with_accounts();
    let passwords = tempfile::tempdir().unwrap();
    let mut server = Server::start(data.path(), &[]);
    let sessions: Vec<_> = ["echo one", "echo two; false", "echo three"]
        .iter()
        .map(|command| ran(&server, command))
        .collect();
    let (status, _) = ask(
        &server,
        ADA,
        "DELETE",
        &format!("/sessions/{}", sessions[1]),
        &Value::Null,
    );
    assert_eq!(status, 204);
    let deleted = format!("/sessions/{}/records", sessions[2]);
    let (status, _) = ask(&server, ADA, "DELETE", &deleted, &Value::Null);
    assert_eq!(status, 204);

    for who in [OLGA, "Basic dmljOnZpYy1zZWNyZXQ="] {
        let (status, problem) = ask(&server, who, "GET", "/audit", &Value::Null);
        assert_eq!(
            (status, &problem["code"]),
            (403, &json!("forbidden")),
            "{problem}"
        );
    }
    // In answers of one request each, it is the same as in one.
    let (status, whole) = ask(&server, ADA, "GET", "/audit", &Value::Null);
    assert_eq!((status, &whole["more"]), (200, &json!(false)), "{whole}");
    let whole = whole["requests"].as_array().unwrap().clone();
    let (mut parts, mut after) = (vec![], String::new());
    loop {
        let path = format!("/audit?limit=1{after}");
        let (status, page) = ask(&server, ADA, "GET", &path, &Value::Null);
        assert_eq!(status, 200, "{page}");
        let requests = page["requests"].as_array().unwrap();
        assert!(requests.len() <= 1, "{page}");
        parts.extend(requests.iter().cloned());
        if page["more"] == false {
            break;
        }
        after = format!("&after={}", page["after"].as_str().unwrap());
    }
    assert_eq!(parts, whole);
    for wrong in ["/audit?after=x", "/audit?since=yesterday", "/audit?who=ada"] {
        let (status, problem) = ask(&server, ADA, "GET", wrong, &Value::Null);
        assert_eq!(
            (status, &problem["code"]),
            (400, &json!("request_invalid")),
            "{wrong}"
        );
    }

    let printed = |arguments: &[&str]| {
        let arguments = [&["log", "--audit"], arguments].concat();
        let (is_done, out, err) = run_as(&server, &passwords, "ada", &arguments);
        assert!(is_done, "{err}");
        out
    };
    let (text, json_lines) = (printed(&[]), printed(&["--json"]));
    assert!(
        text.contains(&format!("session {}: deleted its records", sessions[2])),
        "{text}"
    );
    assert_eq!(printed(&["--account", "nobody"]), "");
    let adas = printed(&["--account", "ada"]);
    assert_eq!(adas.lines().count(), 2, "closed, and deleted: {adas}");
    assert_eq!(printed(&["--since", "1h"]), text);
    assert_eq!(printed(&["--until", "1h"]), "");
    assert_eq!(printed(&["--limit", "2"]).lines().count(), 2);
    let (is_done, _, err) = run_as(&server, &passwords, "olga", &["log", "--audit"]);
    assert!(!is_done && err.contains("only an admin"), "{err}");

    // From the directory it is the same, but for the place of each record in the log, and for the
    // requests of the session that is gone, which files may still have.
    server.signal("-TERM");
    let directory = data.path().to_str().unwrap();
    let (status, from_directory, err) = outcome(&["log", directory, "--audit"]);
    assert!(status.success(), "{err}");
    let of_kept = |text: &str| {
        let kept = text
            .lines()
            .filter(|line| line.contains("session 1:") || line.contains("session 2:"));
        kept.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of_kept(&text), of_kept(&from_directory));
    assert_eq!(of_kept(&text).len(), 5);
    let (status, lines, err) = outcome(&["log", directory, "--audit", "--json"]);
    assert!(status.success(), "{err}");
    let parsed = |text: &str| -> Vec<Value> {
        let all = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let kept = all.filter(|it| it["number"] == 1 || it["number"] == 2);
        kept.map(|mut line| {
            line.as_object_mut().unwrap().remove("position");
            line
        })
        .collect()
    };
    assert_eq!(parsed(&json_lines), parsed(&lines));
}

#[test]
fn a_command_that_reads_logs_says_how_to_name_a_session_of_a_server() {
    let usage = |arguments: &[&str]| {
        let out = rejoin(arguments).output().unwrap();
        assert!(!out.status.success());
        String::from_utf8(out.stderr).unwrap()
    };
    for command in ["export", "replay", "log", "verify"] {
        let said = usage(&[command]);
        assert!(
            said.contains(&format!("rejoin {command} [OPTIONS] --server <URL>")),
            "{said}"
        );
        let mut arguments = vec![command, "--server", "http://127.0.0.1:1"];
        if command == "export" {
            arguments.extend(["--format", "text"]);
        }
        let said = usage(&arguments);
        assert!(said.contains("with --server, name the session"), "{said}");
        let mut arguments = vec![command, "1"];
        if command == "export" {
            arguments.extend(["--format", "text"]);
        }
        let said = usage(&arguments);
        assert!(said.contains("use --server URL 1"), "{said}");
        let out = rejoin(&arguments)
            .env("REJOIN_SERVER", "http://host:1")
            .output()
            .unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        assert!(
            said.contains("use --server http://host:1 1, because REJOIN_SERVER does not count"),
            "{said}"
        );
    }
}

#[test]
fn a_deletion_that_is_not_answered_is_said_to_be_unknown() {
    // It says what the session is, and breaks the connection of what follows.
    let broken = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", broken.local_addr().unwrap());
    let id = "00112233-4455-6677-8899-aabbccddeeff";
    let server = thread::spawn(move || {
        let mut asked = vec![];
        for answers in [true, false] {
            let (stream, _) = broken.accept().unwrap();
            let mut lines = BufReader::new(&stream).lines().map(Result::unwrap);
            asked.push(lines.next().unwrap());
            let _ = lines.find(String::is_empty);
            if answers {
                let body = json!({"id": id, "number": 1, "state": "ended"}).to_string();
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
                let length = body.len();
                write!(&stream, "{head}\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
            }
        }
        asked
    });
    let (status, out, err) = outcome(&["delete", "1", "-y", "--server", &url]);
    assert!(!status.success() && out.is_empty(), "{out}");
    let asked = server.join().unwrap();
    assert!(asked[1].starts_with("DELETE "), "{asked:?}");
    let said =
        format!("it is unknown whether session {id} was deleted: `rejoin show {id}` says so");
    assert!(err.contains(&said), "{err}");
}
