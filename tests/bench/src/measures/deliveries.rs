//! One job that writes at full speed, and its readers: deliveries per second of processor time, and
//! how much readers slow down the job.

use super::Bench;
use super::http::{Begun, begin, join, pull, statement};
use crate::Outcome;
use crate::contestants::{Server, Shape};
use crate::figures::{REJOIN, Section};
use crate::load::Connection;
use memchr::memmem;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

const VIEWERS: [usize; 4] = [1, 8, 100, 1_000];

pub(super) fn deliveries(bench: &mut Bench<'_>) -> Outcome<Section> {
    let total = bench.options.size(800_000);
    let mut section = Section::new(
        "Deliveries to viewers",
        format!(
            "Results of 200 bytes of one job, pulled over HTTP by the given number of viewers, \
             each on its own connection; {total} deliveries per round. *per second of a core* \
             divides by the server's processor time, which includes deciding, logging and syncing \
             the job's records. *live*: all viewers wait when the job starts, and read while it \
             writes. *late*: they join after it has ended, and read all results."
        ),
    );
    let server = Server::synthetic(&bench.scratch.join("log"), &Shape::default())?;
    for _ in 0..bench.options.rounds(5) {
        for viewers in VIEWERS {
            let session = begin(&server, 1)?.pop().ok_or("no session")?.session;
            let results = total / viewers;
            let flood = statement("async_exec", &session, &format!("flood {results} 200"));
            for when in ["live", "late"] {
                let joined = join(&server, &session, viewers)?;
                let job = (when == "live").then_some(flood.as_slice());
                let read = read(&server, &joined, results, job)?;
                let what = format!("{viewers} viewers, {when}");
                let time = read.time.as_secs_f64();
                let delivered = (results * viewers) as f64;
                section.note(&what, REJOIN, "per second of a core", delivered / time);
                let took = read.took.as_secs_f64();
                section.note(&what, REJOIN, "per second", delivered / took);
            }
        }
    }
    Ok(section)
}

pub(super) fn one_job_and_its_readers(bench: &mut Bench<'_>) -> Outcome<Section> {
    let results = bench.options.size(100_000);
    let mut section = Section::new(
        "One job at full speed",
        format!(
            "{results} results of 200 bytes, as fast as the log accepts them, with one reader and \
             with ten more that pull all the time. Measured from the request of the job to the \
             answer with its last result, for the same one reader in both cases."
        ),
    );
    let server = Server::synthetic(&bench.scratch.join("log"), &Shape::default())?;
    for _ in 0..bench.options.rounds(7) {
        for (what, viewers) in [("1 reader", 1), ("11 readers", 11)] {
            let session = begin(&server, 1)?.pop().ok_or("no session")?.session;
            let joined = join(&server, &session, viewers)?;
            let flood = statement("async_exec", &session, &format!("flood {results} 200"));
            let read = read(&server, &joined, results, Some(&flood))?;
            let first = read.first_took.as_secs_f64();
            section.note(what, REJOIN, "results/s", results as f64 / first);
        }
    }
    Ok(section)
}

struct Read {
    took: Duration,
    first_took: Duration,
    time: Duration,
}

/// Starts `job`, if any, and lets every viewer read `results` results.
fn read(server: &Server, viewers: &[Begun], results: usize, job: Option<&[u8]>) -> Outcome<Read> {
    let mut lanes = Vec::new();
    for viewer in viewers {
        let mut connection = Connection::open(server.address)?;
        let ask = pull(viewer);
        // A live viewer first reads the existing records, so that it waits for new ones.
        let seen = match job {
            Some(_) => count(connection.ask(&ask)?),
            None => 0,
        };
        lanes.push(Lane {
            connection,
            ask,
            left: results.saturating_sub(seen),
        });
    }
    let (began, time) = (Instant::now(), server.process.time()?);
    if let Some(job) = job {
        Connection::open(server.address)?.ask(job)?;
    }
    let mut shares: [Vec<Lane>; 2] = Default::default();
    for (place, lane) in lanes.into_iter().enumerate() {
        shares[place % 2].push(lane);
    }
    let took: Vec<io::Result<Duration>> = thread::scope(|scope| {
        let running: Vec<_> = shares
            .into_iter()
            .map(|lanes| scope.spawn(move || view(lanes, began)))
            .collect();
        let joined = running.into_iter().map(|it| it.join());
        joined
            .map(|it| it.unwrap_or_else(|_| Err(io::Error::other("a viewer panicked"))))
            .collect()
    });
    let spent = server.process.time()?.saturating_sub(time);
    let mut ends = Vec::new();
    for end in took {
        ends.push(end?);
    }
    Ok(Read {
        took: began.elapsed(),
        first_took: ends.first().copied().unwrap_or_default(),
        time: spent,
    })
}

struct Lane {
    connection: Connection,
    ask: Vec<u8>,
    left: usize,
}

/// Pulls on all lanes until each has all results. Returns when the first viewer had them.
fn view(mut lanes: Vec<Lane>, began: Instant) -> io::Result<Duration> {
    let mut first = None;
    while lanes.iter().any(|lane| lane.left > 0) {
        for lane in lanes.iter_mut().filter(|lane| lane.left > 0) {
            lane.connection.send(&lane.ask)?;
        }
        for (place, lane) in lanes.iter_mut().enumerate().filter(|(_, it)| it.left > 0) {
            lane.left = lane.left.saturating_sub(count(lane.connection.receive()?));
            if lane.left == 0 && place == 0 {
                first = Some(began.elapsed());
            }
        }
    }
    Ok(first.unwrap_or_default())
}

fn count(answer: &[u8]) -> usize {
    memmem::find_iter(answer, br#""type":"flood""#).count()
}
