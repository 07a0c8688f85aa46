//! Beats, and reads the claims of all logs: once a second.

use crate::driver::Driver;
use crate::limits::{ACCOUNTS_BEATS, BEAT, LOGS};
use crate::surroundings::{Server, Thread};
use crate::{Shared, lock};
use rejoin_cluster::{Claim, LogServer, NodeEntry, NodeName, Written, claim_key, node_key};
use rejoin_engine::Engine;
use rejoin_log_jetstream::Follower;
use std::collections::{BTreeMap, BTreeSet};
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
        for log in read_claims(shared, &mut entries) {
            drive(&mut drivers, shared, engine, log, None);
        }
        if shared.pause(BEAT) {
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
    let mut logs = Vec::new();
    for log in 0..LOGS {
        // Homes are given out in order.
        let Some(Some(entry)) = entries.read(&claim_key(log)) else {
            break;
        };
        if let Some(claim) = Claim::decode(&entry.value) {
            lock(&shared.claims).insert(log, claim);
            logs.push(log);
        }
    }
    logs
}

/// Looks which live nodes have other accounts than this one, or another key of logins.
fn compare_accounts(shared: &Shared, entries: &mut Server, own: Option<&str>) {
    let live: Vec<_> = lock(&shared.beats).live().cloned().collect();
    let mut others = BTreeSet::new();
    for node in live {
        let entry = entries.read(&node_key(&node)).flatten();
        let entry = entry.and_then(|entry| NodeEntry::decode(&entry.value));
        if entry.is_some_and(|entry| entry.accounts.as_deref() != own) {
            others.insert(node);
        }
    }
    let mut known = lock(&shared.other_accounts);
    for node in others.difference(&known) {
        tracing::warn!(
            %node,
            "another node has other accounts or another login key: who is logged in here may not be there"
        );
    }
    for node in known.difference(&others) {
        tracing::info!(%node, "another node has the same accounts and login key again, or has ended");
    }
    *known = others;
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
            accounts: shared.accounts.get().and_then(|mark| mark()),
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
        if self.count.checked_rem(ACCOUNTS_BEATS) == Some(0) {
            compare_accounts(shared, entries, entry.accounts.as_deref());
        }
        Some(beats)
    }

    /// So that the others do not wait for this node.
    fn delete(&self, shared: &Shared, entries: &mut Server) {
        if let Some(revision) = self.revision {
            entries.write(&node_key(&shared.member.node), revision, b"");
        }
    }
}
