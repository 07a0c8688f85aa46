//! The server: listens, accepts connections, and shuts down.

pub(crate) mod body_reader;
pub(crate) mod budget;
pub(crate) mod connection;
pub(crate) mod deadlines;
pub(crate) mod encrypted;
mod explained;
mod first_line;
pub(crate) mod listening;
mod request_checks;
pub(crate) mod shutdown;
pub(crate) mod socket;
mod stalls;
pub(crate) mod stream;
pub(crate) mod timers;
pub(crate) mod tls;
pub(crate) mod worker;

use crate::limits::{ACCEPT_PAUSE, HttpLimits, REFUSED_AT_ONCE, THREADS_END};
use crate::observe::Observer;
use crate::server::budget::Budget;
use crate::server::connection::Service;
use crate::server::listening::{ListenAddress, Listening};
use crate::server::shutdown::Shutdown;
use crate::server::tls::Tls;
use crate::server::worker::{Accepted, Task, Workers, refuse_at_once};
use crate::web::client_address::ClientAddress;
use crate::web::host_check::HostCheck;
use crate::web::proxies::Proxies;
use crate::web::router::Router;
use async_io::{Async, Timer};
use futures::future::{Either, select};
use std::cell::Cell;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::pin::pin;

/// An HTTP server: it listens once it is bound, and serves while it runs.
///
/// ```
/// use rejoin_http::{HostCheck, HttpLimits, HttpServer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let router = rejoin_http::Router::default(); // on which frontends mount their routes
/// let any_port = ([127, 0, 0, 1], 0).into();
/// let server = HttpServer::bind(any_port, router, HttpLimits::default(), HostCheck::local())?;
/// assert!(server.local_addr().port() > 0);
/// let stopped = smol::block_on(server.run(async { /* a signal */ }))?;
/// assert_eq!(stopped.aborted, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct HttpServer {
    listening: Listening,
    address: ListenAddress,
    router: Router,
    limits: HttpLimits,
    hosts: HostCheck,
    proxies: Proxies,
    tls: Option<Tls>,
    shutdown: Shutdown,
    observer: Observer,
    bodies: Budget,
    unread: Budget,
}

impl HttpServer {
    /// Listens at an address; port 0 means any free port. Clients that connect before
    /// [`HttpServer::run`] wait. Does not block.
    ///
    /// # Errors
    ///
    /// When the server can't listen at the address, for example because another server does.
    pub fn bind(
        address: SocketAddr,
        router: Router,
        limits: HttpLimits,
        hosts: HostCheck,
    ) -> Result<Self, BindError> {
        Self::listen(&ListenAddress::Tcp(address), router, limits, hosts)
    }

    /// As [`bind`](Self::bind), also at a Unix socket.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind), and when the socket can't be made, or something else is in its place.
    pub fn listen(
        address: &ListenAddress,
        router: Router,
        limits: HttpLimits,
        hosts: HostCheck,
    ) -> Result<Self, BindError> {
        let bodies = Budget::new(limits.all_body_bytes);
        let unread = Budget::new(limits.all_unread_bytes);
        let (listening, actual) = Listening::begin(address).map_err(|source| BindError {
            address: address.clone(),
            source,
        })?;
        Ok(Self {
            address: actual,
            listening,
            router,
            limits,
            hosts,
            proxies: Proxies::default(),
            tls: None,
            shutdown: Shutdown::new(),
            observer: Observer::default(),
            bodies,
            unread,
        })
    }

    /// Counts the bytes of requests' bodies there, together with other servers, instead of on its own
    /// up to [`HttpLimits::all_body_bytes`].
    #[must_use]
    pub fn with_bodies(mut self, bodies: Budget) -> Self {
        self.bodies = bodies;
        self
    }

    /// Counts the bytes that clients do not take there, together with other servers, instead of on its
    /// own up to [`HttpLimits::all_unread_bytes`].
    #[must_use]
    pub fn with_unread(mut self, unread: Budget) -> Self {
        self.unread = unread;
        self
    }

    /// Says which proxies are believed, and at which path clients have the server.
    #[must_use]
    pub fn behind(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Counts and logs connections and requests as `observer` says.
    #[must_use]
    pub fn observed(mut self, observer: Observer) -> Self {
        self.observer = observer;
        self
    }

    /// Accepts TLS connections only; see [`Request::is_encrypted`](crate::Request::is_encrypted).
    /// Plain HTTP is answered with a hint to use `https://`.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Where the server listens, with its actual port.
    #[must_use]
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// The TCP address at which the server listens, with its actual port; 0.0.0.0:0 if it listens at a
    /// Unix socket.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        match self.address {
            ListenAddress::Tcp(address) => address,
            ListenAddress::Unix(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        }
    }

