//! Sessions and jobs as JSON. Instants are milliseconds since 1970, durations milliseconds.

use crate::translate::is_shown;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rejoin_core::{
    CloseCause, InterruptCause, JobState, JobView, Outcome, Place, SessionView, Timestamp,
};
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
        .map(|(at, cause)| json!({"at": at.as_millis(), "cause": close_cause(cause)}));
    let current = view.current_job().filter(|job| is_shown(job.manner));
    let last = view.jobs().rfind(|job| is_shown(job.manner));
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
        "place": place(view.manner.place),
        "submitted": view.since.as_millis(),
        "submittedSequence": view.submitted.0,
        "state": match view.state {
            JobState::Submitted => "submitted",
            JobState::Running => "running",
            JobState::Finished { .. } => "finished",
        },
    });
    if let JobState::Finished {
        outcome: how,
        status,
        at,
    } = view.state
    {
        shown["outcome"] = outcome(how).into();
        shown["status"] = status.into();
        shown["finished"] = at.as_millis().into();
        shown["durationMillis"] = between(view.since, at).into();
    }
    shown
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) const fn place(place: Place) -> &'static str {
    match place {
        Place::Foreground => "foreground",
        Place::Background => "background",
    }
}

pub(crate) const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Failed => "failed",
        Outcome::Interrupted => "interrupted",
        Outcome::TimedOut => "timed-out",
        Outcome::Lost => "lost",
    }
}

pub(crate) const fn interrupt_cause(cause: InterruptCause) -> &'static str {
    match cause {
        InterruptCause::Requested => "requested",
        InterruptCause::Timeout => "timeout",
        InterruptCause::OutputLimit => "output-limit",
        InterruptCause::SessionClosed => "session-closed",
        InterruptCause::Shutdown => "shutdown",
    }
}

pub(crate) const fn close_cause(cause: CloseCause) -> &'static str {
    match cause {
        CloseCause::Requested => "requested",
        CloseCause::Idle => "idle",
    }
}

fn between(from: Timestamp, to: Timestamp) -> u64 {
    to.as_millis().saturating_sub(from.as_millis())
}
