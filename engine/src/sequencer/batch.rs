//! One batch: the records of many commands, with their effects and the pending answers.

use crate::committed::record_cache::cost;
use crate::error::CommandError;
use crate::limits;
use crate::sequencer::KeptQuestion;
use futures::channel::oneshot;
use rejoin_core::{Effect, JobId, OutputPosition, Record, Rejection, Step};
use std::sync::Arc;

/// Where the answer to a command is sent: its records, which are durable by then.
pub(crate) type Reply = oneshot::Sender<Result<Vec<Arc<Record>>, CommandError>>;

/// An answer that waits until the batch is durable.
#[derive(Debug)]
struct Pending {
    reply: Reply,
    outcome: Result<Vec<Arc<Record>>, Rejection>,
}

#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) records: Vec<Arc<Record>>,
    pub(crate) effects: Vec<Effect>,
    /// How far reports of runners go, whether they were accepted or refused.
    pub(crate) positions: Vec<(JobId, OutputPosition)>,
    /// Questions that are answered by what is durable then.
    pub(crate) kept: Vec<KeptQuestion>,
    replies: Vec<Pending>,
    bytes: usize,
    commands: usize,
}

impl Batch {
    pub(crate) fn is_full(&self) -> bool {
        self.commands >= limits::BATCH_COMMANDS || self.bytes >= limits::BATCH_BYTES
    }

    /// Adds the outcome of a command. A rejection waits for the append as well: it may be caused by a
    /// record of the same batch.
    pub(crate) fn take(&mut self, outcome: Result<Vec<Step>, Rejection>, reply: Option<Reply>) {
        self.commands += 1;
        let outcome = outcome.map(|steps| {
            let first = self.records.len();
            for Step { record, effect } in steps {
                self.bytes += cost(&record);
                self.records.push(Arc::new(record));
                self.effects.extend(effect);
            }
            self.records.get(first..).unwrap_or_default().to_vec()
        });
        if let Some(reply) = reply {
            self.replies.push(Pending { reply, outcome });
        }
    }

    /// Adds a request for nothing but the proof that no other writer has taken the log.
    pub(crate) fn confirm(&mut self, reply: Reply) {
        self.commands += 1;
        let outcome = Ok(vec![]);
        self.replies.push(Pending { reply, outcome });
    }

    /// Whether somebody waits for an answer.
    pub(crate) fn has_replies(&self) -> bool {
        !self.replies.is_empty()
    }

    /// Sends all answers, now that the records are durable.
    pub(crate) fn reply(self) {
        for Pending { reply, outcome } in self.replies {
            // The caller may be gone.
            let _ = reply.send(outcome.map_err(CommandError::Rejected));
        }
    }
}
