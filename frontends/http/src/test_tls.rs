//! For tests: certificates that are worth nothing, made when they are needed, and a client's side of
//! an encryption.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, Stream};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Who vouches for a test's servers: known to that test only.
///
/// ```
/// # use rejoin_http::{Tls, test_tls::Authority};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = std::env::temp_dir().join(format!("rejoin-authority-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// let authority = Authority::new();
/// let shown = authority.vouch().write(&directory)?;
/// let _tls = Tls::open(shown.chain, shown.key)?;
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate for `localhost` and 127.0.0.1 and its key, as PEM.
#[derive(Clone)]
pub struct Vouched {
    /// The certificate.
    pub chain: String,
    /// Its private key.
    pub key: String,
}

/// Where a certificate and its key are.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The certificate's file.
    pub chain: PathBuf,
    /// The key's file.
    pub key: PathBuf,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    ///
    /// When there is no randomness.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Rejoin's tests");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        Self { issuer }
    }

    /// The authority's own certificate, as PEM: what a client is told to trust.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate with a key of its own.
    ///
    /// # Panics
    ///
    /// When there is no randomness.
    #[must_use]
    pub fn vouch(&self) -> Vouched {
        let names = ["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string()];
        let params = CertificateParams::new(names).expect("names");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Vouched {
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Vouched {
    /// Writes both into `chain.pem` and `key.pem`, over what is there.
    ///
    /// # Errors
    ///
    /// When the directory can't be written to.
    pub fn write(&self, directory: &Path) -> io::Result<Shown> {
        let shown = Shown {
            chain: directory.join("chain.pem"),
            key: directory.join("key.pem"),
        };
        fs::write(&shown.chain, &self.chain)?;
        fs::write(&shown.key, &self.key)?;
        Ok(shown)
    }
}

impl std::fmt::Debug for Vouched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vouched").finish_non_exhaustive()
    }
}

/// A client's side of an encryption.
#[derive(Debug)]
pub struct Session {
    tls: ClientConnection,
}

impl Session {
    pub(crate) fn begin(stream: &mut TcpStream, authority: &Authority) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots
            .add(authority.issuer.der().clone())
            .map_err(io::Error::other)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let server = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST).into());
        let mut tls = ClientConnection::new(Arc::new(config), server).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(stream)?;
        }
        Ok(Self { tls })
    }

    /// What was agreed on to be spoken within: `http/1.1`.
    #[must_use]
    pub fn protocol(&self) -> Option<&[u8]> {
        self.tls.alpn_protocol()
    }

    /// Whether it is TLS 1.3.
    #[must_use]
    pub fn is_of_version_1_3(&self) -> bool {
        self.tls.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    /// The certificate that the server has shown, as it is encoded in PEM.
    #[must_use]
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.tls.peer_certificates()?.first()
    }

    pub(crate) fn over<'stream>(
        &'stream mut self,
        stream: &'stream mut TcpStream,
    ) -> Stream<'stream, ClientConnection, TcpStream> {
        Stream::new(&mut self.tls, stream)
    }
}
