//! Logs that can be reopened, in memory and on a disk. A tape of all appended records belongs to each;
//! the engine is compared with it.

use crate::world::config;
use rejoin_core::Record;
use rejoin_engine::{Config, Projection};
use rejoin_log::segment::{LogId, OpenOptions, Opened, Options};
use rejoin_log::{AppendError, Log, LogReader, MemoryLog};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// Every record that was appended, in order.
pub(super) type Tape = Arc<Mutex<Vec<Arc<Record>>>>;

/// Where the log is.
pub(super) enum Storage {
    Memory,
    Disk { place: TempDir, segment_bytes: u64 },
}

impl Storage {
    pub(super) fn memory() -> Self {
        Self::Memory
    }

    pub(super) fn disk(segment_bytes: u64) -> Self {
        let place = tempfile::tempdir().unwrap();
        Self::Disk {
            place,
            segment_bytes,
        }
    }

    /// Opens the log, and checks that its records are those of the tape.
    pub(super) fn open(&self, tape: &Tape, recent_bytes: usize) -> (Config, Taped, Projection) {
        let config = Config {
            recent_bytes,
            ..config()
        };
        let mut found = Vec::new();
        let taped = tape.lock().unwrap().clone();
        let (log, projection): (Box<dyn Log>, _) = match self {
            Self::Memory => {
                let mut log = MemoryLog::new();
                log.append(&taped).unwrap();
                found.clone_from(&taped);
                let opened = Opened::from_records(log, config.limits, taped.iter().map(|it| &**it));
                let (log, projection, _) = opened.unwrap().into_parts();
                (Box::new(log), projection)
            }
            Self::Disk {
                place,
                segment_bytes,
            } => {
                let options = Options {
                    segment_bytes: *segment_bytes,
                    zero_ahead: false,
                    ..Options::default()
                };
                let id = LogId::from_bytes([1; 16]);
                let mut observer = |record: &Record| found.push(Arc::new(record.clone()));
                let opened = OpenOptions::directory(place.path(), id)
                    .options(options)
                    .limits(config.limits)
                    .ignore_snapshots()
                    .observe(&mut observer)
                    .open();
                let (log, projection, _) = opened.unwrap().into_parts();
                (Box::new(log), projection)
            }
        };
        assert_eq!(found, taped, "the log has the appended records");
        let tape = tape.clone();
        (config, Taped { log, tape }, projection)
    }

    /// A copy, as a crash at this moment would leave it.
    pub(super) fn copy(&self) -> Self {
        match self {
            Self::Memory => Self::Memory,
            Self::Disk {
                place,
                segment_bytes,
            } => {
                let copy = Self::disk(*segment_bytes);
                if let Self::Disk { place: to, .. } = &copy {
                    for file in std::fs::read_dir(place.path()).unwrap() {
                        let file = file.unwrap();
                        std::fs::copy(file.path(), to.path().join(file.file_name())).unwrap();
                    }
                }
                copy
            }
        }
    }
}

/// A log with its tape.
#[derive(Debug)]
pub(super) struct Taped {
    log: Box<dyn Log>,
    tape: Tape,
}

impl Log for Taped {
    fn append(&mut self, records: &[Arc<Record>]) -> Result<(), AppendError> {
        self.log.append(records)?;
        self.tape.lock().unwrap().extend_from_slice(records);
        Ok(())
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        self.log.reader()
    }

    fn close(&mut self) -> Result<(), AppendError> {
        self.log.close()
    }
}
