//! The deadlines of a connection: what it waits for from its client, and until when.
//!
//! The socket notices that nothing arrives; the connection's handler knows what is awaited. Both
//! share these deadlines.

use crate::limits::HttpLimits;
use crate::server::timers::Timers;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// Numbers moments in their order, without reading a clock for each request.
#[derive(Debug, Default)]
pub(crate) struct Turns(Cell<u64>);

impl Turns {
    fn next(&self) -> u64 {
        let turn = self.0.get();
        self.0.set(turn + 1);
        turn
    }
}

/// The deadlines of one connection.
#[derive(Debug)]
pub(crate) struct ConnDeadlines {
    awaits: Cell<Awaited>,
    /// Set when the wait begins, so that the clock is not read for bytes that are already there.
    until: Cell<Option<Instant>>,
    missed: Cell<bool>,
    unread: Cell<bool>,
    /// Whether the client takes no output.
    stalled: Cell<bool>,
    /// Bytes of bodies that hyper has and the socket has not taken.
    queued: Cell<usize>,
    /// Whether the socket has room for the next part of a streamed body.
    has_room: Cell<bool>,
    /// What produces the next part, while it waits for the socket.
    producer: RefCell<Option<Waker>>,
    /// Whether hyper has taken a head.
    took_head: Cell<bool>,
    silent_since: Cell<u64>,
    turns: Rc<Turns>,
    /// Whether the connection has to make room for another one.
    cut: Cell<bool>,
    task: RefCell<Option<Waker>>,
    idle: Duration,
    body_read: Duration,
}

impl ConnDeadlines {
    /// Waits for the head of the first request. All connections of a thread share the turns.
    pub(crate) fn new(limits: &HttpLimits, turns: Rc<Turns>) -> Self {
        Self {
            silent_since: Cell::new(turns.next()),
            turns,
            stalled: Cell::new(false),
            queued: Cell::new(0),
            has_room: Cell::new(true),
            producer: RefCell::new(None),
            took_head: Cell::new(false),
            awaits: Cell::new(Awaited::Head),
            until: Cell::new(None),
            missed: Cell::new(false),
            unread: Cell::new(false),
            cut: Cell::new(false),
            task: RefCell::new(None),
            idle: limits.idle,
            body_read: limits.body_read,
        }
    }

    /// hyper has taken a head.
    pub(crate) fn note_head(&self) {
        self.took_head.set(true);
    }

    /// Whether hyper has taken a head. Until then, all that is sent is a refusal of its own.
    pub(crate) fn has_taken_head(&self) -> bool {
        self.took_head.get()
    }

    /// A head has arrived, and its body follows.
    pub(crate) fn wait_for_body(&self) {
        self.awaits.set(Awaited::Body);
        self.until.set(None);
    }

    /// A complete request has arrived; nothing is awaited until its response is sent.
    pub(crate) fn request_is_complete(&self) {
        self.awaits.set(Awaited::Nothing);
        self.unread.set(false);
    }

    /// A response was handed over, or the client has read more of it.
    pub(crate) fn wait_for_head(&self) {
        self.has_room.set(true);
        self.silent_since.set(self.turns.next());
        self.awaits.set(Awaited::Head);
        self.until.set(None);
    }

    /// The client has sent something.
    pub(crate) fn note_read(&self) {
        self.unread.set(true);
    }

    /// hyper has taken a body.
    pub(crate) fn note_queued(&self, bytes: usize) {
        self.queued.set(self.queued.get().saturating_add(bytes));
    }

    /// hyper has taken a part of a streamed body. Whether there is room for the next one is not known.
    pub(crate) fn note_part(&self, bytes: usize) {
        self.note_queued(bytes);
        self.has_room.set(false);
    }

    /// The socket has taken output.
    pub(crate) fn note_written(&self, bytes: usize) {
        self.queued.set(self.queued.get().saturating_sub(bytes));
    }

    /// Whether the next part of a streamed body may be produced. If not, the task is woken when it may.
    ///
    /// A part that is produced before the socket has room for it is held for a client that does not read;
    /// hyper by itself would take parts ahead until it has hundreds of kilobytes.
    pub(crate) fn may_produce(&self, task: &Waker) -> bool {
        let has_room = self.has_room.get();
        if !has_room {
            self.producer.replace(Some(task.clone()));
        }
        has_room
    }

    /// Whether the socket has taken all, and it is not known whether it has room for more.
    pub(crate) fn wants_room(&self) -> bool {
        self.queued.get() == 0 && !self.has_room.get()
    }

    /// The socket has room for the next part.
    pub(crate) fn note_room(&self) {
        self.has_room.set(true);
        if let Some(producer) = self.producer.take() {
            producer.wake();
        }
    }

    /// Bytes of bodies that the socket has not taken.
    pub(crate) fn queued(&self) -> usize {
        self.queued.get()
    }

    /// The client takes no more output.
    pub(crate) fn note_stalled(&self) {
        self.stalled.set(true);
    }

    /// The client has read output that had stalled.
    pub(crate) fn note_taken(&self) {
        self.stalled.set(false);
        if self.awaits.get() == Awaited::Head {
            self.until.set(None);
        }
    }

    /// The turn in which the client fell silent: it has sent no complete head since, and taken all
    /// output. None while a request is being answered, or its body sent.
    pub(crate) fn silent_since(&self) -> Option<u64> {
        let is_silent = self.awaits.get() == Awaited::Head && !self.stalled.get();
        (is_silent && !self.cut.get()).then_some(self.silent_since.get())
    }

    /// Ends the connection when its task runs next, and wakes the task.
    pub(crate) fn cut(&self) {
        self.cut.set(true);
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
        }
    }

    /// Whether the connection has to end.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.get()
    }

    /// The task of the connection, to be woken by [`Self::cut`].
    pub(crate) fn set_task(&self, task: &Waker) {
        self.task.replace(Some(task.clone()));
    }

    /// Marks the deadline as missed.
    pub(crate) fn miss(&self) {
        self.missed.set(true);
    }

    /// When the next request's head must have arrived; none if another thing is awaited.
    pub(crate) fn head_deadline(&self, timers: &Timers) -> Option<Instant> {
        let is_awaited = self.awaits.get() == Awaited::Head && !self.stalled.get();
        is_awaited.then(|| self.deadline(timers, self.idle))
    }

    /// When the body must have arrived; none if another thing is awaited.
    pub(crate) fn body_deadline(&self, timers: &Timers) -> Option<Instant> {
        let is_awaited = self.awaits.get() == Awaited::Body;
        is_awaited.then(|| self.deadline(timers, self.body_read))
    }

    fn deadline(&self, timers: &Timers, duration: Duration) -> Instant {
        let until = self.until.get();
        let until = until.unwrap_or_else(|| timers.in_future(duration));
        self.until.set(Some(until));
        until
    }

    /// Whether a deadline was missed.
    pub(crate) fn is_missed(&self) -> bool {
        self.missed.get()
    }

    /// Whether bytes have arrived since the last complete request.
    pub(crate) fn has_unread(&self) -> bool {
        self.unread.get()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// A request's head. A client may be silent between two requests.
    Head,
    Body,
    Nothing,
}
