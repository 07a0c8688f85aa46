//! Pulls: the records of a session after a consumer's cursor, as soon as there are any.
//!
//! A waiting pull is woken by the record that it waits for; nothing polls a clock. A pull that gathers
//! goes on reading for a moment, so that a client gets several records for one request. The cursor
//! moves when the answer is complete, so dropping a pull loses nothing.

use crate::committed::lock;
use crate::engine::{Asked, Engine};
use crate::error::{PullError, Unavailable};
use crate::limits::PULL_LEASE;
use crate::liveness::OpenPull;
use crate::logs::{LogRole, OwnedLog};
use crate::peers::{BegunPull, PeerReply, PeerRequest};
use futures::future::{Either, select};
use rejoin_core::{ConsumerId, Record, Sequence, SessionId};
use rejoin_log::ReadLimit;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a consumer asks for. `select` is a function or a closure.
#[derive(Clone, Copy)]
pub struct Pull<F = fn(&Record) -> bool>
where
    F: Fn(&Record) -> bool,
{
    /// The session.
    pub session: SessionId,
    /// The consumer. Its cursor is where the pull begins.
    pub consumer: ConsumerId,
    /// How long to wait if there are no records yet; no longer than
    /// [`Config::max_pull_wait`](crate::Config).
    pub wait: Duration,
    /// How much to read at once, before `select` is applied. At least one record is read.
    pub limit: ReadLimit,
    /// Which records to answer with. The cursor skips the others.
    pub select: F,
    /// When to wait for more once there is something to answer. `None` answers at once.
    pub gather: Option<Gather>,
}

/// How a pull gathers records, for clients that ask again after each answer: without it, they ask
/// once for each record. It never takes longer than [`Pull::wait`] in all, or answers with more than
/// [`Pull::limit`].
#[derive(Clone, Copy, Debug)]
pub struct Gather {
    /// Answer when no selected record has come for this long.
    pub quiet: Duration,
    /// Answer with this many selected records. There may be more if they were there at once.
    pub records: usize,
    /// Answer at once with a selected record for which this is true.
    pub until: fn(&Record) -> bool,
}

impl<F: Fn(&Record) -> bool> fmt::Debug for Pull<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pull")
            .field("session", &self.session)
            .field("consumer", &self.consumer)
            .field("wait", &self.wait)
            .field("limit", &self.limit)
            .field("gather", &self.gather)
            .finish_non_exhaustive()
    }
}

/// The answer to a pull.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// The selected records after the cursor, in order. Empty: none came while the pull waited, or
    /// another pull of the same consumer was open.
    pub records: Vec<Arc<Record>>,
    /// The cursor before this pull.
    pub after: Sequence,
    /// The sequence at which the consumer joined.
    pub joined: Sequence,
}

impl Engine {
    /// [`Engine::pull`], with the wait as it is.
    pub(crate) async fn pull_records(
        &self,
        pull: Pull<impl Fn(&Record) -> bool>,
    ) -> Result<Pulled, PullError> {
        let _counted = self.node.counts.pulls.enter();
        let number = self.node.logs.number_of(pull.session);
        let mut is_confirmed = self.node.peers.is_none();
        loop {
            if let Some(LogRole::Owned(log)) = self.node.logs.role(number) {
                let pulled = self.pull_owned(&log, &pull).await;
                let is_missing = matches!(
                    pulled,
                    Err(PullError::SessionNotFound | PullError::ConsumerNotFound)
                );
                if !is_missing || is_confirmed {
                    return pulled;
                }
                // Another node may have taken the log.
                let caught_up = self.catch_up(pull.session).await;
                caught_up.map_err(PullError::Unavailable)?;
                is_confirmed = true;
                continue;
            }
            let id = self.node.runtime.random();
            let begin = PeerRequest::BeginPull {
                session: pull.session,
                consumer: pull.consumer,
                pull: id,
                lease: pull.wait.saturating_add(PULL_LEASE),
            };
            // Also if this is dropped before the answer is there.
            let mut peer = PeerPull::new(self, number, id);
            let asked = self.ask(number, begin).await;
            let asked = asked.map_err(PullError::Unavailable)?;
            peer.is_open = matches!(
                &asked,
                Asked::Answered(PeerReply::Pull(Ok(begun)), _) if begun.is_open
            );
            match asked {
                Asked::Owned => {}
                Asked::Answered(PeerReply::Pull(begun), is_reached) => {
                    let begun = begun?;
                    if !is_reached {
                        return Err(PullError::Unavailable(Unavailable::Behind));
                    }
                    return self.pull_followed(&pull, begun, &peer).await;
                }
                Asked::Answered(..) => {
                    return Err(PullError::Unavailable(Unavailable::Unanswered));
                }
                Asked::NoLog => return Err(PullError::SessionNotFound),
            }
        }
    }

