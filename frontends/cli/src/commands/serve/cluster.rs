//! This server as one of several nodes.

use super::limits::{HOME_PATIENCE, HOME_POLL, LEAVE_PATIENCE, NATS_PATIENCE};
use super::{ServeError, WaitingSignals, start_error};
use crate::settings::Settings;
use futures::future::{Either, select};
use rejoin_accounts::{Accounts, Replaced, SharedStore, StoreError, Stored};
use rejoin_engine::limits::CUT_OFF;
use rejoin_engine::peers::ClusterStatus;
use rejoin_engine::{Config, Engine, EngineBuilder, Runtime, SmolRuntime};
use rejoin_node::{Joined, Membership, SharedEntry, Unanswered};
use std::fmt::Write;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// The part of this server in its cluster.
pub(super) struct Member {
    membership: Membership,
    logs: PathBuf,
    replicas: usize,
    /// Whether it wrote its own log when it had started.
    writes_home: bool,
}

/// Joins the cluster, if the settings name one: finds this node's log, and reads it. Returns the engine on
/// it and its settings.
pub(super) async fn join(
    settings: &Settings,
    config: &Config,
) -> Result<Option<(EngineBuilder, Config, Member)>, ServeError> {
    let Some(node) = settings.cluster().node().map_err(start_error)? else {
        return Ok(None);
    };
    if settings.keeps_jobs() {
        return Err(start_error(
            "a node of a cluster can't leave its jobs running when it ends, because another node goes on with its \
             sessions: set `jobs-at-exit` to `end` (the packaged systemd unit sets REJOIN_JOBS_AT_EXIT=keep)",
        ));
    }
    let logs = settings.data().join(LOGS);
    tracing::info!(cluster = %node.cluster, node = %node.node, "joins the cluster");
    let (cluster, name, replicas) = (node.cluster.clone(), node.node.clone(), node.replicas);
    let joining = node.membership(logs.clone(), config.limits);
    let joined = smol::unblock(move || Membership::join(joining)).await;
    let Joined {
        home,
        numbering,
        membership,
    } = joined.map_err(|error| {
        start_error(format!(
            "node {name} cannot take part in cluster {cluster}: {error}"
        ))
    })?;
    let mut config = config.clone();
    config.numbering = numbering;
    config.server.node = Some(name.as_str().into());
    let builder = Engine::node(home, membership.peers()).runner_directory(settings.data());
    let member = Member {
        membership,
        logs,
        replicas,
        writes_home: false,
    };
    Ok(Some((builder, config, member)))
}

/// The directory of the copies of all logs, in that of the server.
const LOGS: &str = "logs";

impl Member {
    /// Where the copy of this node's log is.
    pub(super) fn log_directory(&self) -> PathBuf {
        self.logs.join(self.membership.status().home.to_string())
    }

    /// Begins to write this node's log and to follow the others. Waits until a node writes it, for a while, or
    /// until a signal comes.
    pub(super) async fn start(
        &mut self,
        engine: &Engine,
        signals: &mut WaitingSignals,
    ) -> Result<(), ServeError> {
        self.membership.start(engine).map_err(start_error)?;
        let tries = HOME_PATIENCE.as_millis() / HOME_POLL.as_millis();
        for _ in 0..tries {
            let status = self.membership.status();
            let is_known = status.logs.len() > usize::from(status.home);
            if is_known && (engine.owns(status.home) || is_lent(&status)) {
                break;
            }
            let signal = Pin::new(&mut *signals).peek();
            if let Either::Right(_) = select(SmolRuntime.timer(HOME_POLL), signal).await {
                break;
            }
        }
        self.writes_home = engine.owns(self.membership.status().home);
        Ok(())
    }

