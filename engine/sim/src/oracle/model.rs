//! The model: a plain list of all durable records, and their folds.
//!
//! It learns of each batch before the log gets it, and how the append went.
//! Invariant: it holds no record that a crash could take back.

use super::kept::KeptJobs;
use super::{ensure, panic_message};
use rejoin_core::testing::Promises;
use rejoin_core::{
    ConsumerId, Event, JobId, JobSlot, Limits, Record, Sequence, SessionId, State, Views,
};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What is durable.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    limits: Limits,
    /// How many removed sessions the log remembers at least.
    remembered: usize,
    /// All records in log order.
    log: Vec<Arc<Record>>,
    /// The indexes in `log` of each session's records.
    sessions: BTreeMap<SessionId, Vec<usize>>,
    open: usize,
    /// The records that are redacted as they are then, each with the index of its redaction in `log`.
    /// `log` has them as they were.
    redacted: BTreeMap<(SessionId, Sequence), (usize, Arc<Record>)>,
    /// The batch being appended; after a crash it may be durable or not.
    pending: Vec<Arc<Record>>,
    /// Whether a reader got a record as `pending` redacts it. Then that batch is durable, although the
    /// engine has not said so yet.
    is_pending_shown: Cell<bool>,
    /// How many records were durable before the last batch: the engine may not show that one yet.
    settled: usize,
    is_resuming: bool,
    /// Whether `pending` is, or was, the first batch of a process.
    is_first: bool,
    promises: Promises,
    pub(crate) state: State,
    pub(crate) views: Views,
}

/// A session after some of its records.
#[derive(Debug, Default)]
pub(crate) struct SessionState {
    pub(crate) is_open: bool,
    pub(crate) foreground: Option<JobId>,
    pub(crate) jobs: BTreeSet<JobId>,
    pub(crate) consumers: BTreeSet<ConsumerId>,
}

