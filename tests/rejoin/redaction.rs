//! What is redacted or deleted: looked for in every file, and in all that the server says.

use crate::accounts::with_accounts;
use crate::admin::scrape;
use crate::server::{Server, directory, outcome};
use crate::shell::wait_until;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

const SECRET: &str = "sesame-4711";
const ADA: &str = "Basic YWRhOmFkYS1zZWNyZXQ=";
const OLGA: &str = "Basic b2xnYTpvbGdhLXNlY3JldA==";
const VIC: &str = "Basic dmljOnZpYy1zZWNyZXQ=";

/// A file with the secret, which is not the server's, so that no statement has to name it.
fn secret_file(secret: &str) -> (TempDir, String) {
    let directory = directory();
    let file = directory.path().join("password");
    fs::write(&file, format!("{secret}\n")).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (directory, file)
}

/// The files below a directory that have a text.
fn files_with(directory: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files_with(&path, text));
        } else if kind.is_file() {
            // It may just have been replaced.
            let bytes = fs::read(&path).unwrap_or_default();
            if bytes.windows(text.len()).any(|it| it == text.as_bytes()) {
                found.push(path);
            }
        }
    }
    found
}

fn ask(server: &Server, method: &str, path: &str, body: &Value) -> (u16, Value) {
    ask_as(server, "", method, path, body)
}

