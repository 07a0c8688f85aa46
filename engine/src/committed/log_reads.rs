//! Reads records from memory, or from the log if they are no longer in memory. One thread does all
//! reads of the log, so a late reader delays only other late readers.

use crate::error::PullError;
use crate::node::Node;
use crate::{Runtime, limits};
use async_channel::{Receiver, Sender, TrySendError};
use futures::channel::oneshot;
use rejoin_core::{Record, Sequence, SessionId};
use rejoin_log::{LogReader, ReadError, ReadLimit};
use std::sync::Arc;

/// One record.
const ONE: ReadLimit = ReadLimit {
    records: 1,
    bytes: 1,
};

/// Where reads of logs wait for the thread that does them.
#[derive(Clone, Debug)]
pub(crate) struct LogReadQueue {
    requests: Sender<Request>,
}

#[derive(Debug)]
struct Request {
    log: Arc<dyn LogReader>,
    session: SessionId,
    after: Sequence,
    limit: ReadLimit,
    reply: oneshot::Sender<Result<Vec<Arc<Record>>, ReadError>>,
}

impl LogReadQueue {
    pub(crate) fn start(runtime: &Arc<dyn Runtime>) -> Self {
        let (requests, inbox) = async_channel::bounded(limits::READS);
        runtime.spawn_dedicated("rejoin-reader", Box::pin(serve(inbox)));
        Self { requests }
    }
}

/// Reads of a session's durable records in order, from memory or from its log.
impl Node {
    /// The records of `session` after `after` and up to `last`: as many as `limit` allows, and at
    /// least one. `last` is greater than `after`.
    pub(crate) async fn read_records(
        &self,
        session: SessionId,
        after: Sequence,
        last: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<Arc<Record>>, PullError> {
        let mut records = match self.committed.recent(session, after, limit) {
            Some(records) => {
                self.counts.recent_hits.inc();
                records
            }
            None => {
                self.counts.recent_misses.inc();
                self.read_log(session, after, limit).await?
            }
        };
        keep_published(&mut records, last);
        check(session, after, &records).inspect_err(|damaged| tracing::error!("{damaged}"))?;
        Ok(records)
    }

    /// As [`Self::read_records`], of a session that the views no longer remember. Empty: there are no more.
    /// Fails if `after` is beyond the session's end.
    pub(crate) async fn read_ended(
        &self,
        session: SessionId,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<Arc<Record>>, PullError> {
        // What was removed is not read any more, although files may still have it.
        let removed = self.committed.view(|views| views.removed(session));
        let from = removed.map_or(after, |last| after.max(last));
        let records = self.read_log(session, from, limit).await?;
        if !records.is_empty() {
            check(session, after, &records).inspect_err(|damaged| tracing::error!("{damaged}"))?;
            return Ok(records);
        }
        if after == Sequence::START {
            return Err(PullError::SessionNotFound);
        }
        if self.record_at(session, after, None).await?.is_none() {
            let last = self.last_sequence(session).await?;
            return Err(PullError::CursorUnknown { last });
        }
        Ok(records)
    }

    /// The record at a sequence, or the one that declares it lost. `last` is the end of the session, if
    /// the views know it. `None` if the log has nothing there.
    pub(crate) async fn record_at(
        &self,
        session: SessionId,
        at: Sequence,
        last: Option<Sequence>,
    ) -> Result<Option<Arc<Record>>, PullError> {
        let before = Sequence(at.0.saturating_sub(1));
        let records = match last {
            Some(last) if before < last => self.read_records(session, before, last, ONE).await?,
            // The log may have a record already that the views don't show yet.
            _ => self.read_log(session, before, ONE).await?,
        };
        Ok(records.into_iter().next())
    }

    /// The last sequence of a session that the views no longer remember.
    ///
    /// Takes 64 short reads. A reader whose place is unknown is rare, and starts again.
    pub(crate) async fn last_sequence(&self, session: SessionId) -> Result<Sequence, PullError> {
        // Invariant: there is a record after `low`, and none after `high`.
        let (mut low, mut high) = (0, u64::MAX);
        if self
            .read_log(session, Sequence::START, ONE)
            .await?
            .is_empty()
        {
            return Err(PullError::SessionNotFound);
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self
                .read_log(session, Sequence(middle), ONE)
                .await?
                .is_empty()
            {
                true => high = middle,
                false => low = middle,
            }
        }
        Ok(Sequence(high))
    }

    async fn read_log(
        &self,
        session: SessionId,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<Arc<Record>>, PullError> {
        let Some(log) = self.logs.reader(session) else {
            return Ok(vec![]);
        };
        let (reply, answer) = oneshot::channel();
        let request = Request {
            log,
            session,
            after,
            limit,
            reply,
        };
        match self.log_reads.requests.try_send(request) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(PullError::Overloaded),
            Err(TrySendError::Closed(_)) => return Err(self.reads_ended().await),
        }
        match answer.await {
            Ok(read) => read.map_err(|error| PullError::Log(Arc::new(error))),
            Err(oneshot::Canceled) => Err(self.reads_ended().await),
        }
    }

    async fn reads_ended(&self) -> PullError {
        PullError::Unavailable(self.committed.wait_for_end().await)
    }
}

/// Removes records after `last`: the log may have more than is committed. The first record stays: it
/// may be a removal that replaces the wanted records.
fn keep_published(records: &mut Vec<Arc<Record>>, last: Sequence) {
    let is_published = |record: &&Arc<Record>| record.sequence <= last;
    let committed = records.iter().take_while(is_published).count();
    records.truncate(committed.max(1));
}

/// Checks that no record is missing, so that no reader gets a gap that is not declared.
fn check(session: SessionId, after: Sequence, records: &[Arc<Record>]) -> Result<(), PullError> {
    let mut expected = after.next();
    let mut damaged = records.is_empty().then(|| "nothing".to_owned());
    for record in records {
        if !record.covered_sequences().contains(&expected) {
            damaged = Some(format!("sequence {}", record.sequence));
            break;
        }
        expected = record.sequence.next();
    }
    damaged.map_or(Ok(()), |found| {
        Err(PullError::Log(Arc::new(ReadError::Damaged {
            place: format!("session {session}, sequence {expected}"),
            reason: format!("{found} stands in its place"),
        })))
    })
}

/// Ends when the last handle to the engine is dropped.
async fn serve(inbox: Receiver<Request>) {
    while let Ok(Request {
        log,
        session,
        after,
        limit,
        reply,
    }) = inbox.recv().await
    {
        // Skip the read if its caller is gone.
        if !reply.is_canceled() {
            let _ = reply.send(log.read(session, after, limit));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::testing::{instant, record_at};
    use rejoin_core::{Event, JobId, LossCause, SessionNumber};

    fn record(sequence: u64, event: Event) -> Arc<Record> {
        Arc::new(record_at(sequence, instant(1), event))
    }

    #[test]
    fn a_removal_is_read_in_its_turn_or_instead_of_the_removed_records() {
        let removal = record(
            4,
            Event::RecordsLost {
                first: Sequence(1),
                last: Sequence(3),
                cause: LossCause::Retention {
                    last_number: SessionNumber(1),
                    last_job: JobId(0),
                },
            },
        );
        let [two, three] = [2, 3].map(|sequence| record(sequence, Event::SessionResumed));
        for (read, expected) in [
            (vec![&two, &three, &removal], vec![&two]),
            (vec![&removal], vec![&removal]),
        ] {
            let mut records: Vec<_> = read.into_iter().cloned().collect();
            keep_published(&mut records, Sequence(2));
            assert!(records.iter().eq(expected));
        }
    }
}
