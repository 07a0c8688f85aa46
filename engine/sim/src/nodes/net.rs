//! What all nodes of a run share: time, chance, the servers, and the network between them.

use super::ledger::Ledger;
use super::mutants::NodesMutant;
use super::threads;
use crate::world::{Clock, Executor, Random};
use futures::channel::oneshot;
use futures::future::{BoxFuture, Either, FutureExt, select};
use rejoin_cluster::testing::Model;
use rejoin_engine::peers::PeerError;
use rejoin_node::Answer;
use rejoin_node::limits::ANSWER;
use std::collections::BTreeMap;
use std::fmt::Arguments;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The world of one run.
pub(super) struct Net {
    pub(super) clock: Clock,
    pub(super) model: Arc<Mutex<Model>>,
    pub(super) mutant: Option<NodesMutant>,
    random: Mutex<Random>,
    ledger: Mutex<Ledger>,
    steps: AtomicU64,
    is_draining: AtomicBool,
    /// Who answers questions about a log in a term.
    answering: Mutex<BTreeMap<(u8, u64), Answerer>>,
    notices: Mutex<BTreeMap<u8, NoticeBoard>>,
}

/// A process that answers.
#[derive(Clone)]
struct Answerer {
    at: Arc<ProcessCell>,
    answer: Arc<Answer>,
}

/// A process as the network sees it.
#[derive(Debug)]
pub(super) struct ProcessCell {
    pub(super) id: usize,
    pub(super) node: usize,
    /// Its tasks and threads.
    pub(super) executor: Arc<Executor>,
    is_dead: AtomicBool,
    is_stopped: AtomicBool,
    is_cut: AtomicBool,
    /// When a beat was answered last, in milliseconds.
    pub(super) answered: AtomicU64,
}

#[derive(Default)]
struct NoticeBoard {
    count: u64,
    waiting: Vec<oneshot::Sender<()>>,
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Net").finish_non_exhaustive()
    }
}

impl ProcessCell {
    pub(super) fn new(id: usize, node: usize, executor: Arc<Executor>, now: u64) -> Arc<Self> {
        Arc::new(Self {
            id,
            node,
            executor,
            is_dead: AtomicBool::new(false),
            is_stopped: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
            answered: AtomicU64::new(now),
        })
    }

    pub(super) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    pub(super) fn die(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    pub(super) fn set_stopped(&self, is_stopped: bool) {
        self.is_stopped.store(is_stopped, Ordering::Relaxed);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }

    pub(super) fn set_cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::Relaxed);
    }
}

impl Net {
    pub(super) fn new(
        model: Model,
        random: Random,
        ledger: Ledger,
        mutant: Option<NodesMutant>,
    ) -> Arc<Self> {
        Arc::new(Self {
            clock: Clock::default(),
            model: Arc::new(Mutex::new(model)),
            mutant,
            random: Mutex::new(random),
            ledger: Mutex::new(ledger),
            steps: AtomicU64::new(0),
            is_draining: AtomicBool::new(false),
            answering: Mutex::default(),
            notices: Mutex::default(),
        })
    }

