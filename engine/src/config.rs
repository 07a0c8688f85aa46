//! The settings of an engine.

use crate::limits;
use rejoin_core::{Limits, Numbering, Server};
use std::time::Duration;

/// An engine's settings. Timeouts are logged with the sessions, consumers and jobs that they apply
/// to: a changed setting applies to later ones only. Deadlines are whole milliseconds, rounded up.
///
/// ```
/// use rejoin_engine::Config;
/// use std::time::Duration;
///
/// let mut config = Config::default();
/// config.session_timeout = Duration::from_secs(8 * 60 * 60);
/// config.limits.sessions = 100;
/// assert_eq!(config.consumer_timeout, Duration::from_secs(5 * 60));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The limits of the core.
    pub limits: Limits,
    /// How long a session may stay unused before it is closed.
    pub session_timeout: Duration,
    /// How long a consumer may go without a pull before it is expired.
    pub consumer_timeout: Duration,
    /// How long a job may run before it is interrupted, unless [`NewJob`](crate::NewJob) sets it.
    pub job_timeout: Duration,
    /// How many bytes of results a job may emit before it is interrupted, unless
    /// [`NewJob`](crate::NewJob) sets it.
    pub output_limit: u64,
    /// How long a second concurrent pull of one consumer waits for the first.
    pub pull_lock_timeout: Duration,
    /// The longest that one pull may wait.
    pub max_pull_wait: Duration,
    /// Bytes of recent results, of all sessions together, that are served from memory.
    pub recent_bytes: usize,
    /// Requests that may wait for the sequencer. Further ones fail as `Overloaded`.
    pub queue: usize,
    /// Whether sessions can only be read: consumers join, pull and leave, and all other commands are
    /// refused. Then no session expires.
    pub read_only: bool,
    /// Which numbers and identities new sessions and jobs get. It must stay the same for a log.
    pub numbering: Numbering,
    /// How readers see this server process.
    pub server: Server,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::DEFAULT,
            session_timeout: Duration::from_secs(3 * 60 * 60),
            consumer_timeout: Duration::from_secs(5 * 60),
            job_timeout: Duration::from_secs(24 * 60 * 60),
            output_limit: limits::OUTPUT_BYTES,
            pull_lock_timeout: Duration::from_millis(500),
            max_pull_wait: Duration::from_secs(60),
            recent_bytes: limits::RECENT_BYTES,
            queue: limits::QUEUE,
            read_only: false,
            numbering: Numbering::ALONE,
            server: Server {
                process: std::process::id(),
                version: env!("CARGO_PKG_VERSION").into(),
                node: None,
            },
        }
    }
}
