//! Emits a warning when the wall clock jumps, and one `debug` event for each durable record that begins or ends something. Statements and
//! results are left out: they may hold secrets, and the log has them.

use rejoin_core::{Actor, Event, Record};
use std::time::Duration;

/// Warns that the wall clock has jumped by `millis`, or that the times of records stand still until
/// a wall clock that is `behind` the last record has passed it.
pub(crate) fn trace_jump(millis: i64, behind: Duration) {
    let seconds = millis / 1_000;
    let behind = behind.as_secs();
    if behind > 0 {
        tracing::warn!(
            seconds,
            behind,
            "the wall clock jumped and is behind the last record: times stand still until it has passed that; timeouts go on"
        );
    } else {
        tracing::warn!(seconds, "the wall clock jumped; timeouts go on");
    }
}

/// Who asked for an event. Fields that are not set are left out.
struct By<'a>(Option<&'a Actor>);

impl<'a> By<'a> {
    fn account(&self) -> Option<&'a str> {
        self.0?.account.as_deref()
    }

    fn frontend(&self) -> Option<&'a str> {
        self.0.map(|actor| &*actor.frontend)
    }

    fn address(&self) -> Option<&'a str> {
        self.0?.address.as_deref()
    }
}

/// A `debug` event with these fields, and with who asked for it.
macro_rules! event {
    ($by:ident, {$($fields:tt)*}, $message:literal) => {
        tracing::debug!(
            $($fields)*,
            account = $by.account(),
            frontend = $by.frontend(),
            address = $by.address(),
            $message
        )
    };
}

/// Emits the event of one durable record, if it has one.
pub(crate) fn trace_record(record: &Record) {
    let session = record.session;
    let by = By(record.actor.as_deref());
    match &record.event {
        Event::SessionCreated {
            number, service, ..
        } => {
            event!(by, {%session, %number, %service}, "session created");
        }
        Event::SessionClosed { cause } => {
            event!(by, {%session, cause = cause.name()}, "session closed");
        }
        Event::ConsumerJoined { consumer, .. } => {
            event!(by, {%session, ordinal = consumer.ordinal}, "consumer joined");
        }
        Event::ConsumerLeft { consumer, cause } => {
            event!(by, {%session, ordinal = consumer.ordinal, cause = cause.name()}, "consumer left");
        }
        Event::JobSubmitted { job, mode, .. } => {
            event!(by, {%session, %job, slot = mode.slot.name()}, "job submitted");
        }
        Event::InterruptRequested { job, cause, .. } => {
            event!(by, {%session, %job, cause = cause.name()}, "job interrupted");
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