    /// The signal that handlers get from [`Request::shutdown`](crate::Request::shutdown). It is
    /// triggered when `run` stops; triggering it earlier stops the server.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Serves until `stop` is ready. Then no new connection is accepted, idle ones are closed, and
    /// open requests get the signal and may finish. Returns when the last one has, or when
    /// [`HttpLimits::shutdown`] has passed and the rest was dropped. Dropping this future drops all
    /// connections at once.
    ///
    /// # Errors
    ///
    /// When threads can't be started or the listener can't be polled. A failed connection does not
    /// end the server, nor does a lack of file descriptors.
    pub async fn run(self, stop: impl Future<Output = ()>) -> io::Result<Stopped> {
        let listening = self.listening;
        let deadline = self.limits.shutdown;
        let limit = self.limits.connections;
        let observer = self.observer;
        let service = Service {
            router: self.router,
            limits: self.limits,
            bodies: self.bodies,
            unread: self.unread,
            hosts: self.hosts,
            proxies: self.proxies,
            tls: self.tls,
            observer: observer.clone(),
        };
        let workers = Workers::start(&service, &self.shutdown)?;
        {
            let signal = self.shutdown.clone();
            let mut stop = pin!(smol::future::or(stop, async move {
                signal.wait().await;
            }));
            let accepting = Accepting {
                workers: &workers,
                limit,
                is_encrypted: service.tls.is_some(),
                observer: &observer,
                is_full: Cell::new(false),
            };
            let mut accept = pin!(accepting.run(&listening));
            match select(&mut stop, &mut accept).await {
                Either::Left(((), _)) => (),
                Either::Right((never, _)) => match never {},
            }
        }
        drop(listening);
        self.shutdown.trigger();
        let aborted = workers.end(deadline, THREADS_END).await;
        if aborted > 0 {
            tracing::warn!(
                aborted,
                "aborted connections that were still open at the shutdown deadline"
            );
        }
        Ok(Stopped { aborted })
    }
}

/// How a server stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// Connections that had to be dropped because the deadline had passed.
    pub aborted: usize,
}

/// The server can't listen at an address.
#[derive(Debug)]
pub struct BindError {
    address: ListenAddress,
    source: io::Error,
}

impl BindError {
    /// The address that was asked for.
    #[must_use]
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen at {}", self.address)?;
        match self.source.kind() {
            io::ErrorKind::AddrInUse => f.write_str(": another server listens there already"),
            io::ErrorKind::AddrNotAvailable => f.write_str(": it is no address of this machine"),
            io::ErrorKind::PermissionDenied => f.write_str(match self.address {
                ListenAddress::Tcp(_) => ": this user may not use that port",
                ListenAddress::Unix(_) => ": this user may not write there",
            }),
            io::ErrorKind::NotFound => f.write_str(": there is no such directory"),
            io::ErrorKind::InvalidInput => f.write_str(": the path is too long for a socket"),
            _ => Ok(()),
        }
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// Accepts connections.
struct Accepting<'a> {
    workers: &'a Workers,
    limit: usize,
    is_encrypted: bool,
    observer: &'a Observer,
    /// Whether it was logged that all connections are taken. Otherwise a flood would fill the log, too.
    is_full: Cell<bool>,
}

impl Accepting<'_> {
    async fn run(&self, listening: &Listening) -> Infallible {
        let mut has_failed = false;
        loop {
            match listening.accept().await {
                Ok(accepted) => {
                    if std::mem::take(&mut has_failed) {
                        tracing::info!("accepting connections again");
                    }
                    if let Some((stream, peer)) = accepted {
                        self.observer.metrics.accepted.inc();
                        self.hand_over(stream, peer).await;
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut has_failed, true) {
                        tracing::warn!(%error, "cannot accept connections");
                    }
                    Timer::after(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn hand_over(&self, stream: Async<TcpStream>, peer: ClientAddress) {
        let (open, limit) = (self.workers.open(), self.limit);
        let is_full = open >= limit;
        if is_full && !self.is_full.replace(true) {
            tracing::warn!(limit, "all connections are taken");
        } else if open < limit / 2 {
            self.is_full.set(false);
        }
        let task = if !is_full {
            Task::Serve
        } else if open.max(limit) - limit + self.workers.refusing() < REFUSED_AT_ONCE {
            Task::MakeRoom
        } else {
            self.observer.metrics.refused.inc();
            refuse_at_once(stream.get_ref(), self.is_encrypted);
            return;
        };
        let accepted = Accepted { stream, peer, task };
        self.workers.hand_over(accepted).await;
    }
}
