//! Liveness in memory: the cursor of each consumer, and when each consumer and session was last
//! active.
//!
//! It is logged every [`limits::TICK`](crate::limits) and before anything expires. After a crash, a
//! consumer may get records again, but never misses one, and nothing expires early.

use crate::clock::Clock;
use crate::committed::{Committed, lock};
use futures::lock::Mutex as AsyncMutex;
use rejoin_core::{
    Command, ConsumerId, Deadline, Event, Instant, Record, Sequence, SessionId, VecMap,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

#[derive(Debug)]
pub(crate) struct Liveness {
    clock: Arc<Clock>,
    committed: Arc<Committed>,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    sessions: BTreeMap<SessionId, SessionEntry>,
    unlogged: BTreeSet<(SessionId, ConsumerId)>,
}

#[derive(Debug, Default)]
struct SessionEntry {
    seen: Instant,
    consumers: VecMap<ConsumerId, ConsumerEntry>,
}

#[derive(Debug)]
struct ConsumerEntry {
    cursor: Sequence,
    seen: Instant,
    open_pulls: u32,
    /// Lets one pull at a time read. None while no pull is open.
    pull_lock: Option<Arc<AsyncMutex<()>>>,
}

// An entry is added under the lock and only if the views have the session. The views forget a
// session first, and this table forgets it after that: no entry outlives its session.
impl Liveness {
    pub(crate) fn new(clock: Arc<Clock>, committed: Arc<Committed>) -> Self {
        Self {
            clock,
            committed,
            entries: Mutex::default(),
        }
    }

    /// Notes that the session was used, if it is open.
    pub(crate) fn touch(&self, session: SessionId) {
        let mut entries = lock(&self.entries);
        if self
            .committed
            .session(session, |view| view.closed.is_none())
            == Some(true)
        {
            entries
                .sessions
                .entry(session)
                .or_default()
                .see(self.clock.instant());
        }
    }

    /// Begins a pull. While it is open, its consumer and session count as active. None: the session
    /// has no such consumer.
    pub(crate) fn begin_pull(
        self: &Arc<Self>,
        session: SessionId,
        consumer: ConsumerId,
    ) -> Option<OpenPull> {
        let mut entries = lock(&self.entries);
        let view = self
            .committed
            .session(session, |view| view.consumer(consumer))??;
        let session_activity = entries.sessions.entry(session).or_default();
        session_activity.see(self.clock.instant());
        let pulling = session_activity
            .consumers
            .get_or_insert_with(consumer, || ConsumerEntry {
                cursor: view.cursor,
                seen: Instant::FIRST,
                open_pulls: 0,
                pull_lock: None,
            });
        pulling.open_pulls += 1;
        let pull_lock = pulling.pull_lock.get_or_insert_default().clone();
        Some(OpenPull {
            liveness: self.clone(),
            session,
            consumer,
            joined: view.joined,
            pull_lock,
        })
    }

    /// The commands that log the cursors that have moved since the last call.
    pub(crate) fn take_unlogged(&self) -> Vec<Command> {
        let mut entries = lock(&self.entries);
        let moved = std::mem::take(&mut entries.unlogged);
        moved
            .into_iter()
            .filter_map(|(session, consumer)| entries.advance(session, consumer, None))
            .collect()
    }

    /// The command that logs the last activity of what is due, before the core decides whether it
    /// expires.
    pub(crate) fn before_expiry(&self, deadline: Deadline, now: Instant) -> Option<Command> {
        let entries = lock(&self.entries);
        match deadline {
            Deadline::Consumer(session, consumer) => entries.advance(session, consumer, Some(now)),
            Deadline::Session(session) => {
                let activity = entries.sessions.get(&session)?;
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

    fn forget_consumer(&self, session: SessionId, consumer: ConsumerId) {
        let mut entries = lock(&self.entries);
        entries.unlogged.remove(&(session, consumer));
        if let Some(activity) = entries.sessions.get_mut(&session) {
            activity.consumers.remove(&consumer);
        }
    }

    fn forget_session(&self, session: SessionId) {
        lock(&self.entries).sessions.remove(&session);
    }
}

impl SessionEntry {
    fn see(&mut self, now: Instant) {
        self.seen = self.seen.max(now);
    }
}

impl Entries {
    fn consumer(&mut self, session: SessionId, consumer: ConsumerId) -> Option<&mut ConsumerEntry> {
        self.sessions
            .get_mut(&session)?
            .consumers
            .get_mut(&consumer)
    }

    /// The command that logs the cursor. An open pull counts as activity at `now`.
    fn advance(
        &self,
        session: SessionId,
        consumer: ConsumerId,
        now: Option<Instant>,
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
    pull_lock: Arc<AsyncMutex<()>>,
}

impl OpenPull {
    /// The lock that a pull holds while it reads.
    pub(crate) fn pull_lock(&self) -> Arc<AsyncMutex<()>> {
        self.pull_lock.clone()
    }

    /// The consumer's cursor. None: it has left.
    pub(crate) fn cursor(&self) -> Option<Sequence> {
        let mut entries = lock(&self.liveness.entries);
        entries
            .consumer(self.session, self.consumer)
            .map(|activity| activity.cursor)
    }

    /// Moves the cursor to `to`. It is logged only if `is_worth_logging`.
    pub(crate) fn advance(&self, to: Sequence, is_worth_logging: bool) {
        let mut entries = lock(&self.liveness.entries);
        let Some(activity) = entries.consumer(self.session, self.consumer) else {
            return;
        };
        activity.cursor = activity.cursor.max(to);
        if is_worth_logging {
            entries.unlogged.insert((self.session, self.consumer));
        }
    }
}

impl Drop for OpenPull {
    fn drop(&mut self) {
        let now = self.liveness.clock.instant();
        let mut entries = lock(&self.liveness.entries);
        if let Some(session) = entries.sessions.get_mut(&self.session) {
            session.see(now);
        }
        if let Some(consumer) = entries.consumer(self.session, self.consumer) {
            consumer.open_pulls -= 1;
            if consumer.open_pulls == 0 {
                consumer.pull_lock = None;
            }
            consumer.seen = consumer.seen.max(now);
        }
    }
}
