//! Liveness: cursors and last uses of consumers and sessions that are not in the log yet.
//!
//! They are logged every [`limits::TICK`](crate::limits) and before anything expires. What a crash
//! loses makes a consumer see a batch twice, but never miss one, and expires nothing early.

use crate::Runtime;
use crate::committed::{Committed, lock};
use futures::lock::Mutex as Turn;
use rejoin_core::{
    Command, ConsumerId, Deadline, Event, Record, Sequence, SessionId, Timestamp, VecMap,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

#[derive(Debug)]
pub(crate) struct Liveness {
    runtime: Arc<dyn Runtime>,
    /// The instant of the last record, in milliseconds. A clock that was set back must not make
    /// anybody seem to have been away since then.
    stamped: AtomicU64,
    committed: Arc<Committed>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    sessions: BTreeMap<SessionId, SessionEntry>,
    unlogged: BTreeSet<(SessionId, ConsumerId)>,
}

#[derive(Debug, Default)]
struct SessionEntry {
    seen: Timestamp,
    consumers: VecMap<ConsumerId, ConsumerEntry>,
}

#[derive(Debug)]
struct ConsumerEntry {
    cursor: Sequence,
    seen: Timestamp,
    open_pulls: u32,
    /// Whose turn it is among the open pulls. Most consumers have none, and need none.
    turn: Option<Arc<Turn<()>>>,
}

// Sessions and consumers are entered under the lock, while the views know them. The views forget
// them first and this table after that: nothing that is gone is entered again.
impl Liveness {
    pub(crate) fn new(runtime: Arc<dyn Runtime>, committed: Arc<Committed>) -> Self {
        Self {
            runtime,
            stamped: AtomicU64::new(0),
            committed,
            known: Mutex::default(),
        }
    }

    /// Records are stamped with this instant by now.
    pub(crate) fn stamp(&self, at: Timestamp) {
        self.stamped.store(at.as_millis(), Ordering::SeqCst);
    }

    /// Now, and never before the last record: as records are stamped, and deadlines judged.
    fn now(&self) -> Timestamp {
        let stamped = Timestamp::from_millis(self.stamped.load(Ordering::SeqCst));
        self.runtime.now().max(stamped)
    }

    /// The session was used, if it is open.
    pub(crate) fn touch(&self, session: SessionId) {
        let mut known = lock(&self.known);
        if self
            .committed
            .session(session, |view| view.closed.is_none())
            == Some(true)
        {
            known.sessions.entry(session).or_default().see(self.now());
        }
    }

    /// A pull begins; while it is open, its consumer counts as active. None: the consumer does not
    /// read the session.
    pub(crate) fn begin_pull(
        self: &Arc<Self>,
        session: SessionId,
        consumer: ConsumerId,
    ) -> Option<OpenPull> {
        let mut known = lock(&self.known);
        let view = self
            .committed
            .session(session, |view| view.consumer(consumer))??;
        let session_activity = known.sessions.entry(session).or_default();
        session_activity.see(self.now());
        let pulling = session_activity
            .consumers
            .get_or_insert_with(consumer, || ConsumerEntry {
                cursor: view.cursor,
                seen: Timestamp::EPOCH,
                open_pulls: 0,
                turn: None,
            });
        pulling.open_pulls += 1;
        let turn = pulling.turn.get_or_insert_default().clone();
        Some(OpenPull {
            liveness: self.clone(),
            session,
            consumer,
            joined: view.joined,
            turn,
        })
    }

    /// What to log about those whose cursors have moved since the last time.
    pub(crate) fn take_unlogged(&self) -> Vec<Command> {
        let mut known = lock(&self.known);
        let moved = std::mem::take(&mut known.unlogged);
        moved
            .into_iter()
            .filter_map(|(session, consumer)| known.advance(session, consumer, None))
            .collect()
    }

    /// What to log about one who is due, before it is decided whether that is so.
    pub(crate) fn before_expiry(&self, deadline: Deadline, now: Timestamp) -> Option<Command> {
        let known = lock(&self.known);
        match deadline {
            Deadline::Consumer(session, consumer) => known.advance(session, consumer, Some(now)),
            Deadline::Session(session) => {
                let activity = known.sessions.get(&session)?;
                let is_open = activity
                    .consumers
                    .values()
                    .any(|consumer| consumer.open_pulls > 0);
                let seen = if is_open { now } else { activity.seen };
                Some(Command::TouchSession { session, seen })
            }
            Deadline::Job(..) | Deadline::Removal(_) => None,
        }
    }

    /// Forgets a consumer that left, or a session that was closed.
    pub(crate) fn apply(&self, record: &Record) {
        match record.event {
            Event::ConsumerLeft { consumer, .. } => self.forget_consumer(record.session, consumer),
            Event::SessionClosed { .. } => self.forget_session(record.session),
            _ => {}
        }
    }

    /// The consumer has left.
    fn forget_consumer(&self, session: SessionId, consumer: ConsumerId) {
        let mut known = lock(&self.known);
        known.unlogged.remove(&(session, consumer));
        if let Some(activity) = known.sessions.get_mut(&session) {
            activity.consumers.remove(&consumer);
        }
    }

    /// The session was closed.
    fn forget_session(&self, session: SessionId) {
        lock(&self.known).sessions.remove(&session);
    }
}

impl SessionEntry {
    fn see(&mut self, now: Timestamp) {
        self.seen = self.seen.max(now);
    }
}

impl Known {
    fn consumer(&mut self, session: SessionId, consumer: ConsumerId) -> Option<&mut ConsumerEntry> {
        self.sessions
            .get_mut(&session)?
            .consumers
            .get_mut(&consumer)
    }

    /// An open pull is activity up to `now`.
    fn advance(
        &self,
        session: SessionId,
        consumer: ConsumerId,
        now: Option<Timestamp>,
    ) -> Option<Command> {
        let activity = self.sessions.get(&session)?.consumers.get(&consumer)?;
        let seen = now
            .filter(|_| activity.open_pulls > 0)
            .unwrap_or(activity.seen);
        Some(Command::AdvanceCursor {
            session,
            consumer,
            to: activity.cursor,
            seen,
        })
    }
}

/// A pull that has not been answered.
#[derive(Debug)]
pub(crate) struct OpenPull {
    liveness: Arc<Liveness>,
    session: SessionId,
    consumer: ConsumerId,
    pub(crate) joined: Sequence,
    turn: Arc<Turn<()>>,
}

impl OpenPull {
    /// Who holds this reads the consumer's records; others wait.
    pub(crate) fn turn(&self) -> Arc<Turn<()>> {
        self.turn.clone()
    }

    /// The last sequence that the consumer was given.
    pub(crate) fn cursor(&self) -> Option<Sequence> {
        let mut known = lock(&self.liveness.known);
        known
            .consumer(self.session, self.consumer)
            .map(|activity| activity.cursor)
    }

    /// The consumer was given everything up to `to`, some of it worth remembering.
    pub(crate) fn advance(&self, to: Sequence, is_worth_logging: bool) {
        let mut known = lock(&self.liveness.known);
        let Some(activity) = known.consumer(self.session, self.consumer) else {
            return;
        };
        activity.cursor = activity.cursor.max(to);
        if is_worth_logging {
            known.unlogged.insert((self.session, self.consumer));
        }
    }
}

impl Drop for OpenPull {
    fn drop(&mut self) {
        let now = self.liveness.now();
        let mut known = lock(&self.liveness.known);
        if let Some(session) = known.sessions.get_mut(&self.session) {
            session.see(now);
        }
        if let Some(consumer) = known.consumer(self.session, self.consumer) {
            consumer.open_pulls -= 1;
            if consumer.open_pulls == 0 {
                consumer.turn = None;
            }
            consumer.seen = consumer.seen.max(now);
        }
    }
}
