//! Pulls: what a session has for a consumer after its cursor, as soon as there is something.
//!
//! A waiting pull is woken by the record that it waits for; nothing polls a clock. The cursor
//! moves when the answer is complete, so a pull that is dropped takes nothing away.

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
    /// The consumer, whose cursor says where to go on.
    pub consumer: ConsumerId,
    /// How long to wait when there is nothing; no longer than
    /// [`Config::max_pull_wait`](crate::Config).
    pub wait: Duration,
    /// How much to read at once; one record at least is read. Counted before `select`.
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

/// What a consumer gets.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// The selected records after the cursor, in order. Empty: there was nothing within the wait,
    /// or another pull of the same consumer had its turn.
    pub records: Vec<Arc<Record>>,
    /// Where the cursor stood before.
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
        let turn = open.turn();
        let mut taken = pin!(turn.lock());
        let turn = select(
            &mut taken,
            self.runtime.timer(self.config.pull_lock_timeout),
        )
        .await;
        // Gone meanwhile, by its own word or for its timeout.
        let after = open.cursor().ok_or(PullError::ConsumerNotFound)?;
        let Either::Left((_turn, _)) = turn else {
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

    /// Waits until there is something to select, or nothing will come any more, or patience ends.
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

    /// The records after `after`; waits for the first of them, until `patience` ends. Empty: it has
    /// ended, or the session has, and nothing follows.
    ///
    /// What is there is read to the end, however long the log takes: a reader in a hurry would
    /// else never get what is in the log alone.
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
