//! TLS of the server's addresses, and a warning if there is none.
//!
//! Invariant: either all addresses of a server use TLS, or none.

use super::{ServeError, start_error};
use crate::settings::Settings;
use rejoin_http::{HttpServer, ListenAddress, Tls};

/// Reads the certificate and key that the settings name; none if they name none.
pub(super) fn open(settings: &Settings) -> Result<Option<Tls>, ServeError> {
    match (settings.tls_cert(), settings.tls_key()) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Tls::open(cert, key).map(Some).map_err(start_error),
        (Some(_), None) => Err(start_error("--tls-cert requires --tls-key")),
        (None, Some(_)) => Err(start_error("--tls-key requires --tls-cert")),
    }
}

/// The server with TLS, if there is any. Without, warns about an address that others can reach.
pub(super) fn encrypt(server: HttpServer, tls: Option<&Tls>) -> HttpServer {
    let address = server.address();
    match tls {
        Some(tls) => server.with_tls(tls.clone()),
        None => {
            if is_reachable_by_others(address) {
                tracing::warn!(
                    %address,
                    "connections from other machines are not encrypted: passwords and commands can be \
                     read and changed on the way; use --tls-cert, or a proxy that encrypts"
                );
            }
            server
        }
    }
}

/// The scheme of the URLs of all addresses.
pub(super) fn scheme(tls: Option<&Tls>) -> &'static str {
    match tls {
        Some(_) => "https",
        None => "http",
    }
}

fn is_reachable_by_others(address: &ListenAddress) -> bool {
    match address {
        ListenAddress::Tcp(address) => !address.ip().to_canonical().is_loopback(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_private() {
        for (address, is_reachable) in [
            ("127.0.0.1:1", false),
            ("127.9.9.9:1", false),
            ("[::1]:1", false),
            ("[::ffff:127.0.0.1]:1", false),
            ("0.0.0.0:1", true),
            ("[::]:1", true),
            ("192.0.2.1:1", true),
        ] {
            assert_eq!(
                is_reachable_by_others(&ListenAddress::Tcp(address.parse().unwrap())),
                is_reachable
            );
        }
    }
}
