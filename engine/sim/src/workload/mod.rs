//! Everything that uses the engine in a run: clients, viewers, the runners of their jobs, and the
//! keepers that hold some of these.

mod clients;
mod keepers;
mod runners;
mod viewers;

pub(crate) use clients::client;
pub(crate) use keepers::{Keepers, KeptRunner, OWNER};
pub(crate) use runners::{ScriptedRunner, words};
pub(crate) use viewers::{PullOutcome, pull, read_along, view};
