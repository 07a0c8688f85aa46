//! Beats, and reads the claims of all logs: once a second.

use crate::driver::Driver;
use crate::limits::{ACCOUNTS_BEATS, BEAT, LOGS, LOST_BEATS, READINGS, SLEEP};
use crate::surroundings::{Server, Thread};
use crate::{Shared, lock};
use rejoin_cluster::limits::NODE_SERVICES;
use rejoin_cluster::{
    Claim, Entry, LogServer, NodeEntry, NodeName, Written, claim_key, node_key, revisions,
};
use rejoin_engine::Engine;
use rejoin_engine::peers::LogActivity;
use rejoin_log_jetstream::Follower;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

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
        is_disputed: false,
        count: 0,
    };
    let mut contact = Contact::default();
    *lock(&shared.answered) = Some(shared.stopwatch.now());
    let mut begun = shared.stopwatch.now();
    loop {
        if has_slept(shared, begun) {
            // Before the beat: it must first learn what it has lost.
            let (logs, _) = read_claims(shared, &mut entries);
            for log in logs {
                drive(&mut drivers, shared, engine, log, None);
            }
        }
        begun = shared.stopwatch.now();
        // After a question that was not answered in time the beat comes first: the others count the seconds.
        let mut has_answered = true;
        if !shared.is_silent.load(Ordering::Acquire) {
            let seen = beat.write(shared, engine, &mut entries);
            contact.note(shared, seen.is_some());
            let revisions = seen.as_deref().map(revisions);
            lock(&shared.beats).observe(revisions.as_deref());
            if let Some(seen) = seen {
                note_entries(shared, &seen);
                // A change of the accounts has reached all beats.
                if beat.count.checked_rem(ACCOUNTS_BEATS) == Some(0) {
                    compare_accounts(shared);
                }
            }
        }
        let mut must_read = true;
        for _ in 0..READINGS {
            if must_read && has_answered {
                let (logs, is_whole) = read_claims(shared, &mut entries);
                for log in logs {
                    drive(&mut drivers, shared, engine, log, None);
                }
                note_ends(shared);
                has_answered = is_whole;
            }
            let paused = shared.stopwatch.now();
            shared.pause(BEAT / READINGS);
            if shared.is_leaving() || has_slept(shared, paused) {
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

/// Whether so much time has passed since then that the process was stopped, or the servers did not answer.
fn has_slept(shared: &Shared, begun: Duration) -> bool {
    shared.stopwatch.now().saturating_sub(begun) >= SLEEP
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
        Err(error) => {
            let fault = format!("cannot start a thread: {error}");
            let mut is_new = false;
            shared.note(log, |status| {
                is_new = status.fault.is_none();
                status.fault = Some(fault);
            });
            if is_new {
                tracing::error!(log, %error, "cannot follow a log: no thread; tries again");
            }
        }
    }
}

/// Whether the servers answer, said when it changes.
#[derive(Default)]
struct Contact {
    unanswered_beats: u64,
}

impl Contact {
    fn note(&mut self, shared: &Shared, is_answered: bool) {
        if is_answered {
            let silence = shared.unanswered().as_secs();
            *lock(&shared.answered) = Some(shared.stopwatch.now());
            if self.unanswered_beats >= LOST_BEATS {
                tracing::info!(seconds = silence, "the NATS servers answer again");
            }
            self.unanswered_beats = 0;
            return;
        }
        self.unanswered_beats = self.unanswered_beats.saturating_add(1);
        if self.unanswered_beats == LOST_BEATS {
            tracing::warn!(
                "the NATS servers do not answer: commands wait, and other nodes may take the sessions"
            );
        }
    }
}

/// What the other nodes say of themselves, for operators.
fn note_entries(shared: &Shared, seen: &[(NodeName, Entry)]) {
    let entries = seen.iter().filter_map(|(node, beat)| {
        let entry = NodeEntry::decode(&beat.value)?;
        Some((node.clone(), entry))
    });
    *lock(&shared.entries) = entries.collect();
}

/// How long each log is, as its writer has said: a node that has as many records is not behind.
fn note_ends(shared: &Shared) {
    let said: Vec<_> = {
        let (claims, entries) = (lock(&shared.claims), lock(&shared.entries));
        let end = |(log, claim): (&u8, &Claim)| {
            let entry = entries.get(claim.owner.as_ref()?)?;
            Some((*log, *entry.copies.get(log)?))
        };
        claims.iter().filter_map(end).collect()
    };
    for (log, end) in said {
        let mut has_all = false;
        shared.note(log, |status| {
            status.end = end;
            has_all = status.position >= end && status.activity == LogActivity::Following;
        });
        if has_all {
            shared.is_whole(log);
        }
    }
}

/// The claims of all logs as they are now, for all threads. Returns which logs there are, and whether the servers
/// have answered.
fn read_claims(shared: &Shared, entries: &mut Server) -> (Vec<u8>, bool) {
    let waiting = std::mem::take(&mut lock(&shared.reading).0);
    let (mut logs, mut has_answered) = (Vec::new(), true);
    for log in 0..LOGS {
        let read = entries.read(&claim_key(log));
        has_answered = read.is_some();
        // Homes are given out in order.
        let Some(Some(entry)) = read else { break };
        if let Some(claim) = Claim::decode(&entry.value) {
            logs.push(log);
            let mut claims = lock(&shared.claims);
            let known = claims.get(&log);
            // It was read before this node wrote its own, or at a server that is behind after an election.
            if known.is_some_and(|known| claim.is_before(known)) {
                continue;
            }
            let has_new_term = known.is_some_and(|known| known.term < claim.term);
            lock(&shared.beats).watch(log, &claim);
            claims.insert(log, claim);
            drop(claims);
            if has_new_term {
                shared.on_new_term.notify(usize::MAX);
            }
        }
    }
    for waiting in waiting {
        // It may have been given up.
        let _ = waiting.send(has_answered);
    }
    (logs, has_answered)
}

/// Looks which nodes have other accounts than this one, or another key of logins, and says so when that changes.
fn compare_accounts(shared: &Shared) {
    let own = lock(&shared.accounts_mark).clone();
    let others: BTreeSet<NodeName> = {
        let entries = lock(&shared.entries);
        let others = entries.iter().filter(|(_, entry)| entry.accounts != own);
        others.map(|(node, _)| node.clone()).collect()
    };
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

/// How many records this node has of each log.
fn copies(shared: &Shared) -> BTreeMap<u8, u64> {
    let logs = lock(&shared.logs);
    logs.iter()
        .map(|(log, state)| (*log, state.status.position))
        .collect()
}

struct Beat {
    /// Of this node's entry. None: it has to be read.
    revision: Option<u64>,
    count: u64,
    /// Whether the last write that was answered met another revision.
    is_disputed: bool,
}

impl Beat {
    /// Writes the beat. Those of the other nodes. None: the servers did not answer.
    fn write(
        &mut self,
        shared: &Shared,
        engine: &Engine,
        entries: &mut Server,
    ) -> Option<Vec<(NodeName, Entry)>> {
        let key = node_key(&shared.member.node);
        if self.count.checked_rem(ACCOUNTS_BEATS) == Some(0) {
            let mark = shared.accounts.get().and_then(|mark| mark());
            *lock(&shared.accounts_mark) = mark;
        }
        self.count = self.count.saturating_add(1);
        let services = engine.services().take(NODE_SERVICES);
        let entry = NodeEntry {
            log: shared.home,
            version: shared.member.version.clone(),
            services: services.map(ToString::to_string).collect(),
            beat: self.count,
            accounts: lock(&shared.accounts_mark).clone(),
            copies: copies(shared),
        };
        let expected = match self.revision {
            Some(revision) => revision,
            None => entries.read(&key)?.map_or(0, |entry| entry.revision),
        };
        self.revision = match entries.write(&key, expected, &entry.encode()) {
            Written::Done(revision) => {
                self.is_disputed = false;
                Some(revision)
            }
            Written::Conflict => {
                // Once: a server that is behind after an election answers with an old revision for a while.
                if !self.is_disputed {
                    tracing::warn!(
                        node = %shared.member.node,
                        "the beat of this node was written by another process, or twice"
                    );
                }
                self.is_disputed = true;
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
