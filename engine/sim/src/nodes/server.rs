//! A process's client of the servers: the model's, with time that passes, and the defects that mutants
//! have.

use super::mutants::NodesMutant;
use super::net::{Net, ProcessCell};
use super::threads;
use rejoin_cluster::testing::ModelClient;
use rejoin_cluster::{Appended, Bounds, Entry, Got, LogServer, NodeName, Written};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A client for one log.
#[derive(Debug)]
pub(super) struct SimulatedServer {
    net: Arc<Net>,
    process: Arc<ProcessCell>,
    log: u8,
    client: ModelClient,
    /// What a mutant saw last.
    last_beats: Vec<(NodeName, Entry)>,
}

impl SimulatedServer {
    pub(super) fn new(net: &Arc<Net>, process: &Arc<ProcessCell>, log: u8) -> Self {
        Self {
            net: net.clone(),
            process: process.clone(),
            log,
            client: ModelClient::new(&net.model, log, process.id),
            last_beats: vec![],
        }
    }

    /// A call: the way there, what is done, and the way back. None: no answer came.
    fn call<T>(
        &mut self,
        call: impl FnOnce(&mut ModelClient) -> T,
        is_answer: impl FnOnce(&T) -> bool,
        none: T,
    ) -> T {
        if self.process.is_dead() || threads::is_killed() {
            return none;
        }
        let way = self.net.draw(|random| random.millis(4));
        threads::sleep(&self.net.clock, way);
        let done = match self.process.is_cut() {
            true => none,
            false => {
                drop(self.net.servers());
                call(&mut self.client)
            }
        };
        let way = match is_answer(&done) {
            true => self.net.draw(|random| random.millis(4)),
            // Without a leader, that is said at once; else the client gives up after a while.
            false => self.net.draw(|random| match random.once_in(2) {
                true => random.millis(30),
                false => ANSWER,
            }),
        };
        threads::sleep(&self.net.clock, way);
        done
    }
}

impl LogServer for SimulatedServer {
    fn append(&mut self, expected: u64, messages: &[Vec<u8>]) -> Appended {
        self.net.notify(self.log);
        let is_unfenced = self.net.has(NodesMutant::AppendsWithoutFence);
        let end = self.net.servers().messages(self.log).len() as u64;
        let at = if is_unfenced { end } else { expected };
        let appended = self.call(
            |client| client.append(at, messages),
            |it| *it != Appended::Unknown,
            Appended::Unknown,
        );
        match appended {
            Appended::Stored(_) if is_unfenced => {
                Appended::Stored(expected + messages.len() as u64)
            }
            Appended::Unknown if self.net.has(NodesMutant::BelievesSilenceRefuses) => {
                Appended::Refused("no answer".to_owned())
            }
            other => other,
        }
    }

    fn get(&mut self, sequence: u64) -> Got {
        self.call(
            |client| client.get(sequence),
            |it| *it != Got::Unknown,
            Got::Unknown,
        )
    }

    fn bounds(&mut self) -> Option<Bounds> {
        self.call(LogServer::bounds, Option::is_some, None)
    }

    fn tail(&mut self, from: u64) -> Option<Vec<(u64, Vec<u8>)>> {
        self.call(|client| client.tail(from), Option::is_some, None)
    }

    fn purge(&mut self, before: u64) -> bool {
        self.call(|client| client.purge(before), |it| *it, false)
    }

    fn beats(&mut self) -> Option<Vec<(NodeName, Entry)>> {
        let beats = self.call(LogServer::beats, Option::is_some, None);
        if self.net.has(NodesMutant::CountsSilenceInElections) {
            if let Some(beats) = &beats {
                self.last_beats.clone_from(beats);
            }
            return Some(self.last_beats.clone());
        }
        beats
    }

    fn read(&mut self, key: &str) -> Option<Option<Entry>> {
        let had_leader = self.net.servers().store_has_leader();
        let read = self.call(|client| client.read(key), Option::is_some, None);
        if read.is_none() && key.starts_with("node.") {
            self.observe_beat(false, had_leader);
        }
        read
    }

    fn write(&mut self, key: &str, expected: u64, value: &[u8]) -> Written {
        let had_leader = self.net.servers().store_has_leader();
        let written = self.call(
            |client| client.write(key, expected, value),
            |it| *it != Written::Unknown,
            Written::Unknown,
        );
        if key.starts_with("node.") {
            self.observe_beat(written != Written::Unknown, had_leader);
            if self.net.has(NodesMutant::CountsSilenceInElections) && written == Written::Unknown {
                return Written::Done(expected);
            }
        }
        written
    }

    fn elapsed(&self) -> Duration {
        self.net.clock.elapsed()
    }

    fn pause(&mut self, time: Duration) {
        // Fewer calls while nobody answers: the time between two is of no consequence.
        threads::sleep(&self.net.clock, time * 4);
    }
}

impl SimulatedServer {
    /// A node whose beats get lost for long is held for dead with good reason, and ends its jobs in the end.
    fn observe_beat(&self, is_answered: bool, had_leader: bool) {
        let millis = self.net.millis();
        let answered = &self.process.answered;
        let has_leader = self.net.servers().store_has_leader();
        if is_answered {
            answered.store(millis, Ordering::Relaxed);
            return;
        }
        let patience = match has_leader {
            true => LOST_MILLIS,
            false => CUT_OFF_MILLIS,
        };
        let since = answered.load(Ordering::Relaxed);
        if had_leader && has_leader && millis.saturating_sub(since) > UNLUCKY_MILLIS {
            let now = self.net.clock.elapsed();
            self.net.ledger().lose_beats(self.process.id, now);
        }
        if millis.saturating_sub(since) > patience {
            let now = self.net.clock.elapsed();
            self.net.ledger().set_away(self.process.id, false, now);
        }
    }
}

/// How long a client waits for an answer.
const ANSWER: Duration = Duration::from_secs(2);

/// A process whose beats were not answered for so long, the last one although the servers were there, is held for dead
/// with good reason: it may take two more seconds until its present question is over, and the others wait for six.
const UNLUCKY_MILLIS: u64 = 4_000;

/// A process whose beats get lost for so long may be held for dead a moment later.
const LOST_MILLIS: u64 = 3_000;

/// A process whose beats were not answered for so long is cut off, whatever the reason.
const CUT_OFF_MILLIS: u64 = 50_000;
