//! Accounts: who a request is from, and what they may do. One set of accounts for all frontends.
//!
//! A frontend is mounted with an [`Accounts`] and says by a [`Scheme`] how its clients log in.
//! [`Accounts::authenticate`] returns the [`Caller`], or why there is none ([`Denied`]), which the
//! frontend answers as its product does. Then it asks the caller for each [`Permission`].
//!
//! ```
//! use rejoin_accounts::{Accounts, Cookie, Permission, SameSite, Scheme, Source, TokenKind, Tokens};
//! use rejoin_http::{Request, Response, StatusCode};
//! use std::time::Duration;
//!
//! const SCHEME: Scheme = Scheme {
//!     sources: &[Source::Authorization, Source::Cookie],
//!     tokens: Tokens::Stored(TokenKind {
//!         name: "example",
//!         idle: Duration::from_secs(2 * 60 * 60),
//!         absolute: Duration::from_secs(24 * 60 * 60),
//!     }),
//!     cookie: Cookie { name: "example_session", same_site: SameSite::Strict, max_age: None },
//!     sends_cookie: false,
//! };
//!
//! async fn run(accounts: Accounts, request: Request) -> Response {
//!     match accounts.authenticate(&request, &SCHEME).await {
//!         Ok(login) if login.caller.may(Permission::Run) => Response::empty(StatusCode::OK),
//!         Ok(_) => Response::empty(StatusCode::FORBIDDEN),
//!         Err(_) => Response::empty(StatusCode::UNAUTHORIZED),
//!     }
//! }
//! # let _ = run;
//! ```
//!
//! Invariants:
//!
//! - No password, hash, key or token is in a log, an error or `Debug`.
//! - Neither a refusal nor its timing shows whether an account exists.
//! - A right password is never refused because of other names.
//! - A server that has had accounts is not open to everybody until it is restarted.
//! - The token of a login ends with its account's password, and with its process unless there is a [`LoginKey`].
//!   An access token ends when it is removed or expires, and with its account.

mod access_tokens;
mod accounts;
mod credentials;
mod entered;
mod failures;
mod file;
mod jwt;
pub mod limits;
mod links;
mod login_key;
mod login_notes;
mod queues;
mod role;
mod scheme;
mod secret;
mod server_user;
mod service_access;
mod shared;
mod sharing;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod tokens;

pub use access_tokens::ListedToken;
pub use accounts::{Accounts, Clock, Denied, OwnToken, OwnTokenError};
pub use credentials::{Authorization, Credentials, cookie};
pub use file::{AccountsFile, FileError, change};
pub use links::{LinkError, ListedLink};
pub use login_key::{LoginKey, LoginKeyError};
pub use role::{Caller, Permission, Role};
pub use scheme::{Cookie, Login, SameSite, Scheme, Source, Tokens};
pub use secret::{NoRandom, Password};
pub use service_access::{ServiceAccess, ServiceRule};
pub use store::{FileStore, Replaced, SharedStore, StoreError, Stored};
pub use tokens::TokenKind;
