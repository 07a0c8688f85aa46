//! Checks what readers get: each consumer gets every record that it wants, in order, byte for byte
//! the same as everyone else; after a crash it may get some of them again.
//!
//! Invariant: no reader gets a record that is not durable, misses one, or gets an empty answer too
//! early.

use super::{Model, ensure};
use rejoin_core::{CloseCause, ConsumerId, Event, LeaveCause, Record, Sequence, SessionId};
use rejoin_engine::{Gather, PullError, Pulled};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// All readers by session and consumer, and their open pulls and reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readers {
    cursors: BTreeMap<(SessionId, ConsumerId), Cursor>,
    used: BTreeMap<SessionId, Duration>,
    made: u64,
    pulls: BTreeMap<u64, OpenPull>,
    reads: BTreeMap<u64, OpenRead>,
}

#[derive(Clone, Debug, Default)]
struct Cursor {
    /// The last sequence that the consumer was given.
    given: Sequence,
    /// The process was restarted since: records after the last logged cursor may come again.
    is_restarted: bool,
    /// When its last pull ended or the process started.
    pulled: Duration,
}

#[derive(Clone, Copy, Debug)]
struct OpenPull {
    session: SessionId,
    consumer: ConsumerId,
    since: Duration,
    wait: Duration,
    gather: Option<Gather>,
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
    from: usize,
}

