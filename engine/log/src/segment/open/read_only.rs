//! Opens a log of which not a byte may change: what opening repairs, and what is appended, is kept
//! in memory and forgotten.

use crate::disk::{Directory, Overlay};
use crate::segment::SegmentLog;
use crate::segment::error::OpenError;
use crate::segment::format::header::LogId;
use crate::segment::open::recovery::OpenReport;
use crate::segment::open::replay::Replay;
use crate::segment::options::{Durability, Options};
use crate::segment::scan::segment::io_error;
use rejoin_core::Record;
use std::path::Path;
use std::sync::Arc;

use super::open_options::READ_ONLY_BYTES;

/// What is appended goes into segments of this size: nothing is ever sealed but to be read.
const OPTIONS: Options = Options {
    durability: Durability::Flush,
    segment_bytes: 64 * 1024 * 1024,
    zero_ahead: false,
};

impl SegmentLog {
    /// Opens the log in `directory` to read it, and changes nothing there: no file, no name, no
    /// time. It behaves as every log: a torn end is not seen, and is told; what is appended is
    /// read back, but lives in memory only, where it may take [`READ_ONLY_BYTES`].
    ///
    /// The directory must exist, and may be one that nobody can write to. Blocks and takes memory
    /// as [`open`](Self::open).
    ///
    /// ```
    /// use rejoin_log::segment::{LogId, OpenOptions, Options, SegmentLog};
    /// use rejoin_log::testing::record;
    /// use rejoin_log::Log;
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let directory = directory.path();
    /// # let options = Options { zero_ahead: false, ..Options::default() };
    /// let id = LogId::from_bytes([9; 16]);
    /// let (mut log, _) = OpenOptions::directory(directory, id).options(options).open_unfolded()?;
    /// log.append(&[record(1, 1)])?;
    /// drop(log);
    ///
    /// let (mut log, recovery) = OpenOptions::read_only(directory).open_unfolded()?;
    /// assert_eq!(recovery.records, 1);
    /// log.append(&[record(1, 2)])?;
    /// drop(log);
    ///
    /// let (_, recovery) = OpenOptions::read_only(directory).open_unfolded()?;
    /// assert_eq!(recovery.records, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), of which damage is one: [`verify`](crate::segment::verify) reads on behind
    /// it.
    pub fn open_read_only(
        directory: &Path,
        mut visit: &mut dyn FnMut(Record),
    ) -> Result<(Self, OpenReport), OpenError> {
        Self::open_replaying_read_only(directory, &mut visit)
    }

    /// As [`open_read_only`](Self::open_read_only), but begins with the newest snapshot, as
    /// [`open_replaying`](Self::open_replaying) does.
    ///
    /// # Errors
    ///
    /// As [`open_replaying`](Self::open_replaying).
    pub fn open_replaying_read_only(
        directory: &Path,
        replay: &mut dyn Replay,
    ) -> Result<(Self, OpenReport), OpenError> {
        let below = Directory::open_to_read(directory);
        let below = below.map_err(|error| io_error(directory, error))?;
        let disk = Overlay::over(Arc::new(below), READ_ONLY_BYTES);
        // The identity that a log without records would get; nobody will ever see it again.
        let new_id = LogId::from_bytes([0; 16]);
        Self::open_replaying_on(Arc::new(disk), new_id, OPTIONS, replay)
    }
}
