//! Measures how fast output is searched, compared with reading and checking the same records.
//!
//! `cargo run --release -p rejoin-search --example search -- 10000000`
//!
//! Runs a command that prints this many lines of about 90 bytes into a log in a temporary directory, and
//! then searches them: for a text that is in the last line, for regular expressions, and all again with
//! colours in each line. The files are in the page cache. `processor` is the time of all threads.
#![expect(clippy::print_stdout, reason = "it is a program that measures")]
#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use futures::future::BoxFuture;
use rejoin_engine::{
    Engine, Event, Exit, ReadLimit, Runner, RunnerJob, Sequence, SessionId, SessionView,
};
use rejoin_search::{OutputSearch, Pattern, PatternOptions};
use serde_json::json;
use std::error::Error;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Bytes of output in one result, as the shell's runner has them.
const CHUNK: usize = 64 * 1024;

/// Prints lines. The statement is their number, and `colours` if they have some.
#[derive(Debug)]
struct Lines;

impl Runner for Lines {
    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit> {
        Box::pin(async move {
            let _ = job.reporter.started().await;
            let mut words = job.statement.split_whitespace();
            let count: u64 = words.next().and_then(|it| it.parse().ok()).unwrap_or(0);
            let (on, off) = match words.next() {
                Some(_) => ("\x1b[1;32m", "\x1b[0m"),
                None => ("", ""),
            };
            let mut text = String::new();
            for line in 1..=count {
                let _ = writeln!(
                    text,
                    "2026-11-27T10:00:00.{:03}Z  {on}INFO{off} request {line} from 10.0.{}.{} took {} us, status 200",
                    line % 1_000,
                    line / 256 % 256,
                    line % 256,
                    line % 977
                );
                if line == count {
                    text += &format!("{on}nee{off}dle\n");
                }
                if text.len() >= CHUNK || line == count {
                    let result = json!({"content": text, "jobId": job.job.0, "stream": "stdout", "type": "shell"});
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
            Exit::default()
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let count = std::env::args().nth(1).unwrap_or_else(|| "1000000".into());
    let count: u64 = count.replace('_', "").parse()?;
    let directory = tempfile::tempdir()?;
    smol::block_on(async {
        let engine = Engine::builder(directory.path())
            .service("lines", Lines)
            .open()
            .await?;
        for more in ["", " colours"] {
            let session = engine.create_session("lines").await?;
            session.run(format!("{count}{more}")).await?;
            while engine
                .session_view(session.id())
                .is_none_or(|view: SessionView| view.is_busy())
            {
                smol::Timer::after(Duration::from_millis(10)).await;
            }
            measure(&engine, session.id(), count, more).await?;
        }
        Ok(())
    })
}

async fn measure(
    engine: &Engine,
    session: SessionId,
    count: u64,
    more: &str,
) -> Result<(), Box<dyn Error>> {
    let bytes = read(engine, session).await?;
    println!("{count} lines{more}, {bytes} bytes of results");
    let text = PatternOptions::default();
    let regex = PatternOptions {
        is_regex: true,
        ..text
    };
    let ignore_case = PatternOptions {
        ignore_case: true,
        ..text
    };
    for _ in 0..3 {
        let (start, begin) = (Instant::now(), processor());
        read(engine, session).await?;
        show("read and checked", bytes, start, begin, 0);
        for (name, pattern, options) in [
            ("text", "needle", text),
            ("text, any case", "NEEDLE", ignore_case),
            ("regular expression", r"needle|status [45]\d\d", regex),
            (
                "regular expression without a text",
                r"\d{3} us, \w+ 5\d\d$",
                regex,
            ),
        ] {
            let (start, begin) = (Instant::now(), processor());
            let mut search = OutputSearch::new(session, Pattern::new(pattern, options)?);
            let mut lines = 0;
            loop {
                let found = search.run(engine).await?;
                lines += found.lines.len();
                search.after = found.next;
                if found.is_over {
                    break;
                }
            }
            show(name, bytes, start, begin, lines);
        }
    }
    Ok(())
}

/// Reads all results, and returns their bytes.
async fn read(engine: &Engine, session: SessionId) -> Result<u64, Box<dyn Error>> {
    let limit = ReadLimit {
        records: 4_096,
        bytes: 1024 * 1024,
    };
    let (mut after, mut bytes) = (Sequence::START, 0);
    loop {
        let records = engine.read(session, after, limit, Duration::ZERO).await?;
        let Some(last) = records.last() else {
            return Ok(bytes);
        };
        after = last.sequence;
        for record in &records {
            if let Event::ResultEmitted { result, .. } = &record.event {
                bytes += result.len() as u64;
            }
        }
    }
}

fn show(name: &str, bytes: u64, start: Instant, begin: Duration, lines: usize) {
    let (wall, used) = (start.elapsed(), processor().saturating_sub(begin));
    let rate = |time: Duration| bytes as f64 / 1e9 / time.as_secs_f64();
    println!(
        "{name:34} {:5.2} GB/s of the processor, {:5.2} GB/s on the clock, {lines} lines found",
        rate(used),
        rate(wall)
    );
}

/// The processor time of all threads of this process, in ticks of 10 ms.
fn processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = after_name.split(' ').skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|it| it.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
