//! The options of a service that an Arthas runs.

use crate::limits;
use std::fmt;
use std::time::Duration;

/// Where an Arthas is, and how it is used.
///
/// ```
/// use rejoin_runner_arthas::{ArthasOptions, OptionsError};
///
/// let options = ArthasOptions::new("http://127.0.0.1:8563").unwrap();
/// assert_eq!(options.queue, 20_000);
/// let error = ArthasOptions::new("https://127.0.0.1:8563").unwrap_err();
/// assert!(matches!(error, OptionsError::NotHttp));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ArthasOptions {
    /// The address of its HTTP server, such as `http://127.0.0.1:8563`.
    pub url: String,
    /// The user and password that it asks for, if any.
    pub credentials: Option<ArthasCredentials>,
    /// How many results Arthas shall keep for a reader: before a session is made, this is set in the
    /// JVM by Arthas' own `ognl`. 0 leaves it as it is (50 in Arthas 4.1.5). The default is 20,000.
    pub queue: usize,
    /// Whether `stop` and `shutdown` reach Arthas. They end it for everybody. The default is no.
    pub allow_stop: bool,
    /// How long Arthas may take to answer, beyond the time that a request waits for results. The
    /// default is 3 seconds.
    pub timeout: Duration,
    /// Commands that may run at the same time. The default is [`limits::JOBS`].
    pub jobs: usize,
}

/// A user and a password. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct ArthasCredentials {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

/// Why options can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// Arthas has no TLS.
    #[error(
        "the address must begin with http://, because Arthas has no TLS; reach one on another \
         machine through a tunnel, for example `ssh -L 8563:127.0.0.1:8563 HOST`"
    )]
    NotHttp,
    /// The user and password have a place of their own.
    #[error("the address must not have a user or a password in it: set `user` and `password-file`")]
    Credentials,
}

impl ArthasOptions {
    /// The options for the Arthas at an address, with all defaults.
    ///
    /// # Errors
    ///
    /// When this is no `http://` address, or one with credentials in it.
    pub fn new(url: impl Into<String>) -> Result<Self, OptionsError> {
        let url = url.into();
        let host = url.strip_prefix("http://").map(|rest| {
            let end = rest.find('/').unwrap_or(rest.len());
            &rest[..end]
        });
        match host {
            None | Some("") => Err(OptionsError::NotHttp),
            Some(host) if host.contains('@') => Err(OptionsError::Credentials),
            Some(_) => Ok(Self {
                url,
                credentials: None,
                queue: 20_000,
                allow_stop: false,
                timeout: Duration::from_secs(3),
                jobs: limits::JOBS,
            }),
        }
    }
}

impl fmt::Debug for ArthasCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArthasCredentials(…)")
    }
}
