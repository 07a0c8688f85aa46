//! All limits of this crate, with their units.

use std::time::Duration;

/// Accounts of one file.
pub const ACCOUNTS: usize = 10_000;

/// Bytes of an account's name.
pub const NAME_BYTES: usize = 64;

/// Bytes of a password: enough for any phrase, and little enough to hash.
pub const PASSWORD_BYTES: usize = 1024;

/// Bytes of an accounts file.
pub(crate) const FILE_BYTES: u64 = 16 * 1024 * 1024;

/// How often the file is checked for changes. The check runs on the thread of a connection.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// Passwords that are hashed at the same time; each takes 19 MiB and a processor.
pub(crate) const HASHING: usize = 2;

/// How many of these are kept for names that have an account, whatever is tried with other names.
pub(crate) const HASHING_KNOWN: usize = 1;

/// Attempts that wait for their answer in the queue of all names. One more is refused, unless it has
/// the right password.
pub(crate) const WAITING: usize = 64;

/// Attempts with names that have an account, which also wait in the queue of their own.
pub(crate) const WAITING_KNOWN: usize = 256;

/// Verified credentials that are remembered.
pub(crate) const VERIFIED: usize = 1024;

/// Failures of one account from one address before the next one causes a wait.
pub(crate) const FREE_FAILURES: u32 = 5;

/// The wait after the first failure beyond those; each further one doubles it.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest wait after a failure.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long after the last failure they are forgotten.
pub(crate) const FORGIVEN: Duration = Duration::from_secs(15 * 60);

/// Pairs of account and address whose failures are remembered.
pub(crate) const FAILING: usize = 10_000;

/// Tokens of one account and kind; another one replaces the least recently used.
pub(crate) const TOKENS_EACH: usize = 100;

/// Tokens of all accounts.
pub(crate) const TOKENS: usize = 10_000;

/// Sessions of others that an account has entered and that its lists show; another one replaces the
/// one that was entered longest ago.
pub(crate) const ENTERED: usize = 100;

/// Access tokens of one account.
pub const ACCESS_TOKENS: usize = 100;

/// Access tokens of all accounts.
pub const ALL_ACCESS_TOKENS: usize = 10_000;

/// Links to one session.
pub const LINKS_OF_SESSION: usize = 20;

/// Links to all sessions.
pub const ALL_LINKS: usize = 10_000;

/// The longest time for which a link lasts.
pub const LINK_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// At most this many characters of a name are logged when its login fails.
pub(crate) const LOGGED_NAME_CHARS: usize = 64;
