//! What terminals show: a fold of the log, computed on one thread for all of them.
//!
//! A screen depends on all that its program has written, which may be gigabytes. So the screens of
//! running terminals are kept up to date, and now and then one is logged ([`Event::ScreenCaptured`]).
//! Any other screen is computed from the last one that was logged before it.
//!
//! A program can write what takes the emulator minutes: two bytes clear half a million characters. So the
//! thread turns to the next terminal after [`SCREEN_SLICE`], and goes on with a slow one later.
//!
//! Invariant: a screen is what the records up to its place lead to, however it is computed.

use crate::Runtime;
use crate::committed::Committed;
use crate::error::ScreenError;
use crate::limits::{
    CAPTURE_BYTES, CAPTURE_RECORDS, FOLD_BYTES, FOLD_RECORDS, SCREEN_CELLS, SCREEN_PATIENCE,
    SCREEN_REQUESTS, SCREEN_SLICE, SCREENS, SLOW_SCREENS,
};
use async_channel::{Receiver, Sender, TryRecvError, TrySendError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::channel::oneshot;
use rejoin_core::{
    Command, Event, JobId, JobState, JobView, Record, Sequence, SessionId, TerminalSize,
};
use rejoin_log::{LogReader, ReadLimit};
use rejoin_screen::Screen;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// What a terminal shows at a place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminalScreen {
    /// The last record that it contains: read on after it.
    pub after: Sequence,
    /// The size of the terminal at that place.
    pub size: TerminalSize,
    /// What to write to a new terminal of this size, to see the same: text with escape sequences.
    pub content: String,
    /// The lines that a person sees, without colours, and without the spaces at their ends.
    pub text: String,
}

/// The screens of all terminals: asks the thread that computes them.
#[derive(Clone, Debug)]
pub(crate) struct Screens {
    requests: Sender<Request>,
    kept: Arc<KeptScreens>,
}

/// How much is kept up to date in memory.
#[derive(Debug, Default)]
pub(crate) struct KeptScreens {
    screens: AtomicUsize,
    cells: AtomicUsize,
}

/// The log that a terminal's records are in.
#[derive(Clone, Debug)]
pub(crate) struct ScreenLog {
    pub(crate) reader: Arc<dyn LogReader>,
    /// Where screens are reported to be logged, if this engine writes the log.
    pub(crate) reports: Option<Sender<Command>>,
}

#[derive(Debug)]
enum Request {
    /// A running terminal has written much: take it in.
    Fold {
        log: ScreenLog,
        session: SessionId,
        job: JobId,
        waits: Waits,
    },
    /// The job has ended: its screen is computed anew when somebody asks for it.
    Forget(JobId),
    Show {
        log: ScreenLog,
        session: SessionId,
        job: JobId,
        at: Option<Sequence>,
        reply: Reply,
    },
}

/// Says that a running terminal is to be taken in, until this is dropped: there is no need to ask again.
#[derive(Debug)]
struct Waits(Arc<AtomicBool>);

