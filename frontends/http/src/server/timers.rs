//! Deadlines of one thread's connections. The only file here that reads a clock.
//!
//! Every request starts and stops timeouts that rarely pass. With the reactor's own timers, each
//! would cost a system call to wake the reactor. Here a deadline is an entry in an ordered map, of
//! which the reactor knows only the earliest, and an [`Alarm`] that is postponed again and again is
//! only inserted again when its first deadline has passed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

/// The deadlines of one thread. Clones share them. They only pass while [`Timers::drive`] runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    queue: Rc<RefCell<Queue>>,
}

impl Timers {
    /// The instant after a duration, or after a century if that is out of the clock's range.
    pub(crate) fn in_future(&self, duration: Duration) -> Instant {
        let now = now();
        now.checked_add(duration).unwrap_or_else(|| now + CENTURY)
    }

    /// A future that is ready once the duration has passed, never early.
    pub(crate) fn after(&self, duration: Duration) -> Sleep {
        self.until(self.in_future(duration))
    }

    /// A future that is ready once the instant has come, never early.
    fn until(&self, deadline: Instant) -> Sleep {
        Sleep {
            timers: self.clone(),
            deadline,
            waiting: None,
        }
    }

    /// Wakes the tasks whose deadlines have passed. Never ends.
    pub(crate) async fn drive(self) {
        let mut timer = async_io::Timer::never();
        std::future::poll_fn(|context| {
            loop {
                let due = self.queue.borrow_mut().take_due(now());
                for waiting in due {
                    waiting.due.set(true);
                    waiting.waker.borrow().wake_by_ref();
                }
                self.queue.borrow_mut().arm(&mut timer, context.waker());
                ready!(Pin::new(&mut timer).poll(context));
                // The timer has fired, so nothing is armed.
                self.queue.borrow_mut().armed = None;
            }
        })
        .await
    }
}

/// The future of [`Timers::after`]. It is registered when it is first polled.
#[derive(Debug)]
pub(crate) struct Sleep {
    timers: Timers,
    deadline: Instant,
    waiting: Option<(TimerKey, Rc<Waiting>)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match &self.waiting {
            Some((_, waiting)) if waiting.due.get() => return Poll::Ready(()),
            Some((_, waiting)) => {
                waiting.waker.borrow_mut().clone_from(context.waker());
                return Poll::Pending;
            }
            None if now() >= self.deadline => return Poll::Ready(()),
            None => (),
        }
        let waiting = Rc::new(Waiting {
            due: Cell::new(false),
            waker: RefCell::new(context.waker().clone()),
        });
        let inserted = self
            .timers
            .queue
            .borrow_mut()
            .insert(self.deadline, waiting);
        self.waiting = Some(inserted);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((key, _)) = &self.waiting {
            self.timers.queue.borrow_mut().waiting.remove(key);
        }
    }
}

/// A deadline that is nearly always postponed before it passes.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    /// Sleeps until the deadline or an earlier one. In the latter case it is replaced when it ends.
    sleep: Option<Sleep>,
}

impl Alarm {
    /// Ready once the deadline has passed. Each poll may give another deadline.
    pub(crate) fn poll(
        &mut self,
        timers: &Timers,
        deadline: Instant,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            match &mut self.sleep {
                Some(sleep) if sleep.deadline <= deadline => {
                    ready!(Pin::new(&mut *sleep).poll(context));
                    if sleep.deadline == deadline {
                        return Poll::Ready(());
                    }
                    self.sleep = None;
                }
                _ => self.sleep = Some(timers.until(deadline)),
            }
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeMap<TimerKey, Rc<Waiting>>,
    next: u64,
    /// When the driver wakes by itself.
    armed: Option<Instant>,
    driver: Option<Waker>,
}

impl Queue {
    fn insert(&mut self, deadline: Instant, waiting: Rc<Waiting>) -> (TimerKey, Rc<Waiting>) {
        let key = TimerKey {
            deadline,
            number: self.next,
        };
        self.next += 1;
        self.waiting.insert(key, waiting.clone());
        if self.armed.is_none_or(|armed| deadline < armed)
            && let Some(driver) = self.driver.take()
        {
            driver.wake();
        }
        (key, waiting)
    }

