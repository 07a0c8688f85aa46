//! The sequencer puts everything into one order: it takes commands, reports and timers, steps the
//! core, appends the records, and only then makes them visible.
//!
//! It blocks its thread while it appends. Requests that arrive in the meantime form the next batch,
//! so each sync carries all commands that arrived during the one before.

mod batch;

use crate::clock::{Clock, WallClock};
use crate::committed::Committed;
use crate::ending::Ending;
use crate::engine::JobsAtEnd;
use crate::error::Unavailable;
use crate::jobs::supervisor::Supervisor;
use crate::liveness::Liveness;
use crate::sequencer::batch::{Batch, Reply};
use crate::stats::{CommandKind, Counts};
use crate::trace::trace_record;
use crate::{Runtime, limits};
use async_channel::Receiver;
use futures::FutureExt;
use futures::channel::oneshot;
use rejoin_core::{Actor, Command, Instant, Moment, Sequence, SessionId, State};
use rejoin_log::{AppendError, Log};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is asked of the sequencer.
#[derive(Debug)]
pub(crate) enum Request {
    /// A client's command, and where to send the answer.
    Command {
        /// None: to know that no other writer has taken the log.
        command: Option<Command>,
        actor: Option<Arc<Actor>>,
        reply: Reply,
    },
    /// Which of some sessions are not removed.
    Kept(KeptQuestion),
}

/// Sessions, and where to send those of them that are not removed.
#[derive(Debug)]
pub(crate) struct KeptQuestion {
    pub(crate) sessions: Vec<SessionId>,
    pub(crate) reply: oneshot::Sender<Vec<SessionId>>,
}

/// What wakes the sequencer.
enum Input {
    Request(Request),
    Report(Command),
    /// The timer fired: something may be due.
    Tick,
    /// The engine is shutting down.
    End(JobsAtEnd),
}

#[derive(Debug)]
pub(crate) struct Sequencer {
    pub(crate) state: State,
    pub(crate) log: Box<dyn Log>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) committed: Arc<Committed>,
    pub(crate) liveness: Arc<Liveness>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) supervisor: Supervisor,
    pub(crate) requests: Receiver<Request>,
    pub(crate) reports: Receiver<Command>,
    pub(crate) end: Receiver<JobsAtEnd>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) wall: WallClock,
    pub(crate) cursors_logged: Instant,
    /// When it was last asked to give the log back, and a job ran.
    pub(crate) given_back: Option<Instant>,
    /// How many records the log has.
    pub(crate) position: Arc<AtomicU64>,
    /// Where is set why it ends.
    pub(crate) ending: Arc<Ending>,
    /// If set, no session expires, and cursors are not logged, because the log is discarded.
    pub(crate) read_only: bool,
}

impl Sequencer {
    /// Runs until the engine is shut down, or its log fails.
    pub(crate) async fn run(mut self) {
        let mut jobs = JobsAtEnd::Kept;
        let ending = loop {
            let input = match self.may_be_given_back() {
                true => Input::End(JobsAtEnd::Idle),
                false => self.wait().await,
            };
            let input = match input {
                Input::End(JobsAtEnd::Idle) if self.is_busy() => {
                    self.given_back = Some(self.clock.instant());
                    Input::Tick
                }
                input => input,
            };
            if let Input::End(end) = input {
                jobs = end;
            }
            // After a failed assertion the state in memory can't be trusted: stop.
            match catch_unwind(AssertUnwindSafe(|| self.turn(input))) {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => break Unavailable::ShuttingDown,
                Ok(Err(error @ AppendError::Fenced(_))) => {
                    // Its jobs are lost there, so they must not go on here.
                    jobs = JobsAtEnd::Lost;
                    break Unavailable::LogFailed(Arc::new(error));
                }
                Ok(Err(error)) => break Unavailable::LogFailed(Arc::new(error)),
                Err(_) => break Unavailable::Broken,
            }
        };
        self.log_ending(&ending);
        // After a failure, too, jobs that outlive the engine go on at the next start.
        self.supervisor.end(jobs);
        self.requests.close();
        self.reports.close();
        // Handles of the engine keep the queue alive: requests left in it would wait forever.
        while self.requests.try_recv().is_ok() {}
        // Before the end is announced, because the log may be opened again from then on.
        drop(self.log);
        self.committed.end_log(&self.ending, ending);
    }

    fn log_ending(&self, ending: &Unavailable) {
        let is_only = Arc::ptr_eq(&self.ending, self.committed.ending());
        match ending {
            Unavailable::ShuttingDown => {}
            // One of several nodes goes on as a reader of the log, and says that itself.
            Unavailable::LogFailed(error) if !is_only => match &**error {
                AppendError::Fenced(_) => tracing::debug!("{error}"),
                // It does not wait for its servers any more.
                error if self.committed.is_closing() => tracing::debug!("{error}"),
                error => tracing::error!(%error, "a log has failed, and is opened again"),
            },
            ending => tracing::error!("{ending}"),
        }
    }

    async fn wait(&mut self) -> Input {
        // In a read-only engine, sessions that are due stay open.
        let next = self.state.next_deadline().filter(|_| !self.read_only);
        let sleep = next.map_or(limits::TICK, |due| {
            due.since(self.clock.instant())
                .clamp(SHORTEST_SLEEP, limits::TICK)
        });
        let mut tick = self.runtime.timer(sleep).fuse();
        futures::select_biased! {
            end = self.end.recv().fuse() => {
                Input::End(end.unwrap_or(JobsAtEnd::Kept))
            }
            () = tick => Input::Tick,
            report = self.reports.recv().fuse() => report.map_or(ENDED, Input::Report),
            request = self.requests.recv().fuse() => request.map_or(ENDED, Input::Request),
        }
    }

