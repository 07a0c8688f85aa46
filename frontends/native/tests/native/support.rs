//! A complete server on a loopback port, with its log in memory.

use futures::future::{BoxFuture, Either, select};
use rejoin_accounts::Accounts;
use rejoin_engine::testing::{Clock, in_memory};
use rejoin_engine::{
    Config, Engine, Exit, Record, Runner, RunnerJob, Runtime, Services, SessionId, SmolRuntime,
};
use rejoin_http::test_client::{Client, Received};
use rejoin_http::test_server::TestServer;
use serde_json::{Value, json};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct Server {
    pub(crate) engine: Engine,
    pub(crate) http: TestServer,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(Config::default(), &[])
    }

    /// A server whose log has these records.
    pub(crate) fn with(config: Config, records: &[Record]) -> Self {
        Self::on(Arc::new(SmolRuntime), config, records)
    }

    /// A server whose engine uses a virtual clock, which the test advances.
    pub(crate) fn in_virtual_time(config: Config) -> (Self, Clock) {
        let clock = Clock::default();
        (Self::on(Arc::new(clock.clone()), config, &[]), clock)
    }

    fn on(runtime: Arc<dyn Runtime>, config: Config, records: &[Record]) -> Self {
        let runner = || Arc::new(Scripted) as Arc<dyn Runner>;
        let services = Services::from([("shell".into(), runner()), ("sql".into(), runner())]);
        Self::of(in_memory(config, runtime, services, records))
    }

    /// A server with this engine.
    pub(crate) fn of(engine: Engine) -> Self {
        let mut app = rejoin_http::Router::default();
        rejoin_native::mount(&mut app, engine.clone(), Accounts::open().unwrap());
        let http = TestServer::start(app);
        Self { engine, http }
    }

    /// As [`Self::start`], with `count` sessions: odd numbers are ada's on `shell`, even ones bob's on
    /// `sql`.
    pub(crate) fn with_sessions(count: usize) -> Self {
        let server = Self::start();
        for number in 1..=count {
            let (user, service) = [("bob", "sql"), ("ada", "shell")][number % 2];
            server.post("/sessions", &json!({"user": user, "service": service}));
        }
        server
    }

    pub(crate) fn client(&self) -> Client {
        self.http.client()
    }

    pub(crate) fn request(&self, method: &str, path: &str, body: &[u8]) -> Received {
        self.client().request(method, path, &[], body).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let received = self.request("GET", path, b"");
        assert_eq!(received.status, 200, "{path}: {}", received.text());
        assert_eq!(received.header("content-type"), Some("application/json"));
        assert_eq!(received.header("cache-control"), Some("no-store"));
        serde_json::from_slice(&received.body).unwrap()
    }

    /// The body of the response, which must be a success.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let received = self.request("POST", path, body.to_string().as_bytes());
        assert!(received.status < 300, "{path}: {}", received.text());
        serde_json::from_slice(&received.body).unwrap_or_default()
    }

    /// The status and code of an error, after checking its members.
    pub(crate) fn fault(&self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let received = self.request(method, path, body);
        let kind = received.header("content-type");
        assert_eq!(kind, Some("application/problem+json"), "{method} {path}");
        let problem: Value = serde_json::from_slice(&received.body).unwrap();
        // That a session is gone has more: when, why and by whom.
        let is_more = |it: &str| received.status == 410 && matches!(it, "at" | "by" | "cause");
        let members = problem.as_object().unwrap().keys();
        let members: Vec<_> = members.filter(|it| !is_more(it)).collect();
        assert_eq!(
            members,
            ["code", "detail", "retryable", "status", "title", "type"]
        );
        assert_eq!(problem["status"], received.status);
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        let is_soon = matches!(received.status, 429 | 503);
        assert_eq!(received.header("retry-after").is_some(), is_soon);
        (received.status, problem["code"].as_str().unwrap().into())
    }

    /// Submits a job to session 1, and returns its number.
    pub(crate) fn run(&self, statement: &str, more: Value) -> u64 {
        let mut submit = more;
        submit["statement"] = statement.into();
        self.post("/sessions/1/jobs", &submit)["job"]
            .as_u64()
            .unwrap()
    }

    /// All events of session 1, once there are at least `most`.
    pub(crate) fn events(&self, most: u64) -> Vec<Value> {
        let mut after = 0;
        let mut events = vec![];
        while after < most {
            let path = format!("/sessions/1/events?after={after}&wait=10000");
            let page = self.get(&path);
            events.extend(page["events"].as_array().unwrap().iter().cloned());
            assert!(
                page["after"].as_u64().unwrap() > after,
                "nothing follows {after}"
            );
            after = page["after"].as_u64().unwrap();
        }
        events
    }

    /// All events of session 1, once there is one of this type.
    pub(crate) fn events_to(&self, kind: &str) -> Vec<Value> {
        let mut most = 1;
        loop {
            let events = self.events(most);
            if events.iter().any(|event| event["type"] == kind) {
                return events;
            }
            most = events.len() as u64 + 1;
        }
    }

    pub(crate) fn session(&self) -> SessionId {
        self.get("/sessions/1")["id"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.engine.begin_closing();
    }
}

pub(crate) fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}

/// Runs these statements: `true`; `hold` runs until interrupted; `say N` sends N results; `read` sends
/// a result per piece of input; `deaf` sends results now and then and reads no input.
#[derive(Debug)]
struct Scripted;

impl Runner for Scripted {
    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit> {
        Box::pin(async move {
            let interrupts = job.interrupts.clone();
            let work = pin!(play(job));
            match select(work, pin!(interrupts.next())).await {
                Either::Left((exit, _)) => exit,
                Either::Right(_) => Exit {
                    status: 130,
                    message: None,
                    ..Exit::default()
                },
            }
        })
    }
}

async fn play(mut job: RunnerJob) -> Exit {
    let _ = job.reporter.started().await;
    let id = job.job;
    let say = async |what: &str| {
        let result = format!(r#"{{"content":{what},"jobId":{id},"type":"said"}}"#);
        let _ = job.reporter.result(result.into()).await;
    };
    match &*job.statement {
        "hold" => std::future::pending().await,
        "deaf" => loop {
            say("\"still here\"").await;
            SmolRuntime.timer(Duration::from_millis(5)).await;
        },
        "read" => {
            let mut input = job.input.take();
            while let Some(bytes) = match &mut input {
                Some(input) => input.next().await,
                None => None,
            } {
                say(&json!(bytes.to_vec()).to_string()).await;
            }
        }
        statement => {
            let count = statement
                .strip_prefix("say ")
                .and_then(|it| it.parse().ok());
            for number in 0..count.unwrap_or(0) {
                say(&format!("\"{number}\"")).await;
            }
        }
    }
    Exit::default()
}
