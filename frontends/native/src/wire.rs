//! Sessions and jobs as JSON. Instants are milliseconds since 1970, durations milliseconds.

use crate::words;
use rejoin_core::{JobState, JobView, SessionView, Timestamp};
use serde_json::{Value, json};
use std::time::Duration;

/// A session, as lists show it.
pub(crate) fn session(view: &SessionView) -> Value {
    let state = match (view.closed, view.is_busy()) {
        (Some(_), _) => "ended",
        (None, true) => "running",
        (None, false) => "idle",
    };
    let closed = view
        .closed
        .map(|(at, cause)| json!({"at": at.as_millis(), "cause": words::closed(cause)}));
    let current = view.current_job().filter(|job| !job.mode.is_private());
    let last = view.jobs().rfind(|job| !job.mode.is_private());
    json!({
        "id": view.id.to_string(),
        "number": view.number.0,
        "service": &*view.service,
        "user": view.user.as_deref(),
        "remote": view.remote.as_deref(),
        "state": state,
        "created": view.created.as_millis(),
        "since": view.since.as_millis(),
        "closed": closed,
        "lastSequence": view.last_sequence.0,
        "consumers": view.consumers().count(),
        "currentJob": current.map(job),
        "lastStatement": last.map(|job| &*job.statement),
    })
}

/// A job, as lists show it. How long it took, or takes, follows from its instants.
pub(crate) fn job(view: &JobView) -> Value {
    let mut shown = json!({
        "job": view.job.0,
        "statement": &*view.statement,
        "place": words::slot(view.mode.slot),
        "submitted": view.since.as_millis(),
        "submittedSequence": view.submitted.0,
        "state": words::state(view.state),
    });
    if let JobState::Finished {
        outcome: how,
        status,
        at,
    } = view.state
    {
        shown["outcome"] = words::outcome(how).into();
        shown["status"] = status.into();
        shown["finished"] = at.as_millis().into();
        shown["durationMillis"] = between(view.since, at).into();
    }
    shown
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn between(from: Timestamp, to: Timestamp) -> u64 {
    to.as_millis().saturating_sub(from.as_millis())
}
