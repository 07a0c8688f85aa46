//! Memory of idle sessions, consumers and connections.

use super::Bench;
use super::http::{begin, join, pull};
use crate::Outcome;
use crate::contestants::{Server, Shape};
use crate::figures::{REJOIN, Section};
use crate::load::{Connection, api};

pub(super) fn idle(bench: &mut Bench<'_>) -> Outcome<Section> {
    let mut section = Section::new(
        "Memory of the idle",
        "Growth of the process' own memory per item. Sessions have one consumer with its cursor, \
         and have never been pulled or have been pulled once (*pulled*). Recent records, which \
         have a separate budget (64 MiB), are limited to 64 KiB here. Connections have sent one \
         request.",
    );
    for round in 0..bench.options.rounds(3) {
        let shape = Shape {
            recent_bytes: 64 * 1024,
            ..Shape::default()
        };
        let rejoin = Server::synthetic(&bench.scratch.join(format!("{round}")), &shape)?;
        // Warm up: the first items take more memory than later ones.
        let warm = begin(&rejoin, 1_000)?;
        let count = bench.options.size(60_000);
        let before = rejoin.process.memory()?;
        let sessions = begin(&rejoin, count)?;
        let grown = |before: u64, count: usize| {
            let now = rejoin.process.memory()?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(
                now.saturating_sub(before) as f64 / count as f64,
            )
        };
        section.note("a session", REJOIN, "bytes", grown(before, count)?);
        let before = rejoin.process.memory()?;
        let mut reader = Connection::open(rejoin.address)?;
        for session in sessions.iter().take(count / 2) {
            reader.ask(&pull(session))?;
        }
        section.note(
            "a session, more when pulled",
            REJOIN,
            "bytes",
            grown(before, count / 2)?,
        );
        let before = rejoin.process.memory()?;
        for session in warm.iter().take(20) {
            join(&rejoin, &session.session, count / 20)?;
        }
        section.note("a cursor", REJOIN, "bytes", grown(before, count / 20 * 20)?);
        if let Some(arthas) = &bench.arthas {
            let arthas = arthas.start(&bench.scratch)?;
            begin(&arthas, 20)?;
            let before = arthas.process.memory()?;
            begin(&arthas, 300)?;
            let each = arthas.process.memory()?.saturating_sub(before) as f64 / 300.0;
            section.note("a session", arthas.name, "bytes", each);
        }
        connections(bench, &mut section)?;
    }
    Ok(section)
}

fn connections(bench: &Bench<'_>, section: &mut Section) -> Outcome<()> {
    let file = bench.scratch.join("answer");
    std::fs::write(&file, r#"{"state":"FAILED"}"#)?;
    let data = bench
        .scratch
        .join(format!("connections-{}", std::process::id()));
    let servers = [
        Server::synthetic(&data, &Shape::default())?,
        Server::hyper(&file, std::time::Duration::ZERO)?,
        Server::axum(&file, std::time::Duration::ZERO)?,
    ];
    let request = api(r#"{"action":"session_info","sessionId":"0"}"#);
    for server in &servers {
        let mut held = Vec::new();
        for _ in 0..64 {
            let mut connection = Connection::open(server.address)?;
            connection.ask(&request)?;
            held.push(connection);
        }
        let before = server.process.memory()?;
        for _ in 0..CONNECTIONS {
            let mut connection = Connection::open(server.address)?;
            connection.ask(&request)?;
            held.push(connection);
        }
        let grown = server.process.memory()?.saturating_sub(before);
        let each = grown as f64 / CONNECTIONS as f64;
        section.note("a connection", server.name, "bytes", each);
    }
    drop(servers);
    std::fs::remove_dir_all(&data)?;
    Ok(())
}

const CONNECTIONS: usize = 4_000;
