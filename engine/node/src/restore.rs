//! Makes the logs of a cluster again from the copies on one machine, after its servers have lost them.

use crate::join::{self, JoinError, Member};
use crate::limits::{LOGS, RESTORE_BATCH};
use crate::surroundings::{Server, Surroundings};
use rejoin_cluster::{Claim, LogServer, NodeName, Written, claim_key};
use rejoin_core::{Event, Record};
use rejoin_log::disk::Directory;
use rejoin_log::segment::{OpenError, verify};
use rejoin_log::{AppendError, Log};
use rejoin_log_jetstream::StreamOpenError;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A copy of a log from which it can be made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldCopy {
    /// Where it is.
    pub directory: PathBuf,
    /// The node whose home the log is.
    pub home: NodeName,
    /// How many records it has.
    pub records: u64,
}

/// Why the logs were not made again.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is no copy.
    #[error("{} has no copies of logs", .0.display())]
    NoCopies(PathBuf),
    /// A copy is missing.
    #[error(
        "there is no copy of log {missing}, but one of log {highest}: the directory is not complete"
    )]
    Missing {
        /// The log.
        missing: u8,
        /// The last log of which there is a copy.
        highest: u8,
    },
    /// A copy can't be read.
    #[error("the copy of log {log}: {error}")]
    Unreadable {
        /// The log.
        log: u8,
        /// Why not.
        error: OpenError,
    },
    /// A copy is damaged.
    #[error(
        "the copy of log {log} is damaged: use that of another machine, or see `rejoin verify`"
    )]
    Damaged {
        /// The log.
        log: u8,
    },
    /// Nothing says whose home a log is.
    #[error(
        "log {log} has no session, and nothing says to which node it belongs: name that with `--home {log}=NODE`"
    )]
    NoHome {
        /// The log.
        log: u8,
    },
    /// The servers can't be used.
    #[error(transparent)]
    Servers(#[from] JoinError),
    /// The stream is not new.
    #[error(
        "the stream of log {log} has messages: stop all nodes and servers of NATS, and move the store \
         directories of those away first"
    )]
    NotEmpty {
        /// The log.
        log: u8,
    },
    /// The key-value store says something else about the log.
    #[error(
        "the key-value store says that log {log} is the home of node {home}{}: {}",
        if *.retired { ", which was retired" } else { "" },
        "name that with `--home`, or stop all servers of NATS and move their store directories away"
    )]
    OtherClaim {
        /// The log.
        log: u8,
        /// Whose home it is.
        home: NodeName,
        /// Whether that was taken out of the cluster.
        retired: bool,
    },
    /// The log can't be written.
    #[error("log {log}: {error}")]
    Open {
        /// The log.
        log: u8,
        /// Why not.
        error: StreamOpenError,
    },
    /// A record can't be written.
    #[error("log {log}: {error}")]
    Append {
        /// The log.
        log: u8,
        /// Why not.
        error: AppendError,
    },
}

/// The copies in the directory of a node that does not run, by the numbers of their logs. A log's home is found
/// in its sessions; `homes` are those that are known otherwise.
///
/// # Errors
///
/// If a copy is missing, in use, or not whole.
pub fn old_copies(
    directory: &Path,
    homes: &BTreeMap<u8, NodeName>,
) -> Result<BTreeMap<u8, OldCopy>, RestoreError> {
    let mut found = BTreeMap::new();
    for log in 0..LOGS {
        let directory = directory.join(log.to_string());
        if !directory.is_dir() {
            continue;
        }
        let (mut records, mut creator) = (0_u64, None);
        read(log, &directory, &mut |record| {
            records = records.saturating_add(1);
            if let Event::SessionCreated { server, .. } = &record.event
                && creator.is_none()
            {
                creator = server.node.as_ref().and_then(|node| node.parse().ok());
            }
        })?;
        let home = homes.get(&log).cloned().or(creator);
        let home = home.ok_or(RestoreError::NoHome { log })?;
        let copy = OldCopy {
            directory,
            home,
            records,
        };
        found.insert(log, copy);
    }
    let Some((&highest, _)) = found.last_key_value() else {
        return Err(RestoreError::NoCopies(directory.into()));
    };
    match (0..highest).find(|log| !found.contains_key(log)) {
        Some(missing) => Err(RestoreError::Missing { missing, highest }),
        None => Ok(found),
    }
}

