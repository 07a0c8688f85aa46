//! Agents: commands that outlive calls, clients and the server, read in pieces, and reported as they ended.

use crate::server::{Server, directory, rejoin};
use crate::shell::wait_until;
use rejoin_http::test_client::{Client, Received};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

const MODERN: &str = "2026-07-28";

/// Calls a method as clients of 2025-11-25 do.
fn ask(client: &mut Client, method: &str, params: &Value) -> Value {
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    let received = client.post("/mcp", &body.to_string()).unwrap();
    assert_eq!(received.status, 200, "{}", received.text());
    let answer: Value = received.json();
    assert_eq!(answer["id"], 7);
    answer
}

/// Calls a tool.
fn call(client: &mut Client, tool: &str, arguments: &Value) -> Value {
    let params = json!({"name": tool, "arguments": arguments});
    let answer = ask(client, "tools/call", &params);
    assert!(answer["error"].is_null(), "{answer}");
    answer["result"].clone()
}

/// What a tool answers a client, after checking that the model gets the same output.
fn structured(client: &mut Client, tool: &str, arguments: &Value) -> Value {
    let result = call(client, tool, arguments);
    let structured = result["structuredContent"].clone();
    assert!(structured.is_object(), "{result}");
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(
        text.starts_with(structured["output"].as_str().unwrap_or_default()),
        "{result}"
    );
    structured
}

/// Calls a method as a client of 2026-07-28 that knows tasks.
fn ask_modern(client: &mut Client, method: &str, params: &Value) -> Received {
    let mut params = params.clone();
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities":
            {"extensions": {"io.modelcontextprotocol/tasks": {}}},
    });
    let name = ["name", "uri", "taskId"]
        .iter()
        .find_map(|name| params[*name].as_str());
    let mut headers = vec![
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", MODERN),
        ("mcp-method", method),
    ];
    headers.extend(name.map(|name| ("mcp-name", name)));
    let body = json!({"jsonrpc": "2.0", "id": "a", "method": method, "params": params});
    let body = body.to_string();
    client
        .request("POST", "/mcp", &headers, body.as_bytes())
        .unwrap()
}

fn modern(client: &mut Client, method: &str, params: &Value) -> Value {
    let received = ask_modern(client, method, params);
    assert_eq!(received.status, 200, "{}", received.text());
    let answer: Value = received.json();
    assert!(answer["result"].is_object(), "{answer}");
    answer["result"].clone()
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a text: {value}"))
}

/// Reads a job until it has finished.
fn wait_for_end(client: &mut Client, run: &Value) -> Value {
    let read = json!({"session": run["session"], "job": run["job"], "wait_ms": 10_000});
    for _ in 0..12 {
        let structured = structured(client, "read", &read);
        if structured["state"] == "finished" {
            return structured;
        }
    }
    panic!("it never ends");
}

