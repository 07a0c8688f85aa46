//! The threads that serve connections, and what one does with each connection.
//!
//! A connection stays on its thread: its state needs no lock, and its wake-ups cross no core.

use crate::limits::{HANDOVER, HttpLimits, READ_BUFFER_BYTES, ROOM_SHARE};
use crate::server::connection::{ConnHandler, Service};
use crate::server::deadlines::{ConnDeadlines, Turns};
use crate::server::encrypted::Encrypted;
use crate::server::shutdown::Shutdown;
use crate::server::socket::Socket;
use crate::server::stalls::Stalls;
use crate::server::stream::Stream;
use crate::server::timers::{Alarm, Timers};
use crate::server::tls::Tls;
use crate::web::client_address::ClientAddress;
use crate::web::request::ConnectionInfo;
use async_io::{Async, Timer};
use futures::FutureExt;
use futures::future::select;
use hyper::rt::Write;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use smol::LocalExecutor;
use smol::channel::{Receiver, Sender, bounded};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

/// A connection on its way to its thread.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: Async<TcpStream>,
    pub(crate) peer: ClientAddress,
    pub(crate) task: Task,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Serve,
    /// All connections are taken: serve it in place of silent ones, or answer that there are too many.
    MakeRoom,
}

/// All threads. Dropping this drops all their connections.
#[derive(Debug)]
pub(crate) struct Workers {
    inboxes: Vec<Sender<(Accepted, ConnGuard)>>,
    next: AtomicUsize,
    open: ConnGuard,
    /// Closed when the last [`ConnGuard`] is dropped.
    all_done: Receiver<Infallible>,
    /// Dropping this closes the channel, which ends the threads.
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

    /// The number of open connections.
    pub(crate) fn open(&self) -> usize {
        self.open.count()
    }

    /// The number of connections that are being refused.
    pub(crate) fn refusing(&self) -> usize {
        self.open.refused.load(Ordering::Relaxed)
    }

    /// Gives each thread a connection in turn, skipping those whose inbox is full. Waits when all
    /// are full.
    pub(crate) async fn hand_over(&self, accepted: Accepted) {
        let mut connection = (accepted, self.open.another());
        for _ in &self.inboxes {
            match self.next_inbox().try_send(connection) {
                Ok(()) => return,
                Err(refused) => connection = refused.into_inner(),
            }
        }
        // This fails only if the thread has panicked; then the connection is closed.
        let _ = self.next_inbox().send(connection).await;
    }

    fn next_inbox(&self) -> &Sender<(Accepted, ConnGuard)> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        &self.inboxes[turn % self.inboxes.len()]
    }

    /// Waits at most `deadline` until all connections are done, then drops the rest and waits at
    /// most `threads_end` for the threads. Returns how many connections were dropped.
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
        let aborted = count.load(Ordering::Relaxed);
        drop(stop);
        let ended = async {
            let _closed = threads_ended.recv().await;
        };
        or_after(ended, threads_end).await;
        aborted
    }
}

/// Counts one open connection while it exists. The [`Workers`] hold one themselves, which is not
/// counted.
#[derive(Debug)]
struct ConnGuard {
    counter: Arc<AtomicUsize>,
    /// Counts those that only get the answer that there are too many.
    refused: Arc<AtomicUsize>,
    alive: Sender<Infallible>,
}

impl ConnGuard {
    fn first() -> (Self, Receiver<Infallible>) {
        let (alive, all_done) = bounded(1);
        let first = Self {
            counter: Arc::new(AtomicUsize::new(1)),
            refused: Arc::default(),
            alive,
        };
        (first, all_done)
    }

    fn another(&self) -> Self {
        self.counter.fetch_add(1, Ordering::Relaxed);
        Self {
            counter: self.counter.clone(),
            refused: self.refused.clone(),
            alive: self.alive.clone(),
        }
    }

    /// From now on it counts as refused, and takes no place any more.
    fn refuse(&mut self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.counter.fetch_sub(1, Ordering::Relaxed);
        self.counter = self.refused.clone();
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

/// What a thread does until it is stopped.
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
        stalls: Rc::new(Stalls::new(
            service.unread.clone(),
            service.observer.metrics.clone(),
        )),
        service: Rc::new(service),
        timers,
        shutdown: shutdown.clone(),
        open: RefCell::default(),
        accepted: Cell::new(0),
        turns: Rc::default(),
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
        // Nothing is ever sent to `stopped`: it is closed.
        select(taking, pin!(stopped.recv())).await;
    }));
}

