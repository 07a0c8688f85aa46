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

/// Bytes of a login key, without white space around it: enough that it can't be guessed.
pub const LOGIN_KEY_BYTES: usize = 32;

/// Bytes of the longest login key.
pub const LONGEST_LOGIN_KEY_BYTES: usize = 4096;

/// How far in the future a login may have been made, by the clock of the server that is asked: the clocks of
/// servers that share logins differ.
pub(crate) const CLOCK_DIFFERENCE: Duration = Duration::from_secs(5 * 60);

/// How old the last noted use of a shared login is when the next one is noted. A login ends so much later than
/// it would for being unused.
pub(crate) const NOTED_USE: Duration = Duration::from_secs(10 * 60);

/// Bytes of the document that servers share. A store takes a megabyte.
pub const SHARED_BYTES: usize = 900 * 1024;

/// Links to all sessions of servers that share them.
pub const SHARED_LINKS: usize = 1_000;

/// Access tokens that were made at servers that share them, of all accounts.
pub const SHARED_TOKENS: usize = 300;

/// Notes about logins of one account: one that has ended, or was used some time after it was made.
pub(crate) const SHARED_LOGINS: usize = 400;

/// Notes about logins of all accounts.
pub const ALL_SHARED_LOGINS: usize = 2_000;

/// Accounts whose older logins have ended because there were too many notes about them.
pub(crate) const ENDED_BEFORE: usize = 300;

/// How long a change of what is shared waits for the store. NATS elects a leader in up to 10 seconds.
pub(crate) const SHARING: Duration = Duration::from_secs(15);

/// How long a logout waits until other servers can know of it. It goes on in the background.
pub(crate) const LOGOUT: Duration = Duration::from_secs(3);

/// The pauses after a notice until what it is about can be read.
pub(crate) const AFTER_NOTICE: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(4),
    Duration::from_millis(16),
    Duration::from_millis(64),
];

/// The pause before a change that another server's was faster than is tried again, or that was not answered.
pub(crate) const AGAIN: Duration = Duration::from_millis(20);
