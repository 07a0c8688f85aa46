//! The engine on tokio: the five methods that a runtime has to provide, and two viewers of one job,
//! each in its own task. Prints what each viewer saw, which is the same.
//!
//!     cargo run -p rejoin-engine --example embed_tokio

use futures::StreamExt;
use futures::future::BoxFuture;
use rejoin_engine::{Engine, Event, PullError, Runtime, Sequence, Session, ShellRunner, Timestamp};
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime};
use tokio::runtime::Handle;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::temp_dir().join(format!("embed-tokio-{}", std::process::id()));
    let outcome = run(&directory, &mut std::io::stdout());
    std::fs::remove_dir_all(&directory)?;
    outcome
}

/// What the program does. The shell keeps directories and environments of sessions in `directory`.
pub(crate) fn run(directory: &Path, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .build()?;
    tokio.block_on(watch_together(directory, out))
}

async fn watch_together(directory: &Path, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let engine = Engine::in_memory()
        .runtime(Arc::new(TokioRuntime(Handle::current())))
        .runner_directory(directory)
        .service("shell", ShellRunner::default())
        .open()
        .await?;
    let session = engine.create_session("shell").await?;
    let viewers: Vec<_> = (0..2)
        .map(|_| tokio::spawn(watch(session.clone())))
        .collect();
    session
        .run("for word in one two three; do echo $word; done")
        .await?;
    for (index, viewer) in viewers.into_iter().enumerate() {
        write!(out, "Viewer {} saw:\n{}", index + 1, viewer.await??)?;
    }
    engine.shut_down(Duration::from_secs(5)).await;
    Ok(())
}

/// Reads until the job has finished: the text of its results.
async fn watch(session: Session) -> Result<String, PullError> {
    let mut seen = String::new();
    let mut events = session.events_after(Sequence::START);
    while let Some(record) = events.next().await {
        match &record?.event {
            // A result is one JSON object.
            Event::ResultEmitted { result, .. } => {
                let result: serde_json::Value = serde_json::from_str(result).unwrap_or_default();
                seen += result["content"].as_str().unwrap_or_default();
            }
            Event::JobFinished { .. } => break,
            _ => {}
        }
    }
    Ok(seen)
}

/// tokio behind the engine's `Runtime` trait.
#[derive(Debug)]
pub(crate) struct TokioRuntime(pub(crate) Handle);

impl Runtime for TokioRuntime {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clock"
    )]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    // tokio's timers run on the same clock.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clock"
    )]
    fn elapsed(&self) -> Duration {
        static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGIN.elapsed()
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
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the system has random bytes");
        bytes
    }
}
