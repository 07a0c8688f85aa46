//! Who may do what: one set of accounts for all frontends.
//!
//! A frontend is mounted with an [`Accounts`]. It reads what its product's clients send, asks who
//! that is, and gets a [`Caller`] or why there is none ([`Denied`]), which it answers as its product
//! does. Then it asks the caller what they may: see [`Permission`]. What is remembered about
//! logins is remembered here.
//!
//! ```
//! use rejoin_accounts::{Accounts, Permission, TokenKind};
//! use rejoin_http::{Request, Response, StatusCode};
//! use std::time::Duration;
//!
//! const TOKENS: TokenKind = TokenKind {
//!     name: "example",
//!     idle: Duration::from_secs(2 * 60 * 60),
//!     absolute: Duration::from_secs(24 * 60 * 60),
//! };
//!
//! async fn run(accounts: Accounts, request: Request) -> Response {
//!     match accounts.caller(&request, TOKENS, Some("example_session")).await {
//!         Ok(caller) if caller.may(Permission::Run) => Response::empty(StatusCode::OK),
//!         Ok(_) => Response::empty(StatusCode::FORBIDDEN),
//!         Err(_) => Response::empty(StatusCode::UNAUTHORIZED),
//!     }
//! }
//! # let _ = run;
//! ```
//!
//! What is never true:
//!
//! - A password, a hash, a key or a token is in a log, an error or `Debug`.
//! - It can be told from an answer, or from how long it takes, whether an account exists.
//! - A server that has had accounts is open to everybody, until it is started again.
//! - A token outlives its process or its account's password.

mod accounts;
mod credentials;
mod failures;
mod file;
mod jwt;
pub mod limits;
mod role;
mod secret;
#[cfg(feature = "testing")]
pub mod testing;
mod tokens;

pub use accounts::{Accounts, Clock, Denied};
pub use credentials::{Authorization, Credentials, cookie};
pub use file::{AccountsFile, FileError, change};
pub use role::{Caller, Permission, Role};
pub use secret::{NoRandom, Password};
pub use tokens::TokenKind;
