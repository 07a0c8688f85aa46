//! A server with some sessions, for frontends that list them. It is kept from one input to the
//! next, and made anew once an input has changed something: each finds the same sessions.

use crate::http_request::HttpRequest;
use crate::world::World;
use rejoin_core::{JobMode, JobSlot, Visibility};
use rejoin_engine::{Engine, NewJob, NewSession, Unavailable};
use rejoin_http::Router;
use rejoin_http::test_call::Called;

/// The server.
pub(crate) struct Stocked {
    world: World,
    router: Router,
    revision: u64,
    waiting: usize,
}

/// How many sessions there are.
pub(crate) const SESSIONS: usize = 4;

impl Stocked {
    pub(crate) fn start(mount: fn(&mut Router, Engine)) -> Self {
        let mut world = World::start();
        let engine = world.engine.clone();
        let stocked = world.run(async move {
            for number in 1..=SESSIONS {
                stock(&engine, number).await;
            }
        });
        assert!(stocked.is_some(), "the sessions are there in no time");
        let mut router = Router::default();
        mount(&mut router, world.engine.clone());
        let revision = world.engine.view(|views| views.revision());
        let waiting = world.waiting();
        Self {
            world,
            router,
            revision,
            waiting,
        }
    }

    pub(crate) fn ask(&mut self, request: HttpRequest<'_>) -> Option<Called> {
        request.send(&mut self.world, &self.router)
    }

    pub(crate) fn open_sessions(&self) -> usize {
        self.world.engine.view(|views| views.open_count())
    }

    /// Itself, if nothing has changed and no time has passed.
    ///
    /// # Panics
    ///
    /// When the engine has ended by itself.
    pub(crate) fn unless_changed(self) -> Option<Self> {
        let revision = self.world.engine.view(|views| views.revision());
        let nobody_waits = self.world.waiting() == self.waiting;
        if revision == self.revision && nobody_waits && self.world.is_at_its_beginning() {
            return Some(self);
        }
        let end = self.world.end();
        assert!(
            matches!(end, Unavailable::ShuttingDown),
            "the engine ended by itself: {end}"
        );
        None
    }
}

/// Users ada, bob and nobody; one session runs something, one has.
async fn stock(engine: &Engine, number: usize) {
    let new = NewSession {
        user: [None, Some("ada".into()), Some("bo\"b".into())][number % 3].clone(),
        remote: Some("127.0.0.1:4567".into()),
        ..NewSession::default()
    };
    let session = engine
        .create_session(new)
        .await
        .expect("there is room")
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
    submitted.await.expect("nothing runs there");
}
