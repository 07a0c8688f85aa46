//! Arguments of `rejoin token`.

use crate::settings::Wait;
use clap::Subcommand;
use rejoin_accounts::Role;
use std::path::PathBuf;

/// Manage access tokens: secrets with which programs and agents log in as an account.
///
/// A program sends its token as `Authorization: Bearer …`. Tokens are for Rejoin's own API and for
/// agents (/mcp). They are stored as SHA-256 digests next to the accounts. A running server applies a
/// change within a second. A new password of the account does not end its tokens; removing the account
/// does.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) change: TokenCommand,

    /// File with the accounts [default: accounts.toml in the --data directory]
    #[arg(long, value_name = "FILE", env = "REJOIN_ACCOUNTS", global = true)]
    pub(crate) accounts: Option<PathBuf>,

    /// The server's directory [default: rejoin-data]
    #[arg(long, value_name = "DIR", env = "REJOIN_DATA", global = true)]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Add a token and print it; it is shown only this once
    Add {
        /// The account that it belongs to
        account: String,

        /// Name of the token: up to 64 letters, digits and . _ -
        name: String,

        /// What the token can do at most [default: what its account can do]
        #[arg(long, value_name = "viewer|operator|admin")]
        role: Option<Role>,

        /// Refuse the token after this time, for example 90d [default: never]
        #[arg(long, value_name = "TIME")]
        expires: Option<Wait>,
    },
    /// List the tokens, with what they can do and when they expire
    List {
        /// Only those of this account
        account: Option<String>,
    },
    /// Remove a token, which is refused from then on
    Remove {
        /// The account that it belongs to
        account: String,

        /// Name of the token
        name: String,
    },
}

const EXAMPLES: &str = "\
Examples:
  A token for an agent on a laptop:
    rejoin token add ada laptop --expires 90d
  A token for a script that only reads, in a file that only you can read:
    (umask 077; rejoin token add ada reports --role viewer >token)
    REJOIN_TOKEN=$(cat token) rejoin sessions
  List the tokens of an account, and remove one:
    rejoin token list ada
    rejoin token remove ada laptop
";
