//! The server: listens, accepts connections, and shuts down.

pub(crate) mod body_reader;
pub(crate) mod budget;
pub(crate) mod connection;
pub(crate) mod deadlines;
pub(crate) mod encrypted;
mod explained;
mod first_line;
mod request_checks;
pub(crate) mod shutdown;
pub(crate) mod socket;
mod stalls;
pub(crate) mod stream;
pub(crate) mod timers;
pub(crate) mod tls;
pub(crate) mod worker;

#[cfg(target_os = "linux")]
use crate::limits::UNSENT_BYTES;
use crate::limits::{ACCEPT_PAUSE, BACKLOG, HttpLimits, REFUSED_AT_ONCE, THREADS_END};
use crate::observe::Observer;
use crate::server::budget::Budget;
use crate::server::connection::Service;
use crate::server::shutdown::Shutdown;
use crate::server::tls::Tls;
use crate::server::worker::{Accepted, Task, Workers, refuse_at_once};
use crate::web::host_check::HostCheck;
use crate::web::router::Router;
use async_io::{Async, Timer};
use futures::future::{Either, select};
use socket2::{Domain, Protocol, Socket, Type};
use std::cell::Cell;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
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
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    limits: HttpLimits,
    hosts: HostCheck,
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
        let failed = |source| BindError { address, source };
        let bodies = Budget::new(limits.all_body_bytes);
        let unread = Budget::new(limits.all_unread_bytes);
        let listener = listen(address).map_err(failed)?;
        Ok(Self {
            address: listener.local_addr().map_err(failed)?,
            listener,
            router,
            limits,
            hosts,
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
        self.hosts = self.hosts.require_https();
        self.tls = Some(tls);
        self
    }

    /// Where the server listens, with its actual port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
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
        let listener = Async::new(self.listener)?;
        let deadline = self.limits.shutdown;
        let limit = self.limits.connections;
        let observer = self.observer;
        let service = Service {
            router: self.router,
            limits: self.limits,
            bodies: self.bodies,
            unread: self.unread,
            hosts: self.hosts,
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
            let mut accept = pin!(accepting.run(&listener));
            match select(&mut stop, &mut accept).await {
                Either::Left(((), _)) => (),
                Either::Right((never, _)) => match never {},
            }
        }
        drop(listener);
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
    address: SocketAddr,
    source: io::Error,
}

impl BindError {
    /// The address that was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen at {}", self.address)?;
        match self.source.kind() {
            io::ErrorKind::AddrInUse => f.write_str(": another server listens there already"),
            io::ErrorKind::AddrNotAvailable => f.write_str(": it is no address of this machine"),
            io::ErrorKind::PermissionDenied => f.write_str(": this user may not use that port"),
            _ => Ok(()),
        }
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restarted server gets its port back at once. On Windows this option would share the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    // Accepted connections inherit it.
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
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
    async fn run(&self, listener: &Async<TcpListener>) -> Infallible {
        let mut has_failed = false;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    if std::mem::take(&mut has_failed) {
                        tracing::info!("accepting connections again");
                    }
                    // Send small responses at once instead of waiting for the client's next packet.
                    if let Err(error) = stream.get_ref().set_nodelay(true) {
                        tracing::debug!(%error, %peer, "the client disconnected at once");
                        continue;
                    }
                    self.observer.metrics.accepted.inc();
                    self.hand_over(stream, peer).await;
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

    async fn hand_over(&self, stream: Async<TcpStream>, peer: SocketAddr) {
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
