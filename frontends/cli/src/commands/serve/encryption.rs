//! TLS for the server's addresses, and a warning where there is none.
//!
//! Invariant: either all addresses of a server use TLS, or none.

use super::ServeError;
use crate::settings::Settings;
use rejoin_http::{Server, Tls};
use std::net::SocketAddr;

/// Reads the certificate and key from the settings; none if TLS is off.
pub(super) fn open(settings: &Settings) -> Result<Option<Tls>, ServeError> {
    match (settings.tls_cert(), settings.tls_key()) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => match Tls::open(cert, key) {
            Ok(tls) => Ok(Some(tls)),
            Err(error) => Err(ServeError::Start(error.into())),
        },
        (Some(_), None) => Err(ServeError::Start("--tls-cert requires --tls-key".into())),
        (None, Some(_)) => Err(ServeError::Start("--tls-key requires --tls-cert".into())),
    }
}

/// The server with TLS, if it is on; otherwise warns about an address that others can reach.
pub(super) fn encrypt(server: Server, tls: Option<&Tls>) -> Server {
    let address = server.local_addr();
    match tls {
        Some(tls) => server.with_tls(tls.clone()),
        None => {
            if is_reachable_by_others(address) {
                tracing::warn!(
                    %address,
                    "connections are not encrypted and other machines can reach this address: anyone \
                     on the network can read passwords and run commands; use --tls-cert or a proxy \
                     with TLS"
                );
            }
            server
        }
    }
}

/// The scheme of the server's URLs.
pub(super) fn scheme(tls: Option<&Tls>) -> &'static str {
    match tls {
        Some(_) => "https",
        None => "http",
    }
}

fn is_reachable_by_others(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_private_to_this_machine() {
        for (address, reachable) in [
            ("127.0.0.1:1", false),
            ("127.9.9.9:1", false),
            ("[::1]:1", false),
            ("[::ffff:127.0.0.1]:1", false),
            ("0.0.0.0:1", true),
            ("[::]:1", true),
            ("192.0.2.1:1", true),
        ] {
            assert_eq!(is_reachable_by_others(address.parse().unwrap()), reachable);
        }
    }
}
