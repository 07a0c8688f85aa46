//! Everything that uses the engine in a run: clients, viewers, and the runners of their jobs.

mod clients;
mod runners;
mod viewers;

pub(crate) use clients::client;
pub(crate) use runners::ScriptedRunner;
pub(crate) use viewers::{PullOutcome, pull, read_along, view};
