//! The secret that servers share so that they take each other's logins.

use crate::limits::{LOGIN_KEY_BYTES, LONGEST_LOGIN_KEY_BYTES};
use crate::secret::Key;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A secret from a file. Tokens of logins are signed with keys that are derived from it.
#[derive(Clone, Debug)]
pub struct LoginKey(Key);

/// Why a file can't be the key of logins. Never contains text of the file.
#[derive(Debug, thiserror::Error)]
pub enum LoginKeyError {
    /// It can't be read.
    #[error("cannot read the login key in {}: {}", .0.display(), .1)]
    Read(PathBuf, #[source] io::Error),
    /// Whoever reads it can log in as anybody.
    #[error(
        "the login key in {} can be read by others, and whoever reads it can log in as anybody: `chmod 600` it",
        .0.display()
    )]
    ReadableByOthers(PathBuf),
    /// It could be guessed.
    #[error(
        "the login key in {} has {} bytes, and needs {LOGIN_KEY_BYTES} to {LONGEST_LOGIN_KEY_BYTES} random ones: \
         make one with `openssl rand -hex 32`",
        .0.display(),
        .1
    )]
    Length(PathBuf, usize),
}

impl LoginKey {
    /// The key in a file, for one cluster: tokens of another one are refused though it has the same file.
    /// `scope` is the name of the cluster, and empty for a server that is alone. Blocks.
    ///
    /// # Errors
    ///
    /// When the file can't be read, others can read it, or it is too short or too long.
    pub fn of_file(path: &Path, scope: &str) -> Result<Self, LoginKeyError> {
        let failed = |error| LoginKeyError::Read(path.into(), error);
        let file = File::open(path).map_err(failed)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = file.metadata().map_err(failed)?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(LoginKeyError::ReadableByOthers(path.into()));
            }
        }
        let mut bytes = Vec::new();
        let most = LONGEST_LOGIN_KEY_BYTES as u64;
        // One more, and the end of a line.
        file.take(most.saturating_add(3))
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        let secret = bytes.trim_ascii();
        if !(LOGIN_KEY_BYTES..=LONGEST_LOGIN_KEY_BYTES).contains(&secret.len()) {
            return Err(LoginKeyError::Length(path.into(), secret.len()));
        }
        let key = Key::of_secret(secret);
        Ok(Self(key.derive(&[b"logins", scope.as_bytes()])))
    }

    pub(crate) fn key(&self) -> &Key {
        &self.0
    }
}
