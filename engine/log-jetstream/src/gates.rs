//! What servers must be like, so that what they acknowledge is kept.

use crate::api::{Jsz, StreamConfig, Varz};
use crate::limits::{ANSWER, LEAST_PAYLOAD, VARZ_BYTES};
use serde::de::DeserializeOwned;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};

/// The oldest version of the server. Older ones sync each message twice, at half the speed.
const LEAST_VERSION: (u64, u64) = (2, 15);

/// Why servers are not trusted with a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerFault {
    /// A server does not sync.
    #[error(
        "server {server} does not sync what it acknowledges, and a power failure can take all of it: \
         set `sync_interval: always` in the block `jetstream` of its configuration"
    )]
    NotSynced {
        /// Its name or address.
        server: String,
    },
    /// It could not be found out whether a server syncs.
    #[error(
        "server {server} did not say whether it syncs ({reason}), and the other servers don't say that it is \
         away: set `http` in its configuration, and name that address as its monitoring. If it has just gone, \
         they know after some seconds"
    )]
    SyncUnknown {
        /// Its address.
        server: String,
        /// Why not.
        reason: String,
    },
    /// Fewer servers were asked than there are replicas.
    #[error(
        "only {asked} of {replicas} servers were asked whether they sync: name the monitoring addresses of all"
    )]
    NotAllAsked {
        /// How many were asked.
        asked: usize,
        /// How many replicas the log has.
        replicas: usize,
    },
    /// There are too few replicas.
    #[error(
        "stream {stream} has {found} replicas and should have {wanted}: with one, what a disk loses is \
         lost"
    )]
    Replicas {
        /// The stream.
        stream: String,
        /// How many it has.
        found: usize,
        /// How many it should have.
        wanted: usize,
    },
    /// A server is too old.
    #[error("server {server} has version {found}, and at least 2.15 is needed")]
    Version {
        /// Its name or address.
        server: String,
        /// Its version.
        found: String,
    },
    /// A server takes only small messages.
    #[error("the servers take messages of {found} bytes; set `max_payload` to 1 MiB or more")]
    Payload {
        /// The server's limit in bytes.
        found: usize,
    },
    /// A stream is not as it must be.
    #[error("stream {stream} has another configuration than needed: {what}")]
    Configuration {
        /// The stream.
        stream: String,
        /// What differs.
        what: String,
    },
    /// The stream does not exist, although this machine has records of it.
    #[error(
        "stream {stream} does not exist, although this machine has a copy of it with records: its \
         servers have lost it. `rejoin cluster restore` makes it again from the copies; or restore a backup of the \
         servers, or move the copy away"
    )]
    Gone {
        /// The stream.
        stream: String,
    },
}

/// How it is known that servers sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncProof {
    /// The addresses (`host:port`) of the monitoring of all servers, which say so.
    Monitoring(Vec<String>),
    /// Not at all: a power failure of all servers may take everything. For tests.
    NotRequired,
}

/// Asks each server whether it syncs, and for its version. One that is away can't be asked, and must not keep
/// nodes from starting.
pub(crate) fn check_sync(proof: &SyncProof, replicas: usize) -> Result<(), ServerFault> {
    let SyncProof::Monitoring(addresses) = proof else {
        tracing::warn!("the log's servers need not sync: a power failure may take everything");
        return Ok(());
    };
    if addresses.len() < replicas {
        return Err(ServerFault::NotAllAsked {
            asked: addresses.len(),
            replicas,
        });
    }
    let (mut names, mut silent) = (Vec::new(), Vec::new());
    for address in addresses {
        let varz = match varz(address) {
            Ok(varz) => varz,
            Err(reason) => {
                silent.push(ServerFault::SyncUnknown {
                    server: address.clone(),
                    reason,
                });
                continue;
            }
        };
        let server = format!("{} at {address}", varz.server_name);
        check_version(&server, &varz.version)?;
        if !varz.jetstream.config.is_some_and(|it| it.sync_always) {
            return Err(ServerFault::NotSynced { server });
        }
        names.push((varz.server_name, address));
    }
    let Some(first) = silent.first() else {
        return Ok(());
    };
    // A server that is away acknowledges nothing. One that only its monitoring is missing of might.
    if away(&names) < silent.len() {
        return Err(first.clone());
    }
    for fault in silent {
        tracing::warn!(%fault, "a server of NATS is away, and was not asked whether it syncs");
    }
    Ok(())
}

/// What a server says of itself at its monitoring address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerReport {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it syncs what it acknowledges.
    pub syncs: bool,
}

