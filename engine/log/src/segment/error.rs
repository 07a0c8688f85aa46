//! Why a log could not be opened.

use crate::schema::DecodeError;
use crate::segment::format::header::FORMAT_VERSION;
use rejoin_core::{Sequence, SessionId, Violation};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why [`OpenOptions::open`](super::OpenOptions::open) failed. The files are unchanged, unless an
/// `Io` error interrupted the sealing of the last segment.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another log in this one, has the directory open.
    #[error("the log in {} is in use by another process", directory.display())]
    Locked {
        /// The directory.
        directory: PathBuf,
    },
    /// Durable data differs from what was written. Nothing has been cut off or repaired.
    #[error("the log is damaged: {0}")]
    Damaged(Damage),
    /// An intact segment in a format that this version does not know.
    #[error(
        "{} is in format {found}; this version reads no format newer than {FORMAT_VERSION}",
        file.display()
    )]
    UnknownFormat {
        /// The segment.
        file: PathBuf,
        /// The version of its format.
        found: u32,
    },
    /// A record is intact, but this version cannot decode it.
    #[error("{}, byte {byte}: sequence {sequence} of session {session}: {source}", file.display())]
    UnknownRecord {
        /// The segment.
        file: PathBuf,
        /// The byte offset of the record's frame.
        byte: u64,
        /// The record's session.
        session: SessionId,
        /// The record's sequence.
        sequence: Sequence,
        /// Why it cannot be decoded.
        source: DecodeError,
    },
    /// A record contradicts the records before it. The engine never writes such a record.
    #[error("the log cannot be replayed: {0}")]
    InvalidRecord(Violation),
    /// Syncing the directory failed while the log was open, so it is unknown which files are on the
    /// disk. Opening the log again makes sure of them.
    #[error("syncing {} failed: open the log again: {source}", directory.display())]
    Unsynced {
        /// The directory.
        directory: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The operating system reported an error.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Where a log is damaged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// The byte offset of the damaged part: a record, a batch, or the whole segment.
    pub byte: u64,
    /// The damaged record, if it can be identified: the session and sequence in its head, if they
    /// are plausible after the session's earlier records.
    pub record: Option<(SessionId, Sequence)>,
    /// What is wrong, and why it cannot be an append that a crash interrupted.
    pub reason: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            byte,
            record,
            reason,
        } = self;
        write!(f, "{}, byte {byte}: {reason}", file.display())?;
        if let Some((session, sequence)) = record {
            write!(f, "; it is sequence {sequence} of session {session}")?;
        }
        Ok(())
    }
}