    pub(super) fn has(&self, mutant: NodesMutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Draws random values.
    pub(super) fn draw<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut lock(&self.random))
    }

    /// The servers, at this moment.
    pub(super) fn servers(&self) -> MutexGuard<'_, Model> {
        let mut model = lock(&self.model);
        model.advance(self.millis());
        model
    }

    pub(super) fn millis(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What is known, with all that is stored. Must not be held while an engine runs.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        let model = self.servers();
        let mut ledger = lock(&self.ledger);
        ledger.catch_up(&model, self.clock.elapsed());
        ledger
    }

    pub(super) fn count(&self, name: &'static str) {
        lock(&self.ledger).coverage.count(name);
    }

    pub(super) fn note(&self, line: Arguments<'_>) {
        let at = self.millis();
        lock(&self.ledger).trace.note(at, line);
    }

    pub(super) fn has_failed(&self) -> bool {
        lock(&self.ledger).failure.is_some()
    }

    pub(super) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    pub(super) fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    pub(super) fn begin_draining(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// Waits in simulated time.
    pub(super) async fn pause(&self, wait: Duration) {
        self.clock.timer(wait).await;
    }

    /// Something is about to be appended to a log.
    pub(super) fn notify(&self, log: u8) {
        if !self.is_draining() && self.draw(|random| random.once_in(8)) {
            self.count("fault: notice lost");
            return;
        }
        let waiting = {
            let mut notices = lock(&self.notices);
            let board = notices.entry(log).or_default();
            board.count += 1;
            std::mem::take(&mut board.waiting)
        };
        for waiting in waiting {
            let _ = waiting.send(());
        }
    }

    /// How many notices there were.
    pub(super) fn notices(&self, log: u8) -> u64 {
        lock(&self.notices).entry(log).or_default().count
    }

    /// Waits for a notice, in a thread.
    pub(super) fn wait_for_notice(&self, log: u8, patience: Duration) {
        let (sender, notice) = oneshot::channel();
        lock(&self.notices)
            .entry(log)
            .or_default()
            .waiting
            .push(sender);
        threads::block_on(select(notice, self.clock.timer(patience)));
    }

    /// A process answers from now on.
    pub(super) fn listen(&self, log: u8, term: u64, at: Arc<ProcessCell>, answer: Arc<Answer>) {
        lock(&self.answering).insert((log, term), Answerer { at, answer });
    }

    /// A process answers no longer.
    pub(super) fn stop_listening(&self, log: u8, term: u64) {
        let gone = lock(&self.answering).remove(&(log, term));
        drop(gone);
    }

    /// The connections of a dead process are closed.
    pub(super) fn disconnect(&self, process: usize) {
        let mut gone = vec![];
        lock(&self.answering).retain(|_, it| {
            let is_gone = it.at.id == process;
            if is_gone {
                gone.push(it.answer.clone());
            }
            !is_gone
        });
        drop(gone);
    }

    /// Asks the process that has a log in this term.
    pub(super) fn ask(
        self: &Arc<Self>,
        from: Arc<ProcessCell>,
        log: u8,
        term: u64,
        request: Vec<u8>,
    ) -> BoxFuture<'static, Result<Vec<u8>, PeerError>> {
        let net = self.clone();
        async move {
            let begun = net.clock.timer(ANSWER);
            let (is_lost, delay, is_unanswered) = net.draw(|random| {
                (
                    random.once_in(25),
                    if random.once_in(12) {
                        random.millis(4_000)
                    } else {
                        random.millis(6)
                    },
                    random.once_in(25),
                )
            });
            let is_calm = net.is_draining();
            let delay = if is_calm { delay.min(SHORT) } else { delay };
            let is_lost = is_lost && !is_calm;
            let is_unanswered = is_unanswered && !is_calm;
            if delay > Duration::from_secs(1) {
                net.count("fault: question late");
            }
            net.pause(delay).await;
            let found = lock(&net.answering).get(&(log, term)).cloned();
            if from.is_cut() || is_lost || found.as_ref().is_some_and(|it| it.at.is_cut()) {
                net.count("fault: question lost");
                lock(&net.ledger).disturb(log);
                begun.await;
                return Err(PeerError::Unanswered);
            }
            let Some(Answerer { at, answer }) = found else {
                return Err(PeerError::NoOwner);
            };
            if at.is_stopped() {
                net.count("fault: asked a process that is stopped");
            }
            let (sender, answered) = oneshot::channel();
            let (back, there) = (net.clone(), at.clone());
            let answering = async move {
                let given = answer(request).await;
                let delay = back.draw(|random| random.millis(6));
                back.pause(delay).await;
                if is_unanswered || there.is_cut() {
                    back.count("fault: answer lost");
                    lock(&back.ledger).disturb(log);
                    // The asker waits, and does not learn that nothing will come.
                    back.pause(ANSWER).await;
                    drop(sender);
                    return;
                }
                let _ = sender.send(given);
                if back.draw(|random| random.once_in(10)) {
                    // Nobody waits for the second one.
                    back.count("fault: answer twice");
                }
            };
            at.executor.spawn("answer", answering.boxed());
            match select(answered, begun).await {
                Either::Left((Ok(Some(answer)), _)) => Ok(answer),
                Either::Left((Ok(None), _)) => Err(PeerError::NoOwner),
                // Its process died.
                Either::Left((Err(_), begun)) => {
                    lock(&net.ledger).disturb(log);
                    begun.await;
                    Err(PeerError::Unanswered)
                }
                Either::Right(_) => {
                    lock(&net.ledger).disturb(log);
                    Err(PeerError::Unanswered)
                }
            }
        }
        .boxed()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The longest way of a question when all is well.
const SHORT: Duration = Duration::from_millis(6);
