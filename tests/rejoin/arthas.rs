//! What real clients of Arthas' API send, request by request, and what they rely on.
#![expect(
    clippy::disallowed_methods,
    reason = "a test that measures how long a real server takes needs the real clock"
)]

use crate::server::{Server, directory, outcome, text};
use crate::shell::wait_until;
use serde_json::{Value, json};
use std::thread;
use std::time::{Duration, Instant};

/// How the API differs from the product's. It is a part of the book.
const DIFFERENCES: &str = include_str!("../../frontends/arthas/DIFFERENCES.md");

/// The standard output of a job, from its results.
fn output(results: &[Value]) -> String {
    let chunks = results.iter().filter(|result| result["type"] == "shell");
    chunks
        .filter_map(|chunk| chunk["content"].as_str())
        .collect()
}

/// A command that prints this many lines, with a pause after each.
fn ticks(count: u32, pause: &str) -> String {
    format!("i=0; while [ $i -lt {count} ]; do echo $i; i=$((i+1)); sleep {pause}; done")
}

fn lines(count: u32) -> String {
    (0..count).map(|line| format!("{line}\n")).collect()
}

fn is_status(result: &Value) -> bool {
    result["type"] == "status"
}

/// A client that runs a command and pulls at once, again and again, until it has a `status`. It
/// interrupts the command if it has none after this many pulls.
fn run(server: &Server, command: &str, pulls: usize) -> (Vec<Value>, usize) {
    let (session, consumer) = server.create();
    server.run(&session, command);
    let pull = json!({"action": "pull_results", "sessionId": session, "consumerId": consumer});
    let mut results = vec![];
    let mut count = 0;
    while count < pulls && !results.iter().any(is_status) {
        let pulled = server.api(&pull);
        results.extend(pulled["body"]["results"].as_array().unwrap().clone());
        count += 1;
    }
    server.api(&json!({"action": "interrupt_job", "sessionId": session}));
    server.api(&json!({"action": "close_session", "sessionId": session}));
    (results, count)
}

#[test]
fn a_client_that_gives_up_after_four_pulls_gets_the_results_of_a_slow_command() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    for pause in ["0.05", "0.2"] {
        let (results, _) = run(&server, &ticks(6, pause), 4);
        assert_eq!(output(&results), lines(6), "{pause}");
        assert!(results.iter().any(is_status), "{pause}");
    }
}

#[test]
fn a_command_that_prints_every_millisecond_takes_a_pull_for_twenty_results() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let (results, pulls) = run(&server, &ticks(400, "0.001"), 1_000);
    assert_eq!(output(&results), lines(400));
    // The product takes 21.
    assert!(pulls <= 25, "{pulls}");
}

#[test]
fn a_pull_can_be_set_to_answer_at_the_first_result() {
    let data = directory();
    let server = Server::start(data.path(), &["--pull-gather", "0s", "--pull-wait", "50s"]);
    let (session, consumer) = server.create();
    server.run(&session, "echo first; sleep 100");
    let results = server.pull_until(&session, &consumer, |result| result["type"] == "shell");
    assert_eq!(output(&results), "first\n");
    assert_eq!(text(&results[0]["type"]), "message");
}

/// Starts an `exec` in a session of its own, and calls `meanwhile` while its command runs.
fn exec_while(server: &Server, members: &Value, meanwhile: impl FnOnce(&str)) -> (Value, Duration) {
    let (session, consumer) = server.create();
    let mut exec = json!({"action": "exec", "sessionId": session});
    for (name, value) in members.as_object().unwrap() {
        exec[name] = value.clone();
    }
    thread::scope(|scope| {
        let answer = scope.spawn(|| {
            let begun = Instant::now();
            (server.api(&exec), begun.elapsed())
        });
        server.pull_until(&session, &consumer, |result| {
            result["inputStatus"] == "ALLOW_INTERRUPT"
        });
        meanwhile(&session);
        answer.join().unwrap()
    })
}

#[test]
fn an_exec_whose_session_is_closed_is_no_success() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let command = json!({"command": "sleep 100"});
    let (answer, _) = exec_while(&server, &command, |session| {
        server.api(&json!({"action": "close_session", "sessionId": session}));
    });
    assert_eq!(answer["state"], "INTERRUPTED");
    assert_eq!(answer["message"], "the session was closed");
    assert_eq!(answer["body"]["timeExpired"], false);
    let job = answer["body"]["jobId"].as_u64().unwrap();
    let status = json!({"jobId": job, "message": "the session was closed", "statusCode": 129, "type": "status"});
    assert_eq!(answer["body"]["results"], json!([status]));
}

