//! Reads and rewrites the accounts file.
//!
//! It is TOML: a table for each account, with its `role`, the `hash` of its password and its access
//! `tokens`. It is replaced by a rename, so that readers find either the old accounts or the new ones. Only its
//! owner may read it.

use crate::access_tokens::{AccessToken, is_digest};
use crate::limits::{ACCESS_TOKENS, ACCOUNTS, ALL_ACCESS_TOKENS, FILE_BYTES, NAME_BYTES};
use crate::role::Role;
use crate::secret::{self, NoRandom, Password};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The accounts as a file has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountsFile {
    pub(crate) accounts: BTreeMap<String, Account>,
}

/// Where an access token is: its account, and its place among the account's.
pub(crate) type TokenPlace = (String, usize);

/// One account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Account {
    pub(crate) role: Role,
    pub(crate) hash: String,
    #[serde(default)]
    pub(crate) tokens: Vec<AccessToken>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Account({})", self.role)
    }
}

/// Why an accounts file can't be used or changed. Never contains text of the file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It can't be read.
    #[error("cannot read the accounts in {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// It can't be written.
    #[error("cannot write the accounts in {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// It is not a valid accounts file.
    #[error("the accounts in {} are wrong: {}", .0.display(), .1)]
    Malformed(PathBuf, String),
    /// There is such an account already.
    #[error("there is an account {0:?} already")]
    Exists(String),
    /// There is no such account.
    #[error("there is no account {0:?}")]
    Unknown(String),
    /// The account has an access token of this name already.
    #[error("there is a token {0:?} of this account already")]
    TokenExists(String),
    /// The account has no such access token.
    #[error("there is no token {0:?} of this account")]
    TokenUnknown(String),
    /// The limit of access tokens is reached.
    #[error(
        "there are too many tokens already: {ACCESS_TOKENS} of one account, {ALL_ACCESS_TOKENS} in all"
    )]
    TokensFull,
    /// This can't be the name of an account or a token.
    #[error("{0:?} cannot be a name: take 1 to 64 letters, digits and . _ - without accents")]
    BadName(String),
    /// The limit of accounts is reached.
    #[error("there are {ACCOUNTS} accounts already")]
    Full,
    /// No password can be hashed.
    #[error(transparent)]
    Random(#[from] NoRandom),
}

impl AccountsFile {
    /// Reads a file. A missing file has no accounts. Blocks.
    ///
    /// # Errors
    ///
    /// When it can't be read or isn't a file of accounts.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let read = |error| FileError::Read(path.into(), error);
        let mut text = String::new();
        match File::open(path) {
            Ok(file) => file.take(FILE_BYTES + 1).read_to_string(&mut text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => Err(error),
        }
        .map_err(read)?;
        let wrong = |why: String| FileError::Malformed(path.into(), why);
        if text.len() as u64 > FILE_BYTES {
            return Err(wrong(format!("more than {FILE_BYTES} bytes")));
        }
        // The parser's own message would show the line, and with it a hash.
        let accounts: BTreeMap<String, Account> =
            toml::from_str(&text).map_err(|error: toml::de::Error| {
                let start = error.span().map_or(0, |span| span.start);
                let before = text.get(..start).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                wrong(format!("line {line} is not what `rejoin user` writes"))
            })?;
        for (name, account) in &accounts {
            check_name(name)?;
            if !secret::is_hash(&account.hash) {
                return Err(wrong(format!("the hash of {name} is no argon2id hash")));
            }
            for token in &account.tokens {
                check_name(&token.name)?;
                if !is_digest(&token.digest) {
                    let token = &token.name;
                    let reason = format!("the digest of {name}'s token {token} is none of SHA-256");
                    return Err(wrong(reason));
                }
            }
        }
        if accounts.len() > ACCOUNTS {
            return Err(FileError::Full);
        }
        Ok(Self { accounts })
    }

