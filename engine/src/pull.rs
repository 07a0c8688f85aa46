//! Pulls: the records of a session after a consumer's cursor, as soon as there are any.
//!
//! A waiting pull is woken by the record that it waits for; nothing polls a clock. A pull that gathers
//! goes on reading for a moment, so that a client gets several records for one request. The cursor
//! moves when the answer is complete, so dropping a pull loses nothing.

use crate::engine::Engine;
use crate::error::PullError;
use crate::liveness::OpenPull;
use futures::future::{Either, select};
use rejoin_core::{ConsumerId, Record, Sequence, SessionId};
use rejoin_log::ReadLimit;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
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
        let log = self
            .node
            .logs
            .of(pull.session)
            .ok_or(PullError::SessionNotFound)?;
        let Some(open) = log.liveness.begin_pull(pull.session, pull.consumer) else {
            return Err(
                match self
                    .node
                    .committed
                    .session(pull.session, |view| view.closed)
                {
                    Some(None) => PullError::ConsumerNotFound,
                    None | Some(Some(_)) => PullError::SessionNotFound,
                },
            );
        };
        let _counted = self.node.counts.pulls.enter();
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
        let records = self.search(&open, &pull, after, patience).await?;
        Ok(Pulled {
            records,
            after,
            joined,
        })
    }

    /// Reads until a record is selected, the session or the engine ends, or `patience` is ready.
    async fn search(
        &self,
        open: &OpenPull,
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
        loop {
            let listener = self.node.committed.listen(session);
            let known = self
                .node
                .committed
                .session(session, |view| (view.last_sequence, view.closed.is_some()));
            let Some((last, is_closed)) = known else {
                return self.node.read_ended(session, after, limit).await;
            };
            if after < last {
                return self.node.read_records(session, after, last, limit).await;
            }
            if is_closed {
                return Ok(vec![]);
            }
            if let Some(why) = self.node.logs.why_ended(session) {
                return Err(PullError::Unavailable(why));
            }
            if let Either::Right(_) = select(listener, &mut patience).await {
                return Ok(vec![]);
            }
        }
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
