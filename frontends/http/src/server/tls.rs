//! A server's certificate and private key, read from files, and read again when these change.
//!
//! Only this file and `encrypted.rs` know rustls. TLS 1.2 and 1.3 are supported, with HTTP/1.1 as the
//! only protocol (ALPN). Sessions are remembered for a bounded number of clients, in memory. No request
//! is accepted before the handshake is complete. Keys are never logged.

use crate::limits::PEM_BYTES;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// The TLS settings of a server. Cheap to clone; all clones use the same certificate.
///
/// Every handshake checks whether the files have changed and reads them again if so: a renewed
/// certificate is used from the next connection on, without a restart. A change that can't be used,
/// for example because the key hasn't been written yet, is logged once, and the old certificate stays
/// in use.
///
/// ```
/// use rejoin_http::Tls;
///
/// let error = Tls::open("/no/such/chain.pem", "/no/such/key.pem").unwrap_err();
/// assert_eq!(error.to_string(), "cannot read /no/such/chain.pem");
/// ```
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
}

impl Tls {
    /// Reads a certificate, followed by those of its issuers, and its private key (PKCS #8, SEC1 or
    /// PKCS #1), both as PEM. Both may be in one file. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// When a file can't be read, when the certificate or the key is missing, or when the key doesn't
    /// belong to the certificate.
    pub fn open(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let files = Files::open(chain.into(), key.into(), provider.clone())?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(files));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
        })
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// A certificate or its key can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file can't be read.
    #[error("cannot read {0}")]
    Read(PathBuf, #[source] io::Error),
    /// A file is too long for PEM.
    #[error("{0} is longer than {PEM_BYTES} bytes")]
    TooLong(PathBuf),
    /// A file is broken PEM.
    #[error("{0} is not valid PEM: {1}")]
    Malformed(PathBuf, String),
    /// A file has no certificate.
    #[error("there is no certificate in {0}; expected PEM with BEGIN CERTIFICATE")]
    NoCertificate(PathBuf),
    /// A file has no private key.
    #[error("there is no private key in {0}; expected PEM with BEGIN PRIVATE KEY")]
    NoKey(PathBuf),
    /// The private key is protected by a password.
    #[error(
        "the private key in {0} is encrypted; decrypt it, and make it readable for this user only"
    )]
    EncryptedKey(PathBuf),
    /// The key belongs to another certificate.
    #[error("the private key in {key} doesn't belong to the first certificate in {chain}")]
    Mismatch {
        /// The certificate's file.
        chain: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The certificate or the key is of an unsupported kind.
    #[error("the certificate or its key cannot be used: {0}")]
    Unusable(rustls::Error),
}

/// The two files, and what was last read from them.
#[derive(Debug)]
struct Files {
    chain: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    loaded: Mutex<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    certified: Arc<CertifiedKey>,
    /// The state of the files when they were last read, even if they could not be used.
    stamps: [Option<Stamp>; 2],
}

impl Files {
    fn open(chain: PathBuf, key: PathBuf, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        // Taken before the files are read, so that a change in between is noticed.
        let stamps = [Stamp::of(&chain), Stamp::of(&key)];
        let certified = Arc::new(read(&chain, &key, &provider)?);
        Ok(Self {
            chain,
            key,
            provider,
            loaded: Mutex::new(Loaded { certified, stamps }),
        })
    }

    fn newest(&self) -> Arc<CertifiedKey> {
        let stamps = [Stamp::of(&self.chain), Stamp::of(&self.key)];
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.stamps != stamps {
            loaded.stamps = stamps;
            let chain = self.chain.display();
            match read(&self.chain, &self.key, &self.provider) {
                Ok(certified) => {
                    loaded.certified = Arc::new(certified);
                    tracing::info!(%chain, "loaded the changed certificate");
                }
                Err(error) => {
                    let reason = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, reason, %chain, "cannot use the changed certificate; keeping the old one");
                }
            }
        }
        loaded.certified.clone()
    }
}

impl ResolvesServerCert for Files {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.newest())
    }
}

/// Identifies a version of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    /// Renewal tools replace the file, or a link to it.
    #[cfg(unix)]
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            #[cfg(unix)]
            inode: std::os::unix::fs::MetadataExt::ino(&metadata),
        })
    }
}

fn read(chain: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let malformed = |path: &Path, error: PemError| match error {
        PemError::Io(error) => TlsError::Read(path.into(), error),
        error => TlsError::Malformed(path.into(), error.to_string()),
    };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&read_file(chain)?)
        .collect::<Result<_, _>>()
        .map_err(|error| malformed(chain, error))?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(chain.into()));
    }
    let pem = read_file(key)?;
    let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        _ if is_encrypted(&pem) => TlsError::EncryptedKey(key.into()),
        PemError::NoItemsFound => TlsError::NoKey(key.into()),
        error => malformed(key, error),
    })?;
    CertifiedKey::from_der(certificates, private, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch {
            chain: chain.into(),
            key: key.into(),
        },
        _ if is_encrypted(&pem) => TlsError::EncryptedKey(key.into()),
        error => TlsError::Unusable(error),
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |error| TlsError::Read(path.into(), error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(PEM_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    match bytes.len() as u64 > PEM_BYTES {
        true => Err(TlsError::TooLong(path.into())),
        false => Ok(bytes),
    }
}

/// Whether a key is protected by a password, in the new format or in the old one.
fn is_encrypted(pem: &[u8]) -> bool {
    let says = |words: &[u8]| pem.windows(words.len()).any(|part| part == words);
    says(b"BEGIN ENCRYPTED PRIVATE KEY") || says(b"Proc-Type: 4,ENCRYPTED")
}
