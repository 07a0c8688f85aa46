//! The words for what an event or a job says by a choice, in kebab case, and how bytes are said.
//! They are part of the API, and of whatever else shows records as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rejoin_core::{
    CloseCause, Event, InterruptCause, JobSlot, JobState, LeaveCause, LossCause, Outcome,
    Visibility,
};

/// What kind of event it is.
#[must_use]
pub const fn kind(event: &Event) -> &'static str {
    match event {
        Event::SessionCreated { .. } => "session-created",
        Event::SessionResumed => "session-resumed",
        Event::SessionTouched { .. } => "session-touched",
        Event::UserSet { .. } => "user-set",
        Event::ConsumerJoined { .. } => "consumer-joined",
        Event::CursorAdvanced { .. } => "cursor-advanced",
        Event::ConsumerLeft { .. } => "consumer-left",
        Event::JobSubmitted { .. } => "job-submitted",
        Event::InputWritten { .. } => "input",
        Event::StatementRefused { .. } => "statement-refused",
        Event::JobStarted { .. } => "job-started",
        Event::ResultEmitted { .. } => "result",
        Event::InterruptRequested { .. } => "interrupt-requested",
        Event::JobFinished { .. } => "job-finished",
        Event::SessionClosed { .. } => "session-closed",
        Event::RecordsLost { .. } => "records-lost",
    }
}

/// How far a job is.
#[must_use]
pub const fn state(state: JobState) -> &'static str {
    match state {
        JobState::Submitted => "submitted",
        JobState::Running => "running",
        JobState::Finished { .. } => "finished",
    }
}

/// Whether others wait for a job.
#[must_use]
pub const fn slot(slot: JobSlot) -> &'static str {
    match slot {
        JobSlot::Foreground => "foreground",
        JobSlot::Background => "background",
    }
}

/// Whom a job's results are for.
#[must_use]
pub const fn visibility(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::Session => "session",
        Visibility::Submitter => "submitter",
    }
}

/// How a job ended.
#[must_use]
pub const fn outcome(outcome: Outcome) -> &'static str {
    outcome.name()
}

/// Why a job was told to end.
#[must_use]
pub const fn interrupted(cause: InterruptCause) -> &'static str {
    cause.name()
}

/// Why a consumer left.
#[must_use]
pub const fn left(cause: LeaveCause) -> &'static str {
    cause.name()
}

/// Why a session was closed.
#[must_use]
pub const fn closed(cause: CloseCause) -> &'static str {
    cause.name()
}

/// Why records are gone.
#[must_use]
pub const fn lost(cause: LossCause) -> &'static str {
    cause.name()
}

/// What was written to a job, behind the name of its member: `content`, or `contentBase64` where it
/// is not UTF-8.
#[must_use]
pub fn written(bytes: &[u8]) -> (&'static str, String) {
    match std::str::from_utf8(bytes) {
        Ok(text) => ("content", text.to_owned()),
        Err(_) => ("contentBase64", STANDARD.encode(bytes)),
    }
}
