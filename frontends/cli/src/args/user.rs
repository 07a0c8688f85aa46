//! What `rejoin user` takes, and how that is explained.

use clap::Subcommand;
use rejoin_accounts::Role;
use std::path::PathBuf;

/// Say who may use the server: add, list and remove accounts, and change their passwords.
///
/// A running server takes the change within a second: whoever was let in by an older password, or
/// by an account that is gone, no longer is. With the first account a server asks everybody who they
/// are. Passwords are kept as argon2id hashes, in a file that only its owner can read.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    pub(crate) change: UserCommand,

    /// File with the accounts [default: accounts.toml in the directory of --data]
    #[arg(long, value_name = "FILE", env = "REJOIN_ACCOUNTS", global = true)]
    pub(crate) accounts: Option<PathBuf>,

    /// The server's directory [default: rejoin-data]
    #[arg(long, value_name = "DIR", env = "REJOIN_DATA", global = true)]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add an account
    Add {
        /// Its name: up to 64 letters, digits and . _ -
        name: String,

        /// What it may: a viewer lists, joins and pulls; an operator also runs, interrupts, and
        /// closes its own sessions; an admin also sees and closes all
        #[arg(long, value_name = "viewer|operator|admin")]
        role: Role,

        #[command(flatten)]
        password: PasswordArgs,
    },
    /// List the accounts with their roles
    List,
    /// Remove an account
    Remove {
        /// Its name
        name: String,
    },
    /// Change an account's password
    Passwd {
        /// Its name
        name: String,

        #[command(flatten)]
        password: PasswordArgs,
    },
}

/// Where a password comes from. Never from the command line, which everybody on the machine can
/// read.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct PasswordArgs {
    /// Read the password from standard input, its first line, instead of asking for it
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

const EXAMPLES: &str = "\
Examples:
  The first account, of whoever administers the server:
    rejoin user add ada --role admin
  An account for a program, whose password is in a file:
    rejoin user add reporter --role viewer --password-stdin <password
  Who has one:
    rejoin user list
";
