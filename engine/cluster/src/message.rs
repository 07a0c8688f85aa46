//! The format of a message.
//!
//! | byte | bytes | |
//! | --- | --- | --- |
//! | 0 | 4 | `RjB1` |
//! | 4 | 1 | what it is: 1 batch, 2 owner, 3 let go |
//! | 5 | 1 | 1 if more of this batch follows, else 0 |
//! | 6 | 2 | zero |
//! | 8 | 16 | the log's identity |
//! | 24 | 8 | term |
//! | 32 | 8 | number of the message, which equals its sequence in the stream |
//! | 40 | 8 | position of the first record that ends in it |
//! | 48 | 4 | how many records end in it |
//! | 52 | 4 | the checksum of the message before it; 0 in the first one |
//! | 56 | | body: frames as in a segment; of an owner message JSON |
//! | end − 4 | 4 | CRC32C of all bytes before |
//!
//! Numbers are little-endian. A message has exactly one encoding.

use crate::limits::BATCH_MESSAGES;
use rejoin_log::segment::{LogId, checksum};
use serde::{Deserialize, Serialize};

/// Bytes before the body.
pub const HEAD_BYTES: usize = 56;
const CHECKSUM_BYTES: usize = 4;
const MAGIC: [u8; 4] = *b"RjB1";

/// One message of a log's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub kind: MessageKind,
    /// Whether the next message continues this batch. Only a batch may say so.
    pub more: bool,
    /// The log's identity.
    pub log: LogId,
    /// The term of its writer.
    pub term: u64,
    /// Its number: 1, 2, 3 … Equals its sequence in the stream.
    pub number: u64,
    /// The position of the first record that ends in it.
    pub position: u64,
    /// How many records end in it.
    pub records: u32,
    /// The checksum of the message before it; 0 in the first one.
    pub previous: u32,
    /// Frames of records, or an encoded [`Announcement`].
    pub body: Vec<u8>,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// Records.
    Batch,
    /// A node writes the log from here on, in a greater term.
    Owner,
    /// The owner stops writing. Only an owner message can follow.
    LetGo,
}

impl MessageKind {
    const fn code(self) -> u8 {
        match self {
            Self::Batch => 1,
            Self::Owner => 2,
            Self::LetGo => 3,
        }
    }

    const fn of(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Batch),
            2 => Some(Self::Owner),
            3 => Some(Self::LetGo),
            _ => None,
        }
    }
}

/// The body of an owner message, as JSON. For people: nothing is decided by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The name of the node.
    pub node: String,
    /// The process, as 32 hexadecimal digits.
    pub process: String,
    /// The version of the program.
    pub version: String,
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageFault {
    /// Too short, or not the beginning of a message.
    #[error("these bytes are not a message of a log")]
    NotAMessage,
    /// The bytes are not the ones that were written.
    #[error("the message's checksum is wrong")]
    Checksum,
    /// Written by a newer version, or by a defect.
    #[error("the message has a kind, a flag or a count that this version doesn't know")]
    Unknown,
}

impl Message {
    /// The bytes of the message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.body.len() + CHECKSUM_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[self.kind.code(), u8::from(self.more), 0, 0]);
        bytes.extend_from_slice(&self.log.to_bytes());
        bytes.extend_from_slice(&self.term.to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.position.to_le_bytes());
        bytes.extend_from_slice(&self.records.to_le_bytes());
        bytes.extend_from_slice(&self.previous.to_le_bytes());
        bytes.extend_from_slice(&self.body);
        bytes.extend_from_slice(&checksum(&bytes).to_le_bytes());
        bytes
    }

    /// The message with these bytes.
    ///
    /// # Errors
    ///
    /// If the bytes are not exactly what [`encode`](Self::encode) writes for some message.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageFault> {
        let (covered, sum) = bytes
            .split_last_chunk::<CHECKSUM_BYTES>()
            .ok_or(MessageFault::NotAMessage)?;
        let (head, body) = covered
            .split_at_checked(HEAD_BYTES)
            .ok_or(MessageFault::NotAMessage)?;
        if !head.starts_with(&MAGIC) {
            return Err(MessageFault::NotAMessage);
        }
        if checksum(covered) != u32::from_le_bytes(*sum) {
            return Err(MessageFault::Checksum);
        }
        let [code, more, zero, other_zero] = field(head, 4);
        let kind = MessageKind::of(code).ok_or(MessageFault::Unknown)?;
        let message = Self {
            kind,
            more: more == 1,
            log: LogId::from_bytes(field(head, 8)),
            term: u64::from_le_bytes(field(head, 24)),
            number: u64::from_le_bytes(field(head, 32)),
            position: u64::from_le_bytes(field(head, 40)),
            records: u32::from_le_bytes(field(head, 48)),
            previous: u32::from_le_bytes(field(head, 52)),
            body: body.to_vec(),
        };
        let is_batch = kind == MessageKind::Batch;
        let is_known = more <= 1
            && zero == 0
            && other_zero == 0
            && (is_batch || (!message.more && message.records == 0));
        if is_known {
            Ok(message)
        } else {
            Err(MessageFault::Unknown)
        }
    }

    /// The checksum at the end of an encoded message, which the next message repeats. 0 if there
    /// are too few bytes.
    #[must_use]
    pub fn checksum_of(encoded: &[u8]) -> u32 {
        encoded
            .last_chunk()
            .map_or(0, |sum| u32::from_le_bytes(*sum))
    }
}

fn field<const N: usize>(head: &[u8], at: usize) -> [u8; N] {
    head.get(at..)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .unwrap_or([0; N])
}

/// Splits the frames of a batch into bodies of at most `largest` bytes, each with how many of the
/// frames end in it. `lengths` are the lengths of the frames, in order. A long frame may go on in
/// further bodies. None: there would be more than [`BATCH_MESSAGES`].
#[must_use]
pub fn split_batch<'a>(
    frames: &'a [u8],
    lengths: &[usize],
    largest: usize,
) -> Option<Vec<(&'a [u8], u32)>> {
    let mut parts = Vec::new();
    let mut lengths = lengths.iter();
    let mut frame_end = lengths.next().copied();
    let mut end = 0_usize;
    for body in frames.chunks(largest.max(1)) {
        end = end.saturating_add(body.len());
        let mut ended = 0_u32;
        while let Some(at) = frame_end.filter(|at| *at <= end) {
            ended = ended.saturating_add(1);
            frame_end = lengths.next().map(|length| at.saturating_add(*length));
        }
        parts.push((body, ended));
    }
    (parts.len() <= BATCH_MESSAGES).then_some(parts)
}
