//! Beats, and reads the claims of all logs: once a second.

use crate::driver::Driver;
use crate::limits::{BEAT, LOGS, READINGS};
use crate::surroundings::{Server, Thread};
use crate::{Shared, lock};
use rejoin_cluster::{Claim, LogServer, NodeEntry, NodeName, Written, claim_key, node_key};
use rejoin_engine::Engine;
use rejoin_log_jetstream::Follower;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Beats until the node leaves, and drives each log on a thread of its own.
pub(crate) fn run(
    shared: &Arc<Shared>,
    engine: &Engine,
    mut entries: Server,
    home: Follower<Server>,
) {
    let mut drivers = BTreeMap::new();
    drive(&mut drivers, shared, engine, shared.home, Some(home));
    let mut beat = Beat {
        revision: None,
        count: 0,
    };
    loop {
        if !shared.is_silent.load(Ordering::Acquire) {
            let seen = beat.write(shared, engine, &mut entries);
            match seen {
                Some(_) => shared.unanswered_beats.store(0, Ordering::Release),
                None => drop(shared.unanswered_beats.fetch_add(1, Ordering::AcqRel)),
            }
            // A driver that reads a log to its end takes it back.
            for status in lock(&shared.logs).values_mut() {
                status.beats_behind = status.beats_behind.saturating_add(1);
            }
            lock(&shared.beats).observe(seen.as_deref());
        }
        let mut must_read = true;
        for _ in 0..READINGS {
            if must_read {
                for log in read_claims(shared, &mut entries) {
                    drive(&mut drivers, shared, engine, log, None);
                }
            }
            shared.pause(BEAT / READINGS);
            if shared.is_leaving() {
                break;
            }
            must_read = !lock(&shared.reading).0.is_empty();
        }
        if shared.is_leaving() {
            break;
        }
    }
    for driver in drivers.into_values() {
        driver();
    }
    beat.delete(shared, &mut entries);
}

fn drive(
    drivers: &mut BTreeMap<u8, Thread>,
    shared: &Arc<Shared>,
    engine: &Engine,
    log: u8,
    follower: Option<Follower<Server>>,
) {
    if drivers.contains_key(&log) {
        return;
    }
    let driver = Driver::new(shared.clone(), engine.clone(), log, follower);
    let name = format!("rejoin-log-{log}");
    let thread = shared
        .surroundings
        .thread(name, Box::new(move || driver.run()));
    match thread {
        Ok(thread) => drop(drivers.insert(log, thread)),
        Err(error) => tracing::error!(log, %error, "cannot follow a log: no thread"),
    }
}

/// The claims of all logs as they are now, for all threads. Returns which logs there are.
fn read_claims(shared: &Shared, entries: &mut Server) -> Vec<u8> {
    let waiting = std::mem::take(&mut lock(&shared.reading).0);
    let (mut logs, mut has_answered) = (Vec::new(), true);
    for log in 0..LOGS {
        let read = entries.read(&claim_key(log));
        has_answered = read.is_some();
        // Homes are given out in order.
        let Some(Some(entry)) = read else {
            break;
        };
        if let Some(claim) = Claim::decode(&entry.value) {
            lock(&shared.beats).watch(log, &claim);
            lock(&shared.claims).insert(log, claim);
            logs.push(log);
        }
    }
    for waiting in waiting {
        // It may have been given up.
        let _ = waiting.send(has_answered);
    }
    logs
}

struct Beat {
    /// Of this node's entry. None: it has to be read.
    revision: Option<u64>,
    count: u64,
}

impl Beat {
    /// Writes the beat. The revisions of the other nodes' beats. None: the servers did not answer.
    fn write(
        &mut self,
        shared: &Shared,
        engine: &Engine,
        entries: &mut Server,
    ) -> Option<Vec<(NodeName, u64)>> {
        let key = node_key(&shared.member.node);
        self.count = self.count.saturating_add(1);
        let entry = NodeEntry {
            log: shared.home,
            version: shared.member.version.clone(),
            services: engine.services().map(ToString::to_string).collect(),
            beat: self.count,
        };
        let expected = match self.revision {
            Some(revision) => revision,
            None => entries.read(&key)?.map_or(0, |entry| entry.revision),
        };
        self.revision = match entries.write(&key, expected, &entry.encode()) {
            Written::Done(revision) => Some(revision),
            Written::Conflict => {
                tracing::warn!(
                    node = %shared.member.node,
                    "the beat of this node was written by another process, or twice"
                );
                None
            }
            Written::Unknown => None,
        };
        self.revision?;
        let mut beats = entries.beats()?;
        beats.retain(|(node, _)| *node != shared.member.node);
        Some(beats)
    }

    /// So that the others do not wait for this node.
    fn delete(&self, shared: &Shared, entries: &mut Server) {
        if let Some(revision) = self.revision {
            entries.write(&node_key(&shared.member.node), revision, b"");
        }
    }
}
