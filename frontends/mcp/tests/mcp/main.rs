//! The protocol on an engine with its log in memory: what is found of jobs that the engine has
//! forgotten or that are nobody's business, and what is refused.

use futures::future::BoxFuture;
use rejoin_accounts::Accounts;
use rejoin_engine::testing::in_memory;
use rejoin_engine::{
    Config, Engine, Exit, JobMode, JobSlot, NewJob, NewSession, Runner, RunnerJob, Services,
    SessionId, SmolRuntime, Visibility,
};
use rejoin_http::test_server::TestServer;
use rejoin_mcp::Settings;
use serde_json::{Value, json};
use std::sync::Arc;

struct Server {
    engine: Engine,
    http: TestServer,
}

impl Server {
    fn start() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let services = Services::from([("shell".into(), Arc::new(Echo) as Arc<dyn Runner>)]);
        Self::of(in_memory(config, Arc::new(SmolRuntime), services, &[]))
    }

    fn of(engine: Engine) -> Self {
        let mut router = rejoin_http::Router::default();
        let open = Accounts::open().unwrap();
        rejoin_mcp::mount(&mut router, engine.clone(), open, Settings::default());
        let http = TestServer::start(router);
        Self { engine, http }
    }

    fn call(&self, tool: &str, arguments: &Value) -> Value {
        let params = json!({"name": tool, "arguments": arguments});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let received = self.http.client().post("/mcp", &body.to_string()).unwrap();
        let answer: Value = serde_json::from_slice(&received.body).unwrap();
        assert!(answer["result"].is_object(), "{answer}");
        answer["result"].clone()
    }

    fn structured(&self, tool: &str, arguments: &Value) -> Value {
        let result = self.call(tool, arguments);
        assert!(result["structuredContent"].is_object(), "{result}");
        result["structuredContent"].clone()
    }

    fn refusal(&self, tool: &str, arguments: &Value) -> String {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], true, "{result}");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }

    fn task(&self, session: &Value, job: u64) -> Value {
        let id = format!("{}.{job}", session.as_str().unwrap());
        let version = "2026-07-28";
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities":
                {"extensions": {"io.modelcontextprotocol/tasks": {}}},
        });
        let params = json!({"taskId": id, "_meta": meta});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tasks/get", "params": params});
        let headers = [
            ("mcp-protocol-version", version),
            ("mcp-method", "tasks/get"),
            ("mcp-name", id.as_str()),
        ];
        let body = body.to_string();
        let received = self
            .http
            .client()
            .request("POST", "/mcp", &headers, body.as_bytes());
        serde_json::from_slice(&received.unwrap().body).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.engine.begin_closing();
    }
}

/// Prints its statement, as the shell does, and ends with the status at the end of it.
#[derive(Debug)]
struct Echo;

