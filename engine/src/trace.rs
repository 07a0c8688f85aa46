//! Emits one `debug` event for each durable record that begins or ends something. Statements and
//! results are left out: they may hold secrets, and the log has them.

use rejoin_core::{Event, Record};

/// Emits the event of one durable record, if it has one.
pub(crate) fn trace_record(record: &Record) {
    let session = record.session;
    match &record.event {
        Event::SessionCreated {
            number, service, ..
        } => tracing::debug!(%session, %number, %service, "session created"),
        Event::SessionClosed { cause } => {
            tracing::debug!(%session, cause = cause.name(), "session closed")
        }
        Event::ConsumerJoined { consumer, .. } => {
            tracing::debug!(%session, ordinal = consumer.ordinal, "consumer joined");
        }
        Event::ConsumerLeft { consumer, cause } => {
            tracing::debug!(%session, ordinal = consumer.ordinal, cause = cause.name(), "consumer left");
        }
        Event::JobSubmitted { job, mode, .. } => {
            tracing::debug!(%session, %job, slot = mode.slot.name(), "job submitted");
        }
        Event::InterruptRequested { job, cause, .. } => {
            tracing::debug!(%session, %job, cause = cause.name(), "job interrupted");
        }
        Event::JobFinished {
            job,
            outcome,
            status,
            ..
        } => tracing::debug!(%session, %job, outcome = outcome.name(), status, "job finished"),
        Event::RecordsLost { first, last, .. } => {
            tracing::debug!(%session, %first, %last, "records removed");
        }
        _ => {}
    }
}
