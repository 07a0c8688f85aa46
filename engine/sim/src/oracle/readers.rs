//! What readers were given. Each consumer gets every record that it wants, in order, the same
//! bytes as everybody; after a crash perhaps some of them again.
//!
//! Never: a record that is not durable, one that was skipped, an answer of nothing before its time.

use super::{Model, ensure};
use rejoin_core::{CloseCause, ConsumerId, Event, LeaveCause, Record, Sequence, SessionId};
use rejoin_engine::{PullError, Pulled};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Whoever reads, by session and consumer.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    cursors: BTreeMap<(SessionId, ConsumerId), Cursor>,
    used: BTreeMap<SessionId, Duration>,
    made: u64,
    pulls: BTreeMap<u64, OpenPull>,
    reads: BTreeMap<u64, OpenRead>,
}

#[derive(Debug, Default)]
struct Cursor {
    /// The last sequence that the consumer was told of.
    told: Sequence,
    /// The process has started again since, and may tell once more what the log does not know to
    /// have been told.
    is_restarted: bool,
    /// What had passed of the run when its last pull ended, or the process started.
    pulled: Duration,
}

#[derive(Clone, Copy, Debug)]
struct OpenPull {
    session: SessionId,
    consumer: ConsumerId,
    since: Duration,
    wait: Duration,
    from: usize,
    /// Another pull of the consumer was open at the same time.
    is_second: bool,
    is_refused: bool,
}

#[derive(Clone, Copy, Debug)]
struct OpenRead {
    session: SessionId,
    after: Sequence,
    since: Duration,
    wait: Duration,
}

/// Which records a consumer wants; its identity decides.
pub(crate) fn filter_of(consumer: ConsumerId) -> fn(&Record) -> bool {
    match consumer.token[0] % 3 {
        0 => |_| true,
        1 => |record| matches!(record.event, Event::ResultEmitted { .. }),
        _ => |record| {
            matches!(
                record.event,
                Event::ResultEmitted { .. }
                    | Event::JobFinished { .. }
                    | Event::SessionClosed { .. }
            )
        },
    }
}

impl Readers {
    pub(crate) fn restart(&mut self, progress: Duration) {
        self.pulls.clear();
        self.reads.clear();
        self.used.clear();
        for cursor in self.cursors.values_mut() {
            cursor.is_restarted = true;
            cursor.pulled = progress;
        }
    }

    /// The session was used.
    pub(crate) fn touch(&mut self, session: SessionId, progress: Duration) {
        self.used.insert(session, progress);
    }

    pub(crate) fn begin_pull(
        &mut self,
        (session, consumer): (SessionId, ConsumerId),
        since: Duration,
        wait: Duration,
        model: &Model,
    ) -> u64 {
        self.made += 1;
        let mut is_second = false;
        for open in self.pulls.values_mut() {
            if (open.session, open.consumer) == (session, consumer) {
                open.is_second = true;
                is_second = true;
            }
        }
        let from = model.settled();
        let pull = OpenPull {
            session,
            consumer,
            since,
            wait,
            from,
            is_second,
            is_refused: false,
        };
        self.pulls.insert(self.made, pull);
        self.cursors.entry((session, consumer)).or_default();
        self.made
    }

    /// The pull was answered or dropped; one that was refused was no use of the session.
    pub(crate) fn end_pull(&mut self, ticket: u64, progress: Duration) {
        if let Some(pull) = self.pulls.remove(&ticket)
            && !pull.is_refused
        {
            self.touch(pull.session, progress);
            if let Some(cursor) = self.cursors.get_mut(&(pull.session, pull.consumer)) {
                cursor.pulled = progress;
            }
        }
    }

