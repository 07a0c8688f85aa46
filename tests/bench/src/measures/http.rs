//! Requests over HTTP: creating, joining and closing sessions, pulls with and without results,
//! one-time statements. Servers that only send the same bytes show the limit.

use super::Bench;
use crate::Outcome;
use crate::contestants::Server;
use crate::figures::{Section, quantile};
use crate::load::{Connection, Loaded, api, load, member};
use std::path::Path;
use std::time::Duration;

/// A kind of request.
struct Workload {
    what: &'static str,
    connections: usize,
    /// Requests per round, for Rejoin and for Arthas.
    counts: (usize, usize),
    /// Makes the given number of requests that the server will answer successfully.
    prepare: fn(&Server, usize) -> Outcome<Vec<Vec<u8>>>,
    /// Use the server that answers empty pulls at once.
    empty: bool,
}

const WORKLOADS: [Workload; 7] = [
    Workload {
        what: "init_session",
        connections: 64,
        counts: (8_000, 200),
        prepare: |_, count| Ok(vec![api(INIT); count]),
        empty: false,
    },
    Workload {
        what: "join_session",
        connections: 64,
        counts: (8_000, 200),
        prepare: |server, count| {
            let sessions = begin(server, count)?;
            Ok(sessions
                .iter()
                .map(|it| of_session("join_session", it))
                .collect())
        },
        empty: false,
    },
    Workload {
        what: "close_session",
        connections: 64,
        counts: (8_000, 200),
        prepare: |server, count| {
            let sessions = begin(server, count)?;
            Ok(sessions
                .iter()
                .map(|it| of_session("close_session", it))
                .collect())
        },
        empty: false,
    },
    Workload {
        what: "pull with results",
        connections: 64,
        counts: (12_000, 200),
        prepare: |server, count| Ok(begin(server, count)?.iter().map(pull).collect()),
        empty: false,
    },
    Workload {
        what: "pull without results, not waited for",
        connections: 64,
        counts: (12_000, 0),
        prepare: |server, count| {
            let sessions = begin(server, 64)?;
            for session in &sessions {
                Connection::open(server.address)?.ask(&pull(session))?;
            }
            Ok(sessions.iter().cycle().take(count).map(pull).collect())
        },
        empty: true,
    },
    Workload {
        what: "exec version, 64 connections",
        connections: 64,
        counts: (4_000, 300),
        prepare: |server, count| executions(server, 64, count),
        empty: false,
    },
    Workload {
        what: "exec version, 2 connections",
        connections: 2,
        counts: (600, 20),
        prepare: |server, count| executions(server, 2, count),
        empty: false,
    },
];

pub(super) fn requests(bench: &mut Bench<'_>) -> Outcome<Section> {
    let mut section = Section::new(
        "Requests over HTTP",
        "Persistent connections on two threads of the harness, which send a request on each and \
         then read all answers. *µs of processor each* is the contestant's own processor time per \
         request, which a shared machine disturbs least. The servers named hyper and axum parse \
         the same requests and send the bytes of Rejoin's answer; they decide, log and sync \
         nothing. Rejoin makes every change durable (fdatasync) before it answers; pulls change \
         nothing. Arthas stores nothing. *pull with results* is the first pull of a new consumer; \
         empty pulls of Arthas wait for two seconds and are not in this table.",
    );
    let rejoin = Server::rejoin(bench.options, &bench.scratch.join("a"), &MANY)?;
    let flags = [&MANY[..], &["--pull-wait", "0ms"]].concat();
    let at_once = Server::rejoin(bench.options, &bench.scratch.join("b"), &flags)?;
    let arthas = match &bench.arthas {
        Some(arthas) => Some(arthas.start(&bench.scratch)?),
        None => None,
    };
    for workload in &WORKLOADS {
        let rejoin = if workload.empty { &at_once } else { &rejoin };
        let arthas = arthas.as_ref().filter(|_| workload.counts.1 > 0);
        run(bench, &mut section, workload, rejoin, arthas)?;
    }
    Ok(section)
}

fn run(
    bench: &Bench<'_>,
    section: &mut Section,
    workload: &Workload,
    rejoin: &Server,
    arthas: Option<&Server>,
) -> Outcome<()> {
    let sample = (workload.prepare)(rejoin, 64)?;
    let answer = Connection::open(rejoin.address)?
        .ask(sample.first().ok_or("no request")?)?
        .to_vec();
    let file = bench.scratch.join("answer");
    std::fs::write(&file, &answer)?;
    let bare = [
        Server::hyper(&file, Duration::ZERO)?,
        Server::axum(&file, Duration::ZERO)?,
    ];
    for round in 0..=bench.options.rounds(7) {
        let count = bench.options.size(workload.counts.0);
        let requests = (workload.prepare)(rejoin, count)?;
        let send = |server: &Server, requests: &[Vec<u8>]| {
            let Server {
                process, address, ..
            } = server;
            load(process, *address, workload.connections, requests, MOST)
        };
        let noted = |section: &mut Section, server: &Server, loaded: &Loaded| {
            // The first round warms up.
            if round > 0 {
                note(section, workload.what, server.name, loaded);
            }
        };
        let answered = send(rejoin, &requests)?;
        check(&answered)?;
        noted(section, rejoin, &answered);
        for server in &bare {
            noted(section, server, &send(server, &requests)?);
        }
        if let Some(arthas) = arthas {
            let requests = (workload.prepare)(arthas, bench.options.size(workload.counts.1))?;
            let loaded = send(arthas, &requests)?;
            // It sometimes fails under load; such a round is not counted.
            match check(&loaded) {
                Ok(()) => noted(section, arthas, &loaded),
                Err(error) => eprintln!("  Arthas answered: {error}"),
            }
            end_all(arthas, &requests)?;
        }
    }
    Ok(())
}

