//! The engine of Rejoin: command sessions on one durable log, on any async runtime.
//!
//! What enters: requests through [`Engine`], reports of [`Runner`]s, and the passing of time. What
//! leaves: records, to a log; views and records, to whoever reads; statements, to runners. What is
//! never true: that anybody is told something that a crash could take back.
//!
//! One sequencer takes everything in, one after the other, and steps the core; one append makes
//! all that came in at once durable; then it is published, carried out and answered.
//!
//! ```
//! use futures::future::BoxFuture;
//! use rejoin_core::{Visibility, Event, JobMode, JobSlot};
//! use rejoin_engine::*;
//! use rejoin_log::{MemoryLog, ReadLimit};
//! use serde_json::{Map, json};
//! use std::{sync::Arc, time::Duration};
//!
//! /// A service that says what it is told.
//! #[derive(Debug)]
//! struct Echo;
//!
//! impl Runner for Echo {
//!     fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit> {
//!         Box::pin(async move {
//!             let members = Map::from_iter([("content".into(), json!(&*job.statement))]);
//!             let _ = job.reporter.result(encode_result(job.job, "echo", members)).await;
//!             Exit::default()
//!         })
//!     }
//! }
//!
//! smol::block_on(async {
//!     let config = Config::default();
//!     let services = Services::from([("echo".into(), Arc::new(Echo) as Arc<dyn Runner>)]);
//!     let (log, replayed) = (Box::new(MemoryLog::new()), RecoveredState::new(&config));
//!     let engine = Engine::start(config, Arc::new(SmolRuntime), log, replayed, services)?;
//!
//!     let created = engine.create_session(NewSession { reads: true, ..Default::default() }).await?;
//!     let mode = JobMode { slot: JobSlot::Foreground, visibility: Visibility::Session };
//!     engine.submit_job(NewJob::new(created.session, "hello", mode)).await?;
//!
//!     // Whoever reads, and whenever: the same records in the same order.
//!     let pull = Pull {
//!         session: created.session,
//!         consumer: created.consumer.expect("the creator reads"),
//!         wait: Duration::from_secs(2),
//!         limit: ReadLimit { records: 1, bytes: 1 << 20 },
//!         select: |record| matches!(record.event, Event::ResultEmitted { .. }),
//!     };
//!     let pulled = engine.pull(pull).await?;
//!     let Event::ResultEmitted { result, .. } = &pulled.records[0].event else { unreachable!() };
//!     assert_eq!(&**result, r#"{"content":"hello","jobId":1,"type":"echo"}"#);
//!
//!     engine.shut_down(Duration::from_secs(1)).await;
//!     Ok::<_, Box<dyn std::error::Error>>(())
//! })
//! # .unwrap();
//! ```
//!
//! A log that outlives the process is a [`SegmentLog`](rejoin_log::SegmentLog) in the place of the
//! `MemoryLog`: [`RecoveredState`] says how its records come back.
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
//! No method blocks its thread, but [`Engine::start`] for one append. None panics for what it is
//! given; a runtime may, where it cannot start a thread or has no random bytes. Views
//! ([`session`](Engine::session), [`view`](Engine::view)) answer at once, from memory.
//!
//! # Programs
//!
//! `examples/` has three complete ones: `embed_smol` (a durable log, opened twice), `embed_tokio`
//! (a [`Runtime`] of one's own) and `custom_runner` (a [`Runner`] of one's own).

mod activity;
mod answers;
mod batch;
mod builtin;
mod closing;
mod config;
mod engine;
mod error;
mod input;
mod journal;
pub mod limits;
mod permission;
mod published;
mod pull;
mod reading;
mod recent;
mod recovered_state;
mod removal;
mod request;
mod runner;
mod runtime;
mod salvage;
mod sequencer;
mod session_pager;
mod stats;
mod supervisor;
#[cfg(feature = "testing")]
pub mod testing;
mod transitions;

pub use config::Config;
pub use engine::Engine;
pub use error::{CommandError, OpenError, PullError, Unavailable};
pub use input::Input;
pub use pull::{Pull, Pulled};
pub use recovered_state::RecoveredState;
pub use request::{CreatedSession, JobAck, NewJob, NewSession};
pub use runner::{EngineEnded, Exit, Reporter, Runner, RunnerJob, encode_result};
#[cfg(all(feature = "shell", unix))]
pub use runner::{OpenShellError, ShellRunner, ShellSettings};
pub use runtime::Runtime;
#[cfg(feature = "smol")]
pub use runtime::SmolRuntime;
pub use salvage::{Gap, Salvage, Salvaged};
pub use session_pager::{EndedSessions, SessionPager};
pub use stats::{EngineStatus, Stats};
pub use supervisor::Services;
pub use transitions::RecordValidator;

// One crate is enough to depend on.
pub use rejoin_core::{
    CloseCause, ConsumerId, ConsumerView, Event, InterruptCause, InvalidId, JobId, JobMode,
    JobSlot, JobState, JobView, LeaveCause, Limits, LossCause, Outcome, Record, Rejection,
    Retention, Selection, Sequence, Server, SessionId, SessionNumber, SessionView, Timestamp,
    Views, Violation, Visibility,
};
pub use rejoin_log::segment::{LogId, Options as LogOptions};
pub use rejoin_log::{AppendError, Log, LogReader, MemoryLog, ReadError, ReadLimit, SegmentLog};
