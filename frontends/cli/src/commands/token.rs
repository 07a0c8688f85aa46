//! `rejoin token`: changes the access tokens in the accounts file, which a running server reloads.
//!
//! Invariant: a token is printed once, when it is added, and is kept nowhere.

use crate::args::{TokenArgs, TokenCommand};
use crate::offline::warn;
use crate::settings::{Wait, accounts_file};
use rejoin_accounts::{AccountsFile, FileError, change};
use rejoin_engine::{Runtime, SmolRuntime};
use std::io::{self, Write};
use std::time::Duration;

/// Why the tokens could not be changed or listed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// The file, or the change.
    #[error(transparent)]
    File(#[from] FileError),
    /// Standard output could not be written.
    #[error("cannot print the tokens: {0}")]
    Print(#[source] io::Error),
}

pub(crate) fn run(args: TokenArgs) -> Result<(), TokenError> {
    let path = accounts_file(args.accounts, args.data);
    let mut out = io::stdout().lock();
    match args.change {
        TokenCommand::Add {
            account,
            name,
            role,
            expires,
        } => {
            // Checked first, so that no file is created for this.
            AccountsFile::read(&path)?.check_known(&account)?;
            let now = Duration::from_millis(SmolRuntime.now().as_millis());
            let expires = expires.map(|Wait(wait)| now.saturating_add(wait));
            let token = change(&path, |file| file.add_token(&account, &name, role, expires))?;
            writeln!(out, "{token}").map_err(TokenError::Print)?;
        }
        TokenCommand::Remove { account, name } => {
            AccountsFile::read(&path)?.check_known(&account)?;
            change(&path, |file| file.remove_token(&account, &name))?;
        }
        TokenCommand::List { account } => {
            let file = AccountsFile::read(&path)?;
            if let Some(account) = &account {
                file.check_known(account)?;
            }
            let wanted = |name: &str| account.as_deref().is_none_or(|account| account == name);
            let tokens: Vec<_> = file
                .tokens()
                .filter(|token| wanted(token.account))
                .collect();
            if tokens.is_empty() {
                warn(&format!("no tokens in {}", path.display()));
            }
            let width = |lengths: Vec<usize>| lengths.into_iter().max().unwrap_or_default();
            let accounts = width(tokens.iter().map(|token| token.account.len()).collect());
            let names = width(tokens.iter().map(|token| token.name.len()).collect());
            for token in tokens {
                let (account, name, role) = (token.account, token.name, token.role.as_str());
                let expires = token.expires.map_or_else(|| "never".to_owned(), date);
                writeln!(
                    out,
                    "{account:accounts$}  {name:names$}  {role:8}  {expires}"
                )
                .map_err(TokenError::Print)?;
            }
        }
    }
    Ok(())
}

fn date(at: Duration) -> String {
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    let instant = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    instant.to_string()
}
