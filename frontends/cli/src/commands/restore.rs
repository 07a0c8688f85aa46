//! `rejoin cluster restore`: makes the logs of a cluster again from the copies of one of its nodes.

use super::sessions::print;
use crate::args::RestoreArgs;
use crate::client::ClientError;
use crate::settings::{ClusterError, Settings, SettingsError};
use rejoin_core::Limits;
use rejoin_node::{NodeName, OldCopy, RestoreError};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("name the servers of NATS and the node: set --cluster and --node, or --config")]
    Alone,
    #[error("--home {0}: write LOG=NODE, as in `--home 0=n1`")]
    Home(String),
    #[error("{} is there already, from an earlier restore: move it away", .0.display())]
    OldThere(PathBuf),
    #[error(transparent)]
    Restore(#[from] RestoreError),
    #[error("cannot rename or remove {}: {}", .0.display(), .1)]
    Rename(PathBuf, #[source] io::Error),
    #[error(transparent)]
    Print(#[from] ClientError),
}

pub(crate) fn run(args: &RestoreArgs) -> Result<(), Error> {
    let mut table = args.cluster.clone();
    if let Some(file) = &args.config {
        table = table.or(Settings::read(file)?.cluster().clone());
    }
    let node = table.node()?.ok_or(Error::Alone)?;
    let homes = args.home.iter().map(|text| home(text));
    let homes: BTreeMap<_, _> = homes.collect::<Result<_, _>>()?;
    let [logs, old, new] = ["logs", "logs.old", "logs.new"].map(|name| args.data.join(name));
    if old.exists() {
        return Err(Error::OldThere(old));
    }
    let copies = rejoin_node::old_copies(&logs, &homes)?;
    for (log, OldCopy { home, records, .. }) in &copies {
        print(&format!("Log {log} of node {home} has {records} records\n"))?;
    }
    // Of one that was not completed.
    if new.exists() {
        std::fs::remove_dir_all(&new).map_err(|error| Error::Rename(new.clone(), error))?;
    }
    let cluster = node.cluster.clone();
    rejoin_node::restore(node.membership(new.clone(), Limits::default()), &copies)?;
    rename(&logs, &old)?;
    rename(&new, &logs)?;
    print(&format!(
        "All records are in the streams of cluster {cluster}. The former copies are in {}: keep them until all \
         nodes run.\nAt the other nodes, move the directory `logs` away. Then start all nodes.\n",
        old.display()
    ))?;
    Ok(())
}

fn home(text: &str) -> Result<(u8, NodeName), Error> {
    let parsed = text
        .split_once('=')
        .and_then(|(log, node)| Some((log.parse().ok()?, node.parse().ok()?)));
    parsed.ok_or_else(|| Error::Home(text.to_owned()))
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    std::fs::rename(from, to).map_err(|error| Error::Rename(from.into(), error))
}
