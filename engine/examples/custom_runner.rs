//! A service of your own: a stock of goods for each session. The statements are `add NAME COUNT` and
//! `list`; a list has a result for each line. The stock ends with its session.
//!
//!     cargo run -p rejoin-engine --example custom_runner

use futures::future::BoxFuture;
use futures::{Stream, StreamExt};
use rejoin_engine::{
    Engine, Event, Exit, PullError, Record, Runner, RunnerJob, SessionId, encode_result,
};
use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many there are of each.
type Stock = BTreeMap<String, u64>;

/// The service.
#[derive(Clone, Debug, Default)]
struct Stocks(Arc<Mutex<BTreeMap<SessionId, Stock>>>);

impl Runner for Stocks {
    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit> {
        let stocks = self.clone();
        Box::pin(async move {
            // An error means that the engine has ended: nothing more will be read.
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
                None => failed(3, format!("there is no room for {count} {name}")),
            }
        })
    }

    async fn list(&self, job: &RunnerJob) -> Exit {
        let stock = self.with(|stocks| stocks.get(&job.session).cloned());
        for (name, count) in stock.unwrap_or_default() {
            // Looking at the interrupts between two results is soon enough.
            if job.interrupts.try_next().is_some() {
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
        ..Exit::default()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    smol::block_on(run(&mut std::io::stdout()))
}

/// What the program does.
pub(crate) async fn run(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let engine = Engine::in_memory()
        .service("stock", Stocks::default())
        .open()
        .await?;
    let session = engine.create_session("stock").await?;
    for statement in [
        "add pears 3",
        "add apples 2",
        "add pears 4",
        "list",
        "sell pears",
    ] {
        writeln!(out, "> {statement}")?;
        let job = session.run(statement).await?;
        print(session.events_after(job.sequence), out).await?;
    }
    session.close().await?;
    engine.shut_down(Duration::from_secs(5)).await;
    Ok(())
}

/// Prints the results of a job, and how it ended.
async fn print(
    mut events: impl Stream<Item = Result<Arc<Record>, PullError>> + Unpin,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    while let Some(record) = events.next().await {
        match &record?.event {
            Event::ResultEmitted { result, .. } => writeln!(out, "{result}")?,
            Event::JobFinished {
                outcome, message, ..
            } => {
                let message = message.as_deref().unwrap_or("done");
                writeln!(out, "{outcome:?}: {message}")?;
                break;
            }
            _ => {}
        }
    }
    Ok(())
}