#[test]
fn a_command_runs_and_its_exit_status_is_there_in_both_revisions() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let mut client = server.client();
    let wanted = json!({"protocolVersion": "2025-11-25", "capabilities": {}});
    let hello = ask(&mut client, "initialize", &wanted);
    assert_eq!(hello["result"]["protocolVersion"], "2025-11-25");
    assert!(text(&hello["result"]["instructions"]).contains("exit status"));
    let failed = call(
        &mut client,
        "run",
        &json!({"command": "echo out; echo err >&2; exit 3"}),
    );
    assert_eq!(failed["isError"], true);
    let structured = &failed["structuredContent"];
    assert_eq!(
        (&structured["state"], &structured["exit_status"]),
        (&json!("finished"), &json!(3))
    );
    assert!(["out\nerr\n", "err\nout\n"].contains(&text(&structured["output"])));
    assert!(text(&failed["content"][0]["text"]).contains("exit status 3"));

    let found = modern(&mut client, "server/discover", &json!({}));
    assert_eq!(found["supportedVersions"][0], MODERN);
    assert_eq!(found["resultType"], "complete");
    let run = json!({"name": "run", "arguments": {
        "command": "cd /tmp; pwd", "session": structured["session"],
    }});
    let done = modern(&mut client, "tools/call", &run);
    assert_eq!(done["resultType"], "complete");
    assert_eq!(done["structuredContent"]["output"], "/tmp\n");
    assert_eq!(done["isError"], false);
    // The directory carries over, as in a terminal.
    let again = json!({"command": "pwd", "session": structured["session"]});
    assert_eq!(
        call(&mut client, "run", &again)["structuredContent"]["output"],
        "/tmp\n"
    );

    for (method, status) in [("initialize", 404), ("ping", 404), ("prompts/list", 404)] {
        assert_eq!(
            ask_modern(&mut client, method, &json!({})).status,
            status,
            "{method}"
        );
    }
    for method in ["GET", "DELETE"] {
        let received = client.request(method, "/mcp", &[], b"").unwrap();
        assert_eq!(
            (received.status, received.header("allow").is_some()),
            (405, true)
        );
    }
    let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let received = client.post("/mcp", note).unwrap();
    assert_eq!((received.status, received.body.len()), (202, 0));
}

#[test]
fn a_long_command_has_a_handle_at_once_and_outlives_its_client() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let flag = data.path().join("go");
    let command = format!(
        "echo begun; until [ -e {} ]; do sleep 0.05; done; echo over",
        flag.display()
    );
    // A client that gives up.
    let mut hasty = server.client();
    let run = json!({"command": command, "key": "build", "wait_ms": 45_000});
    let params = json!({"name": "run", "arguments": run});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    hasty
        .send_request("POST", "/mcp", &[], body.to_string().as_bytes())
        .unwrap();
    hasty.set_patience(Duration::from_millis(300)).unwrap();
    assert!(hasty.receive().is_err(), "the command is still running");
    drop(hasty);
    // It finds the job again by its key, and does not start it twice.
    let mut client = server.client();
    let again = json!({"command": command, "key": "build", "wait_ms": 0});
    let running = structured(&mut client, "run", &again);
    assert_eq!(
        (&running["state"], &running["exit_status"]),
        (&json!("running"), &Value::Null)
    );
    let read = json!({"session": running["session"], "job": running["job"], "after": "0", "wait_ms": 10_000});
    let begun = structured(&mut client, "read", &read);
    assert_eq!(begun["output"], "begun\n");
    std::fs::write(flag, "").unwrap();
    let read = json!({"session": running["session"], "job": running["job"], "after": begun["after"], "wait_ms": 10_000});
    let rest = structured(&mut client, "read", &read);
    assert_eq!(rest["output"], "over\n", "only what follows");
    let done = wait_for_end(&mut client, &running);
    assert_eq!(
        (&done["outcome"], &done["exit_status"]),
        (&json!("completed"), &json!(0))
    );
    assert_eq!(done["output"], "begun\nover\n");
    let jobs = structured(&mut client, "list", &json!({"session": running["session"]}));
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 1);
}

#[test]
fn the_same_key_twice_is_one_job_also_at_the_same_time_and_after_a_kill() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let run = json!({"command": "echo once", "key": "deploy 1"});
    let handles: BTreeSet<String> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let structured = structured(&mut server.client(), "run", &run);
                    format!("{} {}", structured["session"], structured["job"])
                })
            })
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(handles.len(), 1, "{handles:?}");
    server.kill();
    let server = Server::start(data.path(), &[]);
    let mut client = server.client();
    let after = structured(&mut client, "run", &run);
    let handle = format!("{} {}", after["session"], after["job"]);
    assert!(handles.contains(&handle), "{handle}");
    assert_eq!(
        (&after["output"], &after["exit_status"]),
        (&json!("once\n"), &json!(0))
    );
    // In a session that is named.
    let named = json!({"command": "echo again", "key": "k", "session": after["session"]});
    let first = structured(&mut client, "run", &named);
    let second = structured(&mut client, "run", &named);
    assert_eq!(first["job"], second["job"]);
    // Another command is another call.
    let other = json!({"command": "echo other", "key": "deploy 1"});
    let refused = call(&mut client, "run", &other);
    assert_eq!(refused["isError"], true);
    assert!(text(&refused["content"][0]["text"]).contains("another command"));
    let sessions = structured(&mut client, "list", &json!({}));
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 1);
}