/// Which records a consumer wants. Its identity decides that.
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
    pub(crate) fn restart(&mut self, elapsed: Duration) {
        self.pulls.clear();
        self.reads.clear();
        self.used.clear();
        for cursor in self.cursors.values_mut() {
            cursor.is_restarted = true;
            cursor.pulled = elapsed;
        }
    }

    /// The session was used.
    pub(crate) fn touch(&mut self, session: SessionId, elapsed: Duration) {
        self.used.insert(session, elapsed);
    }

    pub(crate) fn begin_pull(
        &mut self,
        (session, consumer): (SessionId, ConsumerId),
        since: Duration,
        wait: Duration,
        gather: Option<Gather>,
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
            gather,
            from,
            is_second,
            is_refused: false,
        };
        self.pulls.insert(self.made, pull);
        self.cursors.entry((session, consumer)).or_default();
        self.made
    }

    /// The pull was answered or dropped. A refused pull does not count as use of the session.
    pub(crate) fn end_pull(&mut self, ticket: u64, elapsed: Duration) {
        if let Some(pull) = self.pulls.remove(&ticket)
            && !pull.is_refused
        {
            self.touch(pull.session, elapsed);
            if let Some(cursor) = self.cursors.get_mut(&(pull.session, pull.consumer)) {
                cursor.pulled = elapsed;
            }
        }
    }

    /// Checks an answer, and returns its name for the coverage.
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
            return Err("an answer without a pull".to_owned());
        };
        let OpenPull {
            session,
            consumer,
            since,
            wait,
            is_second,
            from,
            ..
        } = pull;
        let key = (session, consumer);
        let cursor = self.cursors.entry(key).or_default();
        let wants = filter_of(consumer);
        let missed = |after: Sequence, to: Sequence| {
            let mut skipped = model.records(session).map(|(_, record)| record);
            skipped
                .find(|record| record.sequence > after && record.sequence <= to && wants(record))
                .cloned()
        };
        if pulled.after < cursor.given {
            ensure!(
                cursor.is_restarted,
                "promise 2: consumer {consumer} was at {} and is given records after {} again",
                cursor.given,
                pulled.after
            );
        } else if let Some(missed) = missed(cursor.given, pulled.after) {
            return Err(format!(
                "promise 2: consumer {consumer} never got {missed:?}"
            ));
        }
        let last = pulled
            .records
            .last()
            .map_or(pulled.after, |record| record.sequence);
        let expected: Vec<_> = model
            .records(session)
            .map(|(_, record)| record)
            .filter(|record| {
                record.sequence > pulled.after && record.sequence <= last && wants(record)
            })
            .collect();
        ensure!(
            is_same(&expected, &pulled.records, from, model),
            "promises 2, 3: consumer {consumer} got {:?} of what is durable as {expected:?}",
            pulled.records
        );
        if !pulled.records.is_empty() {
            cursor.given = last;
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

    /// Checks a refused pull, and returns its name for the coverage.
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
            return Err("an answer without a pull".to_owned());
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
            // The server keeps a consumer's place itself, and loses nothing that it has told.
            PullError::CursorUnknown { .. } => ("pull: refused, cursor unknown", false),
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
        model: &Model,
    ) -> u64 {
        self.made += 1;
        self.reads.insert(
            self.made,
            OpenRead {
                session,
                after,
                since,
                wait,
                from: model.settled(),
            },
        );
        self.made
    }

    /// Checks the answer to a read; none if it was dropped or failed.
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
            from,
        } = read;
        let Some(records) = answer else {
            return Ok(());
        };
        let mut next = after.next();
        for record in records {
            // A removal record covers all sequences that it declares as gone.
            let end = if record.covered_sequences().contains(&next) {
                record.sequence
            } else {
                next
            };
            let ours = model.record(session, end).map(|(_, record)| record);
            ensure!(
                ours.is_some_and(|ours| model.may_tell(ours, record, from)),
                "promises 2, 3: a reader of {session} got {record:?} for what is durable as {ours:?}"
            );
            ensure!(
                !model.was_removed(session, from) || record.event.removes_before().is_some(),
                "promise 5: a reader of {session}, which was removed before, got {record:?}"
            );
            next = end.next();
        }
        let is_done = model.is_closed(session) && model.last(session) <= after;
        let waited = elapsed.saturating_sub(since) >= wait;
        ensure!(
            !records.is_empty() || waited || is_done,
            "a read of {session} after {after} of {} was answered with nothing before its time",
            model.last(session)
        );
        Ok(())
    }

    /// The engine does not know the session: then the log must have no record of it, or have forgotten it.
    pub(crate) fn refuse_read(&self, session: SessionId, model: &Model) -> Result<(), String> {
        ensure!(
            model.last(session) == Sequence::START || model.is_forgettable(session),
            "promise 5: a reader of {session} is not informed of its removal"
        );
        Ok(())
    }

    /// Checks a record that expires a consumer or closes an idle session.
    pub(crate) fn expire(
        &self,
        record: &Record,
        elapsed: Duration,
        model: &Model,
    ) -> Result<(), String> {
        let session = record.session;
        let is_early = |since: Duration, timeout| elapsed.saturating_sub(since) < timeout;
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
                    "promise 6: {consumer} is expired at {elapsed:?}: {early:?}"
                );
            }
            Event::SessionClosed {
                cause: CloseCause::Idle,
            } => {
                // A pull of a consumer that has left may still be open: it does not count.
                let open = model.state.session(session);
                let mut pulls = self.pulls.values().filter(|pull| pull.session == session);
                ensure!(
                    !pulls.any(|pull| open
                        .is_some_and(|session| session.consumer(pull.consumer).is_some())),
                    "promise 6: {session} is closed as idle during a pull"
                );
                let used = self.used.get(&session).copied();
                ensure!(
                    used.is_none_or(|used| !is_early(used, SESSION_TIMEOUT)),
                    "promise 6: {session} was used at {used:?} and is closed as idle at {elapsed:?}"
                );
            }
            _ => {}
        }
        Ok(())
    }

    /// No task can proceed until time passes: nobody may be waiting for something that is there, except
    /// to gather more.
    pub(crate) fn check_waiting(&self, has_ended: bool, model: &Model) -> Result<(), String> {
        for pull in self.pulls.values() {
            let OpenPull {
                session, consumer, ..
            } = *pull;
            let given = self
                .cursors
                .get(&(session, consumer))
                .map_or(Sequence::START, |cursor| cursor.given);
            let wants = filter_of(consumer);
            let records = model.records(session).map(|(_, record)| record);
            let unseen: Vec<_> = records
                .filter(|record| record.sequence > given && wants(record))
                .collect();
            let goes_on = |gather: Gather| {
                unseen.len() < gather.records && !unseen.iter().any(|record| (gather.until)(record))
            };
            // Another pull of the consumer may gather, and this one wait for it.
            let gathers = |other: &OpenPull| {
                (other.session, other.consumer) == (session, consumer)
                    && other.gather.is_some_and(goes_on)
            };
            ensure!(
                self.pulls.values().any(gathers) || unseen.is_empty(),
                "a wake-up is lost: {consumer} waits at {given} and {:?} is there",
                unseen.first()
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

    /// Checks that every consumer that still reads was given all that it wants.
    pub(crate) fn check_caught_up(&self, model: &Model) -> Result<(), String> {
        for ((session, consumer), cursor) in &self.cursors {
            let reads = model
                .state
                .session(*session)
                .is_some_and(|session| session.consumer(*consumer).is_some());
            let wants = filter_of(*consumer);
            let last = model
                .records(*session)
                .map(|(_, record)| record)
                .rfind(|record| wants(record));
            let last = last.map_or(Sequence::START, |record| record.sequence);
            ensure!(
                !reads || cursor.given >= last,
                "{consumer} has not caught up: it is at {} of {last}",
                cursor.given
            );
        }
        Ok(())
    }
}

/// Timeouts in the configuration of the simulated engines.
pub(crate) const CONSUMER_TIMEOUT: Duration = Duration::from_secs(15);
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(30);

/// Whether the answer is what is durable. A session may have been removed while it was read: then
/// its removal record replaces the rest.
fn is_same(durable: &[&Arc<Record>], got: &[Arc<Record>], from: usize, model: &Model) -> bool {
    let begins = |got: &[Arc<Record>]| {
        let mut pairs = durable.iter().zip(got);
        got.len() <= durable.len() && pairs.all(|(ours, theirs)| model.may_tell(ours, theirs, from))
    };
    match got {
        [before @ .., last] if last.event.removes_before().is_some() => {
            begins(before) && durable.last().is_some_and(|ours| *ours == last)
        }
        _ => got.len() == durable.len() && begins(got),
    }
}
