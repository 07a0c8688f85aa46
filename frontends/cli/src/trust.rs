//! Whom the program trusts when it connects to a server that is encrypted.

use std::sync::Arc;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// The certificates in a PEM file.
///
/// # Errors
///
/// When it can't be read as such, or has none.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, String> {
    let mut found = vec![];
    for part in parse_pem(pem) {
        if let PemItem::Certificate(it) = part.map_err(|it| it.to_string())? {
            found.push(it);
        }
    }
    match found.is_empty() {
        true => Err("contains no certificate".to_owned()),
        false => Ok(found),
    }
}

/// Trusts these certificates, or else the system's.
pub(crate) fn tls(trusted: Option<Vec<Certificate<'static>>>) -> TlsConfig {
    let trusted = trusted.unwrap_or_else(|| {
        let system = rustls_native_certs::load_native_certs().certs;
        let certificates = system.iter().map(|it| Certificate::from_der(it).to_owned());
        certificates.collect()
    });
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    TlsConfig::builder()
        .root_certs(RootCerts::from(trusted))
        .unversioned_rustls_crypto_provider(provider)
        .build()
}
