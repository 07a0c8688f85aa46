//! Reads a password from the terminal, without showing it, or from standard input.

use crate::args::PasswordArgs;
use rejoin_accounts::{Password, limits::PASSWORD_BYTES};
use std::io::{self, BufRead, IsTerminal};

/// Why there is no usable password.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    /// It could not be read.
    #[error("cannot read the password: {0}")]
    Read(#[from] io::Error),
    /// It is empty or too long.
    #[error("the password must have 1 to {PASSWORD_BYTES} bytes, on one line")]
    Unfit,
    /// It was typed differently the second time.
    #[error("the passwords do not match")]
    Differ,
    /// Standard input is not a terminal.
    #[error("cannot ask for the password without a terminal: use --password-stdin")]
    NoTerminal,
}

/// Asks twice for the password of an account, or reads the first line of standard input.
pub(super) fn of(args: PasswordArgs, name: &str) -> Result<Password, PasswordError> {
    let text = if args.password_stdin {
        first_line(io::stdin().lock())?
    } else if io::stdin().is_terminal() {
        let first = rpassword::prompt_password(format!("Password for {name}: "))?;
        if first != rpassword::prompt_password("Repeat password: ")? {
            return Err(PasswordError::Differ);
        }
        first
    } else {
        return Err(PasswordError::NoTerminal);
    };
    Password::new(text).ok_or(PasswordError::Unfit)
}

fn first_line(from: impl BufRead) -> Result<String, PasswordError> {
    let mut line = String::new();
    // Including the line ending, which may be two bytes.
    from.take(PASSWORD_BYTES as u64 + 2).read_line(&mut line)?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_the_first_line_without_its_line_ending() {
        for (given, password) in [
            ("secret", "secret"),
            (" a b \n", " a b "),
            ("a\r\nb", "a"),
            ("\n", ""),
        ] {
            assert_eq!(first_line(given.as_bytes()).unwrap(), password);
        }
        let long = first_line("x".repeat(5_000).as_bytes()).unwrap();
        assert!(Password::new(long).is_none(), "it is not cut");
        assert!(first_line(&b"\xff\n"[..]).is_err());
    }
}
