//! The engine of Rejoin: command sessions on one durable log, on any async runtime.
//!
//! What enters: requests through [`Engine`], reports of [`Runner`]s, and the passing of time. What
//! leaves: records, to a log; views and records, to whoever reads; statements, to runners. What is
//! never true: that anybody is told something that a crash could take back.
//!
//! One sequencer takes everything in, one after the other, and steps the core; one append makes
//! all that came in at once durable; then it is published, carried out and answered.

mod activity;
mod batch;
mod builtin;
mod config;
mod engine;
mod error;
mod journal;
pub mod limits;
mod permission;
mod published;
mod pull;
mod reading;
mod recent;
mod replay;
mod request;
mod runner;
mod runtime;
mod sequencer;
mod supervisor;
mod transitions;

pub use config::Config;
pub use engine::Engine;
pub use error::{CommandError, OpenError, PullError, Unavailable};
pub use pull::{Pull, Pulled};
pub use replay::Replayed;
pub use request::{CreatedSession, NewJob, NewSession, NotedJob};
pub use runner::{EngineEnded, Exit, Reporter, Runner, RunnerJob, encode_result};
#[cfg(all(feature = "shell", unix))]
pub use runner::{OpenShellError, ShellRunner, ShellSettings};
pub use runtime::Runtime;
#[cfg(feature = "smol")]
pub use runtime::SmolRuntime;
pub use supervisor::Services;
pub use transitions::Transitions;