    /// A pull of a consumer in a log that this engine writes.
    async fn pull_owned(
        &self,
        log: &OwnedLog,
        pull: &Pull<impl Fn(&Record) -> bool>,
    ) -> Result<Pulled, PullError> {
        let open = self.begin_pull(log, pull.session, pull.consumer)?;
        let joined = open.joined;
        let pull_lock = open.pull_lock();
        let mut locking = pin!(pull_lock.lock());
        let timeout = self.node.runtime.timer(self.node.config.pull_lock_timeout);
        let locked = select(&mut locking, timeout).await;
        // The consumer may have left or expired meanwhile.
        let after = open.cursor().ok_or(PullError::ConsumerNotFound)?;
        let Either::Left((_locked, _)) = locked else {
            return Ok(Pulled {
                records: vec![],
                after,
                joined,
            });
        };
        let closing = pin!(self.node.committed.wait_for_closing());
        let patience = select(self.node.runtime.timer(pull.wait), closing);
        let records = self.search(&open, pull, after, patience).await?;
        Ok(Pulled {
            records,
            after,
            joined,
        })
    }

    fn begin_pull(
        &self,
        log: &OwnedLog,
        session: SessionId,
        consumer: ConsumerId,
    ) -> Result<OpenPull, PullError> {
        log.liveness.begin_pull(session, consumer).ok_or_else(|| {
            match self.node.committed.session(session, |view| view.closed) {
                Some(None) => PullError::ConsumerNotFound,
                None | Some(Some(_)) => PullError::SessionNotFound,
            }
        })
    }

    /// A pull of a consumer in a log that another node writes: its cursor is there, and the records are
    /// here, too.
    async fn pull_followed(
        &self,
        pull: &Pull<impl Fn(&Record) -> bool>,
        begun: BegunPull,
        peer: &PeerPull,
    ) -> Result<Pulled, PullError> {
        let BegunPull { cursor, joined, .. } = begun;
        let mut records = vec![];
        if begun.is_open {
            let closing = pin!(self.node.committed.wait_for_closing());
            let patience = select(self.node.runtime.timer(pull.wait), closing);
            records = self.search(peer, pull, cursor, patience).await?;
        }
        Ok(Pulled {
            records,
            after: cursor,
            joined,
        })
    }

    /// Begins a pull for another node.
    pub(crate) async fn begin_peer_pull(
        &self,
        log: &OwnedLog,
        session: SessionId,
        consumer: ConsumerId,
        pull: [u8; 16],
        lease: Duration,
    ) -> Result<BegunPull, PullError> {
        let open = self.begin_pull(log, session, consumer)?;
        let joined = open.joined;
        let timeout = self.node.runtime.timer(self.node.config.pull_lock_timeout);
        let locked = select(open.pull_lock().lock_owned(), timeout).await;
        let cursor = open.cursor().ok_or(PullError::ConsumerNotFound)?;
        let is_open = match locked {
            Either::Left((locked, _)) => {
                let longest = self.node.config.max_pull_wait.saturating_add(PULL_LEASE);
                let runtime = &*self.node.runtime;
                let pulls = &log.peer_pulls;
                if !pulls.begin(runtime, pull, (open, locked), lease.min(longest)) {
                    return Err(PullError::Overloaded);
                }
                true
            }
            Either::Right(_) => false,
        };
        Ok(BegunPull {
            cursor,
            joined,
            is_open,
        })
    }

    /// Reads until a record is selected, the session or the engine ends, or `patience` is ready.
    async fn search(
        &self,
        open: &impl Cursor,
        pull: &Pull<impl Fn(&Record) -> bool>,
        mut after: Sequence,
        mut patience: impl Future + Unpin,
    ) -> Result<Vec<Arc<Record>>, PullError> {
        loop {
            let mut records = self
                .next_records(pull.session, after, pull.limit, &mut patience)
                .await?;
            let Some(last) = records.last().map(|record| record.sequence) else {
                return Ok(vec![]);
            };
            let gather = pull.gather.map(|how| (how, without(pull.limit, &records)));
            records.retain(|record| (pull.select)(record));
            if records.is_empty() {
                open.advance(last, false);
                after = last;
                continue;
            }
            let mut found = Found { records, last };
            if let Some((gather, rest)) = gather {
                self.gather(pull, gather, rest, &mut found, patience).await;
            }
            open.advance(found.last, true);
            return Ok(found.records);
        }
    }

