//! Checks that each message of a stream follows the one before it.
//!
//! Invariant: a message is passed on only if all messages since the chain's beginning were, so a
//! message that the server lost is named and never skipped.

use crate::message::{Message, MessageFault, MessageKind};
use rejoin_log::segment::LogId;

/// Where a stream has been read to, or where its next message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The number of the last message; 0 before the first one.
    pub number: u64,
    /// Its checksum; 0 before the first one.
    pub checksum: u32,
    /// The position of the next record.
    pub position: u64,
    /// The term of the last message.
    pub term: u64,
    /// The last message is part of a batch that goes on in the next one.
    pub more: bool,
    /// The last message let the log go.
    pub let_go: bool,
}

impl Link {
    /// Before the first message of a log.
    pub const START: Self = Self {
        number: 0,
        checksum: 0,
        position: 1,
        term: 0,
        more: false,
        let_go: false,
    };

    /// After `message`, whose bytes are `encoded`.
    #[must_use]
    pub fn after(message: &Message, encoded: &[u8]) -> Self {
        Self {
            number: message.number,
            checksum: Message::checksum_of(encoded),
            position: message.position.saturating_add(u64::from(message.records)),
            term: message.term,
            more: message.more,
            let_go: message.kind == MessageKind::LetGo,
        }
    }
}

/// A place of a stream where it doesn't contain what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream is damaged at sequence {sequence}: {reason}")]
pub struct StreamDamage {
    /// The sequence of the first message that is missing or wrong.
    pub sequence: u64,
    /// What is wrong there.
    pub reason: String,
}

impl StreamDamage {
    pub(crate) fn new(sequence: u64, reason: impl Into<String>) -> Self {
        Self {
            sequence,
            reason: reason.into(),
        }
    }

    pub(crate) fn fault(sequence: u64, fault: MessageFault) -> Self {
        Self::new(sequence, fault.to_string())
    }

    /// The server has messages after this one, but not this one.
    #[must_use]
    pub fn missing(sequence: u64, last: u64) -> Self {
        Self::new(
            sequence,
            format!("the message is missing, although the stream goes on to sequence {last}"),
        )
    }
}

/// Reads a stream in order.
#[derive(Clone, Debug)]
pub struct Chain {
    log: LogId,
    link: Link,
    /// The first message is believed: what was before it has been purged.
    believes: bool,
}

impl Chain {
    /// A chain that goes on after `link`.
    #[must_use]
    pub fn new(log: LogId, link: Link) -> Self {
        Self {
            log,
            link,
            believes: false,
        }
    }

    /// A chain that begins at sequence `first`, before which everything was purged. What the first
    /// message says about the one before it can't be checked, and is believed.
    #[must_use]
    pub fn after_purge(log: LogId, first: u64) -> Self {
        let link = Link {
            number: first.saturating_sub(1),
            ..Link::START
        };
        Self {
            log,
            link,
            believes: first > 1,
        }
    }

    /// The end of what was read.
    #[must_use]
    pub fn link(&self) -> Link {
        self.link
    }

    /// The log's identity.
    #[must_use]
    pub fn log(&self) -> LogId {
        self.log
    }

    /// Takes the next message. None: it has been taken before; a server may deliver twice.
    ///
    /// # Errors
    ///
    /// If it does not follow the last one. The chain is then unchanged, so the reader can ask
    /// elsewhere for the missing message.
    pub fn follow(
        &mut self,
        sequence: u64,
        encoded: &[u8],
    ) -> Result<Option<Message>, StreamDamage> {
        let expected = self.link.number.saturating_add(1);
        if sequence < expected {
            return Ok(None);
        }
        if sequence > expected {
            return Err(StreamDamage::missing(expected, sequence));
        }
        let message =
            Message::decode(encoded).map_err(|fault| StreamDamage::fault(sequence, fault))?;
        if let Some(reason) = self.objection(&message, expected) {
            return Err(StreamDamage::new(sequence, reason));
        }
        self.link = Link::after(&message, encoded);
        self.believes = false;
        Ok(Some(message))
    }

    /// Why `message` can't be message `expected` of this log.
    fn objection(&self, message: &Message, expected: u64) -> Option<&'static str> {
        let link = &self.link;
        if message.log != self.log {
            return Some("the message is of another log");
        }
        if message.number != expected {
            return Some("the message has another number than its sequence");
        }
        if self.believes {
            return None;
        }
        if message.previous != link.checksum {
            return Some("the message before it is not the one that its writer knew");
        }
        if message.position != link.position {
            return Some("its first record does not follow the last record before it");
        }
        match message.kind {
            MessageKind::Owner if link.more => Some("the batch before it is cut off"),
            MessageKind::Owner if message.term <= link.term => {
                Some("its owner has a term that is not greater than the one before")
            }
            MessageKind::Owner => None,
            MessageKind::Batch | MessageKind::LetGo if message.term != link.term => {
                Some("its writer has another term than the owner of the log")
            }
            MessageKind::Batch | MessageKind::LetGo if link.let_go => {
                Some("its writer had let the log go")
            }
            MessageKind::LetGo if link.more => Some("the batch before it is cut off"),
            MessageKind::Batch | MessageKind::LetGo => None,
        }
    }
}
