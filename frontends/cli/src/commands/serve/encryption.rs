//! With which certificate the servers encrypt, and who is to be told that they don't.
//!
//! Never: some addresses of a server are encrypted and others not.

use super::ServeError;
use crate::settings::Settings;
use rejoin_http::{HttpServer, Tls};
use std::net::SocketAddr;

/// What the settings say; none where nothing is encrypted. Reads the files.
pub(super) fn open(settings: &Settings) -> Result<Option<Tls>, ServeError> {
    let begin = |error| ServeError::Start(error);
    match (settings.tls_cert(), settings.tls_key()) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => match Tls::open(cert, key) {
            Ok(tls) => Ok(Some(tls)),
            Err(error) => Err(begin(error.into())),
        },
        (Some(_), None) => Err(begin("--tls-cert requires --tls-key".into())),
        (None, Some(_)) => Err(begin("--tls-key requires --tls-cert".into())),
    }
}

/// The server as it is to be served.
pub(super) fn encrypt(server: HttpServer, tls: Option<&Tls>) -> HttpServer {
    let address = server.local_addr();
    match tls {
        Some(tls) => server.with_tls(tls.clone()),
        None => {
            if is_heard_by_others(address) {
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

/// What addresses begin with, as clients ask for them.
pub(super) fn scheme(tls: Option<&Tls>) -> &'static str {
    match tls {
        Some(_) => "https",
        None => "http",
    }
}

fn is_heard_by_others(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_this_machine_s_alone() {
        for (address, heard) in [
            ("127.0.0.1:1", false),
            ("127.9.9.9:1", false),
            ("[::1]:1", false),
            ("[::ffff:127.0.0.1]:1", false),
            ("0.0.0.0:1", true),
            ("[::]:1", true),
            ("192.0.2.1:1", true),
        ] {
            assert_eq!(is_heard_by_others(address.parse().unwrap()), heard);
        }
    }
}
