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
    SCREEN_READ, SCREEN_REQUESTS, SCREEN_SLICE, SCREENS, SLOW_SCREENS,
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
    /// To be up to date. While this waits, nobody has to ask for that again.
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
    /// When it was last used.
    turn: u64,
    /// Whether the job has ended: nothing follows.
    is_over: bool,
}

/// The end of the time that a terminal has.
struct Slice<'a> {
    runtime: &'a dyn Runtime,
    end: Duration,
}

impl Purpose {
    /// Whether nobody waits for it any more.
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
        if !is_much || !fold.rest.is_empty() {
            return;
        }
        let capture = Command::ReportScreen {
            session,
            job: fold.job,
            after: fold.after,
            size: fold.size(),
            content: fold.screen.content().into(),
        };
        // If the sequencer is busy, a later screen is logged.
        if reports.try_send(capture).is_ok() {
            (fold.bytes, fold.records) = (0, 0);
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

    /// The screen from which the one at `to` is to be computed: the last one that was logged up to there,
    /// or that of a new terminal.
    fn begin(
        &self,
        log: &dyn LogReader,
        session: SessionId,
        view: &JobView,
        to: Sequence,
    ) -> Result<Fold, ScreenError> {
        if let Some(place) = view.screen.filter(|place| *place <= to) {
            let before = Sequence(place.0.saturating_sub(1));
            if let Some(fold) = self.captured(log, session, view, before, place, to)? {
                return Ok(fold);
            }
        }
        // A screen is logged a while after the place that it is of.
        if view.screen.is_some_and(|place| place > to) {
            let end = Sequence(to.0 + SCREEN_READ.records as u64);
            if let Some(fold) = self.captured(log, session, view, to, end, to)? {
                return Ok(fold);
            }
        }
        // Backwards: a screen is logged so often that it is near.
        let mut end = match view.screen {
            Some(_) => to,
            None => view.submitted,
        };
        while end > view.submitted {
            let begin = end.0.saturating_sub(SCREEN_READ.records as u64);
            let begin = Sequence(begin.max(view.submitted.0));
            if let Some(fold) = self.captured(log, session, view, begin, end, to)? {
                return Ok(fold);
            }
            end = begin;
        }
        let before = Sequence(view.submitted.0.saturating_sub(1));
        let records = self.read(log, session, before, SCREEN_READ)?;
        let size = match records.first().map(|record| &record.event) {
            Some(Event::JobSubmitted { output, .. }) => output.terminal(),
            _ => view.output.terminal(),
        };
        let size = size.ok_or(ScreenError::NoTerminal(view.job))?;
        Ok(Fold::new(view.job, size, view.submitted))
    }

    /// The last screen of the job that was logged after `begin` and up to `end`, and is of a place up to
    /// `to`.
    fn captured(
        &self,
        log: &dyn LogReader,
        session: SessionId,
        view: &JobView,
        begin: Sequence,
        end: Sequence,
        to: Sequence,
    ) -> Result<Option<Fold>, ScreenError> {
        let mut found = None;
        let mut after = begin;
        while after < end {
            let records = self.read(log, session, after, SCREEN_READ)?;
            let Some(last) = records.last() else {
                break;
            };
            after = last.sequence;
            // A redacted one shows nothing.
            let is_wanted =
                |record: &&Arc<Record>| record.sequence <= end && record.redacted.is_none();
            for record in records.iter().filter(is_wanted) {
                if let Event::ScreenCaptured {
                    job,
                    after,
                    size,
                    content,
                    ..
                } = &record.event
                    && *job == view.job
                    && *after <= to
                {
                    let mut fold = Fold::new(*job, *size, *after);
                    fold.screen.feed(content.as_bytes());
                    found = Some(fold);
                }
            }
        }
        Ok(found)
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