impl Runner for Echo {
    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit> {
        Box::pin(async move {
            let content = Value::from(format!("{}\n", job.statement));
            let id = job.job;
            let result =
                format!(r#"{{"content":{content},"jobId":{id},"stream":"stdout","type":"shell"}}"#);
            let _ = job.reporter.started().await;
            let _ = job.reporter.result(result.into()).await;
            let status = job
                .statement
                .rsplit(' ')
                .next()
                .and_then(|it| it.parse().ok());
            Exit {
                status: status.unwrap_or(0),
                message: None,
                ..Exit::default()
            }
        })
    }
}

#[test]
fn a_job_is_found_however_many_have_run_since() {
    let server = Server::start();
    let first = server.structured("run", &json!({"command": "exit 7"}));
    let session = &first["session"];
    for number in 2..=130 {
        let run =
            json!({"command": format!("number {number} exit {}", number % 3), "session": session});
        assert_eq!(server.structured("run", &run)["exit_status"], number % 3);
    }
    // The engine remembers the last hundred; the log has all.
    for number in [1, 2, 29, 30, 31, 77, 129, 130] {
        let read = server.structured("read", &json!({"session": session, "job": number}));
        let status = if number == 1 { 7 } else { number % 3 };
        assert_eq!(read["exit_status"], status, "{read}");
        assert_eq!(
            read["output"],
            format!("{}\n", read["command"].as_str().unwrap())
        );
        let task = server.task(session, number);
        let result = &task["result"]["result"]["structuredContent"];
        assert_eq!(
            (&task["result"]["status"], &result["exit_status"]),
            (&json!("completed"), &json!(status))
        );
    }
    let unknown = json!({"session": session, "job": 131});
    assert!(server.refusal("read", &unknown).contains("no such job"));
    assert_eq!(server.task(session, 131)["error"]["code"], -32602);
    // A closed session is read as well.
    let id: SessionId = session.as_str().unwrap().parse().unwrap();
    smol::block_on(server.engine.close_session(id)).unwrap();
    let read = server.structured("read", &json!({"session": session, "job": 77}));
    assert_eq!(read["exit_status"], 77 % 3);
    let all = server.structured("read", &json!({"session": session, "max_bytes": 1_000_000}));
    assert_eq!(
        (&all["state"], &all["more"]),
        (&json!("ended"), &json!(false))
    );
    let run = json!({"command": "true", "session": session});
    assert!(server.refusal("run", &run).contains("has ended"));
}

#[test]
fn a_job_that_is_private_to_its_submitter_is_not_found() {
    let server = Server::start();
    let job = smol::block_on(async {
        let session = server
            .engine
            .create_session(NewSession::default())
            .await
            .unwrap()
            .id();
        let mode = JobMode {
            slot: JobSlot::Background,
            visibility: Visibility::Submitter,
        };
        server
            .engine
            .submit_job(NewJob::new(session, "secret 0", mode))
            .await
            .unwrap()
    });
    let named = json!({"session": "1", "job": job.job.0});
    for tool in ["read", "interrupt"] {
        assert!(
            server.refusal(tool, &named).contains("no such job"),
            "{tool}"
        );
    }
    let write = json!({"session": "1", "job": job.job.0, "text": "x"});
    assert!(server.refusal("write", &write).contains("no such job"));
    let shown = server.call("read", &json!({"session": "1"})).to_string();
    let listed = server.call("list", &json!({"session": "1"})).to_string();
    let found = server.call("search", &json!({"session": "1", "text": "secret"}));
    assert_eq!(found["structuredContent"]["matches"], json!([]));
    assert!(!(shown + &listed).contains("secret"));
}

#[test]
fn arguments_that_are_wrong_are_refused_with_what_to_do() {
    let server = Server::start();
    server.structured("run", &json!({"command": "true"}));
    let long = "x".repeat(201);
    for (tool, arguments, words) in [
        ("run", json!({}), "the command is empty"),
        ("run", json!({"command": " "}), "empty"),
        ("run", json!({"command": "a\0b"}), "NUL"),
        (
            "run",
            json!({"command": "x", "shell": true}),
            "unknown field `shell`",
        ),
        (
            "run",
            json!({"command": "x", "session": "1", "service": "shell"}),
            "leave out",
        ),
        (
            "run",
            json!({"command": "x", "service": "sql"}),
            "no service",
        ),
        (
            "run",
            json!({"command": "x", "key": long}),
            "1 to 200 bytes",
        ),
        ("run", json!({"command": "x", "key": ""}), "1 to 200 bytes"),
        (
            "run",
            json!({"command": "x", "session": "99"}),
            "session not found",
        ),
        ("run", json!([]), "expected an object"),
        ("read", json!({"session": "1", "after": "x"}), "`after`"),
        (
            "read",
            json!({"session": "1", "job": 1, "stream": "all"}),
            "unknown variant",
        ),
        (
            "read",
            json!({"session": "00000000-0000-4000-8000-000000000000"}),
            "session not found",
        ),
        (
            "write",
            json!({"session": "1", "job": 1}),
            "nothing to write",
        ),
        (
            "write",
            json!({"session": "1", "job": 1, "text": "x"}),
            "no job 1 is running",
        ),
        ("interrupt", json!({"session": "1"}), "no foreground job"),
        (
            "search",
            json!({"session": "1", "text": ""}),
            "1 to 1024 bytes",
        ),
        (
            "search",
            json!({"session": "1", "text": "a\nb"}),
            "one line",
        ),
        ("list", json!({"state": "busy"}), "unknown variant"),
    ] {
        let refused = server.refusal(tool, &arguments);
        assert!(refused.contains(words), "{tool} {arguments}: {refused}");
    }
    // Numbers without quotes are understood.
    let read = server.structured("read", &json!({"session": 1, "job": 1, "after": 0}));
    assert_eq!(read["output"], "true\n");
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"nothing"}}"#;
    let received = server.http.client().post("/mcp", body).unwrap();
    assert!(received.text().contains("-32602"), "{}", received.text());
}

#[test]
fn a_limit_of_sessions_is_said_and_nothing_starts() {
    let mut config = Config::default();
    config.limits.sessions = 1;
    let server = Server::with(config);
    let run = json!({"command": "true", "key": "one"});
    let first = server.structured("run", &run);
    let other = json!({"command": "true", "key": "two"});
    assert!(
        server
            .refusal("run", &other)
            .contains("no more are allowed")
    );
    assert_eq!(
        server.structured("run", &run)["job"],
        first["job"],
        "a repeated call is no new one"
    );
}

#[test]
fn a_node_that_cannot_ask_does_not_say_that_something_is_not_there() {
    let services = rejoin_engine::testing::Hold::services(["shell"]);
    let server = Server::of(rejoin_engine::testing::cut_off_node(services));
    // Both are in log 1 of 16.
    for session in ["01234567-89ab-4def-8123-456789abcd01", "17"] {
        for (tool, arguments) in [
            ("read", json!({"session": session})),
            ("interrupt", json!({"session": session, "job": 17})),
            ("run", json!({"session": session, "command": "true"})),
        ] {
            let refused = server.refusal(tool, &arguments);
            assert!(refused.contains("did not answer"), "{tool}: {refused}");
        }
    }
}
