//! The threads, and the life of a connection on one of them.
//!
//! A connection stays on its thread: its state needs no lock, and its wake-ups cross no core.

use crate::limits::{HANDOVER, HttpLimits, READ_BUFFER_BYTES};
use crate::server::connection::{ConnHandler, Service};
use crate::server::deadlines::ConnDeadlines;
use crate::server::encrypted::Encrypted;
use crate::server::shutdown::Shutdown;
use crate::server::socket::Socket;
use crate::server::stream::Stream;
use crate::server::timers::Timers;
use crate::server::tls::Tls;
use crate::web::request::ConnectionInfo;
use async_io::{Async, Timer};
use futures::FutureExt;
use futures::future::select;
use hyper::rt::Write;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use smol::LocalExecutor;
use smol::channel::{Receiver, Sender, bounded};
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;

/// A connection on its way to its thread.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: Async<TcpStream>,
    pub(crate) peer: SocketAddr,
    pub(crate) task: Task,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Serve,
    /// Tell it that there are too many.
    Refuse,
}

/// All threads. Dropping this drops all connections, wherever they are.
#[derive(Debug)]
pub(crate) struct Workers {
    inboxes: Vec<Sender<(Accepted, ConnGuard)>>,
    next: AtomicUsize,
    open: ConnGuard,
    /// Closed when nobody holds a [`ConnGuard`] any more.
    all_done: Receiver<Infallible>,
    /// Closed by its drop; then the threads end.
    _stop: Sender<Infallible>,
    /// Closed when all threads have ended.
    threads_ended: Receiver<Infallible>,
}

impl Workers {
    pub(crate) fn start(service: &Service, shutdown: &Shutdown) -> io::Result<Self> {
        let (stop, stopped) = bounded(1);
        let (running, threads_ended) = bounded::<Infallible>(1);
        let mut inboxes = Vec::new();
        for number in 0..service.limits.threads.get() {
            let (inbox, accepted) = bounded(HANDOVER);
            inboxes.push(inbox);
            let service = service.clone();
            let (shutdown, stopped, running) = (shutdown.clone(), stopped.clone(), running.clone());
            std::thread::Builder::new()
                .name(format!("rejoin-http-{number}"))
                .spawn(move || {
                    run_thread(service, &shutdown, &accepted, &stopped);
                    drop(running);
                })?;
        }
        let (open, all_done) = ConnGuard::first();
        Ok(Self {
            inboxes,
            next: AtomicUsize::new(0),
            open,
            all_done,
            _stop: stop,
            threads_ended,
        })
    }

    /// How many connections there are.
    pub(crate) fn open(&self) -> usize {
        self.open.count()
    }

    /// Gives each thread a connection in turn, past those that have too many that they haven't taken
    /// yet. Waits when all have.
    pub(crate) async fn hand_over(&self, accepted: Accepted) {
        let mut connection = (accepted, self.open.another());
        for _ in &self.inboxes {
            match self.next_inbox().try_send(connection) {
                Ok(()) => return,
                Err(refused) => connection = refused.into_inner(),
            }
        }
        // A thread ends after this only, or if it has panicked; then the connection is closed.
        let _ = self.next_inbox().send(connection).await;
    }

    fn next_inbox(&self) -> &Sender<(Accepted, ConnGuard)> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        &self.inboxes[turn % self.inboxes.len()]
    }

    /// Waits until all connections are done, at most so long, then drops the rest and waits for the
    /// threads, at most so long. Returns how many were dropped.
    pub(crate) async fn end(self, deadline: Duration, threads_end: Duration) -> usize {
        let Self {
            inboxes,
            open,
            all_done,
            _stop: stop,
            threads_ended,
            ..
        } = self;
        let count = open.counter.clone();
        drop((inboxes, open));
        let done = async {
            let _closed = all_done.recv().await;
        };
        or_after(done, deadline).await;
        let cut = count.load(Ordering::Relaxed);
        drop(stop);
        let ended = async {
            let _closed = threads_ended.recv().await;
        };
        or_after(ended, threads_end).await;
        cut
    }
}

