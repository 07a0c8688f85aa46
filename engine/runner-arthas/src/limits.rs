//! The bounds of this runner, and of the Arthas behind it.

use std::time::Duration;

/// Commands that run in one Arthas at the same time. Each occupies a thread here and one in the JVM
/// while it waits for results.
pub const JOBS: usize = 64;

/// Bytes of one response of Arthas.
pub const RESPONSE_BYTES: u64 = 64 << 20;

/// How long Arthas waits before it answers a pull without results.
pub const PULL_WAIT: Duration = Duration::from_secs(2);

/// The most results that Arthas returns to one pull. Fewer mean that its queue is empty, unless they
/// have [`PULL_ITEMS`].
pub const PULL_RESULTS: usize = 20;

/// The items in its results after which Arthas answers a pull at once.
pub const PULL_ITEMS: usize = 100;

/// Results that Arthas keeps for a reader by default. When there are more, it drops the oldest.
pub const DEFAULT_QUEUE: usize = 50;

/// How long a session in Arthas may be unused before it is replaced by a new one. Arthas forgets a
/// reader after five minutes without a pull.
pub const UNUSED: Duration = Duration::from_secs(4 * 60);

/// How long an interrupted command may take to end before its session in Arthas is closed.
pub const INTERRUPT: Duration = Duration::from_millis(2_500);

/// Characters in the identity of a session in Arthas.
pub(crate) const ID: usize = 64;