impl Waits {
    /// None: one waits.
    fn begin(waits: &Arc<AtomicBool>) -> Option<Self> {
        let is_first = !waits.swap(true, Ordering::Relaxed);
        is_first.then(|| Self(waits.clone()))
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

type Reply = oneshot::Sender<Result<TerminalScreen, ScreenError>>;

impl Screens {
    pub(crate) fn start(runtime: &Arc<dyn Runtime>, committed: Arc<Committed>) -> Self {
        let (requests, inbox) = async_channel::bounded(SCREEN_REQUESTS);
        let kept = Arc::<KeptScreens>::default();
        let worker = Worker {
            runtime: runtime.clone(),
            committed,
            folds: BTreeMap::new(),
            kept: kept.clone(),
            slow: VecDeque::new(),
            turn: 0,
        };
        runtime.spawn_dedicated("rejoin-screens", Box::pin(worker.run(inbox)));
        Self { requests, kept }
    }

    /// How many screens are kept up to date in memory, and how many characters they have.
    pub(crate) fn kept(&self) -> (usize, usize) {
        let KeptScreens { screens, cells } = &*self.kept;
        (
            screens.load(Ordering::Relaxed),
            cells.load(Ordering::Relaxed),
        )
    }

    /// What the terminal shows after `at`, or now.
    pub(crate) async fn show(
        &self,
        log: ScreenLog,
        session: SessionId,
        job: JobId,
        at: Option<Sequence>,
    ) -> Result<TerminalScreen, ScreenError> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Show {
            log,
            session,
            job,
            at,
            reply,
        };
        match self.requests.try_send(request) {
            Ok(()) => answer.await.unwrap_or(Err(ScreenError::Ended)),
            Err(TrySendError::Full(_)) => Err(ScreenError::Overloaded),
            Err(TrySendError::Closed(_)) => Err(ScreenError::Ended),
        }
    }
}

/// How much running terminals have written that is not in their screens yet. Belongs to the sequencer,
/// which never waits for the thread.
#[derive(Debug)]
pub(crate) struct Unfolded {
    screens: Screens,
    log: ScreenLog,
    jobs: BTreeMap<JobId, UnfoldedJob>,
}

#[derive(Debug, Default)]
struct UnfoldedJob {
    bytes: usize,
    records: usize,
    waits: Arc<AtomicBool>,
}

impl Unfolded {
    pub(crate) const fn new(screens: Screens, log: ScreenLog) -> Self {
        let jobs = BTreeMap::new();
        Self { screens, log, jobs }
    }

    /// A job with a terminal begins, or goes on after a restart.
    pub(crate) fn begin(&mut self, job: JobId) {
        self.jobs.insert(job, UnfoldedJob::default());
    }

    /// Takes a durable record.
    pub(crate) fn take(&mut self, record: &Record) {
        match &record.event {
            Event::ResultEmitted { job, result, .. } => {
                let Some(unfolded) = self.jobs.get_mut(job) else {
                    return;
                };
                unfolded.bytes += result.len();
                unfolded.records += 1;
                if unfolded.bytes < FOLD_BYTES && unfolded.records < FOLD_RECORDS {
                    return;
                }
                let Some(waits) = Waits::begin(&unfolded.waits) else {
                    return;
                };
                let (session, job) = (record.session, *job);
                let fold = Request::Fold {
                    log: self.log.clone(),
                    session,
                    job,
                    waits,
                };
                // If the thread is busy, the next result asks again.
                if self.screens.requests.try_send(fold).is_ok() {
                    (unfolded.bytes, unfolded.records) = (0, 0);
                }
            }
            Event::JobFinished { job, .. } if self.jobs.remove(job).is_some() => {
                // If the queue is full, the screen makes room for others.
                let _ = self.screens.requests.try_send(Request::Forget(*job));
            }
            _ => {}
        }
    }
}

#[derive(Debug)]
struct Worker {
    runtime: Arc<dyn Runtime>,
    committed: Arc<Committed>,
    /// Screens of running terminals.
    folds: BTreeMap<JobId, Fold>,
    kept: Arc<KeptScreens>,
    /// Screens that need more than one turn.
    slow: VecDeque<Wanted>,
    /// Grows with each request.
    turn: u64,
}

/// A screen that is to be computed.
#[derive(Debug)]
struct Wanted {
    log: ScreenLog,
    session: SessionId,
    view: JobView,
    /// None: as it is now.
    at: Option<Sequence>,
    to: Sequence,
    /// How far it has come; None if it is among those of running terminals.
    fold: Option<Fold>,
    /// When it is given up.
    until: Duration,
    purpose: Purpose,
}

/// What a screen is computed for.
#[derive(Debug)]
enum Purpose {
    /// To be up to date. While this waits, that need not be asked for again.
    Fold(#[expect(dead_code, reason = "ends when this is dropped")] Waits),
    /// For somebody who waits for it.
    Show(Reply),
}

/// How far a turn has come.
enum Computed {
    Partly,
    Folded,
    Shown(TerminalScreen),
}

/// A screen after the records up to a place.
#[derive(Debug)]
struct Fold {
    job: JobId,
    screen: Screen,
    after: Sequence,
    /// What was written up to there and is not in the screen yet, from `fed` on.
    rest: Vec<u8>,
    fed: usize,
    /// Bytes and records of results since a screen was logged.
    bytes: usize,
    records: usize,
    /// The length of the screen that was logged last.
    captured: usize,
    /// When it was last used.
    turn: u64,
    /// Whether the job has ended: nothing follows.
    is_over: bool,
}

/// A screen that was logged.
#[derive(Debug)]
struct Captured {
    /// Where it was logged.
    place: Sequence,
    /// The place that it is of.
    after: Sequence,
    size: TerminalSize,
    content: Arc<str>,
}

/// The end of the time that a terminal has.
struct Slice<'a> {
    runtime: &'a dyn Runtime,
    end: Duration,
}

impl Purpose {
    /// Whether no request waits for it any more.
    fn is_gone(&self) -> bool {
        match self {
            Self::Fold(_) => false,
            Self::Show(reply) => reply.is_canceled(),
        }
    }