#[test]
fn an_exec_that_ignores_the_interrupt_answers_at_its_timeout() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let command = json!({"command": "trap '' INT; sleep 100", "execTimeout": 500});
    let (answer, took) = exec_while(&server, &command, |_| {});
    assert_eq!(answer["state"], "INTERRUPTED");
    assert_eq!(answer["body"]["jobStatus"], "RUNNING");
    let range = Duration::from_millis(500)..Duration::from_millis(1_500);
    assert!(range.contains(&took), "{took:?}");
}

#[test]
fn a_command_that_a_shutdown_ends_is_no_success() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let (session, consumer) = server.create();
    // It takes the interrupt for its regular end.
    let job = server.run(&session, "trap 'exit 0' INT TERM; echo begun; sleep 100");
    server.pull_until(&session, &consumer, |result| result["type"] == "shell");
    assert!(server.signal("-TERM").success());
    let server = Server::start(data.path(), &[]);
    let results = server.pull_until(&session, &consumer, is_status);
    let status = json!({"jobId": job, "message": "the server was shut down", "statusCode": 129, "type": "status"});
    assert!(results.contains(&status), "{results:?}");
}

#[test]
fn a_command_beside_another_is_refused_before_it_is_looked_at() {
    let data = directory();
    let server = Server::start(data.path(), &["--pull-wait", "100ms"]);
    let (session, consumer) = server.create();
    server.run(&session, "echo begun; sleep 100");
    server.pull_until(&session, &consumer, |result| result["type"] == "shell");
    for action in ["exec", "async_exec"] {
        for command in [json!(null), json!(""), json!("  "), json!("&"), json!("ls")] {
            let request = json!({"action": action, "sessionId": session, "command": command});
            let mut body = json!({"command": command});
            if command.is_null() {
                body = json!({});
            }
            let refused = json!({
                "body": body, "message": "Another job is running.", "sessionId": session, "state": "REFUSED"
            });
            assert_eq!(server.api(&request), refused);
        }
    }
    let pull = json!({"action": "pull_results", "sessionId": session, "consumerId": consumer});
    assert_eq!(server.api(&pull)["body"]["results"], json!([]));
}

#[test]
fn the_messages_of_a_status_are_documented() {
    let data = directory();
    let server = Server::start(
        data.path(),
        &["--job-timeout", "1s", "--max-output", "20000"],
    );
    let mut messages = vec![];
    for command in [
        "kill -TERM $$",
        "sleep 100",
        "head -c 100000 /dev/zero | tr '\\0' x",
        "setsid sleep 100 & sleep 0.2; kill -INT $$",
    ] {
        let (results, _) = run(&server, command, 100);
        let status = results.iter().find(|result| is_status(result)).unwrap();
        messages.push((command, text(&status["message"])));
    }
    for (command, message) in messages {
        // As documented, without its numbers and names.
        let is_documented = DIFFERENCES
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .any(|documented| {
                let begin = documented.split(['…', '2']).next().unwrap();
                message.starts_with(begin)
            });
        assert!(is_documented, "{command}: {message}");
    }
}

#[test]
fn history_session_and_help_have_the_members_of_the_product() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let (session, _) = server.create();
    let ask = |command: &str| {
        let results = server.exec(&session, command);
        let [result, status] = &results[..] else {
            panic!("{results:?}")
        };
        assert!(is_status(status));
        assert_eq!(result["type"], command);
        result.clone()
    };
    server.exec(&session, "echo one");
    server.run(&session, "sleep 100 &");

    let history = ask("history");
    let lines = ["echo one", "sleep 100 &", "history"];
    assert_eq!(history["history"], json!(lines));
    assert_eq!(history["jobs"][0]["state"], "completed");

    let shown = ask("session");
    assert_eq!(shown["javaPid"], server.id());
    assert_eq!(shown["sessionId"], session);
    assert_eq!(shown["tunnelConnected"], false);
    assert_eq!(shown.get("userId"), None);
    server.api(&json!({"action": "session_info", "sessionId": session, "userId": "ada"}));
    assert_eq!(ask("session")["userId"], "ada");

    for command in ask("help")["commands"].as_array().unwrap() {
        let members: Vec<_> = command.as_object().unwrap().keys().collect();
        assert_eq!(members, ["arguments", "name", "options", "summary"]);
        assert!(command["arguments"].is_array() && command["options"].is_array());
    }
}

