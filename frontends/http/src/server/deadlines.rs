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
    /// Bytes of streamed parts that hyper has and the socket has not taken.
    queued: Cell<usize>,
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
        self.silent_since.set(self.turns.next());
        self.awaits.set(Awaited::Head);
        self.until.set(None);
    }

    /// The client has sent something.
    pub(crate) fn note_read(&self) {
        self.unread.set(true);
    }

    /// hyper has taken a part of a streamed body.
    pub(crate) fn note_queued(&self, bytes: usize) {
        self.queued.set(self.queued.get().saturating_add(bytes));
    }

    /// The socket has taken output.
    pub(crate) fn note_written(&self, bytes: usize) {
        let queued = self.queued.get().saturating_sub(bytes);
        self.queued.set(queued);
        if queued == 0
            && let Some(producer) = self.producer.take()
        {
            producer.wake();
        }
    }

    /// Whether the socket has taken all parts. If not, the task is woken when it has. hyper by itself
    /// would take parts ahead until it has hundreds of kilobytes.
    pub(crate) fn is_written(&self, task: &Waker) -> bool {
        let is_written = self.queued.get() == 0;
        if !is_written {
            self.producer.replace(Some(task.clone()));
        }
        is_written
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

    /// When the next byte must have arrived; none if nothing is awaited.
    pub(crate) fn deadline(&self, timers: &Timers) -> Option<Instant> {
        let duration = match self.awaits.get() {
            Awaited::Head => self.idle,
            Awaited::Body => self.body_read,
            Awaited::Nothing => return None,
        };
        if self.until.get().is_none() {
            self.until.set(Some(timers.in_future(duration)));
        }
        self.until.get()
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