    /// Runs one batch: the input, and all that has arrived by now. Returns whether to continue.
    fn turn(&mut self, input: Input) -> Result<bool, AppendError> {
        let mut batch = Batch::default();
        let is_end = matches!(input, Input::End(_));
        // What comes with it could begin a job, and is for the next writer of the log.
        let is_last = matches!(input, Input::End(JobsAtEnd::Idle));
        self.take(&mut batch, input);
        // In each batch, because under load the timer never fires.
        self.keep_time(&mut batch, is_end);
        if !is_last {
            self.gather(&mut batch);
        }
        self.commit(batch)?;
        if is_end {
            self.log.close()?;
        }
        Ok(!is_end)
    }

    /// Takes all that has arrived by now, or as much as a batch holds.
    fn gather(&mut self, batch: &mut Batch) {
        loop {
            let report = self.reports.try_recv().map(Input::Report).ok();
            let request = self.requests.try_recv().map(Input::Request).ok();
            if report.is_none() && request.is_none() {
                break;
            }
            report
                .into_iter()
                .chain(request)
                .for_each(|input| self.take(batch, input));
            if batch.is_full() {
                break;
            }
        }
    }

    /// Whether it was just asked for the log, and no job runs any more.
    fn may_be_given_back(&self) -> bool {
        let asked = self.given_back;
        let is_new = |asked| self.clock.instant().since(asked) < limits::GIVING_BACK;
        asked.is_some_and(is_new) && !self.is_busy()
    }

    fn is_busy(&self) -> bool {
        let mut sessions = self.state.sessions();
        sessions.any(|(_, session)| session.jobs().next().is_some())
    }

    fn take(&mut self, batch: &mut Batch, input: Input) {
        let now = self.now();
        match input {
            Input::Request(Request::Kept(question)) => batch.kept.push(question),
            Input::Request(Request::Command {
                command,
                actor,
                reply,
            }) => match command {
                Some(command) => {
                    self.decide_for(actor.as_ref(), batch, now, command, Some(reply));
                }
                None => batch.confirm(reply),
            },
            // A report is refused if its job has finished by now.
            Input::Report(command) => {
                if let Command::ReportResult {
                    job,
                    position: Some(position),
                    ..
                } = command
                {
                    batch.positions.push((job, position));
                }
                self.decide(batch, now, command, None);
            }
            Input::Tick | Input::End(_) => {}
        }
    }

    fn decide(&mut self, batch: &mut Batch, now: Moment, command: Command, reply: Option<Reply>) {
        self.decide_for(None, batch, now, command, reply);
    }

    fn decide_for(
        &mut self,
        actor: Option<&Arc<Actor>>,
        batch: &mut Batch,
        now: Moment,
        command: Command,
        reply: Option<Reply>,
    ) {
        let kind = CommandKind::of(&command);
        let outcome = self.state.step_for(actor, now, command);
        self.counts.decided(kind, &outcome);
        batch.take(outcome, reply);
    }

    /// Reads the clocks, and says so if the wall clock was set.
    fn now(&mut self) -> Moment {
        let (now, jump) = self.wall.read();
        let behind = self.state.last().at.since(now.at);
        self.counts.wall_clock(jump, behind);
        now
    }

    fn keep_time(&mut self, batch: &mut Batch, is_end: bool) {
        let now = self.now();
        let is_tick = now.clock.since(self.cursors_logged) >= limits::TICK;
        if (is_tick || is_end) && !self.read_only {
            self.cursors_logged = now.clock;
            for command in self.liveness.take_unlogged() {
                self.decide(batch, now, command, None);
            }
        }
        // All that is due, not only what one `Expire` handles: activity must be in the log before it
        // is decided what expires.
        let due: Vec<_> = match self.read_only {
            true => self.state.due_consumers(now).collect(),
            false => self.state.due(now).collect(),
        };
        if due.is_empty() {
            return;
        }
        for command in due
            .into_iter()
            .filter_map(|due| self.liveness.before_expiry(due, now.clock))
            .collect::<Vec<_>>()
        {
            self.decide(batch, now, command, None);
        }
        let expire = if self.read_only {
            Command::ExpireConsumers
        } else {
            Command::Expire
        };
        self.decide(batch, now, expire, None);
    }

    /// Appends the batch, or makes sure that the log is still this engine's, then makes it visible, executes its effects and answers.
    ///
    /// Invariant: nothing is visible, executed or answered before it is durable.
    fn commit(&mut self, mut batch: Batch) -> Result<(), AppendError> {
        if !batch.records.is_empty() {
            self.log.append(&batch.records)?;
            self.counts.batch(&batch.records);
            self.committed.commit(&batch.records);
            let count = batch.records.len() as u64;
            self.position.fetch_add(count, Ordering::SeqCst);
            let effects = std::mem::take(&mut batch.effects);
            self.supervisor.carry_out(effects, &batch.records);
            for record in &batch.records {
                trace_record(record);
                self.liveness.apply(record);
            }
        } else if batch.has_replies() {
            // A refusal may be wrong if another node writes the log.
            self.log.confirm()?;
        }
        for (job, position) in std::mem::take(&mut batch.positions) {
            self.supervisor.settle(job, position);
        }
        // The state is what is durable now.
        for KeptQuestion { sessions, reply } in std::mem::take(&mut batch.kept) {
            let is_kept =
                |session: &SessionId| self.state.last_sequence(*session) > Sequence::START;
            let _ = reply.send(sessions.into_iter().filter(is_kept).collect());
        }
        batch.reply();
        Ok(())
    }
}

/// All handles to the engine were dropped.
const ENDED: Input = Input::End(JobsAtEnd::Kept);

/// Keeps the sequencer from spinning on a deadline that has passed but can't be handled yet.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);