/// Asks a server at its monitoring address (`host:port`) how it is. Blocks for some seconds at most.
///
/// # Errors
///
/// Why there is no answer.
pub fn ask_server(address: &str) -> Result<ServerReport, String> {
    let varz = varz(address)?;
    Ok(ServerReport {
        name: varz.server_name,
        version: varz.version,
        syncs: varz.jetstream.config.is_some_and(|it| it.sync_always),
    })
}

/// How many servers are away, as the one says that leads all of them. 0 if none of those that answer does.
fn away(answering: &[(String, &String)]) -> usize {
    let said: Vec<_> = answering
        .iter()
        .filter_map(|(name, address)| {
            let answer: Jsz = monitoring(address, "/jsz").ok()?;
            Some((name, answer.meta_cluster?))
        })
        .collect();
    let leader = said.into_iter().find(|(name, meta)| meta.leader == **name);
    leader.map_or(0, |(_, meta)| {
        let others = meta.replicas.iter();
        others.filter(|it| it.offline || !it.current).count()
    })
}

fn varz(address: &str) -> Result<Varz, String> {
    monitoring(address, "/varz")
}

/// What a server answers at its monitoring address.
fn monitoring<T: DeserializeOwned>(address: &str, path: &str) -> Result<T, String> {
    let said = |error: std::io::Error| error.to_string();
    let mut addresses = address.to_socket_addrs().map_err(said)?;
    let socket = addresses.next().ok_or("the address has no server")?;
    let mut stream = TcpStream::connect_timeout(&socket, ANSWER).map_err(said)?;
    stream.set_read_timeout(Some(ANSWER)).map_err(said)?;
    stream.set_write_timeout(Some(ANSWER)).map_err(said)?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(said)?;
    let mut answer = Vec::new();
    let mut limited = stream.take(VARZ_BYTES);
    limited.read_to_end(&mut answer).map_err(said)?;
    let answer = String::from_utf8_lossy(&answer);
    let (_, body) = answer
        .split_once("\r\n\r\n")
        .ok_or("this is not the monitoring of a NATS server")?;
    serde_json::from_str(body).map_err(|error| format!("its answer: {error}"))
}

pub(crate) fn check_version(server: &str, version: &str) -> Result<(), ServerFault> {
    let mut numbers = version.split('.').map(str::parse::<u64>);
    let found = match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
        _ => None,
    };
    if found.is_some_and(|found| found >= LEAST_VERSION) {
        Ok(())
    } else {
        Err(ServerFault::Version {
            server: server.to_owned(),
            found: version.to_owned(),
        })
    }
}

pub(crate) const fn check_payload(found: usize) -> Result<(), ServerFault> {
    if found >= LEAST_PAYLOAD {
        Ok(())
    } else {
        Err(ServerFault::Payload { found })
    }
}

/// Compares a stream that exists with what it must be.
pub(crate) fn check_stream(found: &StreamConfig, wanted: &StreamConfig) -> Result<(), ServerFault> {
    let stream = found.name.clone();
    if found.num_replicas < wanted.num_replicas {
        return Err(ServerFault::Replicas {
            stream,
            found: found.num_replicas,
            wanted: wanted.num_replicas,
        });
    }
    let what = if found.storage != wanted.storage {
        format!("its storage is {} and not a file", found.storage)
    } else if found.subjects != wanted.subjects {
        format!("its subjects are {}", found.subjects.join(", "))
    } else if found.retention != wanted.retention || found.discard != wanted.discard {
        "it removes messages by itself (retention or discard)".to_owned()
    } else if found.max_age != 0 || found.max_msgs >= 0 {
        "it removes messages by itself (max_age or max_msgs)".to_owned()
    } else if found.max_msgs_per_subject != wanted.max_msgs_per_subject {
        "it keeps another number of messages for each subject".to_owned()
    } else if !found.allow_direct || (wanted.allow_atomic && !found.allow_atomic) {
        "allow_direct or allow_atomic is not set".to_owned()
    } else {
        return Ok(());
    };
    Err(ServerFault::Configuration { stream, what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_must_be_new_enough_and_readable() {
        for version in ["2.15.0", "2.15.3", "2.16.0-preview.1", "3.0.0"] {
            assert_eq!(check_version("n1", version), Ok(()), "{version}");
        }
        for version in ["2.14.10", "2.9.10", "1.15.0", "", "two", "2"] {
            assert!(check_version("n1", version).is_err(), "{version}");
        }
    }

    #[test]
    fn a_payload_of_one_mebibyte_is_enough() {
        assert_eq!(check_payload(1024 * 1024), Ok(()));
        assert!(check_payload(1024 * 1024 - 1).is_err());
    }
}
