//! Writes the readable records of a damaged log to a new log in a server's directory.
//!
//! The new log is written under the name [`UNFINISHED`] and renamed when it is complete: each of its
//! parts is sound on its own, so nothing else would show that an interrupted one is not all of it.
//!
//! Invariant: no incomplete log has a log's name, and the old log is not changed.

use super::VerifyError;
use rejoin_core::Record;
use rejoin_engine::{Runtime, Salvage, Salvaged, SmolRuntime};
use rejoin_log::segment::{LogId, OpenOptions, Options, SegmentLog, VerifyReport};
use rejoin_log::{AppendError, Log};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most records, and about the most bytes, appended at once.
const BATCH_RECORDS: usize = 1_024;
const BATCH_BYTES: u64 = 4 * 1024 * 1024;

/// The name of the new log's directory until the log is complete. Nothing reads a log of this name.
pub(crate) const UNFINISHED: &str = "log.unfinished";

/// The new log while it is written.
pub(super) struct NewLog {
    directory: PathBuf,
    /// Whether the directory existed before.
    existed: bool,
    log: SegmentLog,
    salvage: Salvage,
    batch: Vec<Arc<Record>>,
    bytes: u64,
    failure: Option<AppendError>,
}

impl NewLog {
    /// Creates a log in a server's directory, which must be empty or not exist, and not be inside any
    /// of `sources`.
    pub(super) fn begin(directory: &Path, sources: &[&Path]) -> Result<Self, VerifyError> {
        let io = |error| VerifyError::Directory(directory.to_owned(), error);
        let existed = match fs::read_dir(directory) {
            Ok(mut names) => {
                if directory.join(UNFINISHED).exists() {
                    return Err(VerifyError::Unfinished(directory.join(UNFINISHED)));
                }
                if names.next().is_some() {
                    return Err(VerifyError::NotEmpty(directory.to_owned()));
                }
                true
            }
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(io(error)),
        };
        let absolute = std::path::absolute(directory).map_err(io)?;
        // Resolve links in the part of the path that exists.
        let real = absolute.ancestors().find_map(|it| it.canonicalize().ok());
        let is_inside = |source: &&Path| {
            let source = source.canonicalize().ok();
            real.iter()
                .zip(source)
                .any(|(it, source)| it.starts_with(source))
        };
        if sources.iter().any(is_inside) {
            return Err(VerifyError::Inside(directory.to_owned()));
        }
        let options = Options {
            zero_ahead: false,
            ..Options::default()
        };
        let new_id = LogId::from_bytes(SmolRuntime.random());
        let opened = OpenOptions::directory(directory.join(UNFINISHED), new_id)
            .options(options)
            .open_unfolded();
        let (log, _) = opened.map_err(VerifyError::Begin)?;
        Ok(Self {
            directory: directory.to_owned(),
            existed,
            log,
            salvage: Salvage::default(),
            batch: Vec::new(),
            bytes: 0,
            failure: None,
        })
    }

    /// Adds the old log's next record.
    pub(super) fn take(&mut self, record: Record) {
        for record in self.salvage.take(record) {
            self.add(record);
        }
    }

    /// Completes the log; returns its directory and what it contains.
    pub(super) fn finish(
        mut self,
        findings: &VerifyReport,
    ) -> Result<(PathBuf, Salvaged), VerifyError> {
        let missing = findings.missing.iter().map(|gap| (gap.session, gap.last));
        let (ends, salvaged) = std::mem::take(&mut self.salvage).finish(missing);
        for record in ends {
            self.add(record);
        }
        self.append();
        let closed = match self.failure.take() {
            Some(failure) => Err(failure.into()),
            None => self.log.close().map_err(VerifyError::Append),
        };
        let directory = self.directory.clone();
        let named = closed.and_then(|()| {
            name_complete(&directory).map_err(|error| VerifyError::Directory(directory, error))
        });
        match named {
            Ok(()) => Ok((self.directory, salvaged)),
            Err(failure) => {
                self.discard();
                Err(failure)
            }
        }
    }

    /// Removes the incomplete log.
    pub(super) fn discard(self) {
        let Self {
            directory,
            existed,
            log,
            ..
        } = self;
        drop(log);
        // If this fails, the next attempt reports a directory that is not empty.
        let _ = if existed {
            fs::remove_dir_all(directory.join(UNFINISHED))
        } else {
            fs::remove_dir_all(directory)
        };
    }

    fn add(&mut self, record: Record) {
        self.bytes = self.bytes.saturating_add(record.bytes());
        self.batch.push(Arc::new(record));
        if self.batch.len() >= BATCH_RECORDS || self.bytes >= BATCH_BYTES {
            self.append();
        }
    }

    /// After a failure, further records are dropped, and `finish` returns the error.
    fn append(&mut self) {
        if self.failure.is_none() {
            self.failure = self.log.append(&self.batch).err();
        }
        self.batch.clear();
        self.bytes = 0;
    }
}

/// Gives the complete log its name, durably. The directory may be new, too.
fn name_complete(directory: &Path) -> io::Result<()> {
    fs::rename(directory.join(UNFINISHED), directory.join("log"))?;
    File::open(directory)?.sync_all()?;
    match directory.canonicalize()?.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}
