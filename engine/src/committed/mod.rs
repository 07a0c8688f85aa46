//! The committed state: views and recent records of all logs, all of them durable. The sequencers add
//! to it; readers read it, and wait until there is more.

pub(crate) mod log_reads;
pub(crate) mod record_cache;

use crate::committed::record_cache::RecordCache;
use crate::ending::Ending;
use crate::endings::{Ended, Endings, EndingsFeed, is_ending};
use crate::error::Unavailable;
use crate::limits::ENDINGS;
use crate::stats::EngineStatus;
use event_listener::{Event as Wake, EventListener};
use rejoin_core::{Event, Record, Sequence, SessionId, SessionView, Views};
use rejoin_log::{LogReader, ReadError, ReadLimit};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

#[derive(Debug)]
pub(crate) struct Committed {
    views: RwLock<Views>,
    recent: Mutex<RecordCache>,
    wakes: Mutex<BTreeMap<SessionId, Wake>>,
    endings: Mutex<Vec<EndingsFeed>>,
    /// Of the engine. If it has one log only, also the end of that.
    ending: Arc<Ending>,
    is_closing: AtomicBool,
    on_closing: Wake,
}

impl Committed {
    pub(crate) fn new(views: Views, recent_bytes: usize) -> Self {
        Self {
            views: RwLock::new(views),
            recent: Mutex::new(RecordCache::new(recent_bytes)),
            wakes: Mutex::default(),
            endings: Mutex::default(),
            ending: Arc::default(),
            is_closing: AtomicBool::new(false),
            on_closing: Wake::new(),
        }
    }

    /// Makes the sessions of a log visible, which lead to `views`. Where some of them are visible already,
    /// reads what is missing from the log.
    pub(crate) fn include(
        &self,
        views: Views,
        is_here: impl Fn(SessionId) -> bool,
        log: &dyn LogReader,
    ) -> Result<(), ReadError> {
        let behind = {
            let mut here = self.views.write().unwrap_or_else(PoisonError::into_inner);
            if !here.sessions().any(|view| is_here(view.id)) {
                let has_sessions = views.sessions().next().is_some();
                here.absorb(views);
                drop(here);
                if has_sessions {
                    lock(&self.endings).retain(|feed| feed.put(Ended::Unseen));
                }
                return Ok(());
            }
            let last = |session| here.session(session).map(|view| view.last_sequence);
            let mut behind: Vec<_> = views
                .sessions()
                .filter(|view| last(view.id).is_none_or(|last| last < view.last_sequence))
                .filter(|view| here.removed(view.id).is_none())
                .map(|view| (view.id, last(view.id).unwrap_or(Sequence::START)))
                .collect();
            // Those that were removed.
            let own = here.sessions().filter(|view| is_here(view.id));
            let gone = own.filter(|view| views.session(view.id).is_none());
            behind.extend(gone.map(|view| (view.id, view.last_sequence)));
            behind
        };
        for (session, mut after) in behind {
            loop {
                let records = log.read(session, after, MISSED_READ)?;
                let Some(last) = records.last().map(|record| record.sequence) else {
                    break;
                };
                after = last;
                self.commit(&records);
            }
            self.forget_without_records(session, log)?;
        }
        Ok(())
    }

    /// Forgets a session of which the log has nothing any more, not even that it was removed.
    fn forget_without_records(
        &self,
        session: SessionId,
        log: &dyn LogReader,
    ) -> Result<(), ReadError> {
        let is_there = !log.read(session, Sequence::START, FIRST_READ)?.is_empty();
        if is_there {
            return Ok(());
        }
        {
            let mut recent = lock(&self.recent);
            let mut views = self.views.write().unwrap_or_else(PoisonError::into_inner);
            recent.forget(session);
            views.forget(session);
        }
        let wakes = lock(&self.wakes);
        let wake = wakes.get(&session);
        wake.inspect(|wake| _ = wake.notify(usize::MAX));
        Ok(())
    }

