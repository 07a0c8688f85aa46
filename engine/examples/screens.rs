//! Measures how long the screen of a terminal at a place in the past takes.
//!
//! `cargo run --release -p rejoin-engine --example screens -- 200`
//!
//! Writes this many megabytes of two full-screen programs into a log in a temporary directory: one that
//! redraws all in one colour, and one that changes the colour with each word. Each writes as fast as the log
//! takes it, and waits until its screen is up to date, as a person would see it. Then this asks for the
//! screens at places that are spread over them. The files are in the page cache. `processor` is the time of
//! all threads.
#![expect(clippy::print_stdout, reason = "it is a program that measures")]
#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use futures::future::BoxFuture;
use rejoin_core::{JobMode, JobOutput, JobSlot, Sequence, TerminalSize, Visibility};
use rejoin_engine::{Engine, Exit, NewJob, Runner, RunnerJob};
use serde_json::json;
use std::error::Error;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Bytes of output in one result.
const CHUNK: usize = 16 * 1024;

const SIZE: TerminalSize = TerminalSize {
    columns: 100,
    rows: 30,
};

const PLACES: u64 = 99;

/// Draws screens. The statement is how many megabytes, and `colours` if there are many.
#[derive(Debug)]
struct Frames;

impl Runner for Frames {
    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit> {
        Box::pin(async move {
            let _ = job.reporter.started().await;
            let mut words = job.statement.split_whitespace();
            let megabytes: usize = words.next().and_then(|it| it.parse().ok()).unwrap_or(0);
            let has_colours = words.next().is_some();
            let (mut text, mut written, mut frame) = (String::new(), 0, 0_u32);
            while written < megabytes * 1_000_000 {
                frame += 1;
                text.push_str("\x1b[H\x1b[32m");
                for word in 0..400 {
                    if has_colours {
                        let _ = write!(text, "\x1b[{}m", 31 + (word + frame) % 7);
                    }
                    let _ = write!(text, "{} ", frame + word);
                }
                text.push_str("\x1b[m");
                if text.len() >= CHUNK {
                    written += text.len();
                    let result = json!({"content": text, "jobId": job.job.0, "stream": "terminal", "type": "terminal"});
                    if job
                        .reporter
                        .result(result.to_string().into())
                        .await
                        .is_err()
                    {
                        break;
                    }
                    text.clear();
                }
            }
            // Its screen is logged while it runs.
            let _ = job.interrupts.next().await;
            Exit::default()
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let megabytes = std::env::args().nth(1).unwrap_or_else(|| "100".into());
    let directory = tempfile::tempdir()?;
    smol::block_on(async {
        let engine = Engine::builder(directory.path())
            .service("frames", Frames)
            .open()
            .await?;
        for more in ["", " colours"] {
            measure(&engine, &format!("{megabytes}{more}")).await?;
        }
        Ok(())
    })
}

async fn measure(engine: &Engine, statement: &str) -> Result<(), Box<dyn Error>> {
    let session = engine.create_session("frames").await?.id();
    let mode = JobMode {
        slot: JobSlot::Foreground,
        visibility: Visibility::Session,
    };
    let new = NewJob {
        output: JobOutput::Terminal(SIZE),
        output_limit: Some(u64::MAX),
        ..NewJob::new(session, statement, mode)
    };
    let begin = Instant::now();
    let job = engine.submit_job(new).await?.job;
    let mut last = 0;
    loop {
        smol::Timer::after(Duration::from_millis(500)).await;
        let now = engine.screen(session, job, None).await?.after.0;
        if now > 3 && now == last {
            break;
        }
        last = now;
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!("{statement} MB in {last} records, shown in {seconds:.1} s");
    let begin = processor();
    let mut times = vec![];
    for place in 1..=PLACES {
        let at = Sequence(last * place / (PLACES + 1)).max(Sequence(3));
        let begin = Instant::now();
        engine.screen(session, job, Some(at)).await?;
        times.push(begin.elapsed());
    }
    let used = (processor().saturating_sub(begin)).as_secs_f64() / PLACES as f64;
    times.sort_unstable();
    let millis = |place: usize| 1e3 * times.get(place).map_or(0.0, Duration::as_secs_f64);
    println!(
        "a screen: p50 {:.1} ms, p90 {:.1} ms, worst {:.1} ms; {:.1} ms of the processor",
        millis(times.len() / 2),
        millis(times.len() * 9 / 10),
        millis(times.len() - 1),
        1e3 * used
    );
    engine.interrupt_job(session, Some(job)).await?;
    Ok(())
}

/// The processor time of all threads of this process, in ticks of 10 ms.
fn processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = after_name.split(' ').skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|it| it.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
