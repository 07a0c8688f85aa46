//! The engine in a program of its own, on smol, with a durable log and the shell service: runs two
//! statements in one session, ends, opens the log again, and reads what was said.
//!
//! What enters: a directory, created where there is none. What leaves: lines that say what the
//! session said, while it ran and after the restart. Both are the same.
//!
//!     cargo run -p rejoin-engine --example embed_smol -- some-directory

use rejoin_core::{Event, JobId, JobMode, JobSlot, Sequence, SessionId, Visibility};
use rejoin_engine::{
    Config, Engine, NewJob, NewSession, RecoveredState, Runner, Runtime, Services, ShellRunner,
    ShellSettings, SmolRuntime,
};
use rejoin_log::ReadLimit;
use rejoin_log::segment::{LogId, Options, SegmentLog};
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).ok_or("say in which directory")?;
    smol::block_on(run(Path::new(&directory), &mut std::io::stdout()))
}

/// What the program does.
pub(crate) async fn run(directory: &Path, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let engine = open(directory)?;
    let session = engine.create_session(NewSession::default()).await?.session;
    for statement in ["export FRUIT=pear; echo one", "echo a $FRUIT"] {
        let mode = JobMode {
            slot: JobSlot::Foreground,
            visibility: Visibility::Session,
        };
        let noted = engine
            .submit_job(NewJob::new(session, statement, mode))
            .await?;
        tell(&engine, session, noted.sequence, noted.job, out).await?;
    }
    engine.shut_down(Duration::from_secs(5)).await;

    writeln!(out, "Opened again:")?;
    let engine = open(directory)?;
    tell(&engine, session, Sequence::START, JobId(2), out).await?;
    engine.shut_down(Duration::from_secs(5)).await;
    Ok(())
}

/// An engine on the log in the directory, with all that the log has.
fn open(directory: &Path) -> Result<Engine, Box<dyn Error>> {
    let runtime = Arc::new(SmolRuntime);
    let config = Config::default();
    let mut replayed = RecoveredState::new(&config);
    let mut outcome = Ok(());
    let new_id = LogId::from_bytes(runtime.random());
    let (log, _) = SegmentLog::open(
        &directory.join("log"),
        new_id,
        Options::default(),
        &mut |record| {
            if outcome.is_ok() {
                outcome = replayed.add(&record);
            }
        },
    )?;
    outcome?;
    let settings = ShellSettings::new(directory.join("shell"), log.id().to_string());
    let shell = ShellRunner::new(settings, runtime.clone())?;
    let services = Services::from([("shell".into(), Arc::new(shell) as Arc<dyn Runner>)]);
    Ok(Engine::start(
        config,
        runtime,
        Box::new(log),
        replayed,
        services,
    )?)
}

/// Says what the session says after a sequence, until the job has finished.
async fn tell(
    engine: &Engine,
    session: SessionId,
    mut after: Sequence,
    last: JobId,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let limit = ReadLimit {
        records: 100,
        bytes: 1 << 20,
    };
    loop {
        for record in engine
            .read(session, after, limit, Duration::from_secs(60))
            .await?
        {
            after = record.sequence;
            match &record.event {
                Event::ResultEmitted { result, .. } => writeln!(out, "{after}: {result}")?,
                Event::JobFinished { job, .. } if *job == last => return Ok(()),
                _ => {}
            }
        }
    }
}