#[test]
fn a_kill_under_two_tasks_loses_neither() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let task = |server: &Server, command: &str| {
        let arguments = json!({"command": command, "wait_ms": 0});
        let run = json!({"name": "run", "arguments": arguments});
        let created = modern(&mut server.client(), "tools/call", &run);
        assert_eq!(
            (&created["resultType"], &created["status"]),
            (&json!("task"), &json!("working"))
        );
        json!({"taskId": created["taskId"]})
    };
    let finished = task(&server, "sleep 0.2; echo done; exit 4");
    let unfinished = task(&server, "echo begun; sleep 1000");
    let wait_for = |server: &Server, task: &Value, status: &str| {
        let mut structured = Value::Null;
        wait_until(status, || {
            structured = modern(&mut server.client(), "tasks/get", task);
            structured["status"] == status
        });
        structured
    };
    wait_for(&server, &finished, "completed");
    assert_eq!(
        modern(&mut server.client(), "tasks/get", &unfinished)["status"],
        "working"
    );
    server.kill();
    let server = Server::start(data.path(), &[]);
    let done = wait_for(&server, &finished, "completed");
    let result = &done["result"];
    assert_eq!(
        (
            &result["isError"],
            &result["structuredContent"]["exit_status"]
        ),
        (&json!(true), &json!(4))
    );
    assert_eq!(result["structuredContent"]["output"], "done\n");
    let lost = wait_for(&server, &unfinished, "failed");
    assert!(text(&lost["statusMessage"]).contains("lost"), "{lost}");
    let mut client = server.client();
    let read =
        json!({"session": lost["error"]["data"]["session"], "job": lost["error"]["data"]["job"]});
    let read = structured(&mut client, "read", &read);
    assert_eq!(
        (&read["outcome"], &read["exit_status"]),
        (&json!("lost"), &Value::Null)
    );
    assert_eq!(read["output"], "begun\n", "what it printed is there");
    // Cancelling a task interrupts its job.
    let third = task(&server, "sleep 1000");
    assert_eq!(
        modern(&mut client, "tasks/cancel", &third)["resultType"],
        "complete"
    );
    wait_for(&server, &third, "cancelled");
    let unknown = json!({"taskId": "00000000-0000-4000-8000-000000000000.1"});
    let received = ask_modern(&mut client, "tasks/get", &unknown);
    assert!(received.text().contains("-32602"), "{}", received.text());
}

#[test]
fn a_large_output_read_in_pieces_is_the_whole() {
    let data = directory();
    let server = Server::start(
        data.path(),
        &["--recent-bytes", "1000000", "--durability", "flush"],
    );
    let mut client = server.client();
    // About 100 MB, with characters of one to four bytes.
    let command = "yes 'aé€😀 and more of the same line' | head -c 100000000";
    let run = structured(&mut client, "run", &json!({"command": command}));
    let done = wait_for_end(&mut client, &run);
    assert_eq!(done["exit_status"], 0);
    assert!(
        done["left_out"].is_object(),
        "the middle is left out, and named"
    );
    let line = "aé€😀 and more of the same line\n";
    let mut expected = line.as_bytes().iter().cycle();
    let mut place = json!("0");
    let mut bytes = 0;
    loop {
        let read = json!({
            "session": run["session"], "job": run["job"], "after": place, "max_bytes": 1_000_000,
        });
        let piece = structured(&mut client, "read", &read);
        let output = text(&piece["output"]);
        // The last character is cut by `head`.
        let whole = output.trim_end_matches('\u{FFFD}');
        assert!(
            whole
                .bytes()
                .eq(expected.by_ref().take(whole.len()).copied()),
            "at {bytes}"
        );
        bytes += whole.len();
        place = piece["after"].clone();
        if piece["more"] == false {
            assert_eq!(piece["state"], "finished");
            break;
        }
    }
    assert!((100_000_000 - 3..=100_000_000).contains(&bytes), "{bytes}");
}

