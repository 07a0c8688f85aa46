//! Runners that execute the statement as a script: `say 20; wait 300; burst 8; exit 3`.
//!
//! Words: `say BYTES`, `burst COUNT`, `wait MILLIS`, `forever`, `late` (never reports that it has
//! started), `deaf` (reads no input), `stubborn COUNT` (ends at that interrupt, or a while after the
//! first one), `panic`, `explain BYTES` (a message at the end), `exit STATUS`. Every script ends soon
//! after it is interrupted. Programs on keepers know three more: `err BYTES` (on standard error), `tick
//! COUNT` (says something now and then), `need BYTES` (waits for that much input).

use crate::world::{Random, World};
use futures::future::{BoxFuture, Either, select};
use rejoin_core::{JobId, SessionId};
use rejoin_engine::{Exit, Input, InputBytes, Runner, RunnerJob, TerminalMode};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// The runner of every simulated service.
#[derive(Debug)]
pub(crate) struct ScriptedRunner(pub(crate) Arc<World>);

impl Runner for ScriptedRunner {
    fn run(&self, mut job: RunnerJob) -> BoxFuture<'static, Exit> {
        let world = self.0.clone();
        {
            let mut checker = world.checker();
            let checker = &mut *checker;
            let started = checker.runs.start(job.session, job.job, &checker.model);
            checker.report(started);
        }
        Box::pin(async move {
            let input = job.input.take().filter(|_| !job.statement.contains("deaf"));
            let reading = pin!(read(&world, job.session, job.job, input));
            let resizing = pin!(resize(&world, &job));
            let reading = async { select(reading, resizing).await.factor_first().0 };
            let work = pin!(async {
                match select(pin!(play(&world, &job)), pin!(reading)).await {
                    Either::Left((exit, _)) => exit,
                    Either::Right((never, _)) => match never {},
                }
            });
            let end = pin!(interrupted(&world, &job));
            match select(work, end).await {
                Either::Left((exit, _)) => exit,
                Either::Right(_) => Exit {
                    status: 130,
                    message: None,
                    ..Exit::default()
                },
            }
        })
    }

    /// A terminal asks for something secret now and then.
    fn terminal_mode(&self, _: JobId) -> BoxFuture<'static, Option<TerminalMode>> {
        let world = self.0.clone();
        Box::pin(async move {
            Some(TerminalMode {
                echoes: world.draw(|random| !random.once_in(3)),
                collects_lines: true,
            })
        })
    }

    fn release(&self, session: SessionId) -> BoxFuture<'static, ()> {
        let world = self.0.clone();
        {
            let mut checker = world.checker();
            let checker = &mut *checker;
            let released = checker.runs.release(session, &checker.model);
            checker.report(released);
        }
        Box::pin(async move {
            let wait = world.draw(|random| random.millis(200));
            world.pause(wait).await;
        })
    }
}

/// Reads the standard input of the job as soon as it comes.
async fn read(world: &World, session: SessionId, job: JobId, input: Option<Input>) -> Infallible {
    if let Some(mut input) = input {
        while let Some(InputBytes { bytes, is_hidden }) = input.next_bytes().await {
            let mut checker = world.checker();
            let checker = &mut *checker;
            let (read, met) = match is_hidden {
                false => (
                    checker.runs.read(session, job, &bytes, &checker.model),
                    "input: read",
                ),
                true => (
                    checker
                        .runs
                        .read_hidden(session, job, &bytes, &checker.model),
                    "input: read, hidden",
                ),
            };
            checker.report(read);
            checker.coverage.count(met);
        }
    }
    std::future::pending().await
}

/// Takes the sizes that the terminal of the job gets.
async fn resize(world: &World, job: &RunnerJob) -> Infallible {
    while let Some(size) = job.sizes.next().await {
        let mut checker = world.checker();
        let checker = &mut *checker;
        let resized = checker
            .runs
            .resize(job.session, job.job, size, &checker.model);
        checker.report(resized);
        checker.coverage.count("terminal: size");
    }
    std::future::pending().await
}

