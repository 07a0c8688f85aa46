//! Threads that block, one at a time: each runs only while it is polled, and hands back its turn when it
//! waits. So the seed decides when it goes on, and it can be killed wherever it waits.
//!
//! Invariant: of all threads of a run, one runs at any moment. No lock that another one needs may be
//! held while a thread waits.

use crate::oracle::panic_message;
use crate::world::Clock;
use futures::future::BoxFuture;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

/// A thread, as a task of its process.
pub(super) struct SimulatedThread {
    baton: Arc<Baton>,
    handle: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Baton {
    turn: Mutex<Turn>,
    changed: Condvar,
}

#[derive(Default)]
struct Turn {
    /// It is the thread's turn.
    is_thread: bool,
    is_killed: bool,
    has_ended: bool,
    panic: Option<String>,
    waker: Option<Waker>,
}

/// What unwinds a thread that is killed.
struct Killed;

thread_local! {
    static BATON: RefCell<Option<Arc<Baton>>> = const { RefCell::new(None) };
}

impl Baton {
    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the turn to the thread, or back.
    fn pass(&self, to_thread: bool) {
        let mut turn = self.turn();
        turn.is_thread = to_thread;
        self.changed.notify_all();
        while turn.is_thread == to_thread && !turn.has_ended {
            turn = self
                .changed
                .wait(turn)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// In the thread: waits until it is polled again.
    fn wait(&self) {
        if !self.turn().is_killed {
            self.pass(false);
        }
        if self.turn().is_killed && !std::thread::panicking() {
            resume_unwind(Box::new(Killed));
        }
    }
}

impl SimulatedThread {
    /// A thread that runs `work` once it is polled.
    pub(super) fn new(work: impl FnOnce() + Send + 'static) -> Self {
        let baton = Arc::new(Baton::default());
        let own = baton.clone();
        let run = move || {
            {
                let mut turn = own.turn();
                while !turn.is_thread {
                    turn = own
                        .changed
                        .wait(turn)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
            BATON.with(|it| *it.borrow_mut() = Some(own.clone()));
            let is_killed = own.turn().is_killed;
            let ended = match is_killed {
                true => Ok(()),
                false => catch_unwind(AssertUnwindSafe(work)),
            };
            let panic = match ended {
                Err(panic) if !panic.is::<Killed>() => Some(panic_message(&*panic)),
                _ => None,
            };
            BATON.with(|it| drop(it.borrow_mut().take()));
            let mut turn = own.turn();
            turn.panic = panic;
            turn.has_ended = true;
            own.changed.notify_all();
        };
        let handle = std::thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn(run)
            .ok();
        Self { baton, handle }
    }

    /// A thread that waits for a future.
    pub(super) fn of(future: BoxFuture<'static, ()>) -> Self {
        Self::new(move || block_on(future))
    }
}

impl Future for SimulatedThread {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.baton.turn().waker = Some(context.waker().clone());
        self.baton.pass(true);
        let mut turn = self.baton.turn();
        if !turn.has_ended {
            return Poll::Pending;
        }
        let panic = turn.panic.take();
        drop(turn);
        match panic {
            Some(panic) => resume_unwind(Box::new(panic)),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for SimulatedThread {
    fn drop(&mut self) {
        let has_ended = {
            let mut turn = self.baton.turn();
            turn.is_killed = true;
            turn.has_ended
        };
        if !has_ended {
            self.baton.pass(true);
        }
        if let Some(handle) = self.handle.take() {
            let _ = handle.join();
        }
    }
}

/// Waits for a future, in a simulated thread. The other tasks run meanwhile.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let baton = BATON.with(|it| it.borrow().clone());
    loop {
        let waker = baton.as_ref().and_then(|it| it.turn().waker.clone());
        let waker = waker.unwrap_or_else(|| Waker::noop().clone());
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        match &baton {
            Some(baton) => baton.wait(),
            // Only what the run itself drops runs outside of threads, and that must not wait.
            None => resume_unwind(Box::new("the run would wait for itself".to_owned())),
        }
    }
}

/// Lets simulated time pass, in a simulated thread that is not being killed.
pub(super) fn sleep(clock: &Clock, time: Duration) {
    let has_thread = BATON.with(|it| it.borrow().as_ref().is_some_and(|it| !it.turn().is_killed));
    if has_thread {
        block_on(clock.timer(time));
    }
}

/// Whether this thread is being killed: then nothing may be done any more.
pub(super) fn is_killed() -> bool {
    BATON.with(|it| it.borrow().as_ref().is_some_and(|it| it.turn().is_killed))
}

const STACK_BYTES: usize = 1 << 20;
