//! The thread that puts the log's sealed segments in order. What fails here is told, and ends
//! nothing: the log has everything all the same, and the next round tries again.

use rejoin_engine::{Runtime, SmolRuntime};
use rejoin_log::segment::{Archive, OpenError, Round};

/// Sealed bytes that are worth a round: their replay takes a few milliseconds.
const WORTH: u64 = 1024 * 1024;

/// Works until the log is closed.
pub(super) fn start(archive: Archive) {
    let work = async move { archive.run(WORTH, tell) };
    SmolRuntime.spawn_dedicated("rejoin-archive", Box::pin(work));
}

fn tell(outcome: Result<Round, OpenError>) {
    match outcome {
        Ok(round) if round == Round::default() => {}
        Ok(round) => tracing::info!(
            snapshot = round.snapshot,
            rewritten = round.rewritten,
            removed = round.removed,
            bytes_before = round.bytes.0,
            bytes = round.bytes.1,
            "the log was put in order"
        ),
        Err(error @ OpenError::Damaged(_)) => tracing::error!(
            %error,
            "the log is damaged where it was written earlier: stop the server, and let `rejoin \
             verify` say what is missing"
        ),
        Err(error) => {
            tracing::warn!(%error, "the log could not be put in order; tried again later")
        }
    }
}
