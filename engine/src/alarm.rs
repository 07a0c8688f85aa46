//! A timer that is set again and again, nearly always before it has rung.
//!
//! Setting a timer of a runtime may cost a system call and wake another thread. So one that rings
//! early enough is kept: it is never late, and whoever is woken early finds nothing due and sets
//! it again.

use crate::Runtime;
use futures::future::BoxFuture;
use rejoin_core::Timestamp;
use std::fmt;
use std::time::Duration;

#[derive(Default)]
pub(crate) struct Alarm {
    set: Option<(Timestamp, BoxFuture<'static, ()>)>,
}

impl Alarm {
    /// Rings once after `wait`, or before. May be dropped at any time.
    pub(crate) async fn after(&mut self, wait: Duration, runtime: &dyn Runtime) {
        let due = runtime.now() + wait;
        // A clock that was set back has moved the instant of the one that is set away.
        if self.set.as_ref().is_none_or(|(known, _)| *known > due) {
            self.set = Some((due, runtime.timer(wait)));
        }
        if let Some((_, timer)) = &mut self.set {
            timer.await;
        }
        self.set = None;
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let due = self.set.as_ref().map(|(due, _)| due);
        f.debug_struct("Alarm").field("due", &due).finish()
    }
}