    fn show(self, screen: TerminalScreen) {
        if let Self::Show(reply) = self {
            let _ = reply.send(Ok(screen));
        }
    }

    fn fail(self, error: ScreenError) {
        match self {
            Self::Fold(_) => tracing::debug!(%error, "a screen was not computed"),
            Self::Show(reply) => drop(reply.send(Err(error))),
        }
    }
}

impl Worker {
    async fn run(mut self, inbox: Receiver<Request>) {
        loop {
            // New requests come first: nearly all need one turn.
            let request = match inbox.try_recv() {
                Ok(request) => Some(request),
                Err(TryRecvError::Empty) if self.slow.is_empty() => match inbox.recv().await {
                    Ok(request) => Some(request),
                    Err(_) => return,
                },
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Closed) => return,
            };
            self.turn += 1;
            match request {
                Some(Request::Fold {
                    log,
                    session,
                    job,
                    waits,
                }) => self.want(log, session, job, None, Purpose::Fold(waits)),
                Some(Request::Forget(job)) => drop(self.folds.remove(&job)),
                Some(Request::Show {
                    log,
                    session,
                    job,
                    at,
                    reply,
                }) => self.want(log, session, job, at, Purpose::Show(reply)),
                None => {}
            }
            if let Some(wanted) = self.slow.pop_front() {
                self.advance(wanted);
            }
            let cells = self.folds.values().map(Fold::cells).sum();
            self.kept.cells.store(cells, Ordering::Relaxed);
            let screens = self.folds.len();
            self.kept.screens.store(screens, Ordering::Relaxed);
        }
    }

    fn want(
        &mut self,
        log: ScreenLog,
        session: SessionId,
        job: JobId,
        at: Option<Sequence>,
        purpose: Purpose,
    ) {
        let (view, last) = match self.job(session, job) {
            Ok(found) => found,
            Err(error) => return purpose.fail(error),
        };
        let at = at.filter(|at| *at < last);
        if at.is_some_and(|at| at < view.submitted) {
            let from = view.submitted;
            return purpose.fail(ScreenError::NotYet { from });
        }
        self.advance(Wanted {
            log,
            session,
            view,
            at,
            to: at.unwrap_or(last),
            fold: None,
            until: self.runtime.elapsed() + SCREEN_PATIENCE,
            purpose,
        });
    }

