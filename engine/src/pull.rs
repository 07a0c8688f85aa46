//! Pulls: the records of a session after a consumer's cursor, as soon as there are any.
//!
//! A waiting pull is woken by the record that it waits for; nothing polls a clock. The cursor moves
//! when the answer is complete, so dropping a pull loses nothing.

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
}

impl<F: Fn(&Record) -> bool> fmt::Debug for Pull<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pull")
            .field("session", &self.session)
            .field("consumer", &self.consumer)
            .field("wait", &self.wait)
            .field("limit", &self.limit)
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
        let Some(open) = self.liveness.begin_pull(pull.session, pull.consumer) else {
            return Err(
                match self.committed.session(pull.session, |view| view.closed) {
                    Some(None) => PullError::ConsumerNotFound,
                    None | Some(Some(_)) => PullError::SessionNotFound,
                },
            );
        };
        let _counted = self.counts.pulls.enter();
        let joined = open.joined;
        let pull_lock = open.pull_lock();
        let mut locking = pin!(pull_lock.lock());
        let timeout = self.runtime.timer(self.config.pull_lock_timeout);
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
        let closing = pin!(self.committed.wait_for_closing());
        let patience = select(self.runtime.timer(pull.wait), closing);
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
            records.retain(|record| (pull.select)(record));
            open.advance(last, !records.is_empty());
            if !records.is_empty() {
                return Ok(records);
            }
            after = last;
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
            let listener = self.committed.listen(session);
            let known = self
                .committed
                .session(session, |view| (view.last_sequence, view.closed.is_some()));
            let Some((last, is_closed)) = known else {
                return self.log_reads.read_ended(session, after, limit).await;
            };
            if after < last {
                return self.log_reads.read(session, after, last, limit).await;
            }
            if is_closed {
                return Ok(vec![]);
            }
            if let Some(why) = self.committed.ended() {
                return Err(PullError::Unavailable(why.clone()));
            }
            if let Either::Right(_) = select(listener, &mut patience).await {
                return Ok(vec![]);
            }
        }
    }
}
