//! A complete server on a loopback port, with its log in memory and a runner whose statements say
//! what to do.

use futures::future::BoxFuture;
use rejoin_accounts::Accounts;
use rejoin_arthas::{Settings, mount};
use rejoin_engine::testing::{Clock, in_memory};
use rejoin_engine::{
    Config, Engine, Event, Exit, ReadLimit, Record, Runner, RunnerJob, Runtime, Sequence, Services,
    SessionId, SmolRuntime, encode_result,
};
use rejoin_http::test_client::{Client, Received};
use rejoin_http::test_server::TestServer;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// What a test may change before its server starts.
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) settings: Settings,
    pub(crate) accounts: Accounts,
}

pub(crate) struct Server {
    pub(crate) engine: Engine,
    http: TestServer,
    started: async_channel::Receiver<SessionId>,
    // Closed with the server, which ends all jobs that ignore interrupts.
    _gate: async_channel::Sender<()>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup {
            config: Config::default(),
            runtime: Arc::new(SmolRuntime),
            // Tests about it gather; it would slow down the others, which have it on a still clock.
            settings: at_once(),
            accounts: Accounts::open().unwrap(),
        };
        change(&mut setup);
        let Setup {
            config,
            runtime,
            settings,
            accounts,
        } = setup;
        let (starts, started) = async_channel::unbounded();
        let (_gate, gate) = async_channel::bounded(1);
        let script = Script { starts, gate };
        let services = Services::from([("script".into(), Arc::new(script) as Arc<dyn Runner>)]);
        let engine = in_memory(config, runtime, services, &[]);
        let mut app = rejoin_http::Router::default();
        mount(&mut app, engine.clone(), accounts, settings);
        Self {
            engine,
            http: TestServer::start(app),
            started,
            _gate,
        }
    }

    /// A server whose engine uses a virtual clock, which the test advances.
    pub(crate) fn in_virtual_time(change: impl FnOnce(&mut Setup)) -> (Self, Clock) {
        let clock = Clock::default();
        let server = Self::with(|setup| {
            setup.runtime = Arc::new(clock.clone());
            change(setup);
        });
        (server, clock)
    }

    pub(crate) fn client(&self) -> Client {
        self.http.client()
    }

    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> Received {
        self.client()
            .request(method, path, &[], body.as_bytes())
            .unwrap()
    }

    /// Posts a body and returns the response's.
    pub(crate) fn post(&self, body: &str) -> String {
        let received = self.client().post("/api", body).unwrap();
        assert_eq!(received.status, 200, "{body}");
        assert_eq!(
            received.header("content-type"),
            Some("application/json; charset=utf-8")
        );
        received.text().into()
    }

    /// Posts an action in a session.
    pub(crate) fn act(&self, session: &str, action: &str, members: &str) -> String {
        self.post(&format!(
            r#"{{"action":"{action}","sessionId":"{session}"{members}}}"#
        ))
    }

    /// A new session and its first consumer.
    pub(crate) fn init(&self) -> (String, String) {
        let answer = self.post(r#"{"action":"init_session"}"#);
        (member(&answer, "sessionId"), member(&answer, "consumerId"))
    }

    /// The array of results that a consumer gets in one pull.
    pub(crate) fn pull(&self, session: &str, consumer: &str) -> String {
        let answer = self.act(
            session,
            "pull_results",
            &format!(r#","consumerId":"{consumer}""#),
        );
        let end = format!(
            r#"}},"consumerId":"{consumer}","sessionId":"{session}","state":"SUCCEEDED"}}"#
        );
        answer
            .strip_prefix(r#"{"body":{"results":"#)
            .and_then(|rest| rest.strip_suffix(&end))
            .unwrap_or_else(|| panic!("{answer}"))
            .into()
    }

    /// Pulls until a result ends with `last`, and returns all results.
    pub(crate) fn pull_until(&self, session: &str, consumer: &str, last: &str) -> String {
        let mut all = String::new();
        for _ in 0..50 {
            let results = self.pull(session, consumer);
            let results = &results[1..results.len() - 1];
            if !results.is_empty() && !all.is_empty() {
                all.push(',');
            }
            all.push_str(results);
            if all.ends_with(last) {
                return format!("[{all}]");
            }
        }
        panic!("no {last} in {all}");
    }

    /// Waits until the next job has started, and returns its session.
    pub(crate) fn job_started(&self) -> SessionId {
        let soon = async {
            SmolRuntime.timer(Duration::from_secs(10)).await;
            panic!("no job has started");
        };
        smol::block_on(smol::future::or(
            async { self.started.recv().await.unwrap() },
            soon,
        ))
    }

    /// Waits for a record of the session, at most ten seconds for each record before it.
    pub(crate) fn record(&self, session: SessionId, is_it: impl Fn(&Event) -> bool) -> Arc<Record> {
        let limit = ReadLimit {
            records: 1,
            bytes: 1,
        };
        let mut after = Sequence::START;
        loop {
            let read = self
                .engine
                .read(session, after, limit, Duration::from_secs(10));
            let records = smol::block_on(read).unwrap();
            let record = records.first().expect("the record within ten seconds");
            if is_it(&record.event) {
                return record.clone();
            }
            after = record.sequence;
        }
    }
}

fn at_once() -> Settings {
    let mut settings = Settings::default();
    settings.pull_gather = Duration::ZERO;
    settings
}

impl Drop for Server {
    fn drop(&mut self) {
        self.engine.begin_closing();
    }
}

/// A string member of a response.
pub(crate) fn member(answer: &str, name: &str) -> String {
    let value: Value = serde_json::from_str(answer).unwrap();
    match &value[name] {
        Value::String(text) => text.clone(),
        other => panic!("{name} is {other} in {answer}"),
    }
}

/// Runs `act`, which waits for `wait`, and advances the clock by it.
pub(crate) fn outwait<T: Send>(clock: &Clock, wait: Duration, act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let acting = scope.spawn(act);
        clock.wait_for_timer(wait);
        clock.advance(wait);
        acting.join().unwrap()
    })
}

