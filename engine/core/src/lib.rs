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
//! What enters: [`Command`]s with their instants. What leaves: [`Record`]s, effects, rejections
//! and views. What is never true: that two runs over the same input differ.
#![no_std]

extern crate alloc;

mod apply;
mod closed;
mod command;
mod deadline;
mod decide;
mod effect;
mod event;
mod few;
mod id;
pub mod limits;
mod projection;
mod rejection;
mod requests;
mod snapshot;
mod state;
mod step;
pub mod testing;
mod time;
mod violation;

pub use command::{Command, CreateSession, SubmitJob};
pub use deadline::Deadline;
pub use decide::Decision;
pub use effect::Effect;
pub use event::{
    Audience, CloseCause, Event, InterruptCause, LeaveCause, LossCause, Manner, Outcome, Place,
    Record, Server,
};
pub use few::Few;
pub use id::{ConsumerId, InvalidId, JobId, Sequence, SessionId, SessionNumber};
pub use limits::{Limits, Retention};
pub use projection::{ConsumerView, Gaps, JobState, JobView, Selection, SessionView, Views};
pub use rejection::Rejection;
pub use snapshot::{
    ClosedSnapshot, ConsumerSnapshot, Folded, InputSnapshot, JobSnapshot, RequestSnapshot,
    SessionSnapshot, Snapshot, ViewSnapshot,
};
pub use state::{Consumer, Job, Session, State};
pub use step::Step;
pub use time::Timestamp;
pub use violation::Violation;
