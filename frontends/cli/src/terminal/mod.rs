//! The terminal in front of the person: raw mode, keys, and what it shows of a job's terminal.
//!
//! Invariant: when the process ends or lets go of the terminal, the terminal is as it was before.

mod attachment;
mod display;
mod keys;
pub(crate) mod limits;
mod local;
mod painter;
mod signals;

pub(crate) use attachment::{Attachment, Ended, Seat, Watcher, is_over};
pub(crate) use display::Display;
pub(crate) use keys::PrefixKey;
pub(crate) use local::{are_terminals, size};