/// Writes all records of the old copies to new streams, and to new copies on this machine. No node may run.
///
/// The new logs have new identities: copies of the old ones can't be continued, on any machine.
///
/// # Errors
///
/// If there is such a stream already, or one can't be written. Those that were begun are then there, incomplete.
pub fn restore_in(
    member: &Member,
    surroundings: &dyn Surroundings,
    copies: &BTreeMap<u8, OldCopy>,
) -> Result<(), RestoreError> {
    for (&log, copy) in copies {
        let (mut server, id) = surroundings.server(log)?;
        if log == 0 {
            join::check_format(member, &mut server)?;
        }
        let bounds = join::answered(&mut server, |server| server.bounds())?;
        if bounds.last > 0 {
            return Err(RestoreError::NotEmpty { log });
        }
        let claim = Claim {
            home: copy.home.clone(),
            owner: None,
            process: None,
            term: 0,
            retired: false,
        };
        write_claim(&mut server, log, &claim)?;
        let (new, _, _) = surroundings.copy(log, id)?.into_parts();
        let options = member.stream_options(log, id, true);
        let opened = options.open_unfolded(server, new);
        let mut opened = opened.map_err(|error| RestoreError::Open { log, error })?;
        let (mut batch, mut appended) = (Vec::new(), Ok(()));
        read(log, &copy.directory, &mut |record| {
            if appended.is_ok() {
                batch.push(Arc::new(record));
                if batch.len() >= RESTORE_BATCH {
                    appended = opened.append(&batch);
                    batch.clear();
                }
            }
        })?;
        let appended = appended
            .and_then(|()| opened.append(&batch))
            .and_then(|()| opened.close());
        appended.map_err(|error| RestoreError::Append { log, error })?;
    }
    Ok(())
}

/// As [`restore_in`], on servers of NATS. The new copies are in the directory of the settings.
///
/// # Errors
///
/// As [`restore_in`].
#[cfg(feature = "nats")]
pub fn restore(
    settings: crate::MembershipSettings,
    copies: &BTreeMap<u8, OldCopy>,
) -> Result<(), RestoreError> {
    let (member, surroundings) = crate::nats::connect(settings)?;
    restore_in(&member, &*surroundings, copies)
}

/// Writes the first claim of a log. One that is there may be that of a former try: it must say the same.
fn write_claim(server: &mut Server, log: u8, claim: &Claim) -> Result<(), RestoreError> {
    let found = join::answered(server, |server| {
        let key = claim_key(log);
        match server.write(&key, 0, &claim.encode()) {
            Written::Done(_) => Some(None),
            Written::Conflict => Some(Some(Claim::decode(&server.read(&key)??.value)?)),
            Written::Unknown => None,
        }
    })?;
    match found {
        Some(Claim { home, retired, .. }) if retired || home != claim.home => {
            Err(RestoreError::OtherClaim { log, home, retired })
        }
        _ => Ok(()),
    }
}

/// All records of a copy, in order.
fn read(log: u8, directory: &Path, visit: &mut dyn FnMut(Record)) -> Result<(), RestoreError> {
    let unreadable = |error| RestoreError::Unreadable { log, error };
    let disk = Directory::open_to_read(directory).map_err(|error| {
        let path = directory.to_owned();
        unreadable(OpenError::Io {
            path,
            source: error,
        })
    })?;
    let report = verify(&disk, visit, &mut |_, _| {}).map_err(unreadable)?;
    match report.is_sound() {
        true => Ok(()),
        false => Err(RestoreError::Damaged { log }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_cluster::testing::{Model, ModelClient, Network};
    use std::sync::Mutex;

    fn claim(home: &str) -> Claim {
        Claim {
            home: home.parse().unwrap(),
            owner: None,
            process: None,
            term: 0,
            retired: false,
        }
    }

    #[test]
    fn a_log_is_not_restored_to_another_home_than_the_store_says() {
        let model = Arc::new(Mutex::new(Model::new(1, Network::CALM)));
        let mut server: Server = Box::new(ModelClient::new(&model, 1, 1));
        write_claim(&mut server, 1, &claim("n1")).unwrap();
        // Again, because a former try was not answered.
        write_claim(&mut server, 1, &claim("n1")).unwrap();
        let error = write_claim(&mut server, 1, &claim("n2")).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the key-value store says that log 1 is the home of node n1: "),
            "{error}"
        );
        let retired = Claim {
            retired: true,
            ..claim("n1")
        };
        let revision = server.read(&claim_key(1)).unwrap().unwrap().revision;
        server.write(&claim_key(1), revision, &retired.encode());
        let error = write_claim(&mut server, 1, &claim("n1")).unwrap_err();
        assert!(error.to_string().contains("which was retired"), "{error}");
    }
}
