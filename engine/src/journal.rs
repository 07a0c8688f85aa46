//! What the engine says of itself to whoever operates it: one line for each thing that begins or
//! ends, at the level `debug`. Statements and results are not in it: they may hold secrets, and
//! the log has them.

use rejoin_core::{Event, Record};

/// Says what a durable record means.
pub(crate) fn note(record: &Record) {
    let session = record.session;
    match &record.event {
        Event::SessionCreated {
            number, service, ..
        } => tracing::debug!(%session, %number, %service, "session created"),
        Event::SessionClosed { cause } => tracing::debug!(%session, ?cause, "session closed"),
        Event::ConsumerJoined { consumer, .. } => {
            tracing::debug!(%session, ordinal = consumer.ordinal, "consumer joined");
        }
        Event::ConsumerLeft { consumer, cause } => {
            tracing::debug!(%session, ordinal = consumer.ordinal, ?cause, "consumer left");
        }
        Event::JobSubmitted { job, mode, .. } => {
            tracing::debug!(%session, %job, place = ?mode.slot, "job submitted");
        }
        Event::InterruptRequested { job, cause, .. } => {
            tracing::debug!(%session, %job, ?cause, "job told to end");
        }
        Event::JobFinished {
            job,
            outcome,
            status,
            ..
        } => tracing::debug!(%session, %job, ?outcome, status, "job finished"),
        Event::RecordsLost { first, last, .. } => {
            tracing::debug!(%session, %first, %last, "records removed");
        }
        _ => {}
    }
}
