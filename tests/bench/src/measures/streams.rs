//! Deliveries by Server-Sent Events: the results of one job to many viewers, with one request each.
//!
//! Results are counted in this process, when they have arrived.

use super::Bench;
use super::http::{begin, statement};
use crate::Outcome;
use crate::contestants::{Server, Shape};
use crate::figures::{REJOIN, Section};
use crate::load::{Connection, get};
use memchr::memmem;
use std::io::{self, Read};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

const VIEWERS: [usize; 4] = [1, 8, 100, 1_000];

pub(super) fn deliveries(bench: &mut Bench<'_>) -> Outcome<Section> {
    let total = bench.options.size(800_000);
    let mut section = Section::new(
        "Deliveries by Server-Sent Events",
        format!(
            "Results of 200 bytes of one job, by one stream of the native API to each of the given \
             number of viewers; {total} deliveries per round, counted on arrival. *s of processor \
             a million* is the server's processor time, which includes deciding, logging and \
             syncing the job's records. *live*: all viewers wait when the job starts, and read \
             while it writes. *late*: they connect after it has ended, and read all results."
        ),
    );
    let server = Server::synthetic(&bench.scratch.join("log"), &Shape::default())?;
    for _ in 0..bench.options.rounds(5) {
        for viewers in VIEWERS {
            let session = begin(&server, 1)?.pop().ok_or("no session")?.session;
            let results = total / viewers;
            let flood = statement("async_exec", &session, &format!("flood {results} 200"));
            for when in ["live", "late"] {
                let job = (when == "live").then_some(flood.as_slice());
                let (took, time) = read(&server, &session, viewers, results, job)?;
                let (took, time) = (took.as_secs_f64(), time.as_secs_f64());
                let what = format!("{viewers} viewers, {when}");
                let delivered = (results * viewers) as f64;
                let millions = delivered / 1e6;
                section.note(&what, REJOIN, "per second of a core", delivered / time);
                section.note(&what, REJOIN, "per second", delivered / took);
                section.note(&what, REJOIN, "s of processor a million", time / millions);
            }
        }
    }
    Ok(section)
}

/// Starts `job`, if any, and lets every viewer read `results` results. Returns the elapsed time and
/// the processor time of the server.
fn read(
    server: &Server,
    session: &str,
    viewers: usize,
    results: usize,
    job: Option<&[u8]>,
) -> Outcome<(Duration, Duration)> {
    let ask = get(&format!("/sessions/{session}/stream"));
    let (mut began, mut time) = (Instant::now(), server.process.time()?);
    let mut shares: [Vec<Viewer>; 2] = Default::default();
    for place in 0..viewers {
        let mut viewer = Viewer::new(Connection::open(server.address)?.begin(&ask)?, results);
        if job.is_some() {
            // After the first events of the session, the viewer waits for more.
            viewer.wait_for(BEGINNING)?;
        }
        shares[place % 2].push(viewer);
    }
    if let Some(job) = job {
        (began, time) = (Instant::now(), server.process.time()?);
        Connection::open(server.address)?.ask(job)?;
    }
    let ended: Vec<io::Result<()>> = thread::scope(|scope| {
        let running = shares.map(|viewers| scope.spawn(move || view(viewers)));
        let joined = running.map(|it| it.join());
        joined
            .map(|it| it.unwrap_or_else(|_| Err(io::Error::other("a viewer panicked"))))
            .into()
    });
    let took = (began.elapsed(), server.process.time()?.saturating_sub(time));
    ended.into_iter().collect::<io::Result<()>>()?;
    Ok(took)
}

/// Reads from each viewer in turn until all have all results. Waiting for one does not hold back
/// the others, because their sockets buffer the events.
fn view(mut viewers: Vec<Viewer>) -> io::Result<()> {
    while !viewers.is_empty() {
        for viewer in &mut viewers {
            viewer.read()?;
        }
        viewers.retain(|viewer| viewer.left > 0);
    }
    Ok(())
}

struct Viewer {
    stream: TcpStream,
    left: usize,
    buffer: Vec<u8>,
    /// Number of bytes at the start of the buffer that are left from the last read.
    kept: usize,
}

impl Viewer {
    fn new(stream: TcpStream, results: usize) -> Self {
        Self {
            stream,
            left: results,
            buffer: vec![0; READ],
            kept: 0,
        }
    }

    /// Reads once and counts the results. Each chunk contains whole events, so a mark is never
    /// split by chunk framing, only between two reads.
    fn read(&mut self) -> io::Result<()> {
        let read = self.stream.read(&mut self.buffer[self.kept..])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let filled = self.kept + read;
        let came = &self.buffer[..filled];
        self.left = self
            .left
            .saturating_sub(memmem::find_iter(came, MARK).count());
        // One byte shorter than a mark, so that no mark is counted twice.
        self.kept = filled.min(MARK.len() - 1);
        self.buffer.copy_within(filled - self.kept..filled, 0);
        Ok(())
    }

    fn wait_for(&mut self, text: &[u8]) -> io::Result<()> {
        let mut came = Vec::new();
        while memmem::find(&came, text).is_none() {
            let read = self.stream.read(&mut self.buffer)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            came.extend_from_slice(&self.buffer[..read]);
        }
        Ok(())
    }
}

const MARK: &[u8] = br#""type":"flood""#;
const BEGINNING: &[u8] = br#""type":"consumer-joined""#;
const READ: usize = 64 * 1024;
