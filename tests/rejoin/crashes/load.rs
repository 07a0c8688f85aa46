//! Clients that submit and read until the server dies, and remember what they received.

use super::log::{Item, Told, Written};
use crate::server::{Server, api};
use rejoin_http::test_client::Client;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// The load on one server, until it is killed.
pub(super) struct Load {
    address: SocketAddr,
    kill: u64,
    answered: AtomicU64,
}

impl Load {
    pub(super) fn new(server: &Server, kill: u64) -> Self {
        Self {
            address: server.address,
            kill,
            answered: AtomicU64::new(0),
        }
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
                scope.spawn(move || self.pull(session, consumer, shown));
                scope.spawn(move || {
                    if closes && self.close(session).is_some() {
                        *is_closed = true;
                    } else {
                        self.submit(session, turns, accepted);
                    }
                });
            }
            kill();
        });
    }

    /// One answer; `None` when the server is gone.
    fn ask(&self, client: &mut Client, request: &Value) -> Option<Value> {
        let received = client.post("/api", &request.to_string()).ok()?;
        let answer = serde_json::from_slice(&received.body).ok()?;
        self.answered.fetch_add(1, Ordering::SeqCst);
        Some(answer)
    }

    fn submit(&self, session: &str, turns: &mut u64, accepted: &mut Vec<(u64, String)>) {
        let Ok(mut client) = Client::connect(self.address) else {
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

    fn close(&self, session: &str) -> Option<()> {
        let mut client = Client::connect(self.address).ok()?;
        let request = json!({"action": "close_session", "sessionId": session});
        let answer = self.ask(&mut client, &request)?;
        assert_eq!(answer["state"], "SUCCEEDED", "{answer}");
        Some(())
    }

    fn pull(&self, session: &str, consumer: &str, shown: &mut Vec<Item>) {
        let Ok(mut client) = Client::connect(self.address) else {
            return;
        };
        let request =
            json!({"action": "pull_results", "sessionId": session, "consumerId": consumer});
        while let Some(answer) = self.ask(&mut client, &request) {
            let Some(results) = answer["body"]["results"].as_array() else {
                // It is being closed.
                return;
            };
            shown.extend(results.iter().filter_map(Item::shown));
        }
    }
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

    /// Holds what the clients were told against the log; how many results that was.
    pub(super) fn check(&mut self, written: &Written) -> u64 {
        let told = written.sessions.get(&self.session);
        let told = told.unwrap_or_else(|| panic!("session {} is lost", self.session));
        for (job, command) in self.accepted.drain(..) {
            let logged = told.statements.get(&job).map(AsRef::as_ref);
            assert_eq!(logged, Some(command.as_str()), "job {job} is lost");
        }
        assert!(told.is_closed || !self.is_closed, "its end is lost");
        let shown = std::mem::take(&mut self.shown);
        // After a crash a consumer may get again what it had, and never miss anything.
        let starts = 0..=self.read;
        let is_told = |start: &usize| {
            told.items
                .get(*start..)
                .is_some_and(|rest| rest.starts_with(&shown))
        };
        let start = starts.rev().find(is_told).unwrap_or_else(|| {
            panic!(
                "after {} results, {shown:?} was shown, of {:?}",
                self.read, told.items
            )
        });
        self.read = self.read.max(start + shown.len());
        self.is_closed = told.is_closed;
        shown.len() as u64
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_closed
    }
}

/// One of the sessions tells a late reader all that is in the log, in its order.
pub(super) fn check_served(server: &Server, written: &Written, tracks: &[Track], kill: u64) {
    let Some(track) = tracks.get(usize::try_from(kill).unwrap() % tracks.len().max(1)) else {
        return;
    };
    let Told { items, .. } = &written.sessions[&track.session];
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
