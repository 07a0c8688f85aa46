//! What a connection waits for from its client, and for how long it may.
//!
//! Shared by the socket, which knows when nothing comes, and by the exchange, which knows what that
//! means.

use crate::limits::Limits;
use crate::timers::Timers;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// One connection's pace.
#[derive(Debug)]
pub(crate) struct Pace {
    waits: Cell<Waits>,
    /// Set once there is something to wait for, so that what has come already costs no clock.
    until: Cell<Option<Instant>>,
    late: Cell<bool>,
    unread: Cell<bool>,
    idle: Duration,
    body_read: Duration,
}

impl Pace {
    /// Waits for the first request's head.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            waits: Cell::new(Waits::Head),
            until: Cell::new(None),
            late: Cell::new(false),
            unread: Cell::new(false),
            idle: limits.idle,
            body_read: limits.body_read,
        }
    }

    /// A head has come, and its body is to come.
    pub(crate) fn wait_for_body(&self) {
        self.waits.set(Waits::Body);
        self.until.set(None);
    }

    /// A whole request has come; the client may wait for us as long as it likes.
    pub(crate) fn request_is_whole(&self) {
        self.waits.set(Waits::Nothing);
        self.unread.set(false);
    }

    /// An answer has been handed over, or the client has taken more of it.
    pub(crate) fn wait_for_head(&self) {
        self.waits.set(Waits::Head);
        self.until.set(None);
    }

    /// The client has sent something.
    pub(crate) fn note_read(&self) {
        self.unread.set(true);
    }

    /// The client has taken something that it had let wait.
    pub(crate) fn note_taken(&self) {
        if self.waits.get() == Waits::Head {
            self.until.set(None);
        }
    }

    /// The client has let pass what it had.
    pub(crate) fn note_late(&self) {
        self.late.set(true);
    }

    /// Until when something must come; never if nothing is waited for.
    pub(crate) fn deadline(&self, timers: &Timers) -> Option<Instant> {
        let duration = match self.waits.get() {
            Waits::Head => self.idle,
            Waits::Body => self.body_read,
            Waits::Nothing => return None,
        };
        if self.until.get().is_none() {
            self.until.set(Some(timers.in_future(duration)));
        }
        self.until.get()
    }

    /// Whether the client was too slow.
    pub(crate) fn is_late(&self) -> bool {
        self.late.get()
    }

    /// Whether bytes have come that belong to no whole request.
    pub(crate) fn has_unread(&self) -> bool {
        self.unread.get()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// A request's head: it may be silent between two requests.
    Head,
    Body,
    Nothing,
}
