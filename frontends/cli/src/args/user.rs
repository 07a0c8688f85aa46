//! Arguments of `rejoin user`.

use clap::Subcommand;
use rejoin_accounts::Role;
use std::path::PathBuf;

/// Manage accounts: add, list and remove them, and change passwords.
///
/// A running server applies the change within a second; old passwords and removed accounts stop
/// working then. As soon as there is one account, everyone has to log in. Passwords are stored as
/// argon2id hashes, in a file that only its owner can read.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    pub(crate) change: UserCommand,

    /// File with the accounts [default: accounts.toml in the --data directory]
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
        /// Name of the account: up to 64 letters, digits and . _ -
        name: String,

        /// What the account can do: a viewer lists, joins and reads sessions; an operator also runs
        /// and interrupts commands, and closes its own sessions; an admin also sees and closes all
        /// sessions
        #[arg(long, value_name = "viewer|operator|admin")]
        role: Role,

        #[command(flatten)]
        password: PasswordArgs,
    },
    /// List the accounts and their roles
    List,
    /// Remove an account
    Remove {
        /// Name of the account
        name: String,
    },
    /// Change an account's password
    Passwd {
        /// Name of the account
        name: String,

        #[command(flatten)]
        password: PasswordArgs,
    },
}

/// Where the password comes from. Not an argument: every user of the machine can read those.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct PasswordArgs {
    /// Read the password from the first line of standard input instead of asking for it
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

const EXAMPLES: &str = "\
Examples:
  Add the first account, for the administrator:
    rejoin user add ada --role admin
  Add an account for a program, with its password in a file:
    rejoin user add reporter --role viewer --password-stdin <password
  List the accounts:
    rejoin user list
";
