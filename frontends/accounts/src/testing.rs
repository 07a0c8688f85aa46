//! Accounts for tests of frontends, with a temporary file and a clock that tests control.
//!
//! ```
//! use rejoin_accounts::testing::TestAccounts;
//! use rejoin_accounts::{Credentials, Role};
//! use std::net::Ipv4Addr;
//!
//! let test = TestAccounts::new(&[("ada", Role::Operator)]);
//! let credentials = Credentials::new("ada", "ada-pw");
//! let caller = smol::block_on(test.accounts().verify(credentials, Ipv4Addr::LOCALHOST.into()))?;
//! assert_eq!(caller.role(), Role::Operator);
//! # Ok::<_, rejoin_accounts::Denied>(())
//! ```

#![expect(clippy::expect_used, reason = "documented to panic")]

use crate::{Accounts, AccountsFile, Clock, FileError, Password, Role, change};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Accounts, each with the password that [`password`] makes of its name. The file is removed with
/// the value.
#[derive(Debug)]
pub struct TestAccounts {
    accounts: Accounts,
    path: PathBuf,
    seconds: Arc<AtomicU64>,
    _directory: tempfile::TempDir,
}

impl TestAccounts {
    /// Writes the file, and opens it.
    ///
    /// # Panics
    ///
    /// When there is no temporary directory, or a name is invalid or repeated.
    #[must_use]
    pub fn new(accounts: &[(&str, Role)]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("accounts.toml");
        for (name, role) in accounts {
            change(&path, |file| file.add(name, *role, &password(name))).expect("an account");
        }
        let seconds = Arc::new(AtomicU64::new(1_000));
        Self {
            accounts: Accounts::of_file(path.clone(), clock_of(&seconds))
                .expect("the file was just written"),
            path,
            seconds,
            _directory: directory,
        }
    }

    /// What a frontend is mounted with.
    #[must_use]
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Changes the file, and lets a second pass, so that it is read again.
    ///
    /// # Panics
    ///
    /// When the change fails.
    pub fn change(&self, how: impl FnOnce(&mut AccountsFile) -> Result<(), FileError>) {
        change(&self.path, how).expect("a change");
        self.pass(1);
    }

    /// Another server's accounts, of the same file and with the same clock.
    ///
    /// # Panics
    ///
    /// When the file can't be read.
    #[must_use]
    pub fn another(&self) -> Accounts {
        let clock = clock_of(&self.seconds);
        Accounts::of_file(self.path.clone(), clock).expect("the accounts")
    }

    /// Lets time pass for logins and tokens.
    pub fn pass(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }
}

fn clock_of(seconds: &Arc<AtomicU64>) -> Clock {
    let clock = seconds.clone();
    Arc::new(move || Duration::from_secs(clock.load(Ordering::SeqCst)))
}

/// The password of an account: its name and `-pw`.
///
/// # Panics
///
/// When that is too long for a password.
#[must_use]
pub fn password(name: &str) -> Password {
    Password::new(format!("{name}-pw")).expect("a password")
}
