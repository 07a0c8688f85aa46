//! `rejoin user`: changes the accounts file, which a running server reloads.
//!
//! Invariant: a password is never an argument, shown while it is typed, or printed.

mod password;

use crate::args::{UserArgs, UserCommand};
use crate::offline::warn;
use crate::settings::accounts_file;
use password::PasswordError;
use rejoin_accounts::{AccountsFile, FileError, change};
use std::io::{self, Write};

/// Why the accounts could not be changed or listed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserError {
    /// The file, or the change.
    #[error(transparent)]
    File(#[from] FileError),
    /// No usable password.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Standard output could not be written.
    #[error("cannot list the accounts: {0}")]
    List(#[source] io::Error),
}

pub(crate) fn run(args: UserArgs) -> Result<(), UserError> {
    let path = accounts_file(args.accounts, args.data);
    match args.change {
        UserCommand::Add {
            name,
            role,
            password,
        } => {
            AccountsFile::read(&path)?.check_new(&name)?;
            let password = password::of(password, &name)?;
            change(&path, |file| file.add(&name, role, &password))?;
        }
        UserCommand::Passwd { name, password } => {
            AccountsFile::read(&path)?.check_known(&name)?;
            let password = password::of(password, &name)?;
            change(&path, |file| file.set_password(&name, &password))?;
        }
        UserCommand::Remove { name } => {
            // Checked first, so that no file is created for this.
            AccountsFile::read(&path)?.check_known(&name)?;
            change(&path, |file| file.remove(&name))?;
        }
        UserCommand::List => {
            let file = AccountsFile::read(&path)?;
            let width = file.list().map(|(name, _)| name.len()).max();
            let width = width.unwrap_or_default();
            if width == 0 {
                warn(&format!("no accounts in {}", path.display()));
            }
            let mut out = io::stdout().lock();
            for (name, role) in file.list() {
                writeln!(out, "{name:width$}  {role}").map_err(UserError::List)?;
            }
        }
    }
    Ok(())
}