struct Connections {
    http: http1::Builder,
    service: Rc<Service>,
    timers: Timers,
    shutdown: Shutdown,
    /// All that are open, in the order in which they were accepted.
    open: RefCell<BTreeMap<u64, Rc<ConnDeadlines>>>,
    accepted: Cell<u64>,
    turns: Rc<Turns>,
    stalls: Rc<Stalls>,
}

impl Connections {
    async fn live(self: Rc<Self>, connection: Accepted, mut open: ConnGuard) {
        let Accepted { stream, peer, task } = connection;
        let metrics = &self.service.observer.metrics;
        let _counted = metrics.connections.enter();
        let task = match task {
            Task::MakeRoom if !self.make_room(open.count()) => {
                metrics.refused.inc();
                open.refuse();
                Task::MakeRoom
            }
            Task::Serve | Task::MakeRoom => Task::Serve,
        };
        let deadlines = Rc::new(ConnDeadlines::new(&self.service.limits, self.turns.clone()));
        let _listed = (task == Task::Serve).then(|| self.list(&deadlines));
        let handshake = match &self.service.tls {
            None => Handshake::Serve(Stream::Plain(stream)),
            Some(tls) => self.begin_tls(stream, peer, tls, &deadlines).await,
        };
        let limits = &self.service.limits;
        let socket = |stream| {
            let (timers, stalls) = (self.timers.clone(), self.stalls.clone());
            Socket::new(stream, timers, deadlines.clone(), stalls, limits)
        };
        let socket = match handshake {
            Handshake::Serve(stream) => socket(stream),
            Handshake::Refuse(stream, response) => {
                // The client may have left already.
                let _ = refuse(socket(stream), &deadlines, response).await;
                return;
            }
            Handshake::Close => return,
        };
        match task {
            Task::Serve => {
                // A handler's own panic is caught in `ConnHandler`. A panic that gets here is from a
                // streamed body, whose head has already been sent.
                let serving = AssertUnwindSafe(self.serve(socket, peer, deadlines)).catch_unwind();
                if serving.await.is_err() {
                    tracing::error!(%peer, "a response stream panicked; closed its connection");
                }
            }
            Task::MakeRoom => {
                // The client may have left already.
                let _ = refuse(socket, &deadlines, TOO_MANY).await;
            }
        }
        drop(open);
    }

    /// Lists a connection until the guard is dropped.
    fn list(&self, deadlines: &Rc<ConnDeadlines>) -> impl Drop + use<'_> {
        let number = self.accepted.get();
        self.accepted.set(number + 1);
        self.open.borrow_mut().insert(number, deadlines.clone());
        Listed {
            connections: self,
            number,
        }
    }

    /// Closes the connections of this thread whose clients have been silent the longest: some at a time,
    /// and as many as are `open` beyond the limit. Returns whether there is room or will be.
    fn make_room(&self, open: usize) -> bool {
        let beyond = open.saturating_sub(self.service.limits.connections);
        if beyond == 0 {
            // Others have left meanwhile.
            return true;
        }
        let listed = self.open.borrow();
        let closing = listed
            .values()
            .filter(|connection| connection.is_cut())
            .count();
        let silent = listed.values().filter_map(|connection| {
            let since = connection.silent_since()?;
            Some((since, connection))
        });
        let mut silent: Vec<_> = silent.collect();
        silent.sort_by_key(|(since, _)| *since);
        let wanted = beyond.saturating_sub(closing);
        silent.truncate(wanted.max(silent.len().div_ceil(ROOM_SHARE)));
        for (_, connection) in &silent {
            connection.cut();
            self.service.observer.metrics.silent_closed.inc();
        }
        closing > 0 || !silent.is_empty()
    }

    /// Does the TLS handshake, within its deadline, until the server stops, and as long as no other
    /// connection needs the room.
    async fn begin_tls(
        &self,
        tcp: Async<TcpStream>,
        peer: ClientAddress,
        tls: &Tls,
        deadlines: &ConnDeadlines,
    ) -> Handshake {
        let in_time = async {
            self.timers.after(self.service.limits.handshake).await;
            tracing::debug!(%peer, "TLS handshake timed out");
            Handshake::Close
        };
        let stopping = async {
            self.shutdown.wait().await;
            Handshake::Close
        };
        let cut = poll_fn(|context| {
            deadlines.set_task(context.waker());
            match deadlines.is_cut() {
                true => Poll::Ready(Handshake::Close),
                false => Poll::Pending,
            }
        });
        let stopping = smol::future::or(stopping, cut);
        let handshake = shake_hands(tcp, peer, tls);
        Box::pin(smol::future::or(
            handshake,
            smol::future::or(stopping, in_time),
        ))
        .await
    }

    async fn serve(&self, socket: Socket, peer: ClientAddress, deadlines: Rc<ConnDeadlines>) {
        let info = ConnectionInfo {
            client: Some(peer),
            shutdown: self.shutdown.clone(),
            encrypted: self.service.tls.is_some(),
            prefix: self.service.proxies.prefix().cloned().unwrap_or_default(),
        };
        let handler = ConnHandler::new(self.service.clone(), info, deadlines.clone());
        let handler = Rc::new(handler);
        let requests = service_fn(move |request| handler.clone().respond(request));
        let mut connection = pin!(self.http.serve_connection(socket, requests));
        let mut signal = pin!(self.shutdown.wait());
        let mut is_signalled = false;
        // The task that the signal and a cut wake. All connections share the signal, so it is polled again
        // only if the task has changed.
        let mut listening: Option<Waker> = None;
        let mut silent = Alarm::default();
        let served = poll_fn(|context| {
            let task = context.waker();
            if deadlines.is_cut() {
                return Poll::Ready(Ok(()));
            }
            let listens = listening
                .as_ref()
                .is_some_and(|known| known.will_wake(task));
            if !listens {
                deadlines.set_task(task);
            }
            if !is_signalled && (!listens || self.shutdown.is_triggered()) {
                if signal.as_mut().poll(context).is_ready() {
                    connection.as_mut().graceful_shutdown();
                    is_signalled = true;
                } else {
                    listening = Some(task.clone());
                }
            }
            if let Poll::Ready(served) = connection.as_mut().poll(context) {
                return Poll::Ready(served);
            }
            // hyper does not always ask for input when it waits for a head.
            let Some(deadline) = deadlines.head_deadline(&self.timers) else {
                return Poll::Pending;
            };
            silent.poll(&self.timers, deadline, context).map(Ok)
        });
        let served = served.await;
        if let Err(error) = served {
            tracing::debug!(%error, %peer, "connection failed");
        }
    }
}