/// Runs statements such as `say hello`: a word and its argument.
#[derive(Debug)]
struct Script {
    starts: async_channel::Sender<SessionId>,
    gate: async_channel::Receiver<()>,
}

impl Runner for Script {
    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit> {
        let (starts, gate) = (self.starts.clone(), self.gate.clone());
        Box::pin(async move {
            let _ = job.reporter.started().await;
            let _ = starts.send(job.session).await;
            let (word, rest) = job
                .statement
                .split_once(' ')
                .unwrap_or((&job.statement, ""));
            let result = |content: Value| {
                let members = Map::from_iter([("content".into(), content)]);
                job.reporter.result(encode_result(job.job, "echo", members))
            };
            let mut status = 0;
            match word {
                "say" => _ = result(json!(rest)).await,
                "exit" => status = rest.parse().unwrap(),
                // Until it is interrupted.
                "hold" | "hold," => {
                    let _ = result(json!("held")).await;
                    let _ = job.interrupts.next().await;
                    status = if rest == "exit 0" { 0 } else { 130 };
                }
                // Until the server is gone, also when interrupted.
                "deaf" => _ = gate.recv().await,
                // This many results, unless interrupted before.
                "flood" => {
                    for number in 0..rest.parse().unwrap() {
                        let content = json!(format!("{number} {}", "x".repeat(100_000)));
                        if result(content).await.is_err() || job.interrupts.try_next().is_some() {
                            break;
                        }
                    }
                }
                _ => {
                    return Exit {
                        status: 127,
                        message: Some(format!("{word}: not found")),
                        ..Exit::default()
                    };
                }
            }
            Exit {
                status,
                message: None,
                ..Exit::default()
            }
        })
    }
}

pub(crate) const ALLOW_INPUT: &str =
    r#"{"inputStatus":"ALLOW_INPUT","jobId":0,"type":"input_status"}"#;
pub(crate) const ALLOW_INTERRUPT: &str =
    r#"{"inputStatus":"ALLOW_INTERRUPT","jobId":0,"type":"input_status"}"#;
