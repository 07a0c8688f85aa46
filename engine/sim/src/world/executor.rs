//! Runs futures one poll at a time, on the one thread there is, in an order that the seed decides.
//!
//! What enters: futures, and wake-ups. What leaves: one poll, when asked for. Never: two polls at
//! once of one future. A poll may happen inside another: so a thread that blocks in the log is
//! simulated, while the others go on.

use super::Random;
use crate::oracle::panic_message;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

/// The tasks of a run.
#[derive(Debug)]
pub(crate) struct Executor(Mutex<Tasks>);

struct Tasks {
    random: Random,
    made: u64,
    all: BTreeMap<u64, Task>,
    /// Woken and not polled since, in the order of the wake-ups.
    woken: Vec<u64>,
    /// Forgets one wake-up in so many, to see whether anybody notices; 0 is never.
    forgets: u64,
}

struct Task {
    name: &'static str,
    /// None: it is being polled, further out on the stack.
    future: Option<BoxFuture<'static, ()>>,
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tasks")
            .field("woken", &self.woken)
            .finish_non_exhaustive()
    }
}

/// One poll, told.
#[derive(Debug)]
pub(crate) struct PollReport {
    pub(crate) task: u64,
    pub(crate) name: &'static str,
    /// Another task had been woken before this one.
    pub(crate) is_out_of_order: bool,
    pub(crate) ended: bool,
    /// What it said when it panicked.
    pub(crate) panic: Option<String>,
}

impl Executor {
    pub(crate) fn new(random: Random, forgets: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Tasks {
            random,
            made: 0,
            all: BTreeMap::new(),
            woken: vec![],
            forgets,
        })))
    }

    pub(crate) fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        let mut tasks = self.tasks();
        let id = tasks.made;
        tasks.made += 1;
        let future = Some(future);
        tasks.all.insert(id, Task { name, future });
        tasks.woken.push(id);
    }

    /// How many tasks have not ended.
    pub(crate) fn live(&self) -> usize {
        self.tasks().all.len()
    }

    /// The names of the tasks that have not ended.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.tasks().all.values().map(|task| task.name).collect()
    }

    /// Polls a task that was woken, whichever. None: nothing can go on before time passes.
    pub(crate) fn poll(self: &Arc<Self>) -> Option<PollReport> {
        let (id, name, mut future, is_out_of_order) = {
            let mut tasks = self.tasks();
            let tasks = &mut *tasks;
            let ready: Vec<usize> = (0..tasks.woken.len())
                .filter(|place| {
                    let task = tasks.all.get(&tasks.woken[*place]);
                    task.is_some_and(|task| task.future.is_some())
                })
                .collect();
            let chosen = tasks.random.place(ready.len());
            let id = tasks.woken.remove(*ready.get(chosen)?);
            let task = tasks.all.get_mut(&id)?;
            (id, task.name, task.future.take()?, chosen > 0)
        };
        let waker = Waker::from(Arc::new(TaskWaker {
            task: id,
            executor: Arc::downgrade(self),
        }));
        let mut context = Context::from_waker(&waker);
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)));
        let (ended, panic) = match polled {
            Ok(Poll::Pending) => (false, None),
            Ok(Poll::Ready(())) => (true, None),
            Err(panic) => (true, Some(panic_message(&*panic))),
        };
        let gone = {
            let mut tasks = self.tasks();
            match tasks.all.get_mut(&id) {
                Some(task) if !ended => {
                    task.future = Some(future);
                    None
                }
                _ => {
                    tasks.all.remove(&id);
                    tasks.woken.retain(|woken| *woken != id);
                    Some(future)
                }
            }
        };
        // Not under the lock: what ends may wake others.
        drop(gone);
        Some(PollReport {
            task: id,
            name,
            is_out_of_order,
            ended,
            panic,
        })
    }

    /// Wakes a task that has nothing new. Whether there was one.
    pub(crate) fn wake_any(&self) -> bool {
        let mut tasks = self.tasks();
        let tasks = &mut *tasks;
        let asleep: Vec<u64> = tasks
            .all
            .keys()
            .filter(|id| !tasks.woken.contains(id))
            .copied()
            .collect();
        let place = tasks.random.place(asleep.len());
        let found = asleep.get(place).copied();
        tasks.woken.extend(found);
        found.is_some()
    }

    /// Ends everything where it stands.
    pub(crate) fn clear(&self) {
        loop {
            let all = {
                let mut tasks = self.tasks();
                tasks.woken.clear();
                std::mem::take(&mut tasks.all)
            };
            if all.is_empty() {
                return;
            }
            drop(all);
        }
    }

    fn wake(&self, id: u64) {
        let mut tasks = self.tasks();
        if tasks.woken.contains(&id) || !tasks.all.contains_key(&id) {
            return;
        }
        let forgets = tasks.forgets;
        if forgets == 0 || !tasks.random.once_in(forgets) {
            tasks.woken.push(id);
        }
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct TaskWaker {
    task: u64,
    executor: Weak<Executor>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if let Some(executor) = self.executor.upgrade() {
            executor.wake(self.task);
        }
    }
}