    /// Makes durable records visible, and wakes their readers.
    pub(crate) fn commit(&self, records: &[Arc<Record>]) {
        {
            // Recent first: a reader that sees the view's new end finds the records in memory.
            let mut recent = lock(&self.recent);
            let mut views = self.views.write().unwrap_or_else(PoisonError::into_inner);
            for record in records {
                recent.push(record);
                views.apply(record);
            }
        }
        for ending in records.iter().filter(|record| is_ending(record)) {
            lock(&self.endings).retain(|feed| feed.put(Ended::Record(ending.clone())));
        }
        let mut wakes = lock(&self.wakes);
        let mut woken = None;
        for record in records {
            if woken != Some(record.session) {
                woken = Some(record.session);
                wakes
                    .get(&record.session)
                    .inspect(|wake| _ = wake.notify(usize::MAX));
            }
            if let Event::SessionClosed { .. } = record.event {
                wakes.remove(&record.session);
            }
        }
    }

    /// What ends from now on, over all sessions.
    pub(crate) fn endings(&self) -> Endings {
        let (feed, endings) = Endings::new(ENDINGS);
        if self.ended().is_none() {
            lock(&self.endings).push(feed);
        }
        endings
    }

    /// Calls `ask` with the views. Keep it quick: the sequencer waits.
    pub(crate) fn view<T>(&self, ask: impl FnOnce(&Views) -> T) -> T {
        ask(&self.views.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// As [`Self::view`], of one session.
    pub(crate) fn session<T>(
        &self,
        session: SessionId,
        ask: impl FnOnce(&SessionView) -> T,
    ) -> Option<T> {
        self.view(|views| views.session(session).map(ask))
    }

    /// The records of `session` after `after` that are still in memory, where the first of them is.
    pub(crate) fn recent(
        &self,
        session: SessionId,
        after: Sequence,
        limit: ReadLimit,
    ) -> Option<Vec<Arc<Record>>> {
        lock(&self.recent).read(session, after, limit)
    }

    /// The approximate bytes of the records in memory, and their limit.
    pub(crate) fn recent_bytes(&self) -> (u64, u64) {
        lock(&self.recent).bytes()
    }

    /// A listener that is woken by the session's next record, or by the end of the engine. Check the
    /// state after this call: earlier records do not wake it.
    pub(crate) fn listen(&self, session: SessionId) -> EventListener {
        let mut wakes = lock(&self.wakes);
        // A closed session is first closed in the views, then its wake is removed: none is left over.
        if self.session(session, |view| view.closed.is_none()) == Some(true) {
            wakes.entry(session).or_default().listen()
        } else {
            Wake::new().listen()
        }
    }

    /// Sets why a log is no longer written, and wakes all that wait. With the one log of an engine, the
    /// engine ends.
    pub(crate) fn end_log(&self, log: &Ending, why: Unavailable) {
        log.set(why);
        if self.ended().is_some() {
            lock(&self.endings).clear();
        }
        for wake in lock(&self.wakes).values() {
            wake.notify(usize::MAX);
        }
    }

    /// Where the end of the engine is set.
    pub(crate) fn ending(&self) -> &Arc<Ending> {
        &self.ending
    }

    /// Makes all pulls, open and later ones, answer with what there is.
    pub(crate) fn begin_closing(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
        self.on_closing.notify(usize::MAX);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::SeqCst)
    }

    /// Waits until the engine begins to close.
    pub(crate) async fn wait_for_closing(&self) {
        let listener = self.on_closing.listen();
        if !self.is_closing() {
            listener.await;
        }
    }

    /// Whether the engine takes commands.
    pub(crate) fn status(&self) -> EngineStatus {
        match self.ended() {
            Some(_) => EngineStatus::Stopped,
            None if self.is_closing() => EngineStatus::ShuttingDown,
            None => EngineStatus::Running,
        }
    }

    pub(crate) fn ended(&self) -> Option<&Unavailable> {
        self.ending.get()
    }

    /// Waits until the engine has ended.
    pub(crate) async fn wait_for_end(&self) -> Unavailable {
        self.ending.wait().await
    }
}

/// Whether there is anything.
const FIRST_READ: ReadLimit = ReadLimit {
    records: 1,
    bytes: 1,
};

/// How much of the log is read at once for what is not visible yet.
const MISSED_READ: ReadLimit = ReadLimit {
    records: 1_024,
    bytes: 1024 * 1024,
};

/// Locks, also after another holder has panicked: no change under these locks can fail half-way.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
