//! A complete server on a loopback port, with its log in memory.

use rejoin_accounts::Accounts;
use rejoin_engine::testing::{Clock, Hold, in_memory};
use rejoin_engine::{
    Config, Engine, JobMode, JobSlot, NewJob, NewSession, Runtime, SessionId, SmolRuntime,
    Visibility,
};
use rejoin_http::test_client::Received;
use rejoin_http::test_server::TestServer;
use serde_json::Value;
use std::sync::Arc;

pub(crate) struct Server {
    pub(crate) engine: Engine,
    pub(crate) http: TestServer,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(Accounts::open().unwrap())
    }

    pub(crate) fn start_with(accounts: Accounts) -> Self {
        Self::on(Arc::new(SmolRuntime), accounts)
    }

    /// A server whose engine uses a virtual clock, which the test advances.
    pub(crate) fn in_virtual_time() -> (Self, Clock) {
        let clock = Clock::default();
        let open = Accounts::open().unwrap();
        (Self::on(Arc::new(clock.clone()), open), clock)
    }

    fn on(runtime: Arc<dyn Runtime>, accounts: Accounts) -> Self {
        let services = Hold::services(["shell", "sql"]);
        Self::of(
            in_memory(Config::default(), runtime, services, &[]),
            accounts,
        )
    }

    /// A server with this engine.
    pub(crate) fn of(engine: Engine, accounts: Accounts) -> Self {
        let mut app = rejoin_http::Router::default();
        rejoin_maxscale::mount(&mut app, engine.clone(), accounts);
        let http = TestServer::start(app);
        Self { engine, http }
    }

    /// As [`Self::start`], with `count` sessions: odd numbers are ada's on `shell`, even ones bob's on
    /// `sql`.
    pub(crate) fn with_sessions(count: usize) -> Self {
        let server = Self::start();
        for number in 1..=count {
            let (user, service) = [("bob", "sql"), ("ada", "shell")][number % 2];
            server.create(Some(user), service);
        }
        server
    }

    pub(crate) fn create(&self, user: Option<&str>, service: &str) -> SessionId {
        let new = NewSession {
            service: Some(service.into()),
            user: user.map(Into::into),
            remote: Some("10.1.2.3:4567".into()),
            reads: false,
        };
        smol::block_on(self.engine.create_session(new))
            .unwrap()
            .id()
    }

    /// Runs a statement. It runs until interrupted, except `true`.
    pub(crate) fn run(&self, session: SessionId, statement: &str) {
        let mode = JobMode {
            slot: JobSlot::Foreground,
            visibility: Visibility::Session,
        };
        smol::block_on(
            self.engine
                .submit_job(NewJob::new(session, statement, mode)),
        )
        .unwrap();
        while statement == "true" && self.engine.session_view(session).unwrap().is_busy() {
            std::thread::yield_now();
        }
    }

    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Received {
        self.http
            .client()
            .request(method, path, headers, body.as_bytes())
            .unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Received {
        self.request("GET", path, &[], "")
    }

    /// The body of a successful GET.
    pub(crate) fn json(&self, path: &str) -> Value {
        let received = self.get(path);
        assert_eq!(received.status, 200, "{path}: {}", received.text());
        serde_json::from_slice(&received.body).unwrap()
    }

    /// The ids of a list.
    pub(crate) fn ids(&self, path: &str) -> Vec<u64> {
        let listed = self.json(path);
        let data = listed["data"].as_array().unwrap().iter();
        data.map(|it| it["id"].as_str().unwrap().parse().unwrap())
            .collect()
    }

    /// The status and error detail of a response.
    pub(crate) fn fault(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let received = self.request(method, path, &[], body);
        if received.body.is_empty() {
            return (received.status, String::new());
        }
        let error: Value = serde_json::from_slice(&received.body).unwrap();
        let detail = error["errors"][0]["detail"].as_str().unwrap();
        (received.status, detail.into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.engine.begin_closing();
    }
}