    /// What the server says at its start: a line about the node and its logs.
    pub(super) fn announcement(&self) -> String {
        let status = self.membership.status();
        let (node, cluster) = (&status.node, &status.cluster);
        let mut line = format!("Node {node} of cluster {cluster}: ");
        let home = status.logs.get(&status.home);
        let owner = home
            .and_then(|home| home.place.as_ref())
            .and_then(|it| it.owner.as_ref());
        let (log, term) = (status.home, home.map_or(0, |home| home.term));
        let _ = match owner {
            Some(owner) if owner == node && !self.writes_home => {
                write!(
                    line,
                    "has its log {log} (term {term}), and can't write it yet"
                )
            }
            Some(owner) if owner == node => write!(line, "writes log {log} (term {term})"),
            Some(owner) => write!(
                line,
                "its log {log} is written by node {owner} (term {term}) until no job runs there"
            ),
            None => write!(line, "waits for its log {log}"),
        };
        let others = status.logs.iter().filter(|(other, _)| **other != log);
        let others: Vec<_> = others
            .filter_map(|(other, it)| Some(format!("{other} ({})", it.place.as_ref()?.home)))
            .collect();
        let _ = match &*others {
            [] => writeln!(line, ", and there is no other log yet"),
            [one] => writeln!(line, ", and follows log {one}"),
            many => writeln!(line, ", and follows logs {}", many.join(", ")),
        };
        if self.replicas == 1 {
            line += "One server of NATS keeps each record: for tests only, because what its disk loses is lost\n";
        }
        line
    }

    /// Shows the other nodes whether they have the same accounts.
    pub(super) fn show_accounts(&self, accounts: Accounts) {
        self.membership.show_accounts(move || accounts.mark());
    }

    /// Where all nodes keep what they share about logins.
    pub(super) fn shared_store(&self) -> Result<Arc<dyn SharedStore>, ServeError> {
        let entry = self.membership.shared_entry(ACCESS);
        Ok(Arc::new(EntryStore(entry.map_err(start_error)?)))
    }

    /// Takes no log any more.
    pub(super) fn begin_leaving(&self) {
        self.membership.begin_leaving();
    }

    /// Ends without servers of NATS that don't answer.
    pub(super) fn give_up_appends(&self) {
        self.membership.give_up_appends();
    }

    /// How long the end of the engine waits for servers of NATS, beside the time that its jobs get: not at all
    /// if they have been silent for longer than an election usually takes.
    pub(super) fn patience(&self) -> Duration {
        match self.membership.status().unanswered >= CUT_OFF {
            true => Duration::ZERO,
            false => NATS_PATIENCE,
        }
    }

    /// Tells the other nodes that this one has ended, if the servers answer.
    pub(super) async fn leave(self) {
        let membership = self.membership;
        let leaving = smol::unblock(move || membership.leave());
        select(leaving, SmolRuntime.timer(LEAVE_PATIENCE)).await;
    }
}

/// An entry of the cluster's key-value store.
struct EntryStore(SharedEntry);

impl SharedStore for EntryStore {
    fn read(&self) -> Result<Stored, StoreError> {
        let (revision, bytes) = self.0.read().map_err(unanswered)?;
        Ok(Stored { revision, bytes })
    }

    fn replace(&self, revision: u64, bytes: &[u8]) -> Result<Replaced, StoreError> {
        let replaced = self.0.replace(revision, bytes).map_err(unanswered)?;
        Ok(replaced.map_or(Replaced::Conflict, Replaced::Done))
    }

    fn wait(&self, patience: Duration) -> bool {
        self.0.wait(patience)
    }

    fn is_shared(&self) -> bool {
        true
    }
}

fn unanswered(error: Unanswered) -> StoreError {
    StoreError(error.to_string())
}

/// The key of what nodes share about logins.
const ACCESS: &str = "access";

fn is_lent(status: &ClusterStatus) -> bool {
    let home = status.logs.get(&status.home);
    let owner = home.and_then(|home| home.place.as_ref()?.owner.as_ref());
    // A former run of this node is in the claim until this one has taken the log.
    owner.is_some_and(|owner| *owner != status.node && status.live().any(|node| node == owner))
}
