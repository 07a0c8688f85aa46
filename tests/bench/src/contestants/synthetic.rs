//! Rejoin's frontend, engine and log with a runner that emits synthetic results at a given speed.
//!
//! `flood COUNT BYTES` emits `COUNT` results of about `BYTES` bytes without a pause. `tick COUNT
//! MILLIS` emits `COUNT` results, one every `MILLIS` milliseconds, each with the time of its
//! emission in nanoseconds.

use crate::Outcome;
use crate::machine::nanoseconds;
use futures::future::BoxFuture;
use rejoin_accounts::Accounts;
use rejoin_arthas::Settings;
use rejoin_core::Limits;
use rejoin_engine::{Config, Engine, Exit, Reporter, Runner, RunnerJob};
use rejoin_http::{HostCheck, HttpServer};
use rejoin_log::segment::{Durability, Options};
use std::time::Duration;

/// The settings of such a server.
#[derive(Clone, Debug)]
pub struct Shape {
    pub durability: Durability,
    pub recent_bytes: usize,
    pub pull_wait: Duration,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            durability: Durability::Sync,
            recent_bytes: Config::default().recent_bytes,
            pull_wait: Duration::from_secs(2),
        }
    }
}

impl Shape {
    pub(super) fn flags(&self) -> Vec<String> {
        vec![
            matches!(self.durability, Durability::Sync).to_string(),
            self.recent_bytes.to_string(),
            self.pull_wait.as_millis().to_string(),
        ]
    }

    fn read(flags: &[String]) -> Outcome<Self> {
        let [sync, recent, wait] = flags else {
            return Err("expected three arguments: sync, recent bytes, milliseconds".into());
        };
        let durability = match sync.as_str() {
            "true" => Durability::Sync,
            _ => Durability::Flush,
        };
        Ok(Self {
            durability,
            recent_bytes: recent.parse()?,
            pull_wait: Duration::from_millis(wait.parse()?),
        })
    }
}

pub(super) fn serve(told: &[String]) -> Outcome<()> {
    let (data, flags) = told
        .split_first()
        .ok_or("the directory of the log is missing")?;
    let shape = Shape::read(flags)?;
    let config = Config {
        limits: Limits {
            sessions: usize::MAX,
            consumers: 1_000_000,
            ..Limits::DEFAULT
        },
        recent_bytes: shape.recent_bytes,
        output_limit: u64::MAX,
        ..Config::default()
    };
    let options = Options {
        durability: shape.durability,
        ..Options::default()
    };
    let opening = Engine::builder(data)
        .log_directory(data)
        .config(config)
        .log_options(options)
        .service("shell", Synthetic)
        .open();
    let engine = smol::block_on(opening)?;
    let mut app = rejoin_http::Router::default();
    let mut settings = Settings::default();
    settings.pull_wait = shape.pull_wait;
    settings.pull_gather = Duration::ZERO;
    let accounts = Accounts::open()?;
    rejoin_arthas::mount(&mut app, engine.clone(), accounts.clone(), settings);
    rejoin_native::mount(&mut app, engine, accounts);
    let limits = rejoin_http::HttpLimits {
        connections: 100_000,
        ..rejoin_http::HttpLimits::default()
    };
    let any_port = ([127, 0, 0, 1], 0).into();
    let server = HttpServer::bind(any_port, app, limits, HostCheck::local())?;
    println!("listens on http://{}", server.local_addr());
    smol::block_on(server.run(std::future::pending()))?;
    Ok(())
}

#[derive(Debug)]
struct Synthetic;

impl Runner for Synthetic {
    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit> {
        Box::pin(async move {
            let words: Vec<_> = job.statement.split_whitespace().collect();
            let number = |place: usize| -> u64 {
                let word = words.get(place).and_then(|it| it.parse().ok());
                word.unwrap_or(0)
            };
            let reporter = job.reporter;
            let _ = reporter.started().await;
            let status = match words.first() {
                Some(&"flood") => flood(&reporter, number(1), number(2)).await,
                Some(&"tick") => tick(&reporter, number(1), number(2)).await,
                _ => 127,
            };
            Exit {
                status,
                message: None, ..Exit::default() }
        })
    }
}

async fn flood(reporter: &Reporter, count: u64, bytes: u64) -> i32 {
    let filler = "x".repeat(usize::try_from(bytes).unwrap_or(0).saturating_sub(FRAME));
    for _ in 0..count {
        let result = format!(r#"{{"content":"{filler}","type":"flood"}}"#);
        if reporter.result(result.into()).await.is_err() {
            return 1;
        }
    }
    0
}

async fn tick(reporter: &Reporter, count: u64, millis: u64) -> i32 {
    for _ in 0..count {
        smol::Timer::after(Duration::from_millis(millis)).await;
        let result = format!(r#"{{"at":"{}","type":"tick"}}"#, nanoseconds());
        if reporter.result(result.into()).await.is_err() {
            return 1;
        }
    }
    0
}

/// Bytes of a result without its filler.
const FRAME: usize = r#"{"content":"","type":"flood"}"#.len();