fn ask_as(
    server: &Server,
    authorization: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> (u16, Value) {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let headers: &[_] = match authorization {
        "" => &[],
        authorization => &[("authorization", authorization)],
    };
    let answer = server
        .client()
        .request(method, path, headers, body.as_bytes())
        .unwrap();
    let json = serde_json::from_slice(&answer.body).unwrap_or_default();
    (answer.status, json)
}

/// All events of a session.
fn events(server: &Server, session: &str) -> Vec<Value> {
    let path = format!("/sessions/{session}/events?limit=10000");
    let (status, page) = ask(server, "GET", &path, &Value::Null);
    assert_eq!(status, 200, "{page}");
    page["events"].as_array().unwrap().clone()
}

fn run(server: &Server, session: &str, job: &Value) -> u64 {
    let path = format!("/sessions/{session}/jobs");
    let (status, submitted) = ask(server, "POST", &path, job);
    assert_eq!(status, 201, "{submitted}");
    submitted["job"].as_u64().unwrap()
}

fn wait_for_end(server: &Server, session: &str, job: u64) {
    let path = format!("/sessions/{session}/jobs/{job}");
    wait_until("the job has ended", || {
        let (status, job) = ask(server, "GET", &path, &Value::Null);
        assert_eq!(status, 200, "{job}");
        job["state"] == "finished"
    });
}

fn verify(data: &Path) {
    let (status, out, err) = outcome(&["verify", data.to_str().unwrap()]);
    assert!(status.success(), "{out}{err}");
}

#[test]
fn a_redacted_secret_is_in_no_file_and_in_no_answer() {
    let (_kept, file) = secret_file(SECRET);
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let (session, _) = server.create();
    for job in [
        json!({"statement": format!("cat {file}")}),
        json!({"statement": format!("echo before; cat {file} >&2"), "output": "separate"}),
        json!({"statement": format!("cat {file}"), "terminal": {"columns": 80, "rows": 24}}),
    ] {
        let job = run(&server, &session, &job);
        wait_for_end(&server, &session, job);
    }
    let reader = json!({"statement": "cat >/dev/null; echo after", "input": true});
    let job = run(&server, &session, &reader);
    let input = format!("/sessions/{session}/jobs/{job}/input?end=true");
    let mut client = server.client();
    let secret = SECRET.as_bytes();
    let written = client.request("POST", &input, &[], secret).unwrap();
    assert_eq!(written.status, 204);
    wait_for_end(&server, &session, job);
    let before = events(&server, &session);
    assert_ne!(files_with(data.path(), SECRET), [""; 0].map(PathBuf::from));

    let address = format!("http://{}", server.address);
    let redact = [
        "redact",
        "1",
        "--text-file",
        &file,
        "-y",
        "--server",
        &address,
    ];
    let (status, out, err) = outcome(&redact);
    assert!(status.success(), "{err}");
    assert!(out.starts_with("redacted 4 records of session "), "{out}");
    // At once for readers, and a moment later in the files.
    let after = events(&server, &session);
    let has_secret = |events: &[Value]| events.iter().any(|it| it.to_string().contains(SECRET));
    assert!(has_secret(&before) && !has_secret(&after));
    wait_until("it is in no file", || {
        files_with(data.path(), SECRET).is_empty()
    });

    // All else is as it was, and the records say what became of them.
    let (last, rest) = after.split_last().unwrap();
    assert_eq!(last["type"], "records-redacted");
    assert_eq!(last["by"]["frontend"], "native");
    let named = last["records"].as_array().unwrap();
    assert_eq!(named.len(), 4);
    assert_eq!(before.len(), rest.len());
    for (before, after) in before.iter().zip(rest) {
        match named.contains(&before["sequence"]) {
            true => {
                assert_eq!(after["redacted"]["by"], last["by"], "{after}");
                assert_eq!(after["redacted"]["at"], last["at"], "{after}");
                for same in ["sequence", "at", "type", "job"] {
                    assert_eq!(before[same], after[same]);
                }
                assert_eq!(before["result"]["stream"], after["result"]["stream"]);
            }
            false => assert_eq!(before, after),
        }
    }
    let path = format!("/sessions/{session}/search?q={SECRET}");
    let (status, found) = ask(&server, "GET", &path, &Value::Null);
    assert_eq!(status, 200, "{found}");
    assert_eq!(found["matches"], json!([]), "{found}");
    let path = format!("/sessions/{session}/jobs/3/screen");
    let (status, screen) = ask(&server, "GET", &path, &Value::Null);
    assert_eq!(status, 200, "{screen}");
    assert!(!screen.to_string().contains(SECRET), "{screen}");
    let path = format!("/sessions/{session}/records?format=asciicast");
    let recording = server.client().get(&path).unwrap();
    assert_eq!(recording.status, 200);
    assert!(!recording.text().contains(SECRET), "{}", recording.text());
    wait_until("the log has carried out all redactions", || {
        scrape(server.address).value("rejoin_redactions_pending") == 0.0
    });
    let limit = scrape(server.address).value("rejoin_redactions_pending_limit");
    assert_eq!(limit, 1_000.0);
    // Again there is nothing to do.
    let (status, _, err) = outcome(&redact);
    assert!(
        !status.success() && err.contains("nothing to redact"),
        "{err}"
    );

    // It stays so after a crash, in exports, and in an ended session.
    server.kill();
    let mut server = Server::start(data.path(), &[]);
    assert_eq!(events(&server, &session)[..rest.len()], *rest);
    server.kill();
    drop(server);
    assert!(files_with(data.path(), SECRET).is_empty());
    verify(data.path());
    for format in ["text", "json", "asciicast"] {
        let data = data.path().to_str().unwrap();
        let (_, out, _) = outcome(&["export", data, "1", "--format", format]);
        assert!(!out.contains(SECRET), "{out}");
    }
}

#[test]
fn a_server_that_is_killed_while_it_redacts_goes_on_at_its_start() {
    let data = directory();
    for round in 0..5_u64 {
        let secret = format!("secret-of-round-{round}");
        let (_kept, file) = secret_file(&secret);
        let mut server = Server::start(data.path(), &[]);
        let (session, _) = server.create();
        // So much that the log takes a moment to rewrite it.
        let statement = format!("seq 60000; cat {file}");
        let job = run(&server, &session, &json!({"statement": statement}));
        wait_for_end(&server, &session, job);
        let path = format!("/sessions/{session}/events?limit=10000");
        let mut after = 0;
        let mut records = vec![];
        loop {
            let path = format!("{path}&after={after}");
            let (_, page) = ask(&server, "GET", &path, &Value::Null);
            let page = page["events"].as_array().unwrap();
            let Some(last) = page.last() else { break };
            after = last["sequence"].as_u64().unwrap();
            let has_it = |event: &&Value| event.to_string().contains(&secret);
            records.extend(page.iter().filter(has_it).map(|it| it["sequence"].clone()));
        }
        assert_eq!(records.len(), 1);
        if round % 2 == 1 {
            let (status, _) = ask(
                &server,
                "DELETE",
                &format!("/sessions/{session}"),
                &Value::Null,
            );
            assert_eq!(status, 204);
        }
        // In the first round the files can't be rewritten; later on, the moment decides.
        let in_the_way = data.path().join("log/rewriting");
        if round == 0 {
            fs::create_dir(&in_the_way).unwrap();
        }
        let path = format!("/sessions/{session}/redactions");
        let (status, answer) = ask(&server, "POST", &path, &json!({"records": records}));
        assert_eq!(status, 201, "{answer}");
        // Not for something to happen, but to end it at different moments.
        thread::sleep(Duration::from_millis(8 * round));
        server.kill();
        drop(server);
        if round == 0 {
            assert!(!files_with(data.path(), &secret).is_empty());
            fs::remove_dir(&in_the_way).unwrap();
        }
        let mut server = Server::start(data.path(), &[]);
        // At once, before the files are rewritten.
        let path = format!(
            "/sessions/{session}/events?limit=1&after={}",
            records[0].as_u64().unwrap() - 1
        );
        let (status, answer) = ask(&server, "GET", &path, &Value::Null);
        assert_eq!(status, 200, "{answer}");
        assert!(answer["events"][0]["redacted"].is_object(), "{answer}");
        assert!(!answer.to_string().contains(&secret), "{answer}");
        wait_until("it is in no file", || {
            files_with(data.path(), &secret).is_empty()
        });
        server.kill();
        drop(server);
        verify(data.path());
    }
}

#[test]
fn what_cannot_be_redacted_is_refused_with_the_reason() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let (session, _) = server.create();
    let job =
        json!({"statement": "echo hello; sleep 777", "terminal": {"columns": 80, "rows": 24}});
    let job = run(&server, &session, &job);
    let said = || {
        let events = events(&server, &session);
        let said = events.into_iter().find(|it| it["type"] == "result");
        said.map(|it| it["sequence"].as_u64().unwrap())
    };
    wait_until("it has said something", || said().is_some());
    let said = said().unwrap();
    let path = format!("/sessions/{session}/redactions");
    for (records, status, code) in [
        (json!([said]), 409, "job_running"),
        (json!([1]), 409, "not_redactable"),
        (json!([100_000]), 404, "record_not_found"),
        (json!([]), 400, "request_invalid"),
        (json!(["one"]), 400, "request_invalid"),
    ] {
        let (answered, problem) = ask(&server, "POST", &path, &json!({"records": records}));
        assert_eq!(
            (answered, &problem["code"]),
            (status, &json!(code)),
            "{problem}"
        );
    }
    let (status, _) = ask(
        &server,
        "DELETE",
        &format!("/sessions/{session}"),
        &Value::Null,
    );
    assert_eq!(status, 204);
    wait_for_end(&server, &session, job);
    let (status, answer) = ask(&server, "POST", &path, &json!({"records": [said]}));
    assert_eq!(status, 201, "an ended session: {answer}");
}

