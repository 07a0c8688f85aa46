//! Compacts a segment log in the background. A failure is logged, but stops nothing: the log is still
//! complete, and the next round tries again. Only a failed sync of the directory ends the log.

use crate::Runtime;
use rejoin_log::segment::{CompactionStats, Compactor, OpenError};
use std::sync::Arc;

/// Sealed bytes that start a round. Replaying them takes a few milliseconds.
const MIN_BYTES: u64 = 1024 * 1024;

/// Compacts until the log is closed.
pub(crate) fn start(compactor: Compactor, runtime: &Arc<dyn Runtime>) {
    let work = async move { compact(compactor) };
    runtime.spawn_dedicated("rejoin-compact", Box::pin(work));
}

/// Compacts a log until it is closed or dropped, and says in the program's log what it did. Blocks its
/// thread. For a log that the program has opened itself, as the copy of a log of several nodes: an
/// engine compacts the log that it opens.
pub fn compact(compactor: Compactor) {
    compactor.run(MIN_BYTES, log);
}

fn log(outcome: Result<CompactionStats, OpenError>) {
    match outcome {
        Ok(round) if round == CompactionStats::default() => {}
        Ok(round) => tracing::info!(
            snapshot = round.snapshot,
            rewritten = round.rewritten,
            removed = round.removed,
            redacted = round.redacted,
            forgotten = round.forgotten,
            bytes_before = round.bytes.0,
            bytes = round.bytes.1,
            "compacted the log"
        ),
        Err(error @ OpenError::Damaged(_)) => tracing::error!(
            %error,
            "the log is damaged in a sealed segment: stop the server and run `rejoin verify`"
        ),
        Err(error @ OpenError::Unsynced { .. }) => {
            tracing::error!(%error, "the directory of the log could not be synced: restart the server");
        }
        Err(error) => tracing::warn!(%error, "compaction failed, will try again"),
    }
}
