//! Clients that submit and read until the server dies, and remember what they received.

use super::log::{Expected, Item, Written};
use crate::server::{Server, api};
use rejoin_http::test_client::Client;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A session, and what its clients know of it.
pub(super) struct Track {
    session: String,
    consumer: String,
    /// Jobs that were accepted, with their statements.
    accepted: Vec<(u64, String)>,
    /// What the consumer was shown since the server started.
    shown: Vec<Item>,
    /// How many of the session's results it has got in all.
    read: usize,
    turns: u64,
    is_closed: bool,
}

/// The load on one server until it is killed, or on some nodes of a cluster until it is ended.
pub(super) struct Load {
    /// Client by client, the next one of these.
    addresses: Vec<SocketAddr>,
    kill: u64,
    answered: AtomicU64,
    is_over: AtomicBool,
}

/// Longer than a takeover.
const PATIENCE: Duration = Duration::from_secs(60);

impl Load {
    pub(super) fn new(server: &Server, kill: u64) -> Self {
        Self::on(&[server], kill)
    }

    pub(super) fn on(servers: &[&Server], kill: u64) -> Self {
        Self {
            addresses: servers.iter().map(|server| server.address).collect(),
            kill,
            answered: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    /// Ends the load on servers that are not killed.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::SeqCst)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the test waits for a real server, with a deadline"
    )]
    pub(super) fn wait_for(&self, answers: u64) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.answered() < answers {
            assert!(
                Instant::now() < deadline,
                "no {answers} answers in a minute"
            );
            thread::sleep(Duration::from_micros(100));
        }
    }

    /// Runs clients in every session until `kill` has killed the server.
    pub(super) fn run(&self, tracks: &mut [Track], kill: impl FnOnce()) {
        thread::scope(|scope| {
            for (place, track) in (0..).zip(tracks) {
                let next = |it| self.addresses[it % self.addresses.len()];
                let place_of = usize::try_from(place).unwrap();
                let (reads, submits) = (next(place_of), next(place_of + 1));
                let closes = self.kill % 6 == 4 && place == self.kill % 4;
                let Track {
                    session,
                    consumer,
                    accepted,
                    shown,
                    turns,
                    is_closed,
                    ..
                } = track;
                let session: &str = session;
                scope.spawn(move || self.pull(reads, session, consumer, shown));
                scope.spawn(move || {
                    if closes && self.close(submits, session).is_some() {
                        *is_closed = true;
                    } else {
                        self.submit(submits, session, turns, accepted);
                    }
                });
            }
            let ends = EndsOnPanic(self);
            kill();
            drop(ends);
        });
    }

    /// One answer; `None` when the server is gone, or the load is over.
    fn ask(&self, client: &mut Client, request: &Value) -> Option<Value> {
        if self.is_over.load(Ordering::SeqCst) {
            return None;
        }
        let received = client.post("/api", &request.to_string()).ok()?;
        let answer = serde_json::from_slice(&received.body).ok()?;
        self.answered.fetch_add(1, Ordering::SeqCst);
        Some(answer)
    }

    fn submit(
        &self,
        address: SocketAddr,
        session: &str,
        turns: &mut u64,
        accepted: &mut Vec<(u64, String)>,
    ) {
        let Some(mut client) = connect(address) else {
            return;
        };
        loop {
            *turns += 1;
            let command = statement(*turns);
            let request = json!({"action": "async_exec", "sessionId": session, "command": command});
            let Some(answer) = self.ask(&mut client, &request) else {
                return;
            };
            if answer["state"] == "SCHEDULED" {
                let job = answer["body"]["jobId"].as_u64().unwrap();
                let command = command.trim_end_matches(" &").to_owned();
                accepted.push((job, command));
            } else {
                // The foreground is taken; somebody else's turn.
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    fn close(&self, address: SocketAddr, session: &str) -> Option<()> {
        let mut client = connect(address)?;
        let request = json!({"action": "close_session", "sessionId": session});
        let answer = self.ask(&mut client, &request)?;
        assert_eq!(answer["state"], "SUCCEEDED", "{answer}");
        Some(())
    }

    fn pull(&self, address: SocketAddr, session: &str, consumer: &str, shown: &mut Vec<Item>) {
        let Some(mut client) = connect(address) else {
            return;
        };
        let request =
            json!({"action": "pull_results", "sessionId": session, "consumerId": consumer});
        while let Some(answer) = self.ask(&mut client, &request) {
            let Some(results) = answer["body"]["results"].as_array() else {
                if answer["state"] == "REFUSED" {
                    // Its log is moving to another node.
                    thread::sleep(Duration::from_millis(1));
                    continue;
                }
                // It is being closed.
                return;
            };
            shown.extend(results.iter().filter_map(Item::shown));
        }
    }
}

/// Without this, the clients of servers that were not killed would go on for ever.
struct EndsOnPanic<'a>(&'a Load);

impl Drop for EndsOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.end();
        }
    }
}

