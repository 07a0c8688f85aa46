//! The engine on tokio: what the runtime has to do, in five methods, and two viewers of one job,
//! each a task of its own.
//!
//! What enters: nothing. What leaves: what each viewer saw, which is the same. tokio is this
//! program's; the engine does not know it.
//!
//!     cargo run -p rejoin-engine --example embed_tokio

use futures::future::BoxFuture;
use rejoin_core::{ConsumerId, Event, JobMode, JobSlot, Record, SessionId, Timestamp, Visibility};
use rejoin_engine::{
    Config, Engine, NewJob, NewSession, Pull, PullError, RecoveredState, Runner, Runtime, Services,
    ShellRunner, ShellSettings,
};
use rejoin_log::{MemoryLog, ReadLimit};
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::runtime::Handle;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::temp_dir().join(format!("embed-tokio-{}", std::process::id()));
    let told = run(&directory, &mut std::io::stdout());
    std::fs::remove_dir_all(&directory)?;
    told
}

/// What the program does; the directory is for what the shell keeps between two jobs.
pub(crate) fn run(directory: &Path, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .build()?;
    tokio.block_on(watch_together(directory, out))
}

async fn watch_together(directory: &Path, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let runtime = Arc::new(TokioRuntime(Handle::current()));
    let config = Config::default();
    let replayed = RecoveredState::new(&config);
    let shell = ShellRunner::new(
        ShellSettings::new(directory, "embed-tokio"),
        runtime.clone(),
    )?;
    let services = Services::from([("shell".into(), Arc::new(shell) as Arc<dyn Runner>)]);
    let log = Box::new(MemoryLog::new());
    let engine = Engine::start(config, runtime, log, replayed, services)?;

    let session = engine.create_session(NewSession::default()).await?.session;
    let mut viewers = Vec::new();
    for _ in 0..2 {
        let consumer = engine.join_session(session).await?;
        viewers.push(tokio::spawn(watch(engine.clone(), session, consumer)));
    }
    let mode = JobMode {
        slot: JobSlot::Foreground,
        visibility: Visibility::Session,
    };
    let statement = "for word in one two three; do echo $word; done";
    engine
        .submit_job(NewJob::new(session, statement, mode))
        .await?;
    for (number, viewer) in viewers.into_iter().enumerate() {
        write!(out, "Viewer {} saw:\n{}", number + 1, viewer.await??)?;
    }
    engine.shut_down(Duration::from_secs(5)).await;
    Ok(())
}

/// Pulls until the job has finished: the text of its results.
async fn watch(
    engine: Engine,
    session: SessionId,
    consumer: ConsumerId,
) -> Result<String, PullError> {
    let pull = Pull {
        session,
        consumer,
        wait: Duration::from_secs(60),
        limit: ReadLimit {
            records: 100,
            bytes: 1 << 20,
        },
        select: |record: &Record| {
            matches!(
                record.event,
                Event::ResultEmitted { .. } | Event::JobFinished { .. }
            )
        },
    };
    let mut seen = String::new();
    loop {
        for record in engine.pull(pull).await?.records {
            let Event::ResultEmitted { result, .. } = &record.event else {
                return Ok(seen);
            };
            // A result is one JSON object.
            if let Ok(result) = serde_json::from_str::<serde_json::Value>(result) {
                seen += result["content"].as_str().unwrap_or_default();
            }
        }
    }
}

/// tokio, as the engine wants it.
#[derive(Debug)]
struct TokioRuntime(Handle);

impl Runtime for TokioRuntime {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one slot that reads the clock"
    )]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    // A timer may be made on a thread that tokio does not know, so it is spawned.
    fn timer(&self, wait: Duration) -> BoxFuture<'static, ()> {
        let timer = self.0.spawn(async move { tokio::time::sleep(wait).await });
        Box::pin(async move { drop(timer.await) })
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.0.spawn(future);
    }

    fn spawn_dedicated(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        let handle = self.0.clone();
        std::thread::Builder::new()
            .name(name.into())
            .spawn(move || handle.block_on(future))
            .expect("a thread can be started");
    }

    fn random(&self) -> [u8; 16] {
        uuid::Uuid::new_v4().into_bytes()
    }
}
