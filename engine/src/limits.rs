//! The bounds that the engine keeps, in one place. Those of the core are [`rejoin_core::Limits`].

use std::time::Duration;

/// Requests that may wait for the sequencer.
pub const QUEUE: usize = 4_096;

/// Reports of runners that may wait for the sequencer; runners wait, they are not refused.
pub const REPORTS: usize = 64;

/// Requests and reports that share one append, and so one sync.
pub const BATCH_COMMANDS: usize = 1_024;

/// Bytes of results after which a batch takes no more.
pub const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Reads of the log that may wait for the reader.
pub const READS: usize = 1_024;

/// Bytes of recent results that are served from memory.
pub const RECENT_BYTES: usize = 64 * 1024 * 1024;

/// What a recent record costs beside its result.
pub const RECORD_OVERHEAD: usize = 256;

/// Bytes of results that one job may emit.
pub const OUTPUT_BYTES: u64 = 1024 * 1024 * 1024;

/// Words to end that may wait for a runner; more would say nothing new.
pub const INTERRUPTS: usize = 4;

/// Consumers that may join a read-only engine as long as it lives: its log only grows.
pub const READ_ONLY_JOINS: usize = 100_000;

/// Bytes of input that may wait for one job to read them, beside what its pipe holds.
pub const UNREAD_INPUT: usize = 1024 * 1024;

/// What a write to a job's input costs beside its bytes while it waits.
pub const INPUT_OVERHEAD: usize = 128;

/// The longest that the timers sleep: a clock that was set, or a machine that slept, makes a
/// timeout late by this much at most. Cursors are logged as often.
pub const TICK: Duration = Duration::from_secs(1);

const _: () = assert!(BATCH_BYTES < RECENT_BYTES);
const _: () = assert!(REPORTS < BATCH_COMMANDS);
