//! What clients that take no output make the server hold, and which of them give way.

use crate::observe::metrics::HttpMetrics;
use crate::server::budget::{Budget, Share};
use crate::server::deadlines::ConnDeadlines;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// The connections of one thread whose clients take no output.
#[derive(Debug)]
pub(crate) struct Stalls {
    unread: Budget,
    metrics: Arc<HttpMetrics>,
    /// In the order in which they began.
    open: RefCell<BTreeMap<u64, (Rc<ConnDeadlines>, Share)>>,
    next: Cell<u64>,
}

impl Stalls {
    /// None. All threads share the budget.
    pub(crate) fn new(unread: Budget, metrics: Arc<HttpMetrics>) -> Self {
        Self {
            unread,
            metrics,
            open: RefCell::default(),
            next: Cell::new(0),
        }
    }

    /// Counts the bytes that a client does not take, until the guard is dropped. If there are too many,
    /// those of this thread's connections end whose clients have taken nothing for the longest. None if
    /// that is this one. One response alone may have more bytes than there may be.
    pub(crate) fn begin(
        self: &Rc<Self>,
        connection: &Rc<ConnDeadlines>,
        bytes: usize,
    ) -> Option<Stall> {
        let mut share = self.unread.share();
        let bytes = bytes.min(self.unread.limit());
        while share.grow_to(bytes).is_err() {
            self.metrics.unread_closed.inc();
            let (_, (longest, _)) = self.open.borrow_mut().pop_first()?;
            longest.cut();
        }
        let number = self.next.get();
        self.next.set(number + 1);
        let mut open = self.open.borrow_mut();
        open.insert(number, (connection.clone(), share));
        Some(Stall {
            stalls: self.clone(),
            number,
        })
    }
}

/// A client that takes no output, until this is dropped.
#[derive(Debug)]
pub(crate) struct Stall {
    stalls: Rc<Stalls>,
    number: u64,
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.stalls.open.borrow_mut().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::HttpLimits;

    #[test]
    fn who_has_taken_nothing_for_the_longest_gives_way() {
        let (unread, metrics) = (Budget::new(100), Arc::<HttpMetrics>::default());
        let stalls = Rc::new(Stalls::new(unread.clone(), metrics.clone()));
        let connection = || Rc::new(ConnDeadlines::new(&HttpLimits::default(), Rc::default()));
        let [first, second, third, large] =
            [connection(), connection(), connection(), connection()];
        let cut = || [&first, &second, &third, &large].map(|connection| connection.is_cut());
        let mut first_stall = stalls.begin(&first, 40);
        let _second = stalls.begin(&second, 40).unwrap();
        // It has taken something meanwhile.
        drop(first_stall.take());
        let _first = stalls.begin(&first, 40).unwrap();
        let _third = stalls.begin(&third, 40).unwrap();
        assert_eq!(cut(), [false, true, false, false]);
        assert_eq!((unread.used(), metrics.unread_closed.get()), (80, 1));
        let other_thread = Rc::new(Stalls::new(unread.clone(), metrics.clone()));
        assert!(other_thread.begin(&large, 40).is_none(), "it can end none");
        assert_eq!(cut(), [false, true, false, false]);
        let _large = stalls.begin(&large, 1_000).unwrap();
        assert_eq!(cut(), [true, true, true, false]);
        assert_eq!((unread.used(), metrics.unread_closed.get()), (100, 4));
    }
}
