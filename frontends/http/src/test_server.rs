//! A server on a free port of loopback, for tests of frontends. It runs until it is dropped.
//!
//! ```
//! use rejoin_http::test_server::TestServer;
//!
//! # fn main() -> std::io::Result<()> {
//! let server = TestServer::start(rejoin_http::Router::default());
//! assert_eq!(server.client().get("/")?.status, 404);
//! # Ok(())
//! # }
//! ```

#![expect(clippy::expect_used, reason = "documented to panic")]

use crate::limits::HttpLimits;
use crate::server::HttpServer;
use crate::server::shutdown::Shutdown;
use crate::test_client::Client;
use crate::web::host_check::HostCheck;
use crate::web::router::Router;
use std::net::{Ipv4Addr, SocketAddr};

/// A server in a thread of its own, with the default limits, which answers to local names.
#[derive(Debug)]
pub struct TestServer {
    address: SocketAddr,
    shutdown: Shutdown,
}

impl TestServer {
    /// Serves the routes.
    ///
    /// # Panics
    ///
    /// When no port is free.
    #[must_use]
    pub fn start(router: Router) -> Self {
        let any_port = (Ipv4Addr::LOCALHOST, 0).into();
        let server = HttpServer::bind(any_port, router, HttpLimits::default(), HostCheck::local())
            .expect("a port of loopback is free");
        let (address, shutdown) = (server.local_addr(), server.shutdown());
        std::thread::spawn(move || smol::block_on(server.run(std::future::pending())));
        Self { address, shutdown }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The signal that stops it.
    #[must_use]
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// A new connection to it.
    ///
    /// # Panics
    ///
    /// When it cannot be reached.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::connect(self.address).expect("the server listens")
    }
}

/// Stops the server, without waiting for its end.
impl Drop for TestServer {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}
