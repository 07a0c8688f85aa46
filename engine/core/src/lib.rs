//! The pure core of Rejoin: what a command session is, decided and folded without a clock, a
//! random number, a channel or a lock.
//!
//! **State changes by applying records, and in no other way.** The loop of whoever drives the
//! core is always the same:
//!
//! 1. [`State::step`] a command at an instant: it is decided, numbered and applied, or rejected;
//! 2. append the records to a log, and wait until they are durable;
//! 3. only then: apply them to [`Views`], carry out their [`Effect`]s, answer who asked.
//!
//! Between 1 and 3 further commands may be stepped: state may run ahead of the log, what is
//! visible may not. Replay is 3 with the log as the source, and without effects and answers.
//!
//! ```
//! use rejoin_core::{Command, CreateSession, Limits, Server, SessionId, State, Timestamp, Views};
//! use std::time::Duration;
//!
//! let (mut state, mut views) = (State::new(Limits::DEFAULT), Views::default());
//! let mut log = vec![];
//! let session = SessionId::from_bytes([1; 16]);
//! let create = CreateSession {
//!     session,
//!     service: "shell".into(),
//!     user: Some("anna".into()),
//!     remote: None,
//!     server: Server { process: 1, version: "0.1.0".into() },
//!     timeout: Duration::from_secs(60 * 60),
//!     consumer: None,
//! };
//!
//! let steps = state.step(Timestamp::from_millis(1_000), Command::CreateSession(create))?;
//! log.extend(steps.iter().map(|step| step.record.clone()));
//! for step in &steps {
//!     views.apply(&step.record);
//!     assert_eq!(step.effect, None, "a job would be one to start");
//! }
//! assert_eq!(views.session(session).expect("it is open").user.as_deref(), Some("anna"));
//!
//! // An hour without use. What is due is a command like any other, and is logged.
//! assert_eq!(state.next_deadline(), Some(Timestamp::from_millis(3_601_000)));
//! # Ok::<_, rejoin_core::Rejection>(())
//! ```
//!
//! What enters: [`Command`]s with their instants. What leaves: [`Record`]s, effects, rejections
//! and views. What is never true: that two runs over the same input differ.
#![no_std]

extern crate alloc;

mod apply;
mod collections;
mod command;
mod decide;
mod effect;
mod event;
mod id;
pub mod limits;
mod rejection;
mod snapshot;
mod state;
mod step;
pub mod testing;
mod time;
mod views;
mod violation;

pub use collections::VecMap;
pub use command::{Command, CreateSession, SubmitJob};
pub use decide::Decision;
pub use effect::Effect;
pub use event::{
    CloseCause, Event, InterruptCause, JobMode, JobSlot, LeaveCause, LossCause, Outcome, Record,
    Server, Visibility,
};
pub use id::{ConsumerId, InvalidId, JobId, Sequence, SessionId, SessionNumber};
pub use limits::{Limits, Retention};
pub use rejection::{Rejection, RejectionKind};
pub use snapshot::{
    ClosedSnapshot, ConsumerSnapshot, InputSnapshot, JobSnapshot, Projection, RequestSnapshot,
    SessionSnapshot, Snapshot, ViewSnapshot,
};
pub use state::{Consumer, Deadline, Job, Session, State};
pub use step::Step;
pub use time::Timestamp;
pub use views::{ConsumerView, Gaps, JobState, JobView, Selection, SessionView, Views};
pub use violation::Violation;
