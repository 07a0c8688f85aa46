//! What one append carries: the records of many commands, and all that waits for them.

use crate::error::CommandError;
use crate::limits;
use crate::recent::cost;
use futures::channel::oneshot;
use rejoin_core::{Effect, Record, Rejection, Step};
use std::sync::Arc;

/// Where to say what a command led to: its records, durable by then.
pub(crate) type Reply = oneshot::Sender<Result<Vec<Arc<Record>>, CommandError>>;

/// What a command led to, to be said when it is durable.
#[derive(Debug)]
struct Pending {
    reply: Reply,
    outcome: Result<Vec<Arc<Record>>, Rejection>,
}

#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) records: Vec<Arc<Record>>,
    pub(crate) effects: Vec<Effect>,
    replies: Vec<Pending>,
    bytes: usize,
    commands: usize,
}

impl Batch {
    pub(crate) fn is_full(&self) -> bool {
        self.commands >= limits::BATCH_COMMANDS || self.bytes >= limits::BATCH_BYTES
    }

    /// Takes what followed from a command. A rejection waits like anything else: it may be due to
    /// a record of this very batch.
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

    /// Tells everybody, now that the records are durable.
    pub(crate) fn reply(self) {
        for Pending { reply, outcome } in self.replies {
            // Who asked may have gone: what was logged stays so.
            let _ = reply.send(outcome.map_err(CommandError::Rejected));
        }
    }
}
