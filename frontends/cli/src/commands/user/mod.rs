//! `rejoin user`: changes the file with the accounts. A running server reads it again.
//!
//! Never: a password is in the arguments, is shown while it is typed, or is told.

mod password;

use crate::args::{UserArgs, UserCommand};
use crate::offline::warn;
use crate::settings::accounts_file;
use password::PasswordError;
use rejoin_accounts::{AccountsFile, FileError, change};
use std::io::{self, Write};

/// Why the accounts stay as they are.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserError {
    /// The file, or what was to be done to it.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no password to give.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Nobody could be told.
    #[error("the accounts could not be listed: {0}")]
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
            // A file that isn't there is not to be made for this.
            AccountsFile::read(&path)?.check_known(&name)?;
            change(&path, |file| file.remove(&name))?;
        }
        UserCommand::List => {
            let file = AccountsFile::read(&path)?;
            let width = file.list().map(|(name, _)| name.len()).max();
            let width = width.unwrap_or_default();
            if width == 0 {
                warn(&format!("there are no accounts in {}", path.display()));
            }
            let mut out = io::stdout().lock();
            for (name, role) in file.list() {
                writeln!(out, "{name:width$}  {role}").map_err(UserError::List)?;
            }
        }
    }
    Ok(())
}
