//! The thread that compacts the log's sealed segments. A failure is logged and the next round tries
//! again: the log still has everything.

use rejoin_engine::{Runtime, SmolRuntime};
use rejoin_log::segment::{Archive, OpenError, Round};

/// Sealed bytes that trigger a round: replaying them takes a few milliseconds.
const TRIGGER_BYTES: u64 = 1024 * 1024;

/// Starts the thread; it ends when the log is closed.
pub(super) fn start(archive: Archive) {
    let work = async move { archive.run(TRIGGER_BYTES, report) };
    SmolRuntime.spawn_dedicated("rejoin-archive", Box::pin(work));
}

fn report(outcome: Result<Round, OpenError>) {
    match outcome {
        Ok(round) if round == Round::default() => {}
        Ok(round) => tracing::info!(
            snapshot = round.snapshot,
            rewritten = round.rewritten,
            removed = round.removed,
            bytes_before = round.bytes.0,
            bytes = round.bytes.1,
            "compacted the log"
        ),
        Err(error @ OpenError::Damaged(_)) => tracing::error!(
            %error,
            "the log is damaged: stop the server and run `rejoin verify` to see what is missing"
        ),
        Err(error) => {
            tracing::warn!(%error, "could not compact the log; will try again")
        }
    }
}
