//! The paths through an engine and its frontends: the cost of a request without HTTP and disk.

use crate::still::Still;
use crate::{Outcome, Path};
use rejoin_accounts::{Accounts, Caller};
use rejoin_arthas::{Arthas, Settings};
use rejoin_core::{Limits, Server};
use rejoin_engine::{
    Config, Engine, NewSession, Projection, Runner, RunnerJob, Services, encode_result,
};
use rejoin_http::test_call::call;
use rejoin_log::MemoryLog;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const PATHS: [Path; 4] = [
    Path {
        name: "init_session",
        units: REQUESTS,
        run: |passes| {
            let world = World::start()?;
            for _ in 0..passes * REQUESTS {
                world.ask(INIT)?;
            }
            Ok(())
        },
        holds: false,
    },
    Path {
        name: "exec",
        units: REQUESTS,
        run: |passes| {
            let world = World::start()?;
            let session = member(&world.ask(INIT)?, "sessionId")?;
            let exec = format!(r#"{{"action":"exec","command":"say","sessionId":"{session}"}}"#);
            for _ in 0..passes * REQUESTS {
                world.ask(&exec)?;
            }
            Ok(())
        },
        holds: false,
    },
    Path {
        name: "pull_results of a job's three results",
        units: REQUESTS,
        run: |passes| {
            let world = World::start()?;
            let mut pulls = Vec::new();
            for _ in 0..2 * REQUESTS {
                let begun = world.ask(INIT)?;
                let session = member(&begun, "sessionId")?;
                let consumer = member(&begun, "consumerId")?;
                let pull = format!(
                    r#"{{"action":"pull_results","consumerId":"{consumer}","sessionId":"{session}"}}"#
                );
                // Skip the records that every consumer gets first.
                world.ask(&pull)?;
                world.ask(&format!(
                    r#"{{"action":"async_exec","command":"say","sessionId":"{session}"}}"#
                ))?;
                world.settle();
                pulls.push(pull);
            }
            for pull in pulls.iter().take(usize::try_from(passes * REQUESTS)?) {
                let answer = world.ask(pull)?;
                if answer.matches(r#""type":"guard""#).count() != RESULTS {
                    return Err(format!("unexpected results: {answer}").into());
                }
            }
            Ok(())
        },
        holds: false,
    },
    Path {
        name: "a page of fifty of MaxScale's list",
        units: PAGES,
        run: |passes| {
            let world = World::start()?;
            for _ in 0..200 {
                world
                    .runtime
                    .run(world.engine.create_session(NewSession::default()))?;
            }
            let mut router = rejoin_http::Router::default();
            rejoin_maxscale::mount(&mut router, world.engine.clone(), Accounts::open()?);
            let target = "/v1/sessions?page[size]=50&page[number]=2&pretty=false";
            for _ in 0..passes * PAGES {
                let called = world.runtime.run(call(&router, "GET", target, &[], b""));
                black_box(called.ok_or("no request")?);
            }
            Ok(())
        },
        holds: false,
    },
];

/// An engine with its frontends, without threads, clock or disk.
struct World {
    runtime: Still,
    engine: Engine,
    frontend: Arthas,
    caller: Caller,
}

impl World {
    fn start() -> Outcome<Self> {
        let config = Config {
            limits: Limits {
                consumers: usize::MAX,
                ..Limits::DEFAULT
            },
            server: Server {
                process: 1,
                version: "1".into(),
                node: None,
            },
            ..Config::default()
        };
        let runtime = Still::default();
        let services = Services::from([("say".into(), Arc::new(Say) as Arc<dyn Runner>)]);
        let replayed = Projection::new(config.limits);
        let log = Box::new(MemoryLog::new());
        let engine = rejoin_engine::testing::start(
            config,
            Arc::new(runtime.clone()),
            log,
            replayed,
            services,
        )?;
        // Timers never fire here.
        let mut settings = Settings::default();
        settings.pull_wait = Duration::ZERO;
        settings.pull_gather = Duration::ZERO;
        Ok(Self {
            runtime,
            frontend: Arthas::new(engine.clone(), settings),
            engine,
            caller: Caller::local(),
        })
    }

    fn ask(&self, body: &str) -> Outcome<String> {
        let answer = self
            .frontend
            .answer(body.as_bytes(), None, &self.caller, |_| ());
        let answer = String::from_utf8(self.runtime.run(answer))?;
        match answer.contains(r#""state":"FAILED""#) {
            true => Err(format!("{body}: {answer}").into()),
            false => Ok(answer),
        }
    }

    /// Gives jobs time to end.
    fn settle(&self) {
        let turns = async {
            for _ in 0..100 {
                smol::future::yield_now().await;
            }
        };
        self.runtime.run(turns);
    }
}

fn member(answer: &str, name: &str) -> Outcome<String> {
    let (_, rest) = answer
        .split_once(&format!("\"{name}\":\""))
        .ok_or_else(|| format!("no {name} in {answer}"))?;
    Ok(rest.split('"').next().unwrap_or_default().to_owned())
}

/// Emits three results.
#[derive(Debug)]
struct Say;

impl Runner for Say {
    fn run(&self, job: RunnerJob) -> futures::future::BoxFuture<'static, rejoin_engine::Exit> {
        Box::pin(async move {
            let _ = job.reporter.started().await;
            for _ in 0..RESULTS {
                let said = "x".repeat(150);
                let members = [("content".to_owned(), said.into())].into_iter().collect();
                let result = encode_result(job.job, "guard", members);
                let _ = job.reporter.result(result).await;
            }
            rejoin_engine::Exit::default()
        })
    }
}

const INIT: &str = r#"{"action":"init_session"}"#;
const RESULTS: usize = 3;
const REQUESTS: u64 = 100;
const PAGES: u64 = 10;
