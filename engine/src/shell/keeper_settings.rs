//! What embedders see of keepers, on every system.

use crate::limits::KEEPER_PATIENCE;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// How a [`ShellRunner`](crate::ShellRunner) starts its keepers, the processes that hold its jobs so
/// that these outlive the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeeperSettings {
    /// The program that calls [`run_keeper`](crate::run_keeper) with its last argument.
    pub program: PathBuf,
    /// Its arguments before the path of the keeper's socket.
    pub arguments: Vec<OsString>,
    /// How long a keeper waits for a server before it ends its jobs.
    pub patience: Duration,
}

impl KeeperSettings {
    /// The running program, called with one argument before the path; a keeper waits for 24 hours.
    pub fn this_program(argument: impl Into<OsString>) -> Self {
        Self {
            // Also right after the file was replaced or removed.
            program: "/proc/self/exe".into(),
            arguments: vec![argument.into()],
            patience: KEEPER_PATIENCE,
        }
    }
}

/// What the keepers of a shell runner hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeeperStatus {
    /// How many there are.
    pub keepers: usize,
    /// How many there may be: [`KEEPERS`](crate::limits::KEEPERS). 0 if jobs end with the server.
    pub limit: usize,
    /// How many jobs they hold.
    pub jobs: usize,
    /// How many bytes of output they have sent that are not in the log yet: at most
    /// [`KEEPER_SPOOL`](crate::limits::KEEPER_SPOOL) of each of a job's two streams.
    pub unsettled_bytes: u64,
    /// Keepers that ended although the server needed them, since its start.
    pub lost: u64,
    /// Jobs of earlier servers that were ended because the log did not know them.
    pub unknown_jobs: u64,
}