    /// Computes a screen for one turn. If that is not enough, goes on with it in its next turn.
    fn advance(&mut self, mut wanted: Wanted) {
        if wanted.purpose.is_gone() {
            return;
        }
        match self.compute(&mut wanted) {
            Ok(Computed::Partly) if self.slow.len() >= SLOW_SCREENS => {
                wanted.purpose.fail(ScreenError::Overloaded);
            }
            Ok(Computed::Partly) if self.runtime.elapsed() >= wanted.until => {
                wanted.purpose.fail(ScreenError::TooSlow);
            }
            Ok(Computed::Partly) => self.slow.push_back(wanted),
            Ok(Computed::Folded) => {}
            Ok(Computed::Shown(screen)) => wanted.purpose.show(screen),
            Err(error) => wanted.purpose.fail(error),
        }
    }

    fn compute(&mut self, wanted: &mut Wanted) -> Result<Computed, ScreenError> {
        let (session, to, job) = (wanted.session, wanted.to, wanted.view.job);
        let log = wanted.log.clone();
        let is_running = !matches!(wanted.view.state, JobState::Finished { .. });
        let is_kept = wanted.at.is_none() && is_running;
        let kept = match is_kept {
            true => self.folds.remove(&job),
            false => None,
        };
        let mut fold = match kept.or_else(|| wanted.fold.take()) {
            Some(fold) => fold,
            None => self.begin(&*log.reader, session, &wanted.view, to)?,
        };
        fold.turn = self.turn;
        let runtime = self.runtime.clone();
        let turn = Slice::begin(&*runtime);
        loop {
            let has_more = self.step(&*log.reader, session, &mut fold, to, &turn)?;
            // Also in between: a terminal may have written much since the last time.
            if is_kept {
                Self::capture(&log, session, &mut fold);
            }
            if !has_more {
                break;
            }
        }
        let computed = match (fold.is_at(to), &wanted.purpose) {
            (false, _) => Computed::Partly,
            (true, Purpose::Fold(_)) => Computed::Folded,
            (true, Purpose::Show(_)) => {
                // What follows up to there is of other jobs.
                fold.after = fold.after.max(to);
                Computed::Shown(TerminalScreen {
                    after: fold.after,
                    size: fold.size(),
                    content: fold.screen.content(),
                    text: fold.screen.text(),
                })
            }
        };
        match is_kept {
            true => self.keep(fold),
            false => wanted.fold = Some(fold),
        }
        Ok(computed)
    }

    /// Logs the screen of a running terminal if much was written since the last time.
    fn capture(log: &ScreenLog, session: SessionId, fold: &mut Fold) {
        let Some(reports) = &log.reports else {
            return;
        };
        let is_much = fold.bytes >= CAPTURE_BYTES || fold.records >= CAPTURE_RECORDS;
        // A screen may be large. The log never has more screens than output.
        if !is_much || fold.bytes < fold.captured || !fold.rest.is_empty() {
            return;
        }
        let content = fold.screen.content();
        let length = content.len();
        let capture = Command::ReportScreen {
            session,
            job: fold.job,
            after: fold.after,
            size: fold.size(),
            content: content.into(),
        };
        // If the sequencer is busy, a later screen is logged.
        if reports.try_send(capture).is_ok() {
            (fold.bytes, fold.records, fold.captured) = (0, 0, length);
        }
    }

    /// The job, and the last record of its session that readers may see.
    fn job(&self, session: SessionId, job: JobId) -> Result<(JobView, Sequence), ScreenError> {
        let found = self
            .committed
            .session(session, |view| (view.job(job).cloned(), view.last_sequence));
        let (job_view, last) = found.ok_or(ScreenError::SessionNotFound)?;
        let view = job_view.ok_or(ScreenError::JobNotFound(job))?;
        match view.output.terminal() {
            Some(_) => Ok((view, last)),
            None => Err(ScreenError::NoTerminal(job)),
        }
    }

