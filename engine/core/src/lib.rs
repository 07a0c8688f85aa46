//! The pure core of Rejoin.
#![no_std]

extern crate alloc;

mod event;
mod id;
mod time;

pub use event::{
    Audience, CloseCause, Event, InterruptCause, LeaveCause, Manner, Outcome, Place, Record, Server,
};
pub use id::{ConsumerId, InvalidId, JobId, Sequence, SessionId, SessionNumber};
pub use time::Timestamp;
