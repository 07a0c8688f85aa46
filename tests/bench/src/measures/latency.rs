//! The time from the emission of a result to the answer of a waiting consumer, and the time of a
//! sync.

use super::Bench;
use super::http::{begin, pull, statement};
use crate::Outcome;
use crate::contestants::{Server, Shape};
use crate::figures::{REJOIN, Section, quantile};
use crate::load::Connection;
use crate::machine::nanoseconds;
use memchr::memmem;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

pub(super) fn emitted_to_seen(bench: &mut Bench<'_>) -> Outcome<Section> {
    let mut section = Section::new(
        "From emitted to seen",
        "*a result*: a runner stamps a result when it emits it, every 5 ms; a consumer with an \
         open pull reads the clock when it has the answer. In between: decide, write, fdatasync, \
         wake, HTTP. *a sync* is a 400-byte append and fdatasync of a plain file, in alternation. \
         *a statement*: from sending `async_exec` of `version` to the answer of an open pull with \
         its `status`; three syncs in Rejoin, none in Arthas.",
    );
    let ticking = Server::synthetic(&bench.scratch.join("ticks"), &Shape::default())?;
    let real = super::http::many_sessions(bench, "statements")?;
    let arthas = match &bench.arthas {
        Some(arthas) => Some(arthas.start(&bench.scratch)?),
        None => None,
    };
    for _ in 0..bench.options.rounds(7) {
        note(
            &mut section,
            "a sync",
            "file and fdatasync",
            &syncs(&bench.scratch.join("file"))?,
        );
        let count = bench.options.size(400);
        note(&mut section, "a result", REJOIN, &ticks(&ticking, count)?);
        let count = bench.options.size(200);
        note(
            &mut section,
            "a statement",
            REJOIN,
            &statements(&real, count)?,
        );
        if let Some(arthas) = &arthas {
            // It sometimes fails; such a round is not counted.
            match statements(arthas, bench.options.size(20)) {
                Ok(waits) => note(&mut section, "a statement", arthas.name, &waits),
                Err(error) => eprintln!("  Arthas: {error}"),
            }
        }
    }
    Ok(section)
}

fn note(section: &mut Section, what: &str, who: &str, waits: &[f64]) {
    section.note(what, who, "µs, p50", quantile(waits, 0.5));
    section.note(what, who, "µs, p99", quantile(waits, 0.99));
}

fn ticks(server: &Server, count: usize) -> Outcome<Vec<f64>> {
    let begun = begin(server, 1)?.pop().ok_or("no session")?;
    let mut reader = Connection::open(server.address)?;
    let ask = pull(&begun);
    reader.ask(&ask)?;
    let tick = format!("tick {count} 5");
    Connection::open(server.address)?.ask(&statement("async_exec", &begun.session, &tick))?;
    let mut waits = Vec::new();
    let began = Instant::now();
    while waits.len() < count {
        patience(began)?;
        let answer = reader.ask(&ask)?;
        let now = nanoseconds();
        for at in memmem::find_iter(answer, STAMP) {
            let stamp = answer.get(at + STAMP.len()..).unwrap_or_default();
            let end = stamp.iter().position(|it| !it.is_ascii_digit());
            let stamp = std::str::from_utf8(stamp.get(..end.unwrap_or(0)).unwrap_or_default())?;
            let emitted: u64 = stamp.parse()?;
            waits.push(now.saturating_sub(emitted) as f64 / 1e3);
        }
    }
    Ok(waits)
}

fn statements(server: &Server, count: usize) -> Outcome<Vec<f64>> {
    let begun = begin(server, 1)?.pop().ok_or("no session")?;
    let mut reader = Connection::open(server.address)?;
    let mut writer = Connection::open(server.address)?;
    let ask = pull(&begun);
    reader.ask(&ask)?;
    let version = statement("async_exec", &begun.session, "version");
    let mut waits = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        reader.send(&ask)?;
        let answer = writer.ask(&version)?;
        if memmem::find(answer, SCHEDULED).is_none() {
            return Err(String::from_utf8_lossy(answer).into_owned().into());
        }
        while memmem::find(reader.receive()?, STATUS).is_none() {
            patience(began)?;
            reader.send(&ask)?;
        }
        waits.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(waits)
}

/// Fails after 30 seconds.
fn patience(began: Instant) -> Outcome<()> {
    match began.elapsed() < Duration::from_secs(30) {
        true => Ok(()),
        false => Err("timeout after 30 s".into()),
    }
}

fn syncs(path: &Path) -> Outcome<Vec<f64>> {
    let mut file = File::create(path)?;
    let mut waits = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        file.write_all(&[1; 400])?;
        file.sync_data()?;
        waits.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(waits)
}

const STAMP: &[u8] = br#""at":""#;
const SCHEDULED: &[u8] = br#""state":"SCHEDULED""#;
const STATUS: &[u8] = br#""type":"status""#;