#[test]
fn bytes_that_are_no_text_can_be_read_exactly() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let mut client = server.client();
    let run = structured(
        &mut client,
        "run",
        &json!({"command": r"printf 'a\377\0b'; echo err >&2", "separate": true}),
    );
    assert_eq!(run["exact"], false);
    let read = json!({
        "session": run["session"], "job": run["job"], "encoding": "base64", "stream": "stdout",
    });
    let exact = call(&mut client, "read", &read);
    assert_eq!(exact["structuredContent"]["output"], "Yf8AYg==");
    assert_eq!(exact["structuredContent"]["exact"], true);
}

#[test]
fn a_command_that_asks_is_answered_and_one_that_hangs_is_interrupted() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let mut client = server.client();
    let run = json!({"command": "read name; echo hello $name", "input": true, "wait_ms": 0});
    let asking = structured(&mut client, "run", &run);
    let write = json!({"session": asking["session"], "job": asking["job"], "text": "ada\n"});
    assert_eq!(structured(&mut client, "write", &write)["bytes"], 4);
    assert_eq!(wait_for_end(&mut client, &asking)["output"], "hello ada\n");

    let hang =
        json!({"command": "echo on; sleep 1000", "session": asking["session"], "wait_ms": 0});
    let hanging = structured(&mut client, "run", &hang);
    let busy = call(
        &mut client,
        "run",
        &json!({"command": "true", "session": asking["session"]}),
    );
    assert_eq!(busy["isError"], true);
    assert!(
        text(&busy["content"][0]["text"]).contains("`background`"),
        "{busy}"
    );
    let beside = json!({
        "command": "echo beside", "session": asking["session"], "background": true, "wait_ms": 10_000,
    });
    assert_eq!(
        structured(&mut client, "run", &beside)["output"],
        "beside\n"
    );
    let interrupt = json!({"session": asking["session"], "wait_ms": 20_000});
    let interrupted = structured(&mut client, "interrupt", &interrupt);
    assert_eq!(interrupted["job"], hanging["job"]);
    assert_eq!(interrupted["outcome"], "interrupted");
    assert_ne!(interrupted["exit_status"], 0);
}

#[test]
fn a_session_can_be_searched_and_read_as_a_resource() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let mut client = server.client();
    let run = structured(
        &mut client,
        "run",
        &json!({"command": "seq 1 3000; echo 'an ERROR'; exit 1"}),
    );
    let search = json!({"session": run["session"], "text": "error", "ignore_case": true});
    let found = structured(&mut client, "search", &search);
    assert_eq!(found["matches"][0]["line"], "an ERROR");
    assert_eq!(
        (found["matches"].as_array().unwrap().len(), &found["more"]),
        (1, &json!(false))
    );
    // The place of a match is a place to read from.
    let read = json!({
        "session": run["session"], "job": run["job"], "after": found["matches"][0]["at"],
    });
    assert_eq!(
        structured(&mut client, "read", &read)["output"],
        "an ERROR\n"
    );
    // Page by page, all matches, each once.
    let mut lines = vec![];
    let mut place = json!("0");
    loop {
        let search = json!({"session": run["session"], "text": "99", "after": place, "limit": 7});
        let page = structured(&mut client, "search", &search);
        let matches = page["matches"].as_array().unwrap();
        lines.extend(matches.iter().map(|it| text(&it["line"]).to_owned()));
        place = page["after"].clone();
        if page["more"] == false {
            break;
        }
    }
    let wanted: Vec<_> = (1..=3000)
        .map(|it| it.to_string())
        .filter(|it| it.contains("99"))
        .collect();
    assert_eq!(lines, wanted);

    let listed = ask(&mut client, "resources/list", &json!({}));
    let uri = &listed["result"]["resources"][0]["uri"];
    let read = ask(&mut client, "resources/read", &json!({"uri": uri}));
    let shown = text(&read["result"]["contents"][0]["text"]);
    assert!(shown.starts_with("[job 1] $ seq 1 3000; echo"), "{shown}");
    assert!(
        shown.ends_with("an ERROR\n[job 1 ended with exit status 1]\n"),
        "{shown}"
    );
    let missing = ask(
        &mut client,
        "resources/read",
        &json!({"uri": "rejoin://sessions/x/transcript"}),
    );
    assert_eq!(missing["error"]["code"], -32002);
    let received = ask_modern(
        &mut client,
        "resources/read",
        &json!({"uri": "rejoin://nothing"}),
    );
    assert!(received.text().contains("-32602"), "{}", received.text());
}

