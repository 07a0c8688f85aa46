//! Test support for this crate and for users: given events, when a command, then events; a generator of
//! operations; and the promises as a check of any sequence of records.
//!
//! ```
//! use rejoin_core::testing::{SESSION, created, given, instant};
//! use rejoin_core::{CloseCause, Command, Event, Rejection};
//!
//! let cause = CloseCause::Requested;
//! given([created()])
//!     .when(instant(5), Command::CloseSession { session: SESSION, cause })
//!     .then([Event::SessionClosed { cause }])
//!     .when(instant(6), Command::CloseSession { session: SESSION, cause })
//!     .then_rejected(Rejection::SessionNotFound(SESSION));
//! ```

mod clocks;
mod holes;
mod operation;
mod play;
mod promises;
mod story;

pub use clocks::Clocks;
pub use holes::play_with_holes;
pub use operation::{Operation, Pick};
pub use play::{LIMITS, play};
pub use promises::Promises;
pub use story::operations;

use crate::{
    Command, Event, Limits, Moment, Record, Rejection, Sequence, Server, SessionId, SessionNumber,
    State, Timestamp,
};
use alloc::vec::Vec;
use core::time::Duration;

/// The session of the given events.
pub const SESSION: SessionId = SessionId::from_bytes([1; 16]);

/// The timeout of [`SESSION`].
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(100);

/// The instant this many seconds after the epoch.
pub const fn instant(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

/// A record of [`SESSION`] at an instant, by both clocks.
pub fn record_at(sequence: u64, at: Timestamp, event: Event) -> Record {
    Record {
        session: SESSION,
        sequence: Sequence(sequence),
        at,
        clock: at.into(),
        actor: None,
        redacted: None,
        event,
    }
}

/// The first event of [`SESSION`].
pub fn created() -> Event {
    Event::SessionCreated {
        number: SessionNumber(1),
        service: "test".into(),
        user: None,
        remote: None,
        server: Server {
            process: 1,
            version: "1".into(),
            node: None,
        },
        timeout: SESSION_TIMEOUT,
    }
}

/// A test scenario: what has happened so far, and the last decision.
#[derive(Clone, Debug)]
pub struct Story {
    state: State,
    last: Result<Vec<Event>, Rejection>,
}

/// Starts a scenario with events of [`SESSION`], all at the epoch.
pub fn given(events: impl IntoIterator<Item = Event>) -> Story {
    given_with(Limits::DEFAULT, events)
}

/// Like [`given`], with limits.
///
/// # Panics
///
/// When the events are not a valid sequence.
pub fn given_with(limits: Limits, events: impl IntoIterator<Item = Event>) -> Story {
    let mut state = State::new(limits);
    for event in events {
        let last = state
            .session(SESSION)
            .map(|session| session.last_sequence());
        let sequence = last.unwrap_or_default().next();
        state.apply(&Record {
            session: SESSION,
            sequence,
            at: Timestamp::EPOCH,
            clock: Timestamp::EPOCH.into(),
            actor: None,
            redacted: None,
            event,
        });
    }
    Story {
        state,
        last: Ok(Vec::new()),
    }
}

impl Story {
    /// Decides a command at an instant.
    #[must_use = "say what follows"]
    pub fn when(mut self, now: impl Into<Moment>, command: Command) -> Self {
        let before = self.state.clone();
        let steps = self.state.step(now, command);
        if steps.is_err() {
            assert_eq!(self.state, before, "a rejection changes nothing");
        }
        self.last = steps.map(|steps| steps.into_iter().map(|step| step.record.event).collect());
        self
    }

    /// Expects exactly these events.
    ///
    /// # Panics
    ///
    /// When there are other events.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = Event>) -> Self {
        assert_eq!(self.last, Ok(events.into_iter().collect()));
        self
    }

    /// Expects a rejection.
    ///
    /// # Panics
    ///
    /// When the command was accepted or rejected for another reason.
    #[track_caller]
    pub fn then_rejected(self, rejection: Rejection) -> Self {
        assert_eq!(self.last, Err(rejection));
        self
    }

    /// The resulting state.
    pub fn state(&self) -> &State {
        &self.state
    }
}