/// One open connection: counted, and waited for. The [`Workers`] hold one themselves, which counts
/// as none.
#[derive(Debug)]
struct ConnGuard {
    counter: Arc<AtomicUsize>,
    alive: Sender<Infallible>,
}

impl ConnGuard {
    fn first() -> (Self, Receiver<Infallible>) {
        let (alive, all_done) = bounded(1);
        let counter = Arc::new(AtomicUsize::new(1));
        (Self { counter, alive }, all_done)
    }

    fn another(&self) -> Self {
        self.counter.fetch_add(1, Ordering::Relaxed);
        Self {
            counter: self.counter.clone(),
            alive: self.alive.clone(),
        }
    }

    fn count(&self) -> usize {
        self.counter.load(Ordering::Relaxed).saturating_sub(1)
    }
}

impl Drop for ConnGuard {
    fn drop(&mut self) {
        self.counter.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A thread's life.
fn run_thread(
    service: Service,
    shutdown: &Shutdown,
    accepted: &Receiver<(Accepted, ConnGuard)>,
    stopped: &Receiver<Infallible>,
) {
    let timers = Timers::default();
    let executor = LocalExecutor::new();
    executor.spawn(timers.clone().drive()).detach();
    let connections = Rc::new(Connections {
        http: protocol(&service.limits),
        service: Rc::new(service),
        timers,
        shutdown: shutdown.clone(),
    });
    async_io::block_on(executor.run(async {
        let taking = pin!(async {
            while let Ok((connection, open)) = accepted.recv().await {
                executor
                    .spawn(connections.clone().live(connection, open))
                    .detach();
            }
            std::future::pending::<()>().await;
        });
        // `stopped` is never sent to; it is closed.
        select(taking, pin!(stopped.recv())).await;
    }));
}

struct Connections {
    http: http1::Builder,
    service: Rc<Service>,
    timers: Timers,
    shutdown: Shutdown,
}

impl Connections {
    async fn live(self: Rc<Self>, connection: Accepted, open: ConnGuard) {
        let Accepted { stream, peer, task } = connection;
        let _counted = self.service.observer.metrics.connections.enter();
        let deadlines = Rc::new(ConnDeadlines::new(&self.service.limits));
        let handshake = match &self.service.tls {
            None => Handshake::Serve(Stream::Plain(stream)),
            Some(tls) => self.begin_tls(stream, peer, tls).await,
        };
        let limits = &self.service.limits;
        let socket = |stream| Socket::new(stream, self.timers.clone(), deadlines.clone(), limits);
        let socket = match handshake {
            Handshake::Serve(stream) => socket(stream),
            Handshake::Refuse(stream, told) => {
                // It may well be gone already.
                let _ = refuse(socket(stream), &deadlines, told).await;
                return;
            }
            Handshake::Cut => return,
        };
        match task {
            Task::Serve => {
                // A handler's panic is caught where it is answered; this one is of a stream that a
                // handler has given back, when the answer's head has long been sent.
                let serving = AssertUnwindSafe(self.serve(socket, peer, deadlines)).catch_unwind();
                if serving.await.is_err() {
                    tracing::error!(%peer, "a response stream panicked; closed its connection");
                }
            }
            Task::Refuse => {
                // It may well be gone already.
                let _ = refuse(socket, &deadlines, TOO_MANY).await;
            }
        }
        drop(open);
    }

    /// Agrees with the client on an encryption, or finds that this can't be.
    async fn begin_tls(&self, tcp: Async<TcpStream>, peer: SocketAddr, tls: &Tls) -> Handshake {
        let in_time = async {
            self.timers.after(self.service.limits.handshake).await;
            tracing::debug!(%peer, "TLS handshake timed out");
            Handshake::Cut
        };
        let stopping = async {
            self.shutdown.wait().await;
            Handshake::Cut
        };
        let handshake = shake_hands(tcp, peer, tls);
        Box::pin(smol::future::or(
            handshake,
            smol::future::or(stopping, in_time),
        ))
        .await
    }

    async fn serve(&self, socket: Socket, peer: SocketAddr, deadlines: Rc<ConnDeadlines>) {
        let info = ConnectionInfo {
            peer,
            shutdown: self.shutdown.clone(),
            encrypted: self.service.tls.is_some(),
        };
        let handler = Rc::new(ConnHandler::new(self.service.clone(), info, deadlines));
        let requests = service_fn(move |request| handler.clone().respond(request));
        let mut connection = pin!(self.http.serve_connection(socket, requests));
        let mut signal = pin!(self.shutdown.wait());
        let mut told = false;
        // Whom the signal wakes. It is the same task nearly always, so the signal, which all
        // connections share, needn't be asked each time.
        let mut listening: Option<Waker> = None;
        let served = poll_fn(|context| {
            let task = context.waker();
            let listens = listening
                .as_ref()
                .is_some_and(|known| known.will_wake(task));
            if !told && (!listens || self.shutdown.is_triggered()) {
                if signal.as_mut().poll(context).is_ready() {
                    connection.as_mut().graceful_shutdown();
                    told = true;
                } else {
                    listening = Some(task.clone());
                }
            }
            connection.as_mut().poll(context)
        });
        let served = served.await;
        if let Err(error) = served {
            tracing::debug!(%error, %peer, "connection failed");
        }
    }
}

fn protocol(limits: &HttpLimits) -> http1::Builder {
    let mut http = http1::Builder::new();
    // The socket knows better how long to wait; see `ConnDeadlines`.
    http.header_read_timeout(None)
        .max_buf_size(READ_BUFFER_BYTES)
        .max_header_size(limits.header_bytes.min(READ_BUFFER_BYTES));
    // hyper keeps its own default on the stack, any other number in an allocation per request.
    if limits.headers != HttpLimits::default().headers {
        http.max_headers(limits.headers);
    }
    http
}

/// Result of the TLS handshake.
enum Handshake {
    Serve(Stream),
    /// Nobody will read what the client sends; this is what it is told.
    Refuse(Stream, &'static str),
    Cut,
}

async fn shake_hands(tcp: Async<TcpStream>, peer: SocketAddr, tls: &Tls) -> Handshake {
    let mut first = [0];
    match tcp.peek(&mut first).await {
        Ok(0) | Err(_) => return Handshake::Cut,
        // A method begins so, and TLS never does.
        Ok(_) if first[0].is_ascii_alphabetic() => {
            return Handshake::Refuse(Stream::Plain(tcp), PLAIN);
        }
        Ok(_) => (),
    }
    let mut encrypted = match Encrypted::new(tcp, tls) {
        Ok(encrypted) => Box::new(encrypted),
        Err(error) => {
            tracing::error!(%error, "cannot set up TLS for connections");
            return Handshake::Cut;
        }
    };
    match encrypted.shake_hands().await {
        Ok(()) => Handshake::Serve(Stream::Encrypted(encrypted)),
        Err(error) => {
            tracing::debug!(%error, %peer, "TLS handshake failed");
            Handshake::Refuse(Stream::Encrypted(encrypted), "")
        }
    }
}

/// Says why nothing else will be said. It is the first thing said, so it fits the socket's buffer.
async fn refuse(socket: Socket, deadlines: &ConnDeadlines, told: &str) -> io::Result<()> {
    let mut socket = pin!(socket);
    // The request is somewhere on its way, and nobody will read it.
    deadlines.note_read();
    if !told.is_empty() {
        poll_fn(|context| socket.as_mut().poll_write(context, told.as_bytes())).await?;
    }
    poll_fn(|context| socket.as_mut().poll_shutdown(context)).await
}

async fn or_after(future: impl Future<Output = ()>, most: Duration) {
    smol::future::or(future, async {
        Timer::after(most).await;
    })
    .await;
}

const TOO_MANY: &str = "HTTP/1.1 503 Service Unavailable\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    retry-after: 1\r\n\
    connection: close\r\n\
    content-length: 21\r\n\
    \r\n\
    Too many connections.";

const PLAIN: &str = "HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    connection: close\r\n\
    content-length: 60\r\n\
    \r\n\
    This address is encrypted: ask for it with https:// instead.";