/// Fails on error answers, which may be faster than real ones.
fn check(loaded: &Loaded) -> Outcome<()> {
    let good = br#""state":"SUCCEEDED""#;
    let bad = |body: &&Vec<u8>| memchr::memmem::find(body, good).is_none();
    match loaded.bodies.iter().find(bad) {
        Some(bad) => Err(String::from_utf8_lossy(bad).into_owned().into()),
        None => Ok(()),
    }
}

fn note(section: &mut Section, what: &str, who: &str, loaded: &Loaded) {
    section.note(
        what,
        who,
        "µs of processor each",
        loaded.microseconds_each(),
    );
    section.note(what, who, "requests/s", loaded.per_second());
    section.note(what, who, "µs, p50", quantile(&loaded.waits, 0.5));
    section.note(what, who, "µs, p99", quantile(&loaded.waits, 0.99));
}

/// A session and its first consumer.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) session: String,
    pub(super) consumer: String,
}

/// Creates `count` sessions.
pub(super) fn begin(server: &Server, count: usize) -> Outcome<Vec<Begun>> {
    let requests = vec![api(INIT); count];
    let connections = count.clamp(1, 64);
    let long = Duration::from_secs(120);
    let loaded = load(
        &server.process,
        server.address,
        connections,
        &requests,
        long,
    )?;
    begun(&loaded)
}

/// Lets `count` consumers join the session.
pub(super) fn join(server: &Server, session: &str, count: usize) -> Outcome<Vec<Begun>> {
    let request = api(&format!(
        r#"{{"action":"join_session","sessionId":"{session}"}}"#
    ));
    let connections = count.clamp(1, 64);
    let long = Duration::from_secs(120);
    let requests = vec![request; count];
    begun(&load(
        &server.process,
        server.address,
        connections,
        &requests,
        long,
    )?)
}

fn begun(loaded: &Loaded) -> Outcome<Vec<Begun>> {
    let bodies = loaded.bodies.iter();
    bodies
        .map(|body| {
            Ok(Begun {
                session: member(body, "sessionId")?.into(),
                consumer: member(body, "consumerId")?.into(),
            })
        })
        .collect()
}

/// Closes the sessions of a round. Arthas has a thread per session, which would slow down the next
/// round.
fn end_all(server: &Server, requests: &[Vec<u8>]) -> Outcome<()> {
    let mut connection = Connection::open(server.address)?;
    let mut ended = std::collections::BTreeSet::new();
    for request in requests {
        // Requests that create sessions don't name one; these sessions stay open.
        let Ok(session) = member(request, "sessionId") else {
            continue;
        };
        if ended.insert(session.to_owned()) {
            connection.ask(&api(&format!(
                r#"{{"action":"close_session","sessionId":"{session}"}}"#
            )))?;
        }
    }
    Ok(())
}

fn of_session(action: &str, begun: &Begun) -> Vec<u8> {
    let session = &begun.session;
    api(&format!(
        r#"{{"action":"{action}","sessionId":"{session}"}}"#
    ))
}

pub(super) fn pull(begun: &Begun) -> Vec<u8> {
    let Begun { session, consumer } = begun;
    api(&format!(
        r#"{{"action":"pull_results","consumerId":"{consumer}","sessionId":"{session}"}}"#
    ))
}

pub(super) fn statement(action: &str, session: &str, statement: &str) -> Vec<u8> {
    api(&format!(
        r#"{{"action":"{action}","command":"{statement}","sessionId":"{session}"}}"#
    ))
}

/// One statement at a time in each of `sessions` sessions, each on its own connection.
fn executions(server: &Server, sessions: usize, count: usize) -> Outcome<Vec<Vec<u8>>> {
    let sessions = begin(server, sessions)?;
    let turns = sessions.iter().cycle().take(count);
    Ok(turns
        .map(|it| statement("exec", &it.session, "version"))
        .collect())
}

/// A server with its own data directory. Its sessions accumulate over the rounds.
pub(super) fn many_sessions(bench: &Bench<'_>, name: &str) -> Outcome<Server> {
    Server::rejoin(bench.options, &bench.scratch.join(Path::new(name)), &MANY)
}

const INIT: &str = r#"{"action":"init_session"}"#;
// A pull of Arthas' API waits for more results, which would be measured instead of the server.
const MANY: [&str; 4] = ["--max-sessions", "100000000", "--pull-gather", "0ms"];
const MOST: Duration = Duration::from_secs(2);
