//! The engine on smol, with a durable log and the shell: runs two statements in one session, shuts
//! down, opens the log again, and reads what was printed. Prints the same lines before and after the
//! restart.
//!
//!     cargo run -p rejoin-engine --example embed_smol -- some-directory

use futures::StreamExt;
use rejoin_engine::{Engine, Event, JobId, Sequence, Session, ShellRunner};
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args()
        .nth(1)
        .ok_or("usage: embed_smol DIRECTORY")?;
    smol::block_on(run(Path::new(&directory), &mut std::io::stdout()))
}

/// What the program does.
pub(crate) async fn run(directory: &Path, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let engine = open(directory).await?;
    let session = engine.create_session("shell").await?;
    for statement in ["export FRUIT=pear; echo one", "echo a $FRUIT"] {
        let job = session.run(statement).await?;
        print(&session, job.sequence, job.job, out).await?;
    }
    engine.shut_down(Duration::from_secs(5)).await;

    writeln!(out, "Opened again:")?;
    let engine = open(directory).await?;
    let session = engine.session(session.id()).ok_or("the session is gone")?;
    print(&session, Sequence::START, JobId(2), out).await?;
    engine.shut_down(Duration::from_secs(5)).await;
    Ok(())
}

async fn open(directory: &Path) -> Result<Engine, rejoin_engine::OpenError> {
    Engine::builder(directory)
        .service("shell", ShellRunner::default())
        .open()
        .await
}

/// Prints the results after a sequence, until the job has finished.
async fn print(
    session: &Session,
    after: Sequence,
    last: JobId,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let mut events = session.events_after(after);
    while let Some(record) = events.next().await {
        let record = record?;
        match &record.event {
            Event::ResultEmitted { result, .. } => writeln!(out, "{}: {result}", record.sequence)?,
            Event::JobFinished { job, .. } if *job == last => break,
            _ => {}
        }
    }
    Ok(())
}
