//! What is known about a run from outside the engine, and the checks of its promises against that.
//!
//! Nothing in here calls the engine, so all of it can be used while the engine is being polled.

mod checker;
mod clocks;
mod coverage;
mod ensure;
mod gone;
mod history;
mod kept;
mod model;
mod readers;
mod runs;
mod trace;

pub(crate) use checker::{Checker, Knowledge};
pub(crate) use clocks::Restart;
pub use coverage::Coverage;
pub(crate) use ensure::{ensure, panic_message};
pub(crate) use gone::check_gone;
pub(crate) use history::Reply;
pub(crate) use kept::{ProgramFacts, result};
pub(crate) use model::{Model, SessionState};
pub(crate) use readers::{CONSUMER_TIMEOUT, SESSION_TIMEOUT, filter_of};
pub use trace::Trace;
