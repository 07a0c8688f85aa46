//! Ten thousand open long polls: their cost, and whether all are answered in time.

use super::Bench;
use super::http::{begin, pull};
use crate::Outcome;
use crate::contestants::{Server, Shape};
use crate::figures::{Section, quantile};
use crate::load::Connection;
use std::time::{Duration, Instant};

pub(super) fn open_polls(bench: &mut Bench<'_>) -> Outcome<Section> {
    let count = if bench.options.quick { 2_000 } else { 10_000 };
    let mut section = Section::new(
        "Open long polls",
        format!(
            "{count} connections, each with a pull of its own session, open for two seconds and \
             then answered without results. hyper and axum sleep for two seconds and send the \
             same bytes. Memory is the growth of the process per connection with its open \
             request, without its session. *late* is the time from the end of the two seconds to \
             the answer."
        ),
    );
    let rejoin = Server::synthetic(&bench.scratch.join("log"), &Shape::default())?;
    let sessions = begin(&rejoin, count)?;
    // Pull the first records, so that later pulls wait.
    let mut first = Connection::open(rejoin.address)?;
    for session in &sessions {
        first.ask(&pull(session))?;
    }
    let requests: Vec<_> = sessions.iter().map(pull).collect();
    let answer = first.ask(&requests[0])?.to_vec();
    let file = bench.scratch.join("answer");
    std::fs::write(&file, answer)?;
    let wait = Duration::from_secs(2);
    let servers = [
        rejoin,
        Server::hyper(&file, wait)?,
        Server::axum(&file, wait)?,
    ];
    let what = format!("{count} open polls");
    for _ in 0..bench.options.rounds(3) {
        for server in &servers {
            let before = server.process.memory()?;
            let mut open = Vec::new();
            for _ in &requests {
                open.push(Connection::open(server.address)?);
            }
            let time = server.process.time()?;
            let mut asked = Vec::new();
            for (connection, request) in open.iter_mut().zip(&requests) {
                connection.send(request)?;
                asked.push(Instant::now());
            }
            std::thread::sleep(Duration::from_millis(300));
            let held = server.process.memory()?.saturating_sub(before);
            let mut late = Vec::new();
            for (connection, asked) in open.iter_mut().zip(asked) {
                connection.receive()?;
                late.push(asked.elapsed().saturating_sub(wait).as_secs_f64() * 1e3);
            }
            let spent = server.process.time()?.saturating_sub(time).as_secs_f64();
            let count = requests.len() as f64;
            section.note(&what, server.name, "KiB each", held as f64 / 1024.0 / count);
            section.note(
                &what,
                server.name,
                "µs of processor each",
                spent * 1e6 / count,
            );
            section.note(&what, server.name, "ms late, p50", quantile(&late, 0.5));
            section.note(&what, server.name, "ms late, p99", quantile(&late, 0.99));
        }
    }
    Ok(section)
}
