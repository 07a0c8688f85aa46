//! A server with some sessions, for frontends that list them. Inputs that change nothing share one
//! server; after a change a new one is started, so that every input finds the same sessions.

use crate::harness::Harness;
use crate::http_request::HttpRequest;
use rejoin_core::{JobMode, JobSlot, Visibility};
use rejoin_engine::{Engine, NewJob, NewSession, Unavailable};
use rejoin_http::Router;
use rejoin_http::test_call::Called;

pub(crate) struct SeededHarness {
    harness: Harness,
    router: Router,
    revision: u64,
    pending_timers: usize,
}

/// How many sessions there are.
pub(crate) const SESSIONS: usize = 4;

impl SeededHarness {
    pub(crate) fn start(mount: fn(&mut Router, Engine)) -> Self {
        let mut harness = Harness::start();
        let engine = harness.engine.clone();
        let created = harness.run(async move {
            for number in 1..=SESSIONS {
                create_session(&engine, number).await;
            }
        });
        assert!(created.is_some(), "creating sessions took too long");
        let mut router = Router::default();
        mount(&mut router, harness.engine.clone());
        let revision = harness.engine.view(|views| views.revision());
        let pending_timers = harness.pending_timers();
        Self {
            harness,
            router,
            revision,
            pending_timers,
        }
    }

    pub(crate) fn send(&mut self, request: HttpRequest<'_>) -> Option<Called> {
        request.send(&mut self.harness, &self.router)
    }

    pub(crate) fn open_sessions(&self) -> usize {
        self.harness.engine.view(|views| views.open_count())
    }

    /// Returns the server if the input changed nothing and no time passed, otherwise shuts it down.
    ///
    /// # Panics
    ///
    /// When the engine has ended for another reason.
    pub(crate) fn unless_changed(self) -> Option<Self> {
        let revision = self.harness.engine.view(|views| views.revision());
        let is_waiting_same = self.harness.pending_timers() == self.pending_timers;
        if revision == self.revision && is_waiting_same && self.harness.is_at_start() {
            return Some(self);
        }
        let end = self.harness.end();
        assert!(
            matches!(end, Unavailable::ShuttingDown),
            "the engine ended for another reason: {end}"
        );
        None
    }
}

/// Sessions of ada, of bo"b and without a user. One runs a job, in one a job has ended.
async fn create_session(engine: &Engine, number: usize) {
    let new = NewSession {
        user: [None, Some("ada".into()), Some("bo\"b".into())][number % 3].clone(),
        remote: Some("127.0.0.1:4567".into()),
        ..NewSession::default()
    };
    let session = engine
        .create_session(new)
        .await
        .expect("below the limit of sessions")
        .id();
    let statement = match number {
        2 => "hold",
        3 => "say it",
        _ => return,
    };
    let mode = JobMode {
        slot: JobSlot::Foreground,
        visibility: Visibility::Session,
    };
    let submitted = engine.submit_job(NewJob::new(session, statement, mode));
    submitted.await.expect("the session is idle");
}