    /// Replaces the file, so that only its owner can read it. Blocks until it is on the disk.
    ///
    /// # Errors
    ///
    /// When it can't be written; then it is unchanged.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let mut text =
            String::from("# Accounts of Rejoin, written by `rejoin user` and `rejoin token`.\n");
        for (name, account) in &self.accounts {
            // Names and hashes contain nothing that TOML escapes.
            let (role, hash) = (account.role, &account.hash);
            text += &format!("\n[\"{name}\"]\nrole = \"{role}\"\nhash = \"{hash}\"\n");
            for token in &account.tokens {
                let (token_name, digest) = (&token.name, &token.digest);
                text += &format!("\n[[\"{name}\".tokens]]\nname = \"{token_name}\"\n");
                text += &format!("digest = \"{digest}\"\n");
                if let Some(role) = token.role {
                    text += &format!("role = \"{role}\"\n");
                }
                if let Some(expires) = token.expires {
                    text += &format!("expires = {expires}\n");
                }
            }
        }
        replace(path, text.as_bytes()).map_err(|error| FileError::Write(path.into(), error))
    }

    /// Checks whether an account of that name can be added, before a password is asked for.
    ///
    /// # Errors
    ///
    /// When there is one of that name, or the name is none.
    pub fn check_new(&self, name: &str) -> Result<(), FileError> {
        check_name(name)?;
        if self.accounts.contains_key(name) {
            return Err(FileError::Exists(name.into()));
        }
        if self.accounts.len() >= ACCOUNTS {
            return Err(FileError::Full);
        }
        Ok(())
    }

    /// Whether there is an account of that name.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn check_known(&self, name: &str) -> Result<(), FileError> {
        if self.accounts.contains_key(name) {
            return Ok(());
        }
        Err(FileError::Unknown(name.into()))
    }

    /// Adds an account. Takes tens of milliseconds for the hash.
    ///
    /// # Errors
    ///
    /// When there is one of that name, or the name is none.
    pub fn add(&mut self, name: &str, role: Role, password: &Password) -> Result<(), FileError> {
        self.check_new(name)?;
        let hash = secret::hash(password)?;
        self.accounts.insert(
            name.into(),
            Account {
                role,
                hash,
                tokens: Vec::new(),
            },
        );
        Ok(())
    }

    /// Removes an account.
    ///
    /// # Errors
    ///
    /// When there is no such account.
    pub fn remove(&mut self, name: &str) -> Result<(), FileError> {
        let removed = self.accounts.remove(name);
        removed
            .map(drop)
            .ok_or_else(|| FileError::Unknown(name.into()))
    }

    /// Gives an account another password.
    ///
    /// # Errors
    ///
    /// When there is no such account.
    pub fn set_password(&mut self, name: &str, password: &Password) -> Result<(), FileError> {
        let account = self.accounts.get_mut(name);
        let account = account.ok_or_else(|| FileError::Unknown(name.into()))?;
        account.hash = secret::hash(password)?;
        Ok(())
    }

    /// Where the access token with each digest is.
    pub(crate) fn token_places(&self) -> BTreeMap<String, TokenPlace> {
        let accounts = self.accounts.iter();
        let tokens = accounts.flat_map(|(name, account)| {
            let tokens = account.tokens.iter().enumerate();
            tokens.map(move |(place, token)| (token.digest.clone(), (name.clone(), place)))
        });
        tokens.collect()
    }

    /// The names and roles, by name.
    pub fn list(&self) -> impl Iterator<Item = (&str, Role)> {
        let accounts = self.accounts.iter();
        accounts.map(|(name, account)| (name.as_str(), account.role))
    }
}

/// Changes a file under a lock, for which it waits. Blocks.
///
/// # Errors
///
/// The errors of reading, of the change and of writing. Then the file is unchanged.
pub fn change<T>(
    path: &Path,
    change: impl FnOnce(&mut AccountsFile) -> Result<T, FileError>,
) -> Result<T, FileError> {
    let lock = lock(path).map_err(|error| FileError::Write(path.into(), error))?;
    let mut file = AccountsFile::read(path)?;
    let changed = change(&mut file)?;
    file.write(path)?;
    drop(lock);
    Ok(changed)
}

/// A lock that one process holds at a time. Dropping it releases it.
fn lock(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
        create_private_dir(directory)?;
    }
    let lock = private(OpenOptions::new().write(true).create(true)).open(beside(path, "lock"))?;
    lock.lock()?;
    Ok(lock)
}

/// Creates the data directory as the server does: closed to other users.
fn create_private_dir(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = beside(path, "new");
    // A file left behind by a crash may be readable by others.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    let mut file = private(OpenOptions::new().write(true).create_new(true)).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
    File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

pub(crate) fn check_name(name: &str) -> Result<(), FileError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > NAME_BYTES || !name.bytes().all(is_plain) {
        return Err(FileError::BadName(name.into()));
    }
    Ok(())
}