    /// The screen from which the one at `to` is to be computed: the last one that was logged of a place up
    /// to there, or that of a new terminal.
    fn begin(
        &self,
        log: &dyn LogReader,
        session: SessionId,
        view: &JobView,
        to: Sequence,
    ) -> Result<Fold, ScreenError> {
        if let Some(last) = view.screen
            && let Some(captured) = self.nearest(log, session, view, last, to)?
        {
            return Ok(captured.fold(view.job));
        }
        let before = Sequence(view.submitted.0.saturating_sub(1));
        let records = self.read(log, session, before, ONE_RECORD)?;
        let size = match records.first().map(|record| &record.event) {
            Some(Event::JobSubmitted { output, .. }) => output.terminal(),
            _ => view.output.terminal(),
        };
        let size = size.ok_or(ScreenError::NoTerminal(view.job))?;
        Ok(Fold::new(view.job, size, view.submitted))
    }

    /// The logged screen that is nearest before `to`. The last one of all was logged at `last`.
    ///
    /// A screen is logged behind the place that it is of, and far behind where the program writes faster than
    /// screens are computed. Their order is that of their places, so that few of them have to be looked at.
    fn nearest(
        &self,
        log: &dyn LogReader,
        session: SessionId,
        view: &JobView,
        last: Sequence,
        to: Sequence,
    ) -> Result<Option<Captured>, ScreenError> {
        if last <= to {
            let before = Sequence(last.0.saturating_sub(1));
            if let Some(captured) =
                self.next_captured(log, session, view, before, last, PROBE_BYTES)?
            {
                return Ok(Some(captured));
            }
        }
        // Behind `to`. The nearest is logged in `low..=high`.
        let (mut low, mut high) = (to, last);
        let mut nearest: Option<Captured> = None;
        while low < high {
            // Probably it was logged as long after its place as the one before it.
            let guess = Sequence(to.0.saturating_add(nearest.as_ref().map_or(0, Captured::lag)));
            let middle = match low <= guess && guess < high {
                true => guess,
                false => Sequence(low.0 + (high.0 - low.0) / 2),
            };
            match self.next_captured(log, session, view, middle, high, PROBE_BYTES)? {
                Some(captured) if captured.after <= to => {
                    low = captured.place;
                    nearest = Some(captured);
                }
                _ => high = middle,
            }
        }
        if nearest.is_some() {
            return Ok(nearest);
        }
        // Before `to`, in larger and larger steps.
        let (mut end, mut step) = (to, FIRST_STEP);
        while end > view.submitted {
            let begin = Sequence(end.0.saturating_sub(step).max(view.submitted.0));
            let mut after = begin;
            while let Some(captured) =
                self.next_captured(log, session, view, after, end, u64::MAX)?
            {
                after = captured.place;
                nearest = Some(captured);
            }
            if nearest.is_some() {
                return Ok(nearest);
            }
            end = begin;
            step = (2 * step).min(LAST_STEP);
        }
        Ok(None)
    }

    /// The first screen of the job that was logged after `begin` and up to `end`, in so many bytes of records.
    fn next_captured(
        &self,
        log: &dyn LogReader,
        session: SessionId,
        view: &JobView,
        begin: Sequence,
        end: Sequence,
        bytes: u64,
    ) -> Result<Option<Captured>, ScreenError> {
        let (mut after, mut read) = (begin, 0);
        while after < end && read < bytes {
            let rest = usize::try_from(end.0 - after.0).unwrap_or(usize::MAX);
            let limit = ReadLimit {
                records: rest.min(STEP_READ.records),
                ..STEP_READ
            };
            let records = self.read(log, session, after, limit)?;
            let Some(last) = records.last() else {
                break;
            };
            after = last.sequence;
            read += records.iter().map(|record| record.bytes()).sum::<u64>();
            let captured = records
                .iter()
                .find_map(|record| Captured::of(view.job, record));
            if let Some(captured) = captured.filter(|captured| captured.place <= end) {
                return Ok(Some(captured));
            }
        }
        Ok(None)
    }

