//! The engine of Rejoin: command sessions on one durable log, on any async runtime.
//!
//! A session runs statements, each as a job: one after the other, or at the same time. All that
//! happens in a session becomes records in a log. Any number of readers get the same records in the
//! same order, at any time, also after a restart.
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
//! The events end with the session. Run the program twice with the same directory: the log is still
//! there.
//!
//! Inside, one sequencer takes commands, reports of runners and timers one after the other, and the
//! pure core decides about each. One append makes the records of all that arrived in the meantime
//! durable; only then are they visible, carried out and answered. Invariant: nothing is visible that
//! a crash could take back.
//!
//! # Waiting and cancellation
//!
//! Methods that change something ([`create_session`](Engine::create_session),
//! [`submit_job`](Engine::submit_job) …) send a command when their future is first polled, and wait
//! for one append. If the future is dropped after that, the command is still carried out: only the
//! answer is lost, and the session's records show what happened. They fail with a [`CommandError`]:
//! the state refuses the command, too many commands are waiting
//! ([`Overloaded`](CommandError::Overloaded), at once), or the engine has ended
//! ([`Unavailable`](CommandError::Unavailable)). A command that was sent before the engine ended may
//! also get the last answer: then only opening the log again shows whether it was carried out.
//!
//! Methods that read ([`pull`](Engine::pull), [`read`](Engine::read)) can be dropped at any time: a
//! consumer's cursor moves only with the answer. [`ended`](Engine::ended) can be dropped and called
//! again. A [`shut_down`](Engine::shut_down) that is dropped continues with the step that it is at.
//!
//! No method blocks its thread. No method panics because of its arguments; a runtime may panic if it
//! can't start a thread or has no random bytes. Views ([`session_view`](Engine::session_view),
//! [`view`](Engine::view)) answer at once, from memory.
//!
//! # Several nodes
//!
//! An engine can be one of several that share logs ([`Engine::node`]): it writes some, follows the others,
//! and shows the sessions of all. The program says which node writes which log, gives it the records of the
//! others ([`Engine::tail`]), and carries questions between nodes ([`Peers`](peers::Peers)).
//!
//! # Examples
//!
//! `examples/` has three complete programs: `embed_smol` (a durable log, opened twice), `embed_tokio`
//! (implements [`Runtime`] on tokio) and `custom_runner` (implements a [`Runner`]). Run one by
//! `cargo run -p rejoin-engine --example embed_tokio`.

// The example that implements `Runtime` on tokio is also a module of the tests here.
#[cfg(test)]
extern crate self as rejoin_engine;

mod builder;
mod clock;
mod committed;
mod compaction;
mod config;
mod ending;
mod endings;
mod engine;
mod error;
mod jobs;
pub mod limits;
mod liveness;
mod logs;
mod node;
mod offline;
pub mod peers;
mod pull;
mod read_only_gate;
mod request;
mod runtime;
mod screens;
mod sequencer;
mod session;
mod session_pager;
#[cfg(all(feature = "shell", unix))]
mod shell;
mod stats;
mod takeover;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;
mod viewers;

pub use builder::{EngineBuilder, HomeLog};
pub use clock::LogClocks;
pub use compaction::compact;
pub use config::Config;
pub use endings::{Ended, Endings};
pub use engine::Engine;
pub use error::{
    CommandError, FollowError, OpenError, OwnError, PullError, RedactError, RunnerError,
    ScreenError, Unavailable,
};
pub use jobs::runner::{
    EngineEnded, Exit, Interrupt, Interrupter, Interrupts, KeptJob, Leftovers, LoggedJob, Reporter,
    Runner, RunnerHost, RunnerJob, RunnerReport, Settled, TerminalMode, TerminalSizes,
    encode_result,
};
pub use jobs::stdin::{Input, InputBytes};
pub use jobs::supervisor::Services;
pub use offline::salvage::{Gap, Salvage, Salvaged};
pub use offline::validator::RecordValidator;
pub use pull::{Gather, Pull, Pulled};
pub use request::{JobAck, NewJob, NewSession};
pub use runtime::Runtime;
#[cfg(feature = "smol")]
pub use runtime::SmolRuntime;
pub use screens::TerminalScreen;
pub use session::Session;
pub use session_pager::{EndedSessions, SessionPager};
#[cfg(all(feature = "shell", unix))]
pub use shell::{
    JobUser, KeeperSettings, KeeperStatus, OpenShellError, ShellRunner, ShellSettings, run_keeper,
    start_as_job_user,
};
pub use stats::{CommandKind, EngineStatus, Label, Stats, Totals};
pub use takeover::Takeover;
pub use viewers::{SessionViewers, Viewer, Watch};

// One crate is enough to depend on.
pub use rejoin_core::{
    Actor, CloseCause, ConsumerId, ConsumerView, Controller, DescribeSession, Description, Event,
    Instant, InterruptCause, InvalidId, JobId, JobMode, JobOutput, JobSlot, JobState, JobView,
    LeaveCause, Limits, LinkChange, LossCause, Moment, NodeTerm, Numbering, Outcome, OutputOffsets,
    OutputPosition, OutputStream, Projection, Record, Redaction, Rejection, RejectionKind,
    Retention, Selection, Sequence, Server, SessionId, SessionNumber, SessionView, Submission,
    TerminalSize, Timestamp, Views, Violation, Visibility,
};
pub use rejoin_log::segment::{Durability, LogId, Opened, Options as LogOptions};
pub use rejoin_log::{AppendError, Log, LogReader, MemoryLog, ReadError, ReadLimit, SegmentLog};
