//! The pure core of Rejoin: the decisions and the state of command sessions, without clocks,
//! randomness, channels or locks.
//!
//! **State changes only by applying records.** A driver of the core always runs the same loop:
//!
//! 1. [`State::step`] a command at an instant: it is decided, numbered and applied, or rejected;
//! 2. append the records to a log, and wait until they are durable;
//! 3. only then, apply them to [`Views`], execute their [`Effect`]s and answer the client.
//!
//! Further commands may be stepped between 1 and 3: the state may run ahead of the log, but what is
//! visible may not. Replay applies the records of the log, without effects and answers.
//!
//! ```
//! use rejoin_core::{Command, CreateSession, Instant, Limits, Server, SessionId, State, Timestamp, Views};
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
//!     server: Server { process: 1, version: "0.1.0".into(), node: None },
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
//! // It closes after an hour without use. A timeout is a command like any other, and is logged.
//! assert_eq!(state.next_deadline(), Some(Instant::from_millis(3_601_000)));
//! # Ok::<_, rejoin_core::Rejection>(())
//! ```
//!
//! Invariant: the same commands at the same instants always lead to the same [`Record`]s, effects,
//! rejections and views.
#![no_std]

extern crate alloc;

mod actor;
mod apply;
mod collections;
mod command;
mod decide;
mod description;
mod effect;
mod event;
mod id;
pub mod limits;
mod numbering;
mod redaction;
mod rejection;
mod snapshot;
mod state;
mod step;
pub mod testing;
mod time;
mod views;
mod violation;

pub use actor::Actor;
pub use collections::VecMap;
pub use command::{Command, CreateSession, DescribeSession, SubmitJob};
pub use decide::Decision;
pub use description::Description;
pub use effect::Effect;
pub use event::{
    CloseCause, Controller, Event, InterruptCause, JobMode, JobOutput, JobSlot, LeaveCause,
    LinkChange, LossCause, NodeTerm, Outcome, OutputOffsets, OutputPosition, OutputStream, Record,
    Server, TerminalSize, Visibility,
};
pub use id::{ConsumerId, InvalidId, JobId, Sequence, SessionId, SessionNumber, Submission};
pub use limits::{Limits, Retention};
pub use numbering::Numbering;
pub use redaction::Redaction;
pub use rejection::{Rejection, RejectionKind};
pub use snapshot::{
    ClosedSnapshot, ConsumerSnapshot, InputSnapshot, JobSnapshot, Projection, RequestSnapshot,
    SessionSnapshot, Snapshot, ViewSnapshot,
};
pub use state::{Consumer, Deadline, Job, Session, State};
pub use step::Step;
pub use time::{Instant, Moment, Timestamp};
pub use views::{ConsumerView, Gaps, JobState, JobView, Selection, SessionView, Views};
pub use violation::Violation;
