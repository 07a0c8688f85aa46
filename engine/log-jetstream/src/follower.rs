//! A log that another node writes, read into a copy on this machine.

use crate::log::StreamLog;
use crate::open::{Opening, StreamOpenError};
use rejoin_cluster::{Chain, Claim, LogServer, NodeName};
use rejoin_core::Record;
use rejoin_log::{Log, LogReader, SegmentLog};
use std::fmt;
use std::sync::Arc;

/// Reads a log that another node writes. [`StreamOptions::follow`](crate::StreamOptions::follow) opens it.
///
/// Invariant: the copy has all that was read, and nothing that the stream doesn't have.
pub struct Follower<S> {
    opening: Opening<S>,
    chain: Chain,
    copy: SegmentLog,
}

impl<S> fmt::Debug for Follower<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower")
            .field("chain", &self.chain)
            .field("copy", &self.copy)
            .finish_non_exhaustive()
    }
}

/// A log that was taken.
#[derive(Debug)]
pub struct Taken<S> {
    /// The log.
    pub log: StreamLog<S>,
    /// The records that were not read before.
    pub records: Vec<Arc<Record>>,
    /// The node that wrote the log's last records. None: there are none, or the message that says so was
    /// purged.
    pub from: Option<NodeName>,
}

/// A log could not be taken. It is still followed.
#[derive(Debug)]
pub struct NotTaken<S> {
    /// Why not.
    pub error: StreamOpenError,
    /// The log.
    pub follower: Follower<S>,
    /// What was read meanwhile.
    pub records: Vec<Arc<Record>>,
}

impl<S: LogServer + Send> Follower<S> {
    pub(crate) fn new(opening: Opening<S>, chain: Chain, copy: SegmentLog) -> Self {
        Self {
            opening,
            chain,
            copy,
        }
    }

    /// The records that have come since the last time, in order; they are in the copy, too. Doesn't wait for
    /// any, but for the servers' answer. None: they did not answer, and the log may have more.
    ///
    /// # Errors
    ///
    /// If a message is missing or wrong at all servers that were asked, or the copy can't be continued. The
    /// log must then be opened again.
    pub fn read(&mut self) -> Result<Option<Vec<Arc<Record>>>, StreamOpenError> {
        let (copy, mut read) = (&mut self.copy, Vec::new());
        let has_answered = self.opening.read_new(&mut self.chain, &mut |records| {
            copy.append(records)?;
            read.extend_from_slice(records);
            Ok(())
        })?;
        Ok((has_answered || !read.is_empty()).then_some(read))
    }

    /// Takes the log from the node that has it, or that has let it go, if `should` says so of its claim as it
    /// is now: what was known of it before may be old. All records that were not read before are returned; the
    /// log is then this node's.
    ///
    /// Safe whatever the other node does: it is fenced, and its jobs are lost. Blocks, up to a minute if the
    /// servers don't answer.
    ///
    /// # Errors
    ///
    /// As [`StreamOptions::open`](crate::StreamOptions::open); [`StreamOpenError::Lost`], too, if it should not be
    /// taken.
    pub fn take(mut self, should: &dyn Fn(&Claim) -> bool) -> Result<Taken<S>, Box<NotTaken<S>>> {
        let (copy, mut read) = (&mut self.copy, Vec::new());
        let mut append = |records: &[Arc<Record>]| {
            copy.append(records)?;
            read.extend_from_slice(records);
            Ok(())
        };
        let held = self
            .opening
            .take_log(&mut self.chain, &mut append, Some(should));
        match held {
            Ok(held) => Ok(Taken {
                from: self.opening.writer.take(),
                log: self.opening.into_log(self.copy, held),
                records: read,
            }),
            Err(error) => Err(Box::new(NotTaken {
                error,
                follower: self,
                records: read,
            })),
        }
    }

    /// How many records of the log were read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.chain.link().position.saturating_sub(1)
    }

    /// The sequence of the last message that was read.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.chain.link().number
    }

    /// The term of that message, and the node that has written since the last owner message that was read.
    /// None: it has let the log go, or was not read.
    #[must_use]
    pub fn owner(&self) -> (u64, Option<&NodeName>) {
        (self.chain.link().term, self.opening.owner.as_ref())
    }

    /// Reads the copy.
    #[must_use]
    pub fn reader(&self) -> Arc<dyn LogReader> {
        self.copy.reader()
    }

    /// The copy.
    #[must_use]
    pub fn copy(&self) -> &SegmentLog {
        &self.copy
    }
}