    /// Takes in some records up to `to`. False: there are no more, or the time of this turn is over.
    fn step(
        &self,
        log: &dyn LogReader,
        session: SessionId,
        fold: &mut Fold,
        to: Sequence,
        turn: &Slice<'_>,
    ) -> Result<bool, ScreenError> {
        let rest = Slice::begin(&*self.runtime);
        if !fold.write(&rest) || fold.is_at(to) {
            return Ok(false);
        }
        let records = self.read(log, session, fold.after, STEP_READ)?;
        let Some(last) = records.last() else {
            // The log has no record there.
            fold.after = to;
            return Ok(false);
        };
        // Reading is not the program's fault.
        let slice = Slice::begin(&*self.runtime);
        for record in records.iter().filter(|record| record.sequence <= to) {
            fold.take(record);
            if !fold.write(&slice) {
                return Ok(false);
            }
        }
        fold.after = last.sequence.min(to);
        Ok(!turn.is_over())
    }

    fn read(
        &self,
        log: &dyn LogReader,
        session: SessionId,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<Arc<Record>>, ScreenError> {
        let recent = self.committed.recent(session, after, limit);
        match recent.filter(|records| !records.is_empty()) {
            Some(records) => Ok(records),
            None => log
                .read(session, after, limit)
                .map_err(|error| ScreenError::Log(Arc::new(error))),
        }
    }

    /// Keeps the screen of a running terminal. If there is no room, the ones that were not used for the
    /// longest time go.
    fn keep(&mut self, fold: Fold) {
        self.folds.insert(fold.job, fold);
        let cells = |folds: &BTreeMap<JobId, Fold>| folds.values().map(Fold::cells).sum::<usize>();
        while self.folds.len() > 1
            && (self.folds.len() > SCREENS || cells(&self.folds) > SCREEN_CELLS)
        {
            let oldest = self.folds.values().min_by_key(|fold| fold.turn);
            let Some(oldest) = oldest.map(|fold| fold.job) else {
                return;
            };
            self.folds.remove(&oldest);
        }
    }
}

impl Fold {
    fn new(job: JobId, size: TerminalSize, after: Sequence) -> Self {
        Self {
            job,
            screen: Screen::new(size.columns, size.rows),
            after,
            rest: Vec::new(),
            fed: 0,
            bytes: 0,
            records: 0,
            captured: 0,
            turn: 0,
            is_over: false,
        }
    }

    /// Whether it has all that was written up to there.
    fn is_at(&self, to: Sequence) -> bool {
        self.rest.is_empty() && (self.after >= to || self.is_over)
    }

    /// Takes in what was written up to its place. False: the time is over.
    fn write(&mut self, slice: &Slice<'_>) -> bool {
        let piece = (PIECE_CELLS / self.cells()).clamp(4, 4_096);
        while let Some(rest) = self.rest.get(self.fed..).filter(|rest| !rest.is_empty()) {
            let (piece, _) = rest.split_at(piece.min(rest.len()));
            self.screen.feed(piece);
            self.fed += piece.len();
            if slice.is_over() {
                break;
            }
        }
        if self.fed < self.rest.len() {
            return false;
        }
        self.rest.clear();
        self.fed = 0;
        !slice.is_over()
    }

    fn size(&self) -> TerminalSize {
        let (columns, rows) = self.screen.size();
        TerminalSize { columns, rows }
    }

    fn cells(&self) -> usize {
        let (columns, rows) = self.screen.size();
        usize::from(columns) * usize::from(rows)
    }

    /// Takes a record, once all before is written.
    fn take(&mut self, record: &Record) {
        self.after = record.sequence;
        match &record.event {
            Event::ResultEmitted { job, result, .. } if *job == self.job => {
                self.bytes += result.len();
                self.records += 1;
                self.rest = written(result);
            }
            Event::JobFinished { job, .. } if *job == self.job => self.is_over = true,
            Event::TerminalResized { job, size, .. } if *job == self.job => {
                self.screen.resize(size.columns, size.rows);
            }
            _ => {}
        }
    }
}

impl Captured {
    /// A redacted one shows nothing.
    fn of(wanted: JobId, record: &Record) -> Option<Self> {
        match &record.event {
            Event::ScreenCaptured {
                job,
                after,
                size,
                content,
                ..
            } if *job == wanted && record.redacted.is_none() => Some(Self {
                place: record.sequence,
                after: *after,
                size: *size,
                content: content.clone(),
            }),
            _ => None,
        }
    }

