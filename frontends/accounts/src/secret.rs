//! Passwords and keys: how they are generated, hashed and compared.
//!
//! Invariant: they are never shown, neither in logs or errors nor by `Debug`.

use crate::limits::PASSWORD_BYTES;
use argon2::password_hash::{Output, ParamsString, PasswordHash, PasswordHasher, Salt, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// A password in plain text.
///
/// ```
/// use rejoin_accounts::Password;
///
/// let password = Password::new("correct horse").unwrap();
/// assert_eq!(format!("{password:?}"), "Password(…)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Takes a password; none when it is empty or longer than
    /// [`PASSWORD_BYTES`](crate::limits::PASSWORD_BYTES).
    pub fn new(password: impl Into<String>) -> Option<Self> {
        let password = password.into();
        (!password.is_empty() && password.len() <= PASSWORD_BYTES).then_some(Self(password))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A password's argon2id hash with its salt and cost, as a PHC string.
pub(crate) fn hash(password: &Password) -> Result<String, NoRandom> {
    let salt = SaltString::encode_b64(&random::<16>()?).map_err(|_| NoRandom)?;
    let hash = Argon2::default()
        .hash_password(password.bytes(), &salt)
        .map_err(|_| NoRandom)?;
    Ok(hash.to_string())
}

/// Whether a text is an argon2id hash that passwords can be verified against.
pub(crate) fn is_hash(phc: &str) -> bool {
    PasswordHash::new(phc).is_ok_and(|hash| {
        hash.algorithm == argon2::ARGON2ID_IDENT
            && hash.salt.is_some()
            && hash.hash.is_some()
            && Params::try_from(&hash).is_ok()
    })
}

/// A hash of no known password, with the cost of a new account's hash.
pub(crate) fn nobodys_hash() -> Result<String, NoRandom> {
    let salt = SaltString::encode_b64(&random::<16>()?).map_err(|_| NoRandom)?;
    let hash = PasswordHash {
        algorithm: argon2::ARGON2ID_IDENT,
        version: Some(Version::default().into()),
        params: ParamsString::try_from(&Params::default()).map_err(|_| NoRandom)?,
        salt: Some(salt.as_salt()),
        hash: Some(Output::new(&random::<32>()?).map_err(|_| NoRandom)?),
    };
    Ok(hash.to_string())
}

/// Verifies passwords, and keeps the memory for it: an allocator with an arena per thread would keep
/// as much in each arena.
#[derive(Default)]
pub(crate) struct Verifier(Mutex<Vec<Vec<Block>>>);

impl Verifier {
    /// Whether the password has this hash. Takes tens of milliseconds; compares in constant time.
    /// Keeps as much memory as was ever used at one time.
    pub(crate) fn verify(&self, password: &Password, phc: &str) -> bool {
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut memory = kept().pop().unwrap_or_default();
        let is_right = verify(password, phc, &mut memory);
        kept().push(memory);
        is_right.unwrap_or(false)
    }
}

/// None if it is not a usable hash.
fn verify(password: &Password, phc: &str, memory: &mut Vec<Block>) -> Option<bool> {
    let hash = PasswordHash::new(phc).ok()?;
    let (expected, salt) = (hash.hash?, hash.salt?);
    let algorithm = Algorithm::try_from(hash.algorithm).ok()?;
    let version = hash
        .version
        .map_or_else(|| Ok(Version::default()), Version::try_from);
    let params = Params::try_from(&hash).ok()?;
    let mut salt_bytes = [0; Salt::MAX_LENGTH];
    let salt = salt.decode_b64(&mut salt_bytes).ok()?;
    if memory.len() < params.block_count() {
        memory.resize(params.block_count(), Block::default());
    }
    let argon2 = Argon2::new(algorithm, version.ok()?, params);
    let output = Output::init_with(expected.len(), |output| {
        argon2
            .hash_password_into_with_memory(password.bytes(), salt, output, memory)
            .map_err(Into::into)
    });
    // In constant time.
    Some(output.ok()? == expected)
}

/// The system has no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandom;

/// Random bytes from the system.
pub(crate) fn random<const BYTES: usize>() -> Result<[u8; BYTES], NoRandom> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(bytes)
}

/// A key that only this process has, or only the servers that share a secret.
#[derive(Clone)]
pub(crate) struct Key([u8; 32]);

impl Key {
    pub(crate) fn new() -> Result<Self, NoRandom> {
        random().map(Self)
    }

    /// The key of a secret of any length: HKDF-Extract without a salt.
    pub(crate) fn of_secret(secret: &[u8]) -> Self {
        Self(Self([0; 32]).sign(secret))
    }

    /// The authentication code of the parts, each with its length, so that no two splits of the
    /// same bytes are the same.
    pub(crate) fn code(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.mac();
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Derives a key for what the parts name.
    pub(crate) fn derive(&self, parts: &[&[u8]]) -> Self {
        Self(self.code(parts))
    }

    /// HMAC-SHA256 of the bytes as they are.
    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 32] {
        let mut mac = self.mac();
        mac.update(bytes);
        mac.finalize().into_bytes().into()
    }

    /// Verifies a signature in constant time.
    pub(crate) fn is_signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        let mut mac = self.mac();
        mac.update(bytes);
        mac.verify_slice(signature).is_ok()
    }

    /// HMAC takes a key of this length as it is; a shorter one is the same with zeros behind it.
    fn mac(&self) -> Hmac<Sha256> {
        let mut block = [0; 64];
        block[..32].copy_from_slice(&self.0);
        Hmac::new(&block.into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_argon2id_and_knows_its_password() {
        let password = Password::new("geheim").unwrap();
        let phc = hash(&password).unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let verifier = Verifier::default();
        assert!(is_hash(&phc) && verifier.verify(&password, &phc));
        assert!(!verifier.verify(&Password::new("Geheim").unwrap(), &phc));
        assert_ne!(hash(&password).unwrap(), phc, "each has a salt of its own");
        for other in ["", "geheim", "$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA"] {
            assert!(!is_hash(other), "{other}");
        }
    }

    #[test]
    fn a_cost_of_its_own_is_paid_in_the_memory_of_the_one_before() {
        let password = Password::new("geheim").unwrap();
        let verifier = Verifier::default();
        for (memory, passes, version) in [
            (64, 3, Version::V0x13),
            (8, 1, Version::V0x10),
            (32, 2, Version::V0x13),
        ] {
            let params = Params::new(memory, passes, 1, None).unwrap();
            let argon2 = Argon2::new(Algorithm::Argon2id, version, params);
            let salt = SaltString::encode_b64(b"some sixteen byt").unwrap();
            let phc = argon2
                .hash_password(password.bytes(), &salt)
                .unwrap()
                .to_string();
            assert!(verifier.verify(&password, &phc), "{phc}");
            assert!(!verifier.verify(&Password::new("Geheim").unwrap(), &phc));
        }
        let kept = verifier.0.into_inner().unwrap();
        assert_eq!(kept.iter().map(Vec::len).collect::<Vec<_>>(), [64]);
    }

    #[test]
    fn nobodys_hash_costs_what_a_new_accounts_does() {
        let (nobody, own) = (
            nobodys_hash().unwrap(),
            hash(&Password::new("x").unwrap()).unwrap(),
        );
        assert!(is_hash(&nobody));
        let cost = |phc: &str| phc.rsplitn(3, '$').last().map(ToOwned::to_owned);
        assert_eq!(cost(&nobody), cost(&own));
        let length = |phc: &str| phc.len();
        assert_eq!(length(&nobody), length(&own));
        assert!(!Verifier::default().verify(&Password::new("x").unwrap(), &nobody));
    }

    #[test]
    fn codes_depend_on_where_the_parts_end() {
        let key = Key::new().unwrap();
        assert_ne!(key.code(&[b"a", b"bc"]), key.code(&[b"ab", b"c"]));
        assert!(key.is_signed(b"x", &key.sign(b"x")));
        assert!(!key.is_signed(b"y", &key.sign(b"x")));
        assert_eq!(format!("{key:?}"), "Key(…)");
    }
}
