//! What terminals show: a fold of the log, computed on one thread for all of them.
//!
//! A screen depends on all that its program has written, which may be gigabytes. So the screens of
//! running terminals are kept up to date, and now and then one is logged ([`Event::ScreenCaptured`]).
//! Any other screen is computed from the last one that was logged before it.
//!
//! Invariant: a screen is what the records up to its place lead to, however it is computed.

use crate::Runtime;
use crate::committed::Committed;
use crate::error::ScreenError;
use crate::limits::{
    CAPTURE_BYTES, CAPTURE_RECORDS, FOLD_BYTES, FOLD_RECORDS, SCREEN_CELLS, SCREEN_READ,
    SCREEN_REQUESTS, SCREENS,
};
use async_channel::{Receiver, Sender, TrySendError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::channel::oneshot;
use rejoin_core::{Command, Event, JobId, JobView, Record, Sequence, SessionId, TerminalSize};
use rejoin_log::LogReader;
use rejoin_screen::Screen;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

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
pub(crate) struct Screens(Sender<Request>);

#[derive(Debug)]
enum Request {
    /// A running terminal has written much: take it in.
    Fold { session: SessionId, job: JobId },
    /// The job has ended: its screen is computed anew when somebody asks for it.
    Forget(JobId),
    Show {
        session: SessionId,
        job: JobId,
        at: Option<Sequence>,
        reply: oneshot::Sender<Result<TerminalScreen, ScreenError>>,
    },
}

impl Screens {
    pub(crate) fn start(
        runtime: &Arc<dyn Runtime>,
        committed: Arc<Committed>,
        log: Arc<dyn LogReader>,
        reports: Sender<Command>,
    ) -> Self {
        let (requests, inbox) = async_channel::bounded(SCREEN_REQUESTS);
        let worker = Worker {
            committed,
            log,
            reports,
            folds: BTreeMap::new(),
            turn: 0,
        };
        runtime.spawn_dedicated("rejoin-screens", Box::pin(worker.run(inbox)));
        Self(requests)
    }

    /// What the terminal shows after `at`, or now.
    pub(crate) async fn show(
        &self,
        session: SessionId,
        job: JobId,
        at: Option<Sequence>,
    ) -> Result<TerminalScreen, ScreenError> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Show {
            session,
            job,
            at,
            reply,
        };
        match self.0.try_send(request) {
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
    jobs: BTreeMap<JobId, (usize, usize)>,
}

impl Unfolded {
    pub(crate) const fn new(screens: Screens) -> Self {
        let jobs = BTreeMap::new();
        Self { screens, jobs }
    }

    /// A job with a terminal begins, or goes on after a restart.
    pub(crate) fn begin(&mut self, job: JobId) {
        self.jobs.insert(job, (0, 0));
    }

    /// Takes a durable record.
    pub(crate) fn take(&mut self, record: &Record) {
        match &record.event {
            Event::ResultEmitted { job, result, .. } => {
                let Some((bytes, records)) = self.jobs.get_mut(job) else {
                    return;
                };
                *bytes += result.len();
                *records += 1;
                if *bytes < FOLD_BYTES && *records < FOLD_RECORDS {
                    return;
                }
                let (session, job) = (record.session, *job);
                // If the thread is busy, the next result asks again.
                if self
                    .screens
                    .0
                    .try_send(Request::Fold { session, job })
                    .is_ok()
                {
                    (*bytes, *records) = (0, 0);
                }
            }
            Event::JobFinished { job, .. } if self.jobs.remove(job).is_some() => {
                // If the queue is full, the screen makes room for others.
                let _ = self.screens.0.try_send(Request::Forget(*job));
            }
            _ => {}
        }
    }
}

#[derive(Debug)]
struct Worker {
    committed: Arc<Committed>,
    log: Arc<dyn LogReader>,
    reports: Sender<Command>,
    /// Screens of running terminals.
    folds: BTreeMap<JobId, Fold>,
    /// Grows with each request.
    turn: u64,
}

/// A screen after the records up to a place.
#[derive(Debug)]
struct Fold {
    job: JobId,
    screen: Screen,
    after: Sequence,
    /// Bytes and records of results since a screen was logged.
    bytes: usize,
    records: usize,
    /// When it was last used.
    turn: u64,
    /// Whether the job has ended: nothing follows.
    is_over: bool,
}

impl Worker {
    async fn run(mut self, inbox: Receiver<Request>) {
        while let Ok(request) = inbox.recv().await {
            self.turn += 1;
            match request {
                Request::Fold { session, job } => {
                    if let Err(error) = self.fold(session, job).await {
                        tracing::debug!(%session, %job, %error, "a screen was not computed");
                    }
                }
                Request::Forget(job) => drop(self.folds.remove(&job)),
                Request::Show {
                    session,
                    job,
                    at,
                    reply,
                } => {
                    let _ = reply.send(self.show(session, job, at));
                }
            }
        }
    }

    /// Takes in what a running terminal has written, and logs its screen if that is much.
    async fn fold(&mut self, session: SessionId, job: JobId) -> Result<(), ScreenError> {
        let (view, last) = self.job(session, job)?;
        let mut fold = match self.folds.remove(&job) {
            Some(fold) => fold,
            None => self.begin(session, &view, last)?,
        };
        fold.turn = self.turn;
        // Also in between: a terminal may have written much since the last time.
        while self.step(session, &mut fold, last)? {
            if fold.bytes >= CAPTURE_BYTES || fold.records >= CAPTURE_RECORDS {
                let capture = Command::ReportScreen {
                    session,
                    job,
                    after: fold.after,
                    size: fold.size(),
                    content: fold.screen.content().into(),
                };
                let _ = self.reports.send(capture).await;
                (fold.bytes, fold.records) = (0, 0);
            }
        }
        self.keep(fold);
        Ok(())
    }

    fn show(
        &mut self,
        session: SessionId,
        job: JobId,
        at: Option<Sequence>,
    ) -> Result<TerminalScreen, ScreenError> {
        let (view, last) = self.job(session, job)?;
        let at = at.filter(|at| *at < last);
        if at.is_some_and(|at| at < view.submitted) {
            return Err(ScreenError::NotYet {
                from: view.submitted,
            });
        }
        let kept = match at {
            None => self.folds.remove(&job),
            Some(_) => None,
        };
        let to = at.unwrap_or(last);
        let mut fold = match kept {
            Some(fold) => fold,
            None => self.begin(session, &view, to)?,
        };
        self.advance(session, &mut fold, to)?;
        let shown = TerminalScreen {
            after: to,
            size: fold.size(),
            content: fold.screen.content(),
            text: fold.screen.text(),
        };
        let is_running = !matches!(view.state, rejoin_core::JobState::Finished { .. });
        if at.is_none() && is_running {
            self.keep(fold);
        }
        Ok(shown)
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
    fn begin(&self, session: SessionId, view: &JobView, to: Sequence) -> Result<Fold, ScreenError> {
        if let Some(place) = view.screen.filter(|place| *place <= to) {
            let before = Sequence(place.0.saturating_sub(1));
            if let Some(fold) = self.captured(session, view, before, place, to)? {
                return Ok(fold);
            }
        }
        // A screen is logged a while after the place that it is of.
        if view.screen.is_some_and(|place| place > to) {
            let end = Sequence(to.0 + SCREEN_READ.records as u64);
            if let Some(fold) = self.captured(session, view, to, end, to)? {
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
            if let Some(fold) = self.captured(session, view, begin, end, to)? {
                return Ok(fold);
            }
            end = begin;
        }
        let before = Sequence(view.submitted.0.saturating_sub(1));
        let records = self.read(session, before)?;
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
        session: SessionId,
        view: &JobView,
        begin: Sequence,
        end: Sequence,
        to: Sequence,
    ) -> Result<Option<Fold>, ScreenError> {
        let mut found = None;
        let mut after = begin;
        while after < end {
            let records = self.read(session, after)?;
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

    /// Takes in the records up to `to`.
    fn advance(
        &self,
        session: SessionId,
        fold: &mut Fold,
        to: Sequence,
    ) -> Result<(), ScreenError> {
        fold.turn = self.turn;
        while self.step(session, fold, to)? {}
        fold.after = to;
        Ok(())
    }

    /// Takes in some records up to `to`. False: there are no more.
    fn step(&self, session: SessionId, fold: &mut Fold, to: Sequence) -> Result<bool, ScreenError> {
        if fold.after >= to || fold.is_over {
            return Ok(false);
        }
        let records = self.read(session, fold.after)?;
        let Some(last) = records.last().map(|last| last.sequence) else {
            return Ok(false);
        };
        for record in records.iter().filter(|record| record.sequence <= to) {
            fold.take(record);
        }
        fold.after = last.min(to);
        Ok(true)
    }

    fn read(&self, session: SessionId, after: Sequence) -> Result<Vec<Arc<Record>>, ScreenError> {
        let recent = self.committed.recent(session, after, SCREEN_READ);
        match recent.filter(|records| !records.is_empty()) {
            Some(records) => Ok(records),
            None => self
                .log
                .read(session, after, SCREEN_READ)
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
            bytes: 0,
            records: 0,
            turn: 0,
            is_over: false,
        }
    }

    fn size(&self) -> TerminalSize {
        let (columns, rows) = self.screen.size();
        TerminalSize { columns, rows }
    }

    fn cells(&self) -> usize {
        let (columns, rows) = self.screen.size();
        usize::from(columns) * usize::from(rows)
    }

    fn take(&mut self, record: &Record) {
        match &record.event {
            Event::ResultEmitted { job, result, .. } if *job == self.job => {
                self.bytes += result.len();
                self.records += 1;
                self.screen.feed(&written(result));
            }
            Event::JobFinished { job, .. } if *job == self.job => self.is_over = true,
            Event::TerminalResized { job, size, .. } if *job == self.job => {
                self.screen.resize(size.columns, size.rows);
            }
            _ => {}
        }
    }
}

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