fn protocol(limits: &HttpLimits) -> http1::Builder {
    let mut http = http1::Builder::new();
    // `Socket` applies the deadlines; see `ConnDeadlines`.
    http.header_read_timeout(None)
        .max_buf_size(READ_BUFFER_BYTES)
        .max_header_size(limits.header_bytes.min(READ_BUFFER_BYTES));
    // With its own default, hyper keeps headers on the stack; with any other it allocates.
    if limits.headers != HttpLimits::default().headers {
        http.max_headers(limits.headers);
    }
    http
}

/// Result of the TLS handshake.
enum Handshake {
    Serve(Stream),
    /// Send this response and close, without reading a request.
    Refuse(Stream, &'static str),
    Close,
}

async fn shake_hands(tcp: Async<TcpStream>, peer: ClientAddress, tls: &Tls) -> Handshake {
    let mut first = [0];
    match tcp.peek(&mut first).await {
        Ok(0) | Err(_) => return Handshake::Close,
        // A request begins with the letters of a method, a TLS record never with a letter.
        Ok(_) if first[0].is_ascii_alphabetic() => {
            return Handshake::Refuse(Stream::Plain(tcp), PLAIN);
        }
        Ok(_) => (),
    }
    let mut encrypted = match Encrypted::new(tcp, tls) {
        Ok(encrypted) => Box::new(encrypted),
        Err(error) => {
            tracing::error!(%error, "cannot set up TLS for connections");
            return Handshake::Close;
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

/// A connection in the list of its thread.
struct Listed<'a> {
    connections: &'a Connections,
    number: u64,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.connections.open.borrow_mut().remove(&self.number);
    }
}

/// Sends the refusal of a connection above the limit, as far as its socket takes it at once, and closes
/// it.
pub(crate) fn refuse_at_once(stream: &TcpStream, is_encrypted: bool) {
    // The client may have left, and an encrypted client could not read it.
    if !is_encrypted && (&*stream).write_all(TOO_MANY.as_bytes()).is_ok() {
        let _ = stream.shutdown(std::net::Shutdown::Write);
        // A request that has arrived already would turn the end into a reset.
        let _ = (&*stream).read(&mut [0; 4096]);
    }
}

/// Sends a refusal and closes. Nothing was sent before, so it fits the socket's buffer.
async fn refuse(socket: Socket, deadlines: &ConnDeadlines, response: &str) -> io::Result<()> {
    let mut socket = pin!(socket);
    // The request may still be on its way, and is discarded.
    deadlines.note_read();
    if !response.is_empty() {
        poll_fn(|context| socket.as_mut().poll_write(context, response.as_bytes())).await?;
    }
    poll_fn(|context| socket.as_mut().poll_shutdown(context)).await
}

async fn or_after(future: impl Future<Output = ()>, limit: Duration) {
    smol::future::or(future, async {
        Timer::after(limit).await;
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
