//! An application on a port of loopback, for tests of frontends.
//!
//! What enters: an application. What leaves: a server that answers until the value is dropped.
//!
//! ```
//! use rejoin_http::test_server::TestServer;
//!
//! # fn main() -> std::io::Result<()> {
//! let mut app = rejoin_http::app();
//! app.at("/").get(|_| async { Ok("Welcome!") });
//! let server = TestServer::start(app);
//! assert_eq!(server.client().get("/")?.text(), "Welcome!");
//! # Ok(())
//! # }
//! ```

#![expect(clippy::expect_used, reason = "documented to panic")]

use crate::app::App;
use crate::closing::Closing;
use crate::host::HostCheck;
use crate::limits::Limits;
use crate::server::Server;
use crate::test_client::Client;
use std::net::{Ipv4Addr, SocketAddr};

/// A server in a thread of its own, with the default limits, which answers to local names.
#[derive(Debug)]
pub struct TestServer {
    address: SocketAddr,
    closing: Closing,
}

impl TestServer {
    /// Serves the application.
    ///
    /// # Panics
    ///
    /// When no port is free.
    #[must_use]
    pub fn start(app: App) -> Self {
        let any_port = (Ipv4Addr::LOCALHOST, 0).into();
        let server = Server::bind(any_port, app, Limits::default(), HostCheck::local())
            .expect("a port of loopback is free");
        let (address, closing) = (server.local_addr(), server.closing());
        std::thread::spawn(move || smol::block_on(server.run(std::future::pending())));
        Self { address, closing }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What tells it to end.
    #[must_use]
    pub fn closing(&self) -> &Closing {
        &self.closing
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

/// Tells it to end, and does not wait for that.
impl Drop for TestServer {
    fn drop(&mut self) {
        self.closing.begin();
    }
}
