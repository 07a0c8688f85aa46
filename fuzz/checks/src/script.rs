//! Statements that say what they do: `say …`, `exit …`, `hold` until they are interrupted.

use futures::future::BoxFuture;
use rejoin_engine::{Exit, Runner, RunnerJob, encode_result};
use serde_json::{Map, json};

/// Runs statements; all that it doesn't know is said.
#[derive(Debug)]
pub(crate) struct Script;

impl Runner for Script {
    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit> {
        Box::pin(async move {
            let RunnerJob {
                job,
                statement,
                reporter,
                interrupts,
                ..
            } = job;
            // A report to an engine that has ended is lost.
            let _ = reporter.started().await;
            let (word, rest) = statement.split_once(' ').unwrap_or((&statement, ""));
            let status = match word {
                "exit" => rest.parse().unwrap_or(2),
                "hold" => match interrupts.next().await {
                    Some(_) => 130,
                    None => 1,
                },
                _ => {
                    let members = Map::from_iter([("content".into(), json!(rest))]);
                    let _ = reporter.result(encode_result(job, "said", members)).await;
                    0
                }
            };
            let message = (status != 0).then(|| format!("{word} ended"));
            Exit {
                status,
                message,
                ..Exit::default()
            }
        })
    }
}
