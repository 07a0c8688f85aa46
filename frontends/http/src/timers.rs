//! Deadlines of one thread's connections. The only file here that reads a clock.
//!
//! Every request starts and stops timeouts that nearly never pass. With the reactor's own timers
//! each would cost a system call to wake the reactor; here it is an insertion into an ordered map,
//! and the reactor only hears of the earliest deadline, when that moves forward.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The deadlines of one thread. Clones share them. Nothing passes unless [`Timers::drive`] runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    queue: Arc<Mutex<Queue>>,
}

impl Timers {
    /// A future that is ready once the duration has passed, never early.
    pub(crate) fn after(&self, duration: Duration) -> Sleep {
        self.until(now() + duration)
    }

    /// A future that is ready once the instant has come, never early.
    pub(crate) fn until(&self, deadline: Instant) -> Sleep {
        Sleep {
            timers: self.clone(),
            deadline,
            place: None,
        }
    }

    /// Wakes whoever is due, for ever.
    pub(crate) async fn drive(self) {
        let mut timer = async_io::Timer::never();
        std::future::poll_fn(|context| {
            loop {
                let mut queue = self.lock();
                let due = queue.take_due(now());
                let earliest = queue.waiting.keys().next().map(|place| place.deadline);
                if queue.armed != earliest {
                    queue.armed = earliest;
                    match earliest {
                        Some(deadline) => timer.set_at(deadline),
                        None => timer = async_io::Timer::never(),
                    }
                }
                queue.driver = Some(context.waker().clone());
                drop(queue);
                for waker in due {
                    waker.wake();
                }
                if Pin::new(&mut timer).poll(context).is_pending() {
                    return Poll::Pending;
                }
                // It has rung, so nothing is armed any more.
                self.lock().armed = None;
            }
        })
        .await
    }

    // A panic can't leave the map half changed, so a poisoned lock is taken as it is.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl hyper::rt::Timer for Timers {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(self.after(duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(self.until(deadline))
    }

    fn now(&self) -> Instant {
        now()
    }
}

/// See [`Timers::after`]. Waits from its first poll; costs next to nothing before.
#[derive(Debug)]
pub(crate) struct Sleep {
    timers: Timers,
    deadline: Instant,
    place: Option<Place>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if now() >= self.deadline {
            return Poll::Ready(());
        }
        let mut queue = self.timers.lock();
        if let Some(waker) = self.place.and_then(|place| queue.waiting.get_mut(&place)) {
            waker.clone_from(context.waker());
            return Poll::Pending;
        }
        let place = Place {
            deadline: self.deadline,
            number: queue.next,
        };
        queue.next += 1;
        queue.waiting.insert(place, context.waker().clone());
        let driver = match queue.armed {
            Some(armed) if armed <= self.deadline => None,
            _ => queue.driver.take(),
        };
        drop(queue);
        self.place = Some(place);
        if let Some(driver) = driver {
            driver.wake();
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.timers.lock().waiting.remove(&place);
        }
    }
}

impl hyper::rt::Sleep for Sleep {}

#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeMap<Place, Waker>,
    next: u64,
    /// When the driver wakes by itself.
    armed: Option<Instant>,
    driver: Option<Waker>,
}

impl Queue {
    fn take_due(&mut self, now: Instant) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(first) = self.waiting.first_entry() {
            if first.key().deadline > now {
                break;
            }
            due.push(first.remove());
        }
        due
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    deadline: Instant,
    number: u64,
}

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
        assert!(timers.lock().waiting.is_empty());
    }

    #[test]
    fn a_dropped_sleep_leaves_nothing_behind() {
        let timers = Timers::default();
        let mut sleep = pin!(Some(timers.after(Duration::from_secs(600))));
        smol::block_on(std::future::poll_fn(|context| {
            let waiting = sleep.as_mut().as_pin_mut().map(|sleep| sleep.poll(context));
            assert_eq!(waiting, Some(Poll::Pending));
            Poll::Ready(())
        }));
        assert_eq!(timers.lock().waiting.len(), 1);
        sleep.set(None);
        assert!(timers.lock().waiting.is_empty());
    }
}
