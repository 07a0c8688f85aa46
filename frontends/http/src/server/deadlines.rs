//! The deadlines of a connection: what it waits for from its client, and until when.
//!
//! The socket notices that nothing arrives; the connection's handler knows what is awaited. Both
//! share these deadlines.

use crate::limits::HttpLimits;
use crate::server::timers::Timers;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// The deadlines of one connection.
#[derive(Debug)]
pub(crate) struct ConnDeadlines {
    awaits: Cell<Awaited>,
    /// Set when the wait begins, so that the clock is not read for bytes that are already there.
    until: Cell<Option<Instant>>,
    missed: Cell<bool>,
    unread: Cell<bool>,
    idle: Duration,
    body_read: Duration,
}

impl ConnDeadlines {
    /// Waits for the head of the first request.
    pub(crate) fn new(limits: &HttpLimits) -> Self {
        Self {
            awaits: Cell::new(Awaited::Head),
            until: Cell::new(None),
            missed: Cell::new(false),
            unread: Cell::new(false),
            idle: limits.idle,
            body_read: limits.body_read,
        }
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
        self.awaits.set(Awaited::Head);
        self.until.set(None);
    }

    /// The client has sent something.
    pub(crate) fn note_read(&self) {
        self.unread.set(true);
    }

    /// The client has read output that had stalled.
    pub(crate) fn note_taken(&self) {
        if self.awaits.get() == Awaited::Head {
            self.until.set(None);
        }
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