#[test]
fn a_private_command_is_shown_to_nobody_else() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let (session, _) = server.create();
    let exec = json!({"action": "exec", "sessionId": session, "command": "echo HIDDEN; sleep 20 &", "execTimeout": 100_000});
    let lists = || {
        let get = |path: &str| {
            let answer = server.client().request("GET", path, &[], b"").unwrap();
            assert_eq!(answer.status, 200, "{path}");
            answer.text().to_owned()
        };
        let address = format!("http://{}", server.address);
        let show = outcome(&["show", "--server", &address, &session]);
        let listed = outcome(&["sessions", "--server", &address]);
        assert!(
            show.0.success() && listed.0.success(),
            "{show:?} {listed:?}"
        );
        vec![
            json!(server.exec(&session, "jobs")).to_string(),
            json!(server.exec(&session, "history")).to_string(),
            get("/rest/v1/session"),
            get("/rest/v1/session/all"),
            get("/v1/sessions"),
            get("/v1/sessions/1"),
            get("/sessions"),
            get(&format!("/sessions/{session}")),
            get(&format!("/sessions/{session}/jobs")),
            get(&format!("/sessions/{session}/events?after=0")),
            show.1,
            listed.1,
        ]
    };
    thread::scope(|scope| {
        let ended = scope.spawn(|| server.api(&exec));
        let is_running = || {
            let shown = server
                .client()
                .request("GET", "/sessions", &[], b"")
                .unwrap();
            shown.text().contains(r#""state":"running""#)
        };
        wait_until("the command runs", is_running);
        for list in lists() {
            assert!(!list.contains("HIDDEN"), "{list}");
        }
        // Its session is seen to be busy.
        let doris = server
            .client()
            .request("GET", "/rest/v1/session", &[], b"")
            .unwrap();
        assert!(
            doris.text().contains(r#""Command":"Query""#),
            "{}",
            doris.text()
        );
        server.api(&json!({"action": "close_session", "sessionId": session}));
        assert_eq!(ended.join().unwrap()["state"], "INTERRUPTED");
    });
}

#[test]
fn the_path_of_the_web_console_leads_to_ours() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let get = |path: &str| server.client().request("GET", path, &[], b"").unwrap();
    for path in ["/ui", "/ui/"] {
        let moved = get(path);
        assert_eq!(moved.status, 302, "{path}");
        let page = get(moved.header("location").unwrap());
        assert_eq!(page.status, 200);
        assert!(page.text().contains("<title>Rejoin"), "{}", page.text());
    }
}

#[test]
fn the_requests_of_the_products_web_console_are_answered_in_its_shapes() {
    let data = directory();
    let server = Server::start(data.path(), &["--pull-wait", "300ms"]);
    // It sends every member, empty ones too.
    let ask = |action: &str, session: &str, consumer: &str, command: &str| {
        server.api(&json!({
            "action": action, "requestId": "", "sessionId": session, "consumerId": consumer,
            "command": command
        }))
    };
    let version = ask("exec", "", "", "version");
    assert_eq!(version["state"], "SUCCEEDED");
    assert_eq!(version["body"]["results"][0]["type"], "version");
    let created = ask("init_session", "", "", "");
    assert_eq!(created.get("body"), None);
    let (session, consumer) = (text(&created["sessionId"]), text(&created["consumerId"]));

    // Its first page: two pulls that keep the session alive, and a command that no shell has.
    thread::scope(|scope| {
        let pull = || ask("pull_results", &session, &consumer, "");
        let alive = [scope.spawn(pull), scope.spawn(pull)];
        let scheduled = ask("async_exec", &session, &consumer, "dashboard");
        assert_eq!(scheduled["state"], "SCHEDULED");
        assert_eq!(scheduled["body"]["jobStatus"], "READY");
        let mut results = vec![];
        for pulled in alive.map(|alive| alive.join().unwrap()) {
            assert_eq!(pulled["state"], "SUCCEEDED");
            results.extend(pulled["body"]["results"].as_array().unwrap().clone());
        }
        if !results.iter().any(is_status) {
            results.extend(server.pull_until(&session, &consumer, is_status));
        }
        let status = results.iter().find(|result| is_status(result)).unwrap();
        assert_eq!(status["statusCode"], 127);
        assert_eq!(status["jobId"], scheduled["body"]["jobId"]);
    });
    let interrupted = ask("interrupt_job", &session, &consumer, "");
    assert_eq!(interrupted["message"], "no foreground job is running");
    let closed = ask("close_session", &session, &consumer, "");
    assert_eq!(closed, json!({"requestId": "", "state": "SUCCEEDED"}));
}
