//! What a node needs of the world around it: servers, other nodes, threads, and time to pass.
//!
//! The server's are in `nats`. The simulator has its own, so that it runs the same driver.

use crate::join::JoinError;
use crate::limits::{LOOK, STOP_JOBS_AFTER, TAKE_OVER_AFTER};
use futures::future::{BoxFuture, LocalBoxFuture};
use rejoin_cluster::LogServer;
use rejoin_engine::peers::{PeerError, ServerStatus};
use rejoin_log::SegmentLog;
use rejoin_log::segment::{LogId, Opened};
use std::any::Any;
use std::fmt;
use std::io;
use std::time::Duration;

/// A client of the servers, for one log.
pub type Server = Box<dyn LogServer + Send>;

/// Answers a request of another node. None: the log is not this node's any more, and nothing was done.
pub type Answer = dyn Fn(Vec<u8>) -> BoxFuture<'static, Option<Vec<u8>>> + Send + Sync;

/// Waits for the end of a thread.
pub type Thread = Box<dyn FnOnce() + Send>;

/// The world around a node. Methods block unless they say otherwise.
pub trait Surroundings: fmt::Debug + Send + Sync + 'static {
    /// A client for a log, whose stream is made if there is none, and the log's identity.
    ///
    /// # Errors
    ///
    /// If the servers don't answer, or are not as they must be.
    fn server(&self, log: u8) -> Result<(Server, LogId), JoinError>;

    /// The copy of a log on this machine, made if there is none.
    ///
    /// # Errors
    ///
    /// If it can't be opened.
    fn copy(&self, log: u8, id: LogId) -> Result<Opened<SegmentLog>, JoinError>;

    /// Removes the copy of a log on this machine, which must not be open.
    ///
    /// # Errors
    ///
    /// If it can't be removed.
    fn discard_copy(&self, log: u8) -> io::Result<()> {
        let _ = log;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// What the servers say if they have no room for what is written. Does not block.
    fn no_room(&self) -> Option<String> {
        None
    }

    /// What says that something is about to be appended to a log.
    ///
    /// # Errors
    ///
    /// If there is no connection.
    fn notices(&self, log: u8) -> Result<Box<dyn Noticing>, String>;

    /// What says that an entry of the key-value store is about to be written. Not every world has it.
    ///
    /// # Errors
    ///
    /// If there is no connection, or nothing that says so.
    fn entry_notices(&self, key: &str) -> Result<Box<dyn Noticing + Send>, String> {
        Err(format!("nothing notices changes of {key}"))
    }

    /// Answers what other nodes ask about a log in this term, until what is returned is dropped. Each question is
    /// given to `answer` once at most, also where the network delivers it twice: not all of them can be repeated.
    ///
    /// # Errors
    ///
    /// If there is no connection.
    fn answer(
        &self,
        log: u8,
        term: u64,
        answer: Box<Answer>,
    ) -> Result<Box<dyn Any + Send>, String>;

    /// Asks the node that has a log in this term. Does not block.
    fn ask(
        &self,
        log: u8,
        term: u64,
        request: Vec<u8>,
    ) -> BoxFuture<'static, Result<Vec<u8>, PeerError>>;

    /// Starts a thread.
    ///
    /// # Errors
    ///
    /// If there can be none.
    fn thread(&self, name: String, work: Box<dyn FnOnce() + Send>) -> io::Result<Thread>;

    /// Lets time pass.
    fn sleep(&self, time: Duration);

    /// As [`sleep`](Self::sleep), and returns soon after `is_over` says so.
    fn sleep_unless(&self, time: Duration, is_over: &dyn Fn() -> bool) {
        let mut left = time;
        while !left.is_zero() && !is_over() {
            let now = left.min(LOOK);
            self.sleep(now);
            left = left.saturating_sub(now);
        }
    }

    /// Waits for a future.
    fn wait(&self, future: LocalBoxFuture<'_, ()>);

    /// How long it waits for other nodes and for servers. Does not block.
    fn patience(&self) -> NodePatience {
        NodePatience::default()
    }

    /// Addresses at which the servers say how they are. None: nobody looks at them. Does not block.
    fn monitoring(&self) -> &[String] {
        &[]
    }

    /// Asks a server at such an address how it is, for operators.
    ///
    /// # Errors
    ///
    /// Why there is no answer.
    fn ask_server(&self, _address: &str) -> Result<ServerStatus, String> {
        Err("it has no monitoring".to_owned())
    }

    /// The sequence of the last message in the stream of a log, and the bytes of the stream, for operators. None:
    /// there is no answer.
    fn stream_end(&self, _log: u8) -> Option<(u64, u64)> {
        None
    }
}

/// How long a node waits for other nodes and for servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodePatience {
    /// After how many seconds without a beat another node is held for dead, at least
    /// [`TAKE_OVER_AFTER`]. Should be the same at all nodes.
    pub take_over_after: Duration,
    /// How long this node lets its jobs run while the servers don't answer it, so that another node may have
    /// taken their sessions.
    pub stop_jobs_after: Duration,
}

impl Default for NodePatience {
    fn default() -> Self {
        Self {
            take_over_after: TAKE_OVER_AFTER,
            stop_jobs_after: STOP_JOBS_AFTER,
        }
    }
}

/// Only a hint: what is noticed need not be stored yet, and a notice may get lost.
pub trait Noticing {
    /// Waits for the next notice, `patience` at most. Whether one came.
    fn wait(&self, patience: Duration) -> bool;
}
