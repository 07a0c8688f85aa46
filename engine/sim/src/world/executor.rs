//! Runs futures one poll at a time on a single thread, in an order that the seed decides.
//!
//! A poll may happen inside another one: that is how a thread that blocks in the log is simulated
//! while the others go on. Invariant: no future is polled while it is being polled.

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
    created: u64,
    all: BTreeMap<u64, Task>,
    /// Tasks that were woken and not polled since, in the order of the wake-ups.
    woken: Vec<u64>,
    /// Loses one wake-up in this many, to prove that the checks find it; 0 for none.
    forgets: u64,
}

struct Task {
    name: &'static str,
    /// None while it is being polled further up the stack.
    future: Option<BoxFuture<'static, ()>>,
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tasks")
            .field("woken", &self.woken)
            .finish_non_exhaustive()
    }
}

/// What one poll did.
#[derive(Debug)]
pub(crate) struct PollReport {
    pub(crate) task: u64,
    pub(crate) name: &'static str,
    /// Another task was woken before this one.
    pub(crate) is_out_of_order: bool,
    pub(crate) ended: bool,
    /// The message, if it panicked.
    pub(crate) panic: Option<String>,
}

impl Executor {
    pub(crate) fn new(random: Random, forgets: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Tasks {
            random,
            created: 0,
            all: BTreeMap::new(),
            woken: vec![],
            forgets,
        })))
    }

    pub(crate) fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        let mut tasks = self.tasks();
        let id = tasks.created;
        tasks.created += 1;
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

    /// Polls any task that was woken. None if no task can proceed until time passes.
    pub(crate) fn poll(self: &Arc<Self>) -> Option<PollReport> {
        let (id, name, mut future, is_out_of_order) = {
            let mut tasks = self.tasks();
            let tasks = &mut *tasks;
            let ready: Vec<usize> = (0..tasks.woken.len())
                .filter(|index| {
                    let task = tasks.all.get(&tasks.woken[*index]);
                    task.is_some_and(|task| task.future.is_some())
                })
                .collect();
            let chosen = tasks.random.index(ready.len());
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
        // Not under the lock: dropping it may wake others.
        drop(gone);
        Some(PollReport {
            task: id,
            name,
            is_out_of_order,
            ended,
            panic,
        })
    }

    /// Wakes a task without a reason. Returns whether there was one to wake.
    pub(crate) fn wake_any(&self) -> bool {
        let mut tasks = self.tasks();
        let tasks = &mut *tasks;
        let asleep: Vec<u64> = tasks
            .all
            .keys()
            .filter(|id| !tasks.woken.contains(id))
            .copied()
            .collect();
        let index = tasks.random.index(asleep.len());
        let found = asleep.get(index).copied();
        tasks.woken.extend(found);
        found.is_some()
    }

    /// Drops all tasks.
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