fn connect(address: SocketAddr) -> Option<Client> {
    let client = Client::connect(address).ok()?;
    client.set_patience(PATIENCE).ok()?;
    Some(client)
}

/// Something to run, long or short, that says what nothing else says.
fn statement(turn: u64) -> String {
    match turn % 5 {
        0 => format!("seq {turn}000 {turn}400"),
        1 => format!("echo {turn} beside &"),
        2 => format!("echo {turn}; sleep 0.01; echo {turn} more"),
        3 => format!("echo {turn} >&2; false"),
        _ => format!("echo {turn}"),
    }
}

impl Track {
    pub(super) fn begin(server: &Server) -> Self {
        let (session, consumer) = server.create();
        Self {
            session,
            consumer,
            accepted: vec![],
            shown: vec![],
            read: 0,
            turns: 0,
            is_closed: false,
        }
    }

    /// Holds what the clients got against the log; how many results that was.
    pub(super) fn check(&mut self, written: &Written) -> u64 {
        self.check_through(written, 0)
    }

    /// As [`Self::check`], where the log has changed hands meanwhile: each time, a consumer may get again what it
    /// had, as after a crash, and never miss anything.
    pub(super) fn check_through(&mut self, written: &Written, takeovers: usize) -> u64 {
        let expected = written.sessions.get(&self.session);
        let expected = expected.unwrap_or_else(|| panic!("session {} is lost", self.session));
        let mut last = 0;
        for (job, command) in self.accepted.drain(..) {
            let logged = expected.statements.get(&job).map(AsRef::as_ref);
            assert_eq!(logged, Some(command.as_str()), "job {job} is lost");
            assert!(last < job, "job {job} comes after job {last}");
            last = job;
        }
        assert!(expected.is_closed || !self.is_closed, "its end is lost");
        let shown = std::mem::take(&mut self.shown);
        let mut rest = &shown[..];
        for _ in 0..=takeovers {
            let in_common = |start: usize| {
                let items = expected.items[start..].iter().zip(rest);
                items.take_while(|(item, shown)| item == shown).count()
            };
            let starts = 0..=self.read.min(expected.items.len());
            let longest = starts.map(|start| (in_common(start), start)).max();
            let (length, start) = longest.unwrap_or_default();
            rest = &rest[length..];
            self.read = self.read.max(start + length);
        }
        let at = shown.len() - rest.len();
        assert!(
            rest.is_empty(),
            "after {} results, {:?} was shown, then {rest:?}, of {:?}",
            self.read,
            &shown[at.saturating_sub(5)..at],
            expected.items
        );
        self.is_closed = expected.is_closed;
        shown.len() as u64
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_closed
    }
}

/// One of the sessions gives a late reader all that is in the log, in its order.
pub(super) fn check_served(server: &Server, written: &Written, tracks: &[Track], kill: u64) {
    let Some(track) = tracks.get(usize::try_from(kill).unwrap() % tracks.len().max(1)) else {
        return;
    };
    let Expected { items, .. } = &written.sessions[&track.session];
    let late = server.join(&track.session);
    let mut client = server.client();
    let request = json!({"action": "pull_results", "sessionId": track.session, "consumerId": late});
    let mut shown = vec![];
    while shown.len() < items.len() {
        let answer = api(&mut client, &request);
        let results = answer["body"]["results"].as_array().unwrap();
        assert!(!results.is_empty(), "{} of {}", shown.len(), items.len());
        shown.extend(results.iter().filter_map(Item::shown));
    }
    // Jobs that the kill has cut short have got their end since.
    let (before, since) = shown.split_at(items.len());
    assert_eq!(before, items);
    let is_end = |item: &Item| matches!(item, Item::Status(_));
    assert!(since.iter().all(is_end), "{since:?}");
}