#[test]
fn whoever_owns_a_session_or_is_an_admin_may_redact_and_delete_and_readers_learn_it() {
    let data = with_accounts();
    let mut server = Server::start(data.path(), &[]);
    let (_, created) = ask_as(&server, OLGA, "POST", "/sessions", &json!({}));
    let session = created["id"].as_str().unwrap();
    let jobs = format!("/sessions/{session}/jobs");
    let (status, _) = ask_as(
        &server,
        OLGA,
        "POST",
        &jobs,
        &json!({"statement": "echo hello"}),
    );
    assert_eq!(status, 201);
    let path = format!("/sessions/{session}/events");
    let mut said = 0;
    wait_until("it has said something", || {
        let (_, page) = ask_as(&server, ADA, "GET", &path, &Value::Null);
        let events = page["events"].as_array().unwrap();
        let result = events.iter().find(|it| it["type"] == "result");
        said = result.map_or(0, |it| it["sequence"].as_u64().unwrap());
        said > 0
    });
    let redactions = format!("/sessions/{session}/redactions");
    let records = format!("/sessions/{session}/records");
    let redact = json!({"records": [said]});
    assert_eq!(ask_as(&server, VIC, "POST", &redactions, &redact).0, 403);
    assert_eq!(
        ask_as(&server, VIC, "DELETE", &records, &Value::Null).0,
        403
    );
    assert_eq!(ask_as(&server, OLGA, "POST", &redactions, &redact).0, 201);
    // Of another one's, only an admin.
    let (_, other) = ask_as(&server, ADA, "POST", "/sessions", &json!({}));
    let other = other["id"].as_str().unwrap();
    let others = format!("/sessions/{other}/records");
    assert_eq!(
        ask_as(&server, OLGA, "DELETE", &others, &Value::Null).0,
        403
    );
    assert_eq!(ask_as(&server, ADA, "DELETE", &others, &Value::Null).0, 204);
    assert_eq!(
        ask_as(&server, ADA, "DELETE", &records, &Value::Null).0,
        204
    );

    let check = |server: &Server| {
        let (status, page) = ask_as(server, OLGA, "GET", &path, &Value::Null);
        assert_eq!(status, 200, "{page}");
        let [lost] = &page["events"].as_array().unwrap()[..] else {
            panic!("{page}");
        };
        assert_eq!(lost["type"], "records-lost");
        assert_eq!(lost["by"]["account"], "ada");
        assert_eq!(lost["first"], 1);
        let shown = format!("/sessions/{session}");
        assert_eq!(ask_as(server, ADA, "GET", &shown, &Value::Null).0, 410);
        let again = ask_as(server, ADA, "DELETE", &records, &Value::Null);
        assert_eq!(again.0, 410, "{}", again.1);
    };
    check(&server);
    server.kill();
    let server = Server::start(data.path(), &[]);
    check(&server);
    drop(server);
    let (_, out, err) = outcome(&["log", data.path().to_str().unwrap(), "--audit"]);
    assert!(out.contains("ada (native"), "{out}{err}");
    assert!(out.contains("deleted its records"), "{out}");
}

