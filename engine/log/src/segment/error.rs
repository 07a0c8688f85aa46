//! Why a log could not be opened.

use crate::schema::DecodeError;
use crate::segment::format::header::FORMAT_VERSION;
use rejoin_core::{Sequence, SessionId, Violation};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why [`OpenOptions::open`](super::OpenOptions::open) failed. The files are unchanged, unless an `Io`
/// error interrupted the sealing of the last segment.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another log in this one, has the directory open.
    #[error("the log in {} is in use by another process", directory.display())]
    Locked {
        /// The directory.
        directory: PathBuf,
    },
    /// Something that was durable is not what was written. Nothing has been cut or repaired.
    #[error("the log is damaged: {0}")]
    Damaged(Damage),
    /// A sound segment in a format that this version does not know.
    #[error(
        "{} is in format {found}; this version knows format {FORMAT_VERSION} and none that is newer",
        file.display()
    )]
    UnknownFormat {
        /// The segment.
        file: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A record is as it was written, and this version cannot read it.
    #[error("{}, byte {byte}: sequence {sequence} of session {session}: {source}", file.display())]
    UnknownRecord {
        /// The segment.
        file: PathBuf,
        /// The byte that the record's frame begins at.
        byte: u64,
        /// The record's session.
        session: SessionId,
        /// The record's sequence.
        sequence: Sequence,
        /// Why it cannot be read.
        source: DecodeError,
    },
    /// A record breaks a rule of the fold: no engine has written it.
    #[error("the log cannot be replayed: {0}")]
    InvalidRecord(Violation),
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

/// Where a log is damaged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// The byte that the damaged part begins at: a record, a batch, or the whole segment.
    pub byte: u64,
    /// The damaged record, as far as it can be known: what its head says, if that follows what
    /// the log holds of the session before.
    pub record: Option<(SessionId, Sequence)>,
    /// What is wrong there, and how it is known not to be the torn end of a crash.
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