async fn play(world: &World, job: &RunnerJob) -> Exit {
    let mut exit = Exit::default();
    let mut said = 0;
    if !job.statement.contains("late") {
        let _ = job.reporter.started().await;
    }
    for (word, number) in words(&job.statement) {
        match word {
            "say" => {
                say(world, job, &mut said, number).await;
            }
            "burst" => {
                for _ in 0..number {
                    say(world, job, &mut said, 10).await;
                }
            }
            "wait" => world.pause(Duration::from_millis(number)).await,
            "forever" => std::future::pending().await,
            "panic" => {
                {
                    let mut checker = world.checker();
                    checker.coverage.count("fault: runner panics");
                    checker.runs.panic(job.job);
                }
                // Unlike `panic!`, this does not run the hook that prints the panic.
                std::panic::resume_unwind(Box::new("the script says so"));
            }
            "explain" => exit.message = Some("m".repeat(usize::try_from(number).unwrap_or(0))),
            "exit" => exit.status = i32::try_from(number).unwrap_or(1),
            _ => {}
        }
    }
    exit
}

/// Emits a result; the results of a run are all different.
async fn say(world: &World, job: &RunnerJob, said: &mut u64, bytes: u64) {
    *said += 1;
    let content = "x".repeat(usize::try_from(bytes).unwrap_or(0));
    let id = job.job;
    let result: Arc<str> =
        format!(r#"{{"content":"{content}","jobId":{id},"place":{said},"type":"said"}}"#).into();
    if job.reporter.result(result.clone()).await.is_ok() {
        world.checker().runs.say(id, result);
    }
}

/// Ready when the job has to end.
async fn interrupted(world: &World, job: &RunnerJob) {
    let stubborn = words(&job.statement).find(|(word, _)| *word == "stubborn");
    let wanted = stubborn.map_or(1, |(_, count)| count);
    let mut grace = None;
    for _ in 0..wanted {
        let received = match &mut grace {
            None => job.interrupts.next().await,
            Some(grace) => match select(pin!(job.interrupts.next()), grace).await {
                Either::Left((received, _)) => received,
                Either::Right(_) => return,
            },
        };
        // The engine no longer knows the job.
        let Some(cause) = received else {
            return;
        };
        let mut checker = world.checker();
        let checker = &mut *checker;
        let is_engine_gone = checker.log_failed || checker.is_closing;
        let interrupted =
            checker
                .runs
                .interrupt(job.session, job.job, cause, is_engine_gone, &checker.model);
        checker.report(interrupted);
        grace.get_or_insert_with(|| world.clock.timer(GRACE));
    }
}

pub(crate) fn words(statement: &str) -> impl Iterator<Item = (&str, u64)> {
    statement.split(';').filter_map(|word| {
        let mut parts = word.split_whitespace();
        let word = parts.next()?;
        Some((
            word,
            parts
                .next()
                .and_then(|number| number.parse().ok())
                .unwrap_or(0),
        ))
    })
}

/// A random statement, made unique by `number`.
pub(crate) fn script(random: &mut Random, number: u64) -> String {
    let mut words = vec![];
    if random.once_in(10) {
        words.push("late".to_owned());
    }
    if random.once_in(6) {
        words.push("deaf".to_owned());
    }
    if random.once_in(6) {
        words.push(format!("stubborn {}", 2 + random.below(5)));
    }
    for _ in 0..random.below(8) {
        words.push(match random.below(14) {
            // Only programs on keepers know these.
            13 => format!("tick {}", 1 + random.below(60)),
            12 if random.once_in(3) => format!("need {}", 1 + random.below(150)),
            12 => format!("err {}", random.below(90)),
            0..=4 => format!("say {}", random.below(60)),
            5 => format!("burst {}", 1 + random.below(90)),
            6 => format!("say {}", random.below(400)),
            7 if random.once_in(2) => "forever".to_owned(),
            8 if random.once_in(3) => "panic".to_owned(),
            9 => format!("wait {}", random.below(20_000)),
            _ => format!("wait {}", random.below(3_000)),
        });
    }
    if random.once_in(8) {
        words.push(format!("explain {}", random.below(200)));
    }
    if random.once_in(3) {
        words.push(format!("exit {}", random.below(4)));
    }
    if random.once_in(40) {
        words.push("x".repeat(300));
    }
    words.push(format!("#{number}"));
    words.join("; ")
}

pub(super) const GRACE: Duration = Duration::from_secs(3);
