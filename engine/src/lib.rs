//! The engine of Rejoin: command sessions on one durable log, on any async runtime.
//!
//! A session runs statements, one job after the other or side by side. What happens in it becomes
//! records in a log; any number of readers get the same records in the same order, whenever they
//! come, also after a restart.
//!
//! ```standalone_crate
//! use futures::StreamExt;
//! use rejoin_engine::{Engine, Sequence, ShellRunner};
//!
//! # smol::block_on(async {
//! # let directory = tempfile::tempdir()?;
//! # std::env::set_current_dir(&directory)?;
//! let engine = Engine::builder("data").service("shell", ShellRunner::default()).open().await?;
//! let session = engine.create_session("shell").await?;
//! let job = session.run("cargo test").await?;
//! # session.close().await?;
//! let mut events = session.events_after(Sequence::START);
//! while let Some(event) = events.next().await { println!("{:?}", event?); }
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! The events end with the session. Run it twice with the same directory: the log is still there.
//!
//! Inside, one sequencer takes commands, reports of runners and the passing of time, one after the
//! other, and lets the pure core decide. One append makes everything that came in meanwhile durable;
//! only then is it visible, carried out and answered. Invariant: nothing is visible that a crash
//! could take back.
//!
//! # Waiting, and being dropped
//!
//! What changes something ([`create_session`](Engine::create_session),
//! [`submit_job`](Engine::submit_job) …) is handed over when its future is first polled, and waits
//! for one append. Dropped while it waits, it is carried out all the same: only the answer is lost,
//! and the session's records say what happened. It fails as [`CommandError`] says: refused by the
//! state, [`Overloaded`](CommandError::Overloaded) at once where too many wait, or
//! [`Unavailable`](CommandError::Unavailable) once the engine has ended. The last may also answer
//! what was handed over before: then only opening the log again tells whether it is there.
//!
//! What reads ([`pull`](Engine::pull), [`read`](Engine::read)) changes nothing when it is dropped:
//! a consumer's cursor moves with the answer. [`ended`](Engine::ended) may be dropped and called
//! again; of a [`shut_down`](Engine::shut_down) that is dropped, what has begun goes on.
//!
//! No method blocks its thread. None panics because of its arguments; a runtime may, if it can't
//! start a thread or has no random bytes. Views ([`session_view`](Engine::session_view),
//! [`view`](Engine::view)) answer at once, from memory.
//!
//! # Programs
//!
//! `examples/` has three complete ones: `embed_smol` (a durable log, opened twice), `embed_tokio`
//! (implements [`Runtime`] on tokio) and `custom_runner` (implements a [`Runner`]). Run one by
//! `cargo run -p rejoin-engine --example embed_tokio`.

// The example that implements `Runtime` on tokio is also a module of the tests here.
#[cfg(test)]
extern crate self as rejoin_engine;

mod builder;
mod committed;
mod compaction;
mod config;
mod engine;
mod error;
mod jobs;
pub mod limits;
mod liveness;
mod offline;
mod pull;
mod read_only_gate;
mod request;
mod runtime;
mod sequencer;
mod session;
mod session_pager;
#[cfg(all(feature = "shell", unix))]
mod shell;
mod stats;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;

pub use builder::EngineBuilder;
pub use config::Config;
pub use engine::Engine;
pub use error::{CommandError, OpenError, PullError, RunnerError, Unavailable};
pub use jobs::runner::{
    EngineEnded, Exit, Interrupter, Interrupts, Reporter, Runner, RunnerHost, RunnerJob,
    RunnerReport, encode_result,
};
pub use jobs::stdin::Input;
pub use jobs::supervisor::Services;
pub use offline::salvage::{Gap, Salvage, Salvaged};
pub use offline::validator::RecordValidator;
pub use pull::{Pull, Pulled};
pub use request::{JobAck, NewJob, NewSession};
pub use runtime::Runtime;
#[cfg(feature = "smol")]
pub use runtime::SmolRuntime;
pub use session::Session;
pub use session_pager::{EndedSessions, SessionPager};
#[cfg(all(feature = "shell", unix))]
pub use shell::{OpenShellError, ShellRunner, ShellSettings};
pub use stats::{CommandKind, EngineStatus, Label, Stats, Totals};

// One crate is enough to depend on.
pub use rejoin_core::{
    CloseCause, ConsumerId, ConsumerView, Event, InterruptCause, InvalidId, JobId, JobMode,
    JobSlot, JobState, JobView, LeaveCause, Limits, LossCause, Outcome, Projection, Record,
    Rejection, RejectionKind, Retention, Selection, Sequence, Server, SessionId, SessionNumber,
    SessionView, Timestamp, Views, Violation, Visibility,
};
pub use rejoin_log::segment::{Durability, LogId, Opened, Options as LogOptions};
pub use rejoin_log::{AppendError, Log, LogReader, MemoryLog, ReadError, ReadLimit, SegmentLog};