#[test]
fn a_page_of_another_origin_is_refused() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let run = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "run", "arguments": {"command": "touch /tmp/never"}}});
    let headers = [
        ("origin", "https://elsewhere.example"),
        ("content-type", "text/plain"),
    ];
    let received = server
        .client()
        .request("POST", "/mcp", &headers, run.to_string().as_bytes())
        .unwrap();
    assert_eq!(received.status, 403);
    assert_eq!(
        structured(&mut server.client(), "list", &json!({}))["sessions"],
        json!([])
    );
}

#[test]
fn settings_say_what_agents_may_do_and_with_which_services() {
    let data = directory();
    let server = Server::start(data.path(), &["--mcp-role", "viewer"]);
    let mut client = server.client();
    let tools = ask(&mut client, "tools/list", &json!({}));
    let names = tools["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| text(&it["name"]).to_owned());
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["read", "list", "search", "screen"]
    );
    let refused = call(&mut client, "run", &json!({"command": "true"}));
    assert_eq!(refused["isError"], true);
    assert!(
        text(&refused["content"][0]["text"]).contains("viewer"),
        "{refused}"
    );
    drop(server);
    let server = Server::start(data.path(), &["--mcp-services", "sql"]);
    let mut client = server.client();
    for run in [
        json!({"command": "true", "service": "shell"}),
        json!({"command": "true"}),
    ] {
        let refused = call(&mut client, "run", &run);
        let reason = text(&refused["content"][0]["text"]);
        assert!(reason.contains("no service"), "{refused}");
    }
}

