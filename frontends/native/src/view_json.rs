//! Sessions and jobs as JSON. Instants are in milliseconds since 1970, durations in milliseconds.

use crate::event_json::by;
use crate::event_json::labels_json;
use rejoin_accounts::Accounts;
use rejoin_engine::{
    Actor, Controller, JobSlot, JobState, JobView, SessionView, TerminalSize, Timestamp,
};
use serde_json::{Value, json};
use std::time::Duration;

/// A session, as lists show it.
pub(crate) fn session(view: &SessionView, accounts: &Accounts) -> Value {
    let state = match (view.closed, view.is_busy()) {
        (Some(_), _) => "ended",
        (None, true) => "running",
        (None, false) => "idle",
    };
    let closed = view
        .closed
        .map(|(at, cause)| json!({"at": at.as_millis(), "cause": cause.name()}));
    let current = view.current_job();
    let last = view.jobs().next_back();
    let description = view.description.as_deref();
    json!({
        "id": view.id.to_string(),
        "number": view.number.0,
        "service": &*view.service,
        "user": accounts.shown_as(view.user.as_deref()),
        "remote": view.remote.as_deref(),
        "title": description.and_then(|it| it.title.as_deref()),
        "labels": description.map_or_else(|| json!({}), |it| labels_json(&it.labels)),
        "state": state,
        "created": view.created.at.as_millis(),
        "since": view.since.at.as_millis(),
        "closed": closed,
        "lastSequence": view.last_sequence.0,
        "consumers": view.consumers().count(),
        "currentJob": current.map(job),
        "lastStatement": last.map(|job| &*job.statement),
        "lastJob": last.map(job),
    })
}

/// A job, as lists show it.
pub(crate) fn job(view: &JobView) -> Value {
    let mut shown = json!({
        "job": view.job.0,
        "statement": &*view.statement,
        "place": slot_name(view.mode.slot),
        "submitted": view.since.at.as_millis(),
        "submittedSequence": view.submitted.0,
        "state": state_name(view.state),
        "output": view.output.name(),
        "by": view.by.as_deref().map(by),
    });
    if let Some(terminal) = view.output.terminal() {
        shown["terminal"] = size(terminal);
        shown["controller"] = controller(view.controller.as_deref());
    }
    if let JobState::Finished {
        outcome,
        status,
        at,
    } = view.state
    {
        shown["outcome"] = outcome.name().into();
        shown["status"] = status.into();
        shown["finished"] = at.at.as_millis().into();
        shown["durationMillis"] = millis(at.since(view.since)).into();
    }
    shown
}

/// A viewer of a session: one that has joined has the ordinal of its consumer.
pub(crate) fn viewer(actor: Option<&Actor>, since: Timestamp, consumer: Option<u32>) -> Value {
    json!({
        "by": actor.map(by),
        "since": since.as_millis(),
        "consumer": consumer,
    })
}

/// The size of a terminal.
pub(crate) fn size(size: TerminalSize) -> Value {
    json!({"columns": size.columns, "rows": size.rows})
}

/// Who controls a terminal; null if nobody does.
pub(crate) fn controller(controller: Option<&Controller>) -> Value {
    controller.map_or(
        Value::Null,
        |Controller { client, user }| json!({"client": &**client, "user": user.as_deref()}),
    )
}

/// The name of a slot in the API.
pub(crate) const fn slot_name(slot: JobSlot) -> &'static str {
    match slot {
        JobSlot::Foreground => "foreground",
        JobSlot::Background => "background",
    }
}

const fn state_name(state: JobState) -> &'static str {
    match state {
        JobState::Submitted => "submitted",
        JobState::Running => "running",
        JobState::Finished { .. } => "finished",
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