#[test]
fn a_coloured_text_is_redacted_as_a_search_finds_it_and_only_after_a_yes() {
    let (_kept, file) = secret_file(SECRET);
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let (session, _) = server.create();
    // The escape sequences are in the text, and one is spread over two results.
    let coloured = "printf 'ses\\033[31mame-\\033[0'; sleep 0.3; printf 'm4711\\n'";
    let job = run(&server, &session, &json!({"statement": coloured}));
    wait_for_end(&server, &session, job);
    let search = format!("/sessions/1/search?q={SECRET}");
    let found = |server: &Server| {
        let (status, found) = ask(server, "GET", &search, &Value::Null);
        assert_eq!(status, 200, "{found}");
        found["matches"].as_array().unwrap().len()
    };
    assert_eq!(found(&server), 1);
    let address = format!("http://{}", server.address);
    let redact = ["redact", "1", "--text-file", &file, "--server", &address];
    // Without a terminal nobody can say yes.
    let (status, out, err) = outcome(&redact);
    assert!(!status.success() && out.is_empty(), "{out}{err}");
    assert!(err.contains("say --yes to redact "), "{err}");
    assert!(err.contains("nothing was redacted"), "{err}");
    assert_eq!(found(&server), 1);
    let (status, out, err) = outcome(&[&redact[..], &["--yes"]].concat());
    assert!(status.success(), "{err}");
    assert!(out.starts_with("redacted "), "{out}");
    assert_eq!(found(&server), 0);

    // What is asked for without a record says both ways, and a running terminal says when.
    let (_, _, usage) = outcome(&["redact", "1", "--server", &address]);
    assert!(usage.contains("<SESSION> --text-file <FILE>"), "{usage}");
    let gate = data.path().join("gate");
    let statement = format!(
        "cat {file}; while [ ! -e '{}' ]; do sleep 0.1; done",
        gate.display()
    );
    let running = json!({"statement": statement, "terminal": {"columns": 80, "rows": 24}});
    let job = run(&server, &session, &running);
    wait_until("it has printed", || found(&server) == 1);
    let (status, _, err) = outcome(&[&redact[..], &["--yes"]].concat());
    assert!(!status.success());
    assert!(
        err.contains("is still running") && !err.contains("--session"),
        "{err}"
    );
    fs::write(gate, "").unwrap();
    wait_for_end(&server, &session, job);
}

#[test]
fn a_refusal_says_what_the_account_asked_for() {
    let data = with_accounts();
    let server = Server::start(data.path(), &[]);
    let (status, session) = ask_as(&server, OLGA, "POST", "/sessions", &json!({}));
    assert_eq!(status, 201, "{session}");
    let path = format!("/sessions/{}", session["id"].as_str().unwrap());
    for (method, rest, body, what) in [
        (
            "PATCH",
            "",
            json!({"title": "x"}),
            "change titles and labels",
        ),
        (
            "POST",
            "/redactions",
            json!({"records": [1]}),
            "redact records",
        ),
        ("DELETE", "/records", json!(null), "delete sessions"),
        ("DELETE", "", json!(null), "close sessions"),
        (
            "POST",
            "/jobs",
            json!({"statement": "true"}),
            "run commands",
        ),
        ("POST", "/jobs/1/input", json!(null), "write input"),
    ] {
        let (status, problem) = ask_as(&server, VIC, method, &format!("{path}{rest}"), &body);
        assert_eq!(status, 403, "{problem}");
        assert_eq!(problem["detail"], format!("the role viewer may not {what}"));
    }
    let (status, problem) = ask_as(&server, OLGA, "GET", "/sessions/", &Value::Null);
    assert_eq!(
        (status, &problem["code"]),
        (404, &json!("path_not_found")),
        "{problem}"
    );
}