/// Runs a subcommand on a server's directory, and returns what it prints.
fn on_data(data: &Path, arguments: &[&str], given: &str) -> Result<String, String> {
    let data = data.to_str().unwrap();
    let arguments = [arguments, &["--data", data]].concat();
    let mut child = rejoin(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    // Who reads nothing may have closed it.
    let _ = child.stdin.take().unwrap().write_all(given.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    match output.status.success() {
        true => Ok(text(output.stdout)),
        false => Err(text(output.stderr)),
    }
}

/// A directory with two accounts.
fn with_accounts() -> tempfile::TempDir {
    let data = directory();
    for (name, role) in [("ada", "operator"), ("vic", "viewer")] {
        let add = ["user", "add", name, "--role", role, "--password-stdin"];
        on_data(data.path(), &add, "secret\n").unwrap();
    }
    data
}

/// Calls a tool with these headers: the status, and the result.
fn call_as(server: &Server, authorization: &str, tool: &str, arguments: &Value) -> (u16, Value) {
    let params = json!({"name": tool, "arguments": arguments});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let headers = [("authorization", authorization)];
    let body = body.to_string();
    let received = server
        .client()
        .request("POST", "/mcp", &headers, body.as_bytes());
    let received = received.unwrap();
    let answer: Value = received.json();
    (received.status, answer["result"].clone())
}

#[test]
fn a_token_gives_an_agent_what_its_account_may_until_it_is_removed() {
    let data = with_accounts();
    let add = |arguments: &[&str]| {
        let arguments = [&["token", "add"], arguments].concat();
        let text = on_data(data.path(), &arguments, "").unwrap();
        format!("Bearer {}", text.trim_end())
    };
    let ada = add(&["ada", "laptop"]);
    let reader = add(&["ada", "reader", "--role", "viewer", "--expires", "90d"]);
    let vic = add(&["vic", "laptop", "--role", "admin"]);
    let list = on_data(data.path(), &["token", "list"], "").unwrap();
    let lines: Vec<Vec<_>> = list
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0], ["ada", "laptop", "operator", "never"]);
    assert_eq!(lines[1][..3], ["ada", "reader", "viewer"]);
    assert_eq!(lines[2], ["vic", "laptop", "viewer", "never"]);
    assert!(!list.contains(&ada["Bearer ".len()..]));
    for (arguments, words) in [
        (&["token", "add", "bob", "x"][..], "no account"),
        (&["token", "add", "ada", "laptop"], "already"),
        (&["token", "add", "ada", "a b"], "cannot be a name"),
        (&["token", "remove", "ada", "x"], "no token"),
    ] {
        let refused = on_data(data.path(), arguments, "").unwrap_err();
        assert!(refused.contains(words), "{arguments:?}: {refused}");
    }

    let server = Server::start(data.path(), &[]);
    let run = json!({"command": "echo hello", "key": "k"});
    let (status, done) = call_as(&server, &ada, "run", &run);
    assert_eq!(
        (status, &done["structuredContent"]["output"]),
        (200, &json!("hello\n"))
    );
    for agent in [&reader, &vic] {
        let (status, refused) = call_as(&server, agent, "run", &run);
        assert_eq!((status, &refused["isError"]), (200, &json!(true)));
        let reason = text(&refused["content"][0]["text"]);
        assert!(
            reason.contains("the role viewer may not run commands"),
            "{reason}"
        );
    }
    // Each finds the sessions of its account.
    let sessions = |agent: &str| {
        let (_, listed) = call_as(&server, agent, "list", &json!({}));
        listed["structuredContent"]["sessions"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(
        [&ada, &reader, &vic].map(|agent| sessions(agent)),
        [1, 1, 0]
    );
    // A script uses the same token for Rejoin's own API, but no product takes it.
    let status = |path: &str| {
        let headers = [("authorization", ada.as_str())];
        server
            .client()
            .request("GET", path, &headers, b"")
            .unwrap()
            .status
    };
    assert_eq!((status("/sessions"), status("/v1/sessions")), (200, 401));
    for wrong in ["", "Bearer rejoin_0000", "Bearer x", "Basic YWRhOndyb25n"] {
        let (status, _) = call_as(&server, wrong, "list", &json!({}));
        assert_eq!(status, 401, "{wrong}");
    }
    let password = "Basic YWRhOnNlY3JldA==";
    assert_eq!(call_as(&server, password, "list", &json!({})).0, 200);

    on_data(data.path(), &["token", "remove", "ada", "laptop"], "").unwrap();
    wait_until("the token is refused", || {
        call_as(&server, &ada, "list", &json!({})).0 == 401
    });
    assert_eq!(status("/sessions"), 401);
    assert_eq!(
        call_as(&server, &reader, "list", &json!({})).0,
        200,
        "others go on"
    );
}

/// An agent that speaks to `rejoin mcp` over its standard input and output.
struct Bridge {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Bridge {
    fn start(server: &str, token: &str) -> Self {
        let mut child = rejoin(&["mcp", "--server", server])
            .env("REJOIN_TOKEN", token)
            .stdin(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    fn send(&mut self, message: &Value) {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{message}").unwrap();
    }

    fn receive(&mut self) -> Value {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("not a message: {line:?}"))
    }

    fn run(&mut self, id: u64, arguments: &Value) {
        let params = json!({"name": "run", "arguments": arguments});
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}));
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_agent_that_starts_a_program_loses_nothing_when_the_server_restarts() {
    let data = with_accounts();
    let token = on_data(data.path(), &["token", "add", "ada", "laptop"], "").unwrap();
    let mut server = Server::start(data.path(), &[]);
    let address = server.address.to_string();
    let mut bridge = Bridge::start(&format!("http://{address}"), token.trim_end());
    bridge.send(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}}}));
    assert_eq!(bridge.receive()["result"]["serverInfo"]["name"], "rejoin");
    bridge.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    // A long call does not hold up the next one.
    bridge.run(1, &json!({"command": "sleep 1000", "wait_ms": 45_000}));
    bridge.run(2, &json!({"command": "echo quick"}));
    let quick = bridge.receive();
    assert_eq!(
        (
            &quick["id"],
            &quick["result"]["structuredContent"]["output"]
        ),
        (&json!(2), &json!("quick\n"))
    );
    wait_until("both jobs run", || {
        let agent = format!("Bearer {}", token.trim_end());
        let (_, listed) = call_as(&server, &agent, "list", &json!({}));
        listed["structuredContent"]["sessions"]
            .as_array()
            .unwrap()
            .len()
            == 2
    });
    server.kill();
    let server = Server::start_at(data.path(), &address);
    // Sent again with its key, the call finds its job: lost, and not started anew.
    let lost = bridge.receive();
    assert_eq!(lost["id"], 1);
    let structured = &lost["result"]["structuredContent"];
    assert_eq!(
        (&structured["outcome"], &structured["exit_status"]),
        (&json!("lost"), &Value::Null)
    );
    bridge.send(&json!("no message"));
    bridge.run(3, &json!({"command": "true"}));
    assert_eq!(bridge.receive()["id"], 3);
    // At the end of its input, it ends.
    drop(bridge.child.stdin.take());
    assert!(bridge.child.wait().unwrap().success());
    drop(server);
}