    /// How many records after its place it was logged.
    fn lag(&self) -> u64 {
        self.place.0.saturating_sub(self.after.0)
    }

    fn fold(&self, job: JobId) -> Fold {
        let mut fold = Fold::new(job, self.size, self.after);
        fold.screen.feed(self.content.as_bytes());
        fold.captured = self.content.len();
        fold
    }
}

impl<'a> Slice<'a> {
    fn begin(runtime: &'a dyn Runtime) -> Self {
        Self {
            runtime,
            end: runtime.elapsed() + SCREEN_SLICE,
        }
    }

    fn is_over(&self) -> bool {
        self.runtime.elapsed() >= self.end
    }
}

/// How much is read at once for a screen that is computed.
const STEP_READ: ReadLimit = ReadLimit {
    records: 128,
    bytes: 64 * 1024,
};

const ONE_RECORD: ReadLimit = ReadLimit {
    records: 1,
    ..STEP_READ
};

/// How many records before a place are looked at first for a screen, and then at once.
const FIRST_STEP: u64 = 16;
const LAST_STEP: u64 = 512;

/// Bytes of records behind a place that are looked at for the next screen. Reading takes a hundredth of the
/// time that it takes to compute a screen from as many bytes.
const PROBE_BYTES: u64 = 64 * 1024 * 1024;

/// Characters of a screen times bytes that are written at once: a byte may cost the whole screen.
const PIECE_CELLS: usize = 2_000_000;

/// The bytes that a result of a terminal stands for; none if it is another result.
fn written(result: &str) -> Vec<u8> {
    #[derive(Deserialize)]
    struct Written<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        content: Option<Cow<'a, str>>,
        #[serde(borrow, rename = "contentBase64")]
        base64: Option<Cow<'a, str>>,
    }
    match serde_json::from_str(result) {
        Ok(Written {
            kind,
            content: Some(content),
            ..
        }) if kind == "terminal" => content.into_owned().into_bytes(),
        Ok(Written {
            kind,
            base64: Some(base64),
            ..
        }) if kind == "terminal" => STANDARD.decode(&*base64).unwrap_or_default(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SmolRuntime;
    use rejoin_core::{
        JobMode, JobOutput, JobSlot, Server, SessionNumber, Timestamp, Views, Visibility,
    };
    use rejoin_log::ReadError;
    use std::sync::atomic::AtomicU64;

    const SESSION: SessionId = SessionId::from_bytes([1; 16]);
    const JOB: JobId = JobId(1);
    const SIZE: TerminalSize = TerminalSize {
        columns: 20,
        rows: 5,
    };
    const MODE: JobMode = JobMode {
        slot: JobSlot::Foreground,
        visibility: Visibility::Session,
    };

    /// Records of one session; counts those that are read.
    #[derive(Debug)]
    struct CountedLog {
        records: Vec<Arc<Record>>,
        read: AtomicU64,
    }

    impl LogReader for CountedLog {
        fn read(
            &self,
            _: SessionId,
            after: Sequence,
            limit: ReadLimit,
        ) -> Result<Vec<Arc<Record>>, ReadError> {
            let after = usize::try_from(after.0).unwrap_or(usize::MAX);
            let rest = self.records.get(after..).unwrap_or_default();
            let mut bytes = 0;
            let mut read = vec![];
            for record in rest.iter().take(limit.records) {
                bytes += record.bytes();
                read.push(record.clone());
                if bytes >= limit.bytes as u64 {
                    break;
                }
            }
            self.read.fetch_add(read.len() as u64, Ordering::Relaxed);
            Ok(read)
        }

        fn sessions(&self, _: Option<SessionId>, _: usize) -> Vec<SessionId> {
            vec![SESSION]
        }
    }

    /// A terminal that has written much, and whose screens were logged at `places` as those of the other
    /// places.
    fn worker(last: u64, captured: &BTreeMap<u64, u64>) -> (Worker, Arc<CountedLog>, JobView) {
        let (mut views, mut records) = (Views::default(), vec![]);
        for sequence in 1..=last {
            let event = match (sequence, captured.get(&sequence)) {
                (1, _) => Event::SessionCreated {
                    number: SessionNumber(1),
                    service: "shell".into(),
                    user: None,
                    remote: None,
                    server: Server {
                        process: 1,
                        version: "1".into(),
                        node: None,
                    },
                    timeout: Duration::from_secs(1),
                },
                (2, _) => Event::JobSubmitted {
                    job: JOB,
                    mode: MODE,
                    statement: "top".into(),
                    timeout: Duration::from_secs(1),
                    output_limit: u64::MAX,
                    request: None,
                    input: true,
                    output: JobOutput::Terminal(SIZE),
                    controller: None,
                },
                (_, Some(after)) => Event::ScreenCaptured {
                    job: JOB,
                    mode: MODE,
                    after: Sequence(*after),
                    size: SIZE,
                    content: "".into(),
                },
                _ => Event::ResultEmitted {
                    job: JOB,
                    mode: MODE,
                    result: format!(r#"{{"content":"{}","type":"terminal"}}"#, "x".repeat(4_000))
                        .into(),
                    position: None,
                },
            };
            let record = Record {
                session: SESSION,
                sequence: Sequence(sequence),
                at: Timestamp::EPOCH,
                clock: Timestamp::EPOCH.into(),
                actor: None,
                redacted: None,
                event,
            };
            views.apply(&record);
            records.push(Arc::new(record));
        }
        let view = views.session(SESSION).unwrap().job(JOB).unwrap().clone();
        let log = Arc::new(CountedLog {
            records,
            read: AtomicU64::new(0),
        });
        let worker = Worker {
            runtime: Arc::new(SmolRuntime),
            committed: Arc::new(Committed::new(views, 0)),
            folds: BTreeMap::new(),
            kept: Arc::default(),
            slow: VecDeque::new(),
            turn: 0,
        };
        (worker, log, view)
    }

    #[test]
    fn a_screen_is_computed_from_the_one_that_is_nearest_before_however_late_that_was_logged() {
        const LAST: u64 = 6_000;
        const EACH: u64 = 64;
        let lags: [fn(u64) -> u64; 5] = [
            |_| 1,
            |_| 700,
            |after| after / 2,
            |after| LAST.saturating_sub(after) / 3,
            // In turns near and far; their order stays that of their places.
            |after| 1 + after % 7 * 9,
        ];
        for (number, lag) in lags.into_iter().enumerate() {
            let mut captured = BTreeMap::new();
            for after in (1..LAST / EACH).map(|place| place * EACH) {
                let next = captured.last_key_value().map_or(0, |(place, _)| place + 1);
                let place = (after + lag(after)).max(next);
                if place <= LAST {
                    captured.insert(place, after);
                }
            }
            let (worker, log, view) = worker(LAST, &captured);
            for to in (2..=LAST).step_by(37) {
                let before = log.read.load(Ordering::Relaxed);
                let fold = worker.begin(&*log, SESSION, &view, Sequence(to)).unwrap();
                let nearest = captured.values().filter(|after| **after <= to).max();
                let expected = nearest.copied().unwrap_or(2);
                assert_eq!(fold.after, Sequence(expected), "lag {number}, at {to}");
                let read = log.read.load(Ordering::Relaxed) - before;
                assert!(read <= 32 * EACH, "lag {number}, at {to}: {read} records");
            }
        }
    }
}