impl Model {
    pub(crate) fn new(limits: Limits, remembered: usize) -> Self {
        Self {
            limits,
            remembered,
            log: vec![],
            sessions: BTreeMap::new(),
            open: 0,
            redacted: BTreeMap::new(),
            pending: vec![],
            is_pending_shown: Cell::new(false),
            settled: 0,
            is_resuming: true,
            is_first: false,
            promises: Promises::keeping(limits.retention),
            state: State::new(limits),
            views: Views::default(),
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// All durable records.
    pub(crate) fn log(&self) -> &[Arc<Record>] {
        &self.log
    }

    /// Whether the log has removed a session.
    pub(crate) fn has_removed(&self) -> bool {
        let mut records = self.log.iter();
        records.any(|record| record.event.removes_before().is_some())
    }

    /// Whether the log may know nothing more of a session: it is removed, and the log remembers fewer
    /// removed sessions than there are.
    pub(crate) fn is_forgettable(&self, session: SessionId) -> bool {
        let is_removal = |record: &Record| record.event.removes_before().is_some();
        let mut own = self.records(session);
        let is_removed = own.next_back().is_some_and(|(_, last)| is_removal(last));
        let removed = self.log.iter().filter(|record| is_removal(record)).count();
        is_removed && removed > self.remembered
    }

    /// Whether a reader may get `told` for this record, if it began when there were `from` records: not
    /// what was redacted by then.
    pub(crate) fn may_tell(&self, record: &Record, told: &Record, from: usize) -> bool {
        match self.redacted.get(&(record.session, record.sequence)) {
            None if record == told => true,
            None => {
                let redacts = |it: &Arc<Record>| record.redacted_by(it).as_ref() == Some(told);
                let is_pending = self.pending.iter().any(redacts);
                self.is_pending_shown
                    .set(self.is_pending_shown.get() || is_pending);
                is_pending
            }
            Some((redaction, redacted)) => {
                **redacted == *told || (record == told && *redaction >= from)
            }
        }
    }

    /// The records that are redacted, as they were before.
    pub(crate) fn redacted(&self) -> impl Iterator<Item = &Arc<Record>> {
        let names = self.redacted.keys();
        names.filter_map(|(session, sequence)| Some(self.record(*session, *sequence)?.1))
    }

    /// A session that is not removed, open or closed. `draw` picks one of so many.
    pub(crate) fn removable(&self, draw: impl FnOnce(usize) -> usize) -> Option<SessionId> {
        let all = self
            .session_ids()
            .filter(|session| !self.is_removed(*session));
        let all: Vec<_> = all.collect();
        all.get(draw(all.len())).copied()
    }

    /// Whether nothing but its removal may be read of the session, by a reader that began when there were
    /// `from` records.
    pub(crate) fn was_removed(&self, session: SessionId, from: usize) -> bool {
        let last = self.records(session).next_back();
        last.is_some_and(|(at, last)| last.event.removes_before().is_some() && at < from)
    }

    /// A result or an input that can be redacted, and was not, of a session that is not removed. `draw`
    /// picks one of that number.
    pub(crate) fn redactable(
        &self,
        draw: impl FnOnce(usize) -> usize,
    ) -> Option<(SessionId, Sequence)> {
        let is_wanted = |record: &&Arc<Record>| {
            let name = (record.session, record.sequence);
            let is_screen = matches!(record.event, Event::ScreenCaptured { .. });
            record.is_redactable()
                && !is_screen
                && !self.redacted.contains_key(&name)
                && !self.is_removed(record.session)
        };
        let all: Vec<_> = self.log.iter().filter(is_wanted).collect();
        let record = all.get(draw(all.len()))?;
        Some((record.session, record.sequence))
    }

    pub(crate) fn settled(&self) -> usize {
        self.settled
    }

    /// A session's durable records, each with its index in the log.
    pub(crate) fn records(
        &self,
        session: SessionId,
    ) -> impl DoubleEndedIterator<Item = (usize, &Arc<Record>)> {
        let indexes = self
            .sessions
            .get(&session)
            .map(Vec::as_slice)
            .unwrap_or_default();
        indexes
            .iter()
            .filter_map(|slot| Some((*slot, self.log.get(*slot)?)))
    }

    /// The durable record of this sequence.
    pub(crate) fn record(
        &self,
        session: SessionId,
        sequence: Sequence,
    ) -> Option<(usize, &Arc<Record>)> {
        let nth = usize::try_from(sequence.0.checked_sub(1)?).ok()?;
        let slot = *self.sessions.get(&session)?.get(nth)?;
        Some((slot, self.log.get(slot)?))
    }

    pub(crate) fn last(&self, session: SessionId) -> Sequence {
        Sequence(
            self.sessions
                .get(&session)
                .map_or(0, |indexes| indexes.len() as u64),
        )
    }

    pub(crate) fn is_closed(&self, session: SessionId) -> bool {
        let is_redaction = |record: &Record| matches!(record.event, Event::RecordsRedacted { .. });
        let mut before = self.records(session).rev();
        let last = before.find(|(_, record)| !is_redaction(record));
        last.is_some_and(|(_, last)| {
            matches!(
                last.event,
                Event::SessionClosed { .. } | Event::RecordsLost { .. }
            )
        })
    }

    /// The service that the session was created on.
    pub(crate) fn service(&self, session: SessionId) -> Option<&str> {
        let (_, first) = self.records(session).next()?;
        match &first.event {
            Event::SessionCreated { service, .. } => Some(service),
            _ => None,
        }
    }

    /// Whether retention has removed the session.
    pub(crate) fn is_removed(&self, session: SessionId) -> bool {
        let last = self.records(session).next_back();
        last.is_some_and(|(_, last)| last.event.removes_before().is_some())
    }

    /// Whether the last batch was the first of a process.
    pub(crate) fn was_first(&self) -> bool {
        self.is_first
    }

    pub(crate) fn session_ids(&self) -> impl Iterator<Item = SessionId> {
        self.sessions.keys().copied()
    }

    /// A batch is about to be appended.
    pub(crate) fn begin_append(&mut self, batch: &[Arc<Record>]) {
        self.pending = batch.to_vec();
        self.is_pending_shown.set(false);
        self.is_first = self.is_resuming;
    }

    /// The log refused the batch as a whole.
    ///
    /// # Errors
    ///
    /// If a reader got what the batch redacts as redacted.
    pub(crate) fn discard_pending(&mut self) -> Result<(), String> {
        self.pending.clear();
        self.check_not_shown()
    }

    fn check_not_shown(&self) -> Result<(), String> {
        ensure!(
            !self.is_pending_shown.replace(false),
            "promises 2, 3: a record was redacted by a batch that is not durable"
        );
        Ok(())
    }

    /// The batch is durable. After the first one of a process, only jobs run that are in `kept`, and all of
    /// these that are readable.
    pub(crate) fn commit_pending(&mut self, kept: &KeptJobs) -> Result<(), String> {
        self.settled = self.log.len();
        self.is_pending_shown.set(false);
        for record in std::mem::take(&mut self.pending) {
            self.add(record)?;
        }
        // Promise 7: jobs of a process that died are lost before anything else happens, except for those
        // that go on.
        if std::mem::take(&mut self.is_resuming) {
            let running = self.state.sessions().flat_map(|(_, open)| open.jobs());
            let running: BTreeSet<_> = running.map(|(job, _)| job).collect();
            let mut missing = kept.expected().difference(&running);
            let kept_as_expected =
                running.is_subset(kept.expected()) && missing.all(|job| kept.is_unreadable(*job));
            let kept = kept.expected();
            ensure!(
                kept_as_expected,
                "promise 7: of the last process, the jobs {running:?} go on in this one, and not {kept:?}"
            );
        }
        Ok(())
    }

    fn add(&mut self, record: Arc<Record>) -> Result<(), String> {
        let promises = &mut self.promises;
        catch_unwind(AssertUnwindSafe(|| promises.take(&record)))
            .map_err(|panic| panic_message(&*panic))?;
        self.state
            .validate(&record)
            .map_err(|violation| format!("promise 9: {violation}"))?;
        self.state.apply(&record);
        self.views.apply(&record);
        match record.event {
            Event::SessionCreated { .. } => self.open += 1,
            Event::SessionClosed { .. } => self.open -= 1,
            _ => {}
        }
        let session = record.session;
        let redacts = matches!(record.event, Event::RecordsRedacted { .. });
        let before = self.records(session).filter(|_| redacts);
        let redacted: Vec<_> = before
            .filter_map(|(_, before)| before.redacted_by(&record))
            .collect();
        for redacted in redacted {
            let name = (session, redacted.sequence);
            let first = (self.log.len(), Arc::new(redacted));
            self.redacted.entry(name).or_insert(first);
        }
        self.sessions
            .entry(session)
            .or_default()
            .push(self.log.len());
        self.log.push(record);
        ensure!(
            self.open <= self.limits.sessions,
            "promise 10: {} sessions are open",
            self.open
        );
        if let Some(open) = self.state.session(session) {
            let (jobs, consumers) = (open.jobs().count(), open.consumers().count());
            ensure!(
                jobs <= self.limits.jobs && consumers <= self.limits.consumers,
                "promise 10: session {session} has {jobs} jobs and {consumers} consumers"
            );
        }
        Ok(())
    }

    /// Checks the records of a reopened log: everything that was durable (after `snapshot` records
    /// if it started from one), and either all or none of the pending batch. Of a removed session,
    /// only the removal record is certain to be there. Returns whether a redaction was unfinished.
    pub(crate) fn reopen(
        &mut self,
        found: &[Record],
        snapshot: Option<u64>,
    ) -> Result<bool, String> {
        let is_removal = |record: &Record| record.event.removes_before().is_some();
        let removed: BTreeSet<_> = self
            .log
            .iter()
            .filter(|record| is_removal(record))
            .map(|record| record.session)
            .collect();
        let is_certain = |record: &Record| is_removal(record) || !removed.contains(&record.session);
        let before = usize::try_from(snapshot.unwrap_or(0)).unwrap_or(usize::MAX);
        let ours: Vec<_> = self.log.iter().skip(before).collect();
        let ours: Vec<_> = ours
            .into_iter()
            .filter(|record| is_certain(record))
            .cloned()
            .collect();
        let found: Vec<_> = found
            .iter()
            .filter(|record| is_certain(record))
            .cloned()
            .collect();
        // What is redacted and not carried out yet is in the files as it was.
        let same = |(ours, theirs): (&Arc<Record>, &Record)| self.may_tell(ours, theirs, 0);
        let kept = ours
            .iter()
            .zip(&found)
            .take_while(|pair| same(*pair))
            .count();
        ensure!(
            kept == ours.len() && before <= self.log.len(),
            "promise 3: of {} durable records, the reopened log kept {kept} and holds {}",
            ours.len(),
            found.len()
        );
        let is_old = |record: &Record| {
            let is_redacted = self
                .redacted
                .contains_key(&(record.session, record.sequence));
            is_redacted && record.redacted.is_none()
        };
        let is_unfinished = found.iter().any(is_old);
        let rest = found.get(kept..).unwrap_or_default();
        if rest.is_empty() {
            self.pending.clear();
            self.check_not_shown()?;
            return Ok(is_unfinished);
        }
        ensure!(
            rest.len() == self.pending.len() && self.pending.iter().zip(rest).all(same),
            "promise 3: the reopened log holds {} records that are only a part of the pending batch or not in it",
            rest.len()
        );
        for record in std::mem::take(&mut self.pending) {
            self.add(record)?;
        }
        Ok(is_unfinished)
    }

    pub(crate) fn restart(&mut self) {
        self.is_resuming = true;
    }

    /// Whether `holds` was true for the session at some moment since the log had `from` records. A
    /// decision was made at one of these moments.
    pub(crate) fn ever(
        &self,
        session: SessionId,
        from: usize,
        holds: impl Fn(&SessionState) -> bool,
    ) -> bool {
        let mut state = SessionState::default();
        let mut is_since = false;
        for (slot, record) in self.records(session) {
            if slot >= from && !is_since {
                is_since = true;
                if holds(&state) {
                    return true;
                }
            }
            state.take(&record.event);
            if is_since && holds(&state) {
                return true;
            }
        }
        !is_since && holds(&state)
    }

    /// Whether `count` sessions were open at some moment since the log had `from` records.
    pub(crate) fn ever_had_open(&self, from: usize, count: usize) -> bool {
        let mut open = 0;
        for (slot, record) in self.log.iter().enumerate() {
            if slot >= from && open >= count {
                return true;
            }
            match record.event {
                Event::SessionCreated { .. } => open += 1,
                Event::SessionClosed { .. } => open -= 1,
                _ => {}
            }
        }
        open >= count
    }
}

impl SessionState {
    fn take(&mut self, event: &Event) {
        match event {
            Event::SessionCreated { .. } => self.is_open = true,
            Event::SessionClosed { .. } => self.is_open = false,
            Event::ConsumerJoined { consumer, .. } => {
                self.consumers.insert(*consumer);
            }
            Event::ConsumerLeft { consumer, .. } => {
                self.consumers.remove(consumer);
            }
            Event::JobSubmitted { job, mode, .. } => {
                self.jobs.insert(*job);
                if mode.slot == JobSlot::Foreground {
                    self.foreground = Some(*job);
                }
            }
            Event::JobFinished { job, .. } => {
                self.jobs.remove(job);
                self.foreground = self.foreground.filter(|foreground| foreground != job);
            }
            _ => {}
        }
    }
}