    /// Adds what follows to what was found, at most `rest`. If reading fails, the pull answers with
    /// what it has, and the next one fails.
    async fn gather(
        &self,
        pull: &Pull<impl Fn(&Record) -> bool>,
        gather: Gather,
        mut rest: ReadLimit,
        found: &mut Found,
        mut patience: impl Future + Unpin,
    ) {
        let mut is_over = found.records.iter().any(|record| (gather.until)(record));
        let mut quiet = self.node.runtime.timer(gather.quiet);
        while !is_over && found.records.len() < gather.records && rest.records > 0 && rest.bytes > 0
        {
            let patience = select(&mut quiet, &mut patience);
            let next = self.next_records(pull.session, found.last, rest, patience);
            let Ok(mut records) = next.await else { return };
            let Some(last) = records.last().map(|record| record.sequence) else {
                return;
            };
            found.last = last;
            rest = without(rest, &records);
            records.retain(|record| (pull.select)(record));
            if !records.is_empty() {
                is_over = records.iter().any(|record| (gather.until)(record));
                found.records.append(&mut records);
                quiet = self.node.runtime.timer(gather.quiet);
            }
        }
    }

    /// The records after `after`. If there are none, it waits for the first one until `patience` is
    /// ready. Empty: `patience` was ready, or the session has ended and there are no more.
    ///
    /// `patience` does not interrupt a read of the log: a reader with a short wait would otherwise
    /// never get records that only the log has.
    pub(crate) async fn next_records(
        &self,
        session: SessionId,
        after: Sequence,
        limit: ReadLimit,
        mut patience: impl Future + Unpin,
    ) -> Result<Vec<Arc<Record>>, PullError> {
        let mut is_caught_up = self.node.peers.is_none();
        loop {
            let listener = self.node.committed.listen(session);
            let known = self
                .node
                .committed
                .session(session, |view| (view.last_sequence, view.closed.is_some()));
            if known.is_none() && !is_caught_up {
                let caught_up = self.catch_up(session).await;
                caught_up.map_err(PullError::Unavailable)?;
                is_caught_up = true;
                continue;
            }
            let Some((last, is_closed)) = known else {
                return self.node.read_ended(session, after, limit).await;
            };
            if after < last {
                return self.node.read_records(session, after, last, limit).await;
            }
            if is_closed {
                return Ok(vec![]);
            }
            if let Some(why) = self.node.committed.ended() {
                return Err(PullError::Unavailable(why.clone()));
            }
            if let Either::Right(_) = select(listener, &mut patience).await {
                return Ok(vec![]);
            }
        }
    }
}

/// Where it is noted how far a pull has come.
trait Cursor: Sync {
    /// Moves the cursor to `to`. It is logged only if `is_worth_logging`.
    fn advance(&self, to: Sequence, is_worth_logging: bool);
}

impl Cursor for OpenPull {
    fn advance(&self, to: Sequence, is_worth_logging: bool) {
        Self::advance(self, to, is_worth_logging);
    }
}

/// A pull that is open at the node that writes the session's log, until this is dropped. Then the cursor is
/// moved there. The consumer's next pull, at whichever node, waits for that.
#[derive(Debug)]
struct PeerPull {
    engine: Engine,
    log: u8,
    id: [u8; 16],
    advance: Mutex<Option<(Sequence, bool)>>,
    /// Whether it has, or may have, begun there.
    is_open: bool,
}

impl PeerPull {
    fn new(engine: &Engine, log: u8, id: [u8; 16]) -> Self {
        Self {
            engine: engine.clone(),
            log,
            id,
            advance: Mutex::new(None),
            is_open: true,
        }
    }
}

impl Cursor for PeerPull {
    fn advance(&self, to: Sequence, is_worth_logging: bool) {
        *lock(&self.advance) = Some((to, is_worth_logging));
    }
}

impl Drop for PeerPull {
    fn drop(&mut self) {
        let Some(peers) = self.engine.node.peers.clone().filter(|_| self.is_open) else {
            return;
        };
        let (log, pull) = (self.log, self.id);
        let advance = *lock(&self.advance);
        // If it is lost, or another node has taken the log, the consumer gets the records again.
        let end = async move {
            let _ = peers.ask(log, PeerRequest::EndPull { pull, advance }).await;
        };
        self.engine.node.runtime.spawn(Box::pin(end));
    }
}

/// What a pull has found.
#[derive(Debug)]
struct Found {
    /// The selected records.
    records: Vec<Arc<Record>>,
    /// The sequence of the last record that was read, selected or not.
    last: Sequence,
}

/// What is left of a limit after these records.
fn without(limit: ReadLimit, records: &[Arc<Record>]) -> ReadLimit {
    let bytes: u64 = records.iter().map(|record| record.bytes()).sum();
    ReadLimit {
        records: limit.records.saturating_sub(records.len()),
        bytes: limit
            .bytes
            .saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX)),
    }
}