    fn take_due(&mut self, now: Instant) -> Vec<Rc<Waiting>> {
        let mut due = Vec::new();
        while let Some(first) = self.waiting.first_entry() {
            if first.key().deadline > now {
                break;
            }
            due.push(first.remove());
        }
        due
    }

    /// Sets the timer to the earliest deadline. `driver` is woken when an earlier one is inserted.
    fn arm(&mut self, timer: &mut async_io::Timer, driver: &Waker) {
        let earliest = self.waiting.keys().next().map(|key| key.deadline);
        if self.armed != earliest {
            self.armed = earliest;
            match earliest {
                Some(deadline) => timer.set_at(deadline),
                None => *timer = async_io::Timer::never(),
            }
        }
        self.driver = Some(driver.clone());
    }
}

#[derive(Debug)]
struct Waiting {
    due: Cell<bool>,
    waker: RefCell<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TimerKey {
    deadline: Instant,
    number: u64,
}

const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

#[expect(
    clippy::disallowed_methods,
    reason = "connections time out on the machine's clock; nothing here is logged or replayed"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::{Either, join3, select};
    use std::future::poll_fn;
    use std::pin::pin;

    fn driven<T>(timers: &Timers, future: impl Future<Output = T>) -> T {
        let driver = pin!(timers.clone().drive());
        let future = pin!(future);
        smol::block_on(async {
            match select(future, driver).await {
                Either::Left((value, _)) => value,
                Either::Right(_) => panic!("the driver never ends"),
            }
        })
    }

    #[test]
    fn a_sleep_is_never_early() {
        let timers = Timers::default();
        let deadline = now() + Duration::from_millis(20);
        driven(&timers, timers.until(deadline));
        assert!(now() >= deadline);
    }

    #[test]
    fn a_sleep_may_be_longer_than_any_clock() {
        let timers = Timers::default();
        assert!(timers.in_future(Duration::MAX) > now() + Duration::from_secs(1 << 31));
    }

    #[test]
    fn an_earlier_deadline_overtakes_those_that_wait() {
        let timers = Timers::default();
        let late = pin!(timers.after(Duration::from_secs(600)));
        let early = pin!(timers.after(Duration::from_millis(5)));
        driven(&timers, async {
            let Either::Right(_) = select(late, early).await else {
                panic!("ten minutes have passed");
            };
        });
    }

    #[test]
    fn deadlines_at_the_same_instant_all_pass() {
        let timers = Timers::default();
        let at = now() + Duration::from_millis(5);
        driven(
            &timers,
            join3(timers.until(at), timers.until(at), timers.until(at)),
        );
        assert!(timers.queue.borrow().waiting.is_empty());
    }

    #[test]
    fn a_dropped_sleep_leaves_nothing_behind() {
        let timers = Timers::default();
        let mut sleep = pin!(Some(timers.after(Duration::from_secs(600))));
        smol::block_on(poll_fn(|context| {
            let waiting = sleep.as_mut().as_pin_mut().map(|sleep| sleep.poll(context));
            assert_eq!(waiting, Some(Poll::Pending));
            Poll::Ready(())
        }));
        assert_eq!(timers.queue.borrow().waiting.len(), 1);
        sleep.set(None);
        assert!(timers.queue.borrow().waiting.is_empty());
    }

    #[test]
    fn an_alarm_put_off_rings_at_its_last_deadline() {
        let timers = Timers::default();
        let mut alarm = Alarm::default();
        let mut deadline = now() + Duration::from_millis(10);
        let last = deadline + Duration::from_millis(10);
        driven(
            &timers,
            poll_fn(|context| {
                let rung = alarm.poll(&timers, deadline, context);
                assert!(timers.queue.borrow().waiting.len() <= 1);
                deadline = last;
                rung
            }),
        );
        assert!(now() >= last);
    }

    #[test]
    fn an_alarm_brought_forward_rings_at_its_earlier_deadline() {
        let timers = Timers::default();
        let mut alarm = Alarm::default();
        let mut deadline = now() + Duration::from_secs(600);
        let early = now() + Duration::from_millis(10);
        driven(
            &timers,
            poll_fn(|context| {
                if alarm.poll(&timers, deadline, context).is_ready() {
                    return Poll::Ready(());
                }
                deadline = early;
                alarm.poll(&timers, deadline, context)
            }),
        );
    }
}
