//! A server in a thread of its own, stopped when the test ends.

use rejoin_http::test_client::{Client, Received};
use rejoin_http::{Answer, App, Closing, HostCheck, Limits, Methods, Server, StatusCode, Stopped};
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, channel};
use std::thread::spawn;
use std::time::Duration;

/// Longer than anything a test waits for, and still an end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A limit that no test reaches.
pub(crate) const NEVER: Duration = Duration::from_secs(3600);

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) closing: Closing,
    stopped: Receiver<io::Result<Stopped>>,
}

impl Running {
    /// With an application that answers `GET /` and `POST /echo`.
    pub(crate) fn usual() -> Self {
        Self::start(usual_app(), limits())
    }

    pub(crate) fn start(app: App, limits: Limits) -> Self {
        Self::checked(app, limits, HostCheck::local())
    }

    pub(crate) fn checked(app: App, limits: Limits, hosts: HostCheck) -> Self {
        Self::of(Server::bind(([127, 0, 0, 1], 0).into(), app, limits, hosts).unwrap())
    }

    pub(crate) fn of(server: Server) -> Self {
        let (address, closing) = (server.local_addr(), server.closing());
        let (ended, stopped) = channel();
        spawn(move || {
            let stopped = smol::block_on(server.run(std::future::pending()));
            // The test may not care.
            let _ = ended.send(stopped);
        });
        Self {
            address,
            closing,
            stopped,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address).unwrap()
    }

    /// Sends bytes on a connection of their own and returns the answer to them.
    pub(crate) fn answer_to(&self, bytes: &[u8]) -> Received {
        let mut client = self.client();
        client.send_raw(bytes).unwrap();
        client.receive().unwrap()
    }

    /// Sends bytes on a connection of their own and returns all that comes until it is closed.
    pub(crate) fn all_answers_to(&self, bytes: &[u8]) -> String {
        let mut client = self.client();
        client.send_raw(bytes).unwrap();
        String::from_utf8(client.receive_rest().unwrap()).unwrap()
    }

    /// Whether the server still answers.
    pub(crate) fn is_well(&self) -> bool {
        self.client().get("/").unwrap().status < 500
    }

    pub(crate) fn stop(self) -> Stopped {
        self.closing.begin();
        self.stopped.recv_timeout(PATIENCE).unwrap().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.closing.begin();
    }
}

/// Two threads, and no time that a test could reach by accident.
pub(crate) fn limits() -> Limits {
    Limits {
        threads: NonZeroUsize::new(2).unwrap(),
        shutdown: PATIENCE,
        idle: NEVER,
        body_read: NEVER,
        write: NEVER,
        linger: PATIENCE,
        ..Limits::default()
    }
}

pub(crate) fn usual_app() -> App {
    let mut app = rejoin_http::app();
    app.at("/").get(|_| async { Ok("Welcome!") });
    app.at("/echo").all(Methods::new().post(echo));
    app
}

async fn echo(request: tide::Request<()>) -> tide::Result<Answer> {
    let body = rejoin_http::body(&request);
    Ok(Answer::new(StatusCode::OK, "text/plain", body))
}