    /// What kind of answer it was.
    pub(crate) fn answer(
        &mut self,
        ticket: u64,
        pulled: &Pulled,
        elapsed: Duration,
        is_closing: bool,
        pull_lock_timeout: Duration,
        model: &Model,
    ) -> Result<&'static str, String> {
        let Some(pull) = self.pulls.get(&ticket).copied() else {
            return Err("an answer to no pull".to_owned());
        };
        let OpenPull {
            session,
            consumer,
            since,
            wait,
            is_second,
            ..
        } = pull;
        let key = (session, consumer);
        let cursor = self.cursors.entry(key).or_default();
        let wants = filter_of(consumer);
        let missed = |after: Sequence, to: Sequence| {
            let mut skipped = model.records(session).map(|(_, record)| record);
            skipped
                .find(|it| it.sequence > after && it.sequence <= to && wants(it))
                .cloned()
        };
        if pulled.after < cursor.told {
            ensure!(
                cursor.is_restarted,
                "promise 2: consumer {consumer} was at {} and is told from {} on again",
                cursor.told,
                pulled.after
            );
        } else if let Some(missed) = missed(cursor.told, pulled.after) {
            return Err(format!(
                "promise 2: consumer {consumer} never got {missed:?}"
            ));
        }
        let last = pulled
            .records
            .last()
            .map_or(pulled.after, |record| record.sequence);
        let told: Vec<_> = model
            .records(session)
            .map(|(_, record)| record)
            .filter(|it| it.sequence > pulled.after && it.sequence <= last && wants(it))
            .collect();
        ensure!(
            is_same(&told, &pulled.records),
            "promises 2, 3: consumer {consumer} got {:?} of what is durable as {told:?}",
            pulled.records
        );
        if !pulled.records.is_empty() {
            cursor.told = last;
            cursor.is_restarted = false;
        }
        let lasted = elapsed.saturating_sub(since);
        if !pulled.records.is_empty() {
            Ok("pull: with records")
        } else if lasted >= wait {
            Ok("pull: waited in vain")
        } else if is_second && lasted >= pull_lock_timeout {
            Ok("pull: turn not got")
        } else if is_closing || model.is_closed(session) {
            Ok("pull: as the session or the engine ends")
        } else {
            Err(format!(
                "a pull of {consumer} was answered with nothing after {lasted:?} of {wait:?}"
            ))
        }
    }

    /// The engine says that nobody of this name reads the session.
    pub(crate) fn refuse(
        &mut self,
        ticket: u64,
        error: &PullError,
        model: &Model,
    ) -> Result<&'static str, String> {
        let Some(OpenPull {
            session,
            consumer,
            from,
            ..
        }) = self.pulls.get(&ticket).copied()
        else {
            return Err("an answer to no pull".to_owned());
        };
        if let Some(pull) = self.pulls.get_mut(&ticket) {
            pull.is_refused = matches!(
                error,
                PullError::ConsumerNotFound | PullError::SessionNotFound
            );
        }
        let (name, is_right) = match error {
            PullError::ConsumerNotFound => (
                "pull: refused, consumer not found",
                model.ever(session, from, |state| !state.consumers.contains(&consumer)),
            ),
            PullError::SessionNotFound => (
                "pull: refused, session not found",
                model.ever(session, from, |state| !state.is_open),
            ),
            PullError::Overloaded => ("pull: overloaded", true),
            PullError::Log(_) => ("pull: failed, unreadable log", true),
            PullError::Unavailable(_) => ("pull: failed, unavailable", true),
        };
        ensure!(
            is_right,
            "promise 3: a pull of {consumer} was refused: {error}"
        );
        Ok(name)
    }

    pub(crate) fn begin_read(
        &mut self,
        session: SessionId,
        after: Sequence,
        since: Duration,
        wait: Duration,
    ) -> u64 {
        self.made += 1;
        self.reads.insert(
            self.made,
            OpenRead {
                session,
                after,
                since,
                wait,
            },
        );
        self.made
    }

    /// A read was answered, with records or with nothing.
    pub(crate) fn end_read(
        &mut self,
        ticket: u64,
        answer: Option<&[Arc<Record>]>,
        elapsed: Duration,
        model: &Model,
    ) -> Result<(), String> {
        let Some(read) = self.reads.remove(&ticket) else {
            return Ok(());
        };
        let OpenRead {
            session,
            after,
            since,
            wait,
        } = read;
        let Some(records) = answer else {
            return Ok(());
        };
        let mut next = after.next();
        for record in records {
            // A removal may state for all that it says is gone.
            let told = if record.covered_sequences().contains(&next) {
                record.sequence
            } else {
                next
            };
            let ours = model.record(session, told).map(|(_, record)| record);
            ensure!(
                ours == Some(record),
                "promises 2, 3: a reader of {session} got {record:?} for what is durable as {ours:?}"
            );
            next = told.next();
        }
        let is_done = model.is_closed(session) && model.last(session) <= after;
        let waited = elapsed.saturating_sub(since) >= wait;
        ensure!(
            !records.is_empty() || waited || is_done,
            "a read of {session} after {after} was answered with nothing before its time"
        );
        Ok(())
    }

    /// The engine says that it knows no such session: none of which the log has anything.
    pub(crate) fn refuse_read(&self, session: SessionId, model: &Model) -> Result<(), String> {
        ensure!(
            model.last(session) == Sequence::START,
            "promise 5: a reader of {session} is not told what became of it"
        );
        Ok(())
    }

    /// The log is given a record that ends a consumer or a session for want of use.
    pub(crate) fn expire(
        &self,
        record: &Record,
        progress: Duration,
        model: &Model,
    ) -> Result<(), String> {
        let session = record.session;
        let is_early = |since: Duration, timeout| progress.saturating_sub(since) < timeout;
        match record.event {
            Event::ConsumerLeft {
                consumer,
                cause: LeaveCause::Expired,
            } => {
                let mut open = self.pulls.values();
                ensure!(
                    !open.any(|pull| (pull.session, pull.consumer) == (session, consumer)),
                    "promise 6: {consumer} is expired during a pull"
                );
                let cursor = self.cursors.get(&(session, consumer));
                let early = cursor.filter(|cursor| is_early(cursor.pulled, CONSUMER_TIMEOUT));
                ensure!(
                    early.is_none(),
                    "promise 6: {consumer} is expired at {progress:?}: {early:?}"
                );
            }
            Event::SessionClosed {
                cause: CloseCause::Idle,
            } => {
                // A consumer that has left may still wait for its answer: that is nobody's reading.
                let open = model.state.session(session);
                let mut pulls = self.pulls.values().filter(|pull| pull.session == session);
                ensure!(
                    !pulls.any(|pull| open.is_some_and(|it| it.consumer(pull.consumer).is_some())),
                    "promise 6: {session} is closed as idle during a pull"
                );
                let used = self.used.get(&session).copied();
                ensure!(
                    used.is_none_or(|used| !is_early(used, SESSION_TIMEOUT)),
                    "promise 6: {session} was used at {used:?} and is closed as idle at {progress:?}"
                );
            }
            _ => {}
        }
        Ok(())
    }

    /// Nothing can go on before time passes: nobody may be waiting for what is there.
    pub(crate) fn check_waiting(&self, has_ended: bool, model: &Model) -> Result<(), String> {
        for pull in self.pulls.values() {
            let OpenPull {
                session, consumer, ..
            } = *pull;
            let told = self
                .cursors
                .get(&(session, consumer))
                .map_or(Sequence::START, |it| it.told);
            let wants = filter_of(consumer);
            let mut after = model.records(session).map(|(_, record)| record);
            let unseen = after.find(|record| record.sequence > told && wants(record));
            ensure!(
                unseen.is_none(),
                "a wake-up is lost: {consumer} waits at {told} and {unseen:?} is there"
            );
            ensure!(
                !has_ended && !model.is_closed(session),
                "a wake-up is lost: {consumer} waits for what has ended"
            );
        }
        for OpenRead { session, after, .. } in self.reads.values().copied() {
            ensure!(
                !has_ended && model.last(session) <= after && !model.is_closed(session),
                "a wake-up is lost: a reader of {session} waits after {after} of {}",
                model.last(session)
            );
        }
        Ok(())
    }

    /// Every consumer that still reads has got all that it wants.
    pub(crate) fn check_caught_up(&self, model: &Model) -> Result<(), String> {
        for ((session, consumer), cursor) in &self.cursors {
            let reads = model
                .state
                .session(*session)
                .is_some_and(|it| it.consumer(*consumer).is_some());
            let wants = filter_of(*consumer);
            let last = model
                .records(*session)
                .map(|(_, record)| record)
                .rfind(|it| wants(it));
            let last = last.map_or(Sequence::START, |record| record.sequence);
            ensure!(
                !reads || cursor.told >= last,
                "{consumer} has not caught up: it is at {} of {last}",
                cursor.told
            );
        }
        Ok(())
    }
}

/// As the simulated engines are configured.
pub(crate) const CONSUMER_TIMEOUT: Duration = Duration::from_secs(15);
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(90);

/// Whether that is what is durable. A session that was removed may have been dropped while it was
/// read: then what says so stands for the rest.
fn is_same(durable: &[&Arc<Record>], got: &[Arc<Record>]) -> bool {
    let begins = |got: &[Arc<Record>]| {
        let mut pairs = durable.iter().zip(got);
        got.len() <= durable.len() && pairs.all(|(ours, theirs)| **ours == *theirs)
    };
    match got {
        [before @ .., last] if last.event.removes_before().is_some() => {
            begins(before) && durable.last().is_some_and(|ours| *ours == last)
        }
        _ => got.len() == durable.len() && begins(got),
    }
}