#[test]
fn a_program_without_a_server_says_so_in_its_answer() {
    let mut child = rejoin(&[
        "mcp",
        "--server",
        "http://127.0.0.1:1",
        "--reconnect-for",
        "1ms",
    ])
    .stdin(Stdio::piped())
    .spawn()
    .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{{").unwrap();
    writeln!(
        stdin,
        r#"{{"jsonrpc":"2.0","id":"a","method":"tools/list"}}"#
    )
    .unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let lines: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["error"]["code"], -32700);
    assert_eq!(
        (&lines[1]["id"], &lines[1]["error"]["code"]),
        (&json!("a"), &json!(-32000))
    );
    assert!(
        text(&lines[1]["error"]["message"]).contains("rejoin serve"),
        "{lines:?}"
    );
}

#[test]
fn an_agent_sees_and_uses_the_screen_of_a_terminal() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let mut client = server.client();
    let draws = "printf '\\033[2J\\033[3;5Hname? '; read name; printf '\\033[5;1Hhello %s' $name; \
                 exec sleep 1000";
    let arguments = json!({"command": draws, "terminal": true, "wait_ms": 0});
    let run = structured(&mut client, "run", &arguments);
    let job = json!({"session": run["session"], "job": run["job"]});
    let shows = |client: &mut Client, words: &str| {
        wait_until(words, || {
            let screen = call(client, "screen", &job)["structuredContent"].clone();
            let rows = screen["rows"].as_u64().unwrap();
            assert_eq!(text(&screen["screen"]).lines().count() as u64, rows);
            text(&screen["screen"]).contains(words)
        });
    };
    shows(&mut client, "    name?");
    let mut written = job.clone();
    written["text"] = json!("ada\n");
    call(&mut client, "write", &written);
    shows(&mut client, "hello ada");
    call(&mut client, "interrupt", &job);
    let ended = wait_for_end(&mut client, &run);
    // An interrupt is for the program in the foreground, as Ctrl-C is: here it ended by it.
    assert_eq!(ended["exit_status"], 130, "{ended}");
    // What it showed last can still be seen.
    shows(&mut client, "hello ada");
}
