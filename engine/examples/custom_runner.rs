//! A service of one's own: a stock of goods for each session, that statements add to and list.
//!
//! What enters: statements, `add NAME COUNT` and `list`. What leaves: a result for each line of a
//! list, a status for each statement. What is never true: that a session sees another's stock, or
//! that a stock outlives its session.
//!
//!     cargo run -p rejoin-engine --example custom_runner

use futures::future::BoxFuture;
use rejoin_core::{Event, JobMode, JobSlot, Sequence, SessionId, Visibility};
use rejoin_engine::{
    Config, Engine, Exit, NewJob, NewSession, RecoveredState, Runner, RunnerJob, Services,
    SmolRuntime, encode_result,
};
use rejoin_log::{MemoryLog, ReadLimit};
use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How much there is of what.
type Stock = BTreeMap<String, u64>;

/// The service.
#[derive(Clone, Debug, Default)]
struct Stocks(Arc<Mutex<BTreeMap<SessionId, Stock>>>);

impl Runner for Stocks {
    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit> {
        let stocks = self.clone();
        Box::pin(async move {
            // An error means that the engine has ended: then nobody is told anything more.
            let _ = job.reporter.started().await;
            let words: Vec<_> = job.statement.split_whitespace().collect();
            match words[..] {
                ["add", name, count] => match count.parse::<u64>() {
                    Ok(count) => stocks.add(job.session, name, count),
                    Err(_) => failed(2, format!("{count} is not a number")),
                },
                ["list"] => stocks.list(&job).await,
                _ => failed(127, "say: add NAME COUNT, or: list"),
            }
        })
    }

    fn release(&self, session: SessionId) -> BoxFuture<'static, ()> {
        self.with(|stocks| stocks.remove(&session));
        Box::pin(async {})
    }
}

impl Stocks {
    fn add(&self, session: SessionId, name: &str, count: u64) -> Exit {
        self.with(|stocks| {
            let held = stocks
                .entry(session)
                .or_default()
                .entry(name.to_owned())
                .or_default();
            match held.checked_add(count) {
                Some(sum) => {
                    *held = sum;
                    Exit::default()
                }
                None => failed(3, format!("there is no room for so many {name}")),
            }
        })
    }

    async fn list(&self, job: &RunnerJob) -> Exit {
        let stock = self.with(|stocks| stocks.get(&job.session).cloned());
        for (name, count) in stock.unwrap_or_default() {
            // Each word to end is in `interrupts`; looked at between two results, that is soon.
            if job.interrupts.try_recv().is_ok() {
                return failed(130, "interrupted");
            }
            let members = Map::from_iter([
                ("name".to_owned(), json!(name)),
                ("count".to_owned(), json!(count)),
            ]);
            let result = encode_result(job.job, "stock", members);
            if job.reporter.result(result).await.is_err() {
                break;
            }
        }
        Exit::default()
    }

    fn with<T>(&self, change: impl FnOnce(&mut BTreeMap<SessionId, Stock>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn failed(status: i32, message: impl Into<String>) -> Exit {
    Exit {
        status,
        message: Some(message.into()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    smol::block_on(run(&mut std::io::stdout()))
}

/// What the program does.
pub(crate) async fn run(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let config = Config::default();
    let replayed = RecoveredState::new(&config);
    let stocks = Arc::new(Stocks::default());
    let services = Services::from([("stock".into(), stocks.clone() as Arc<dyn Runner>)]);
    let log = Box::new(MemoryLog::new());
    let engine = Engine::start(config, Arc::new(SmolRuntime), log, replayed, services)?;
    let session = engine.create_session(NewSession::default()).await?.session;
    for statement in [
        "add pears 3",
        "add apples 2",
        "add pears 4",
        "list",
        "sell pears",
    ] {
        writeln!(out, "> {statement}")?;
        submit(&engine, session, statement, out).await?;
    }
    engine.close_session(session).await?;
    engine.shut_down(Duration::from_secs(5)).await;
    Ok(())
}

/// Runs a statement to its end, and says what it said.
async fn submit(
    engine: &Engine,
    session: SessionId,
    statement: &str,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let mode = JobMode {
        slot: JobSlot::Foreground,
        visibility: Visibility::Session,
    };
    let noted = engine
        .submit_job(NewJob::new(session, statement, mode))
        .await?;
    let limit = ReadLimit {
        records: 100,
        bytes: 1 << 20,
    };
    let mut after: Sequence = noted.sequence;
    loop {
        for record in engine
            .read(session, after, limit, Duration::from_secs(60))
            .await?
        {
            after = record.sequence;
            match &record.event {
                Event::ResultEmitted { result, .. } => writeln!(out, "{result}")?,
                Event::JobFinished {
                    outcome, message, ..
                } => {
                    let message = message.as_deref().unwrap_or("done");
                    writeln!(out, "{outcome:?}: {message}")?;
                    return Ok(());
                }
                _ => {}
            }
        }
    }
}
