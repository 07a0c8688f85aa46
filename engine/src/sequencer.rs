//! The one place where things happen in order: takes whatever can wake the engine, steps the core,
//! appends, and only then lets anything be seen.
//!
//! It blocks its thread while it appends. Requests that arrive meanwhile are the next batch, so
//! one sync carries as many commands as came in while the one before it ran.

use crate::activity::Activity;
use crate::batch::{Batch, Reply};
use crate::error::Unavailable;
use crate::published::Published;
use crate::stats::CommandKind;
use crate::supervisor::Supervisor;
use crate::{Runtime, journal, limits};
use async_channel::Receiver;
use futures::FutureExt;
use rejoin_core::{Command, Event, State, Timestamp};
use rejoin_log::{AppendError, Log};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// A client's command, and who asked.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) command: Command,
    pub(crate) reply: Reply,
}

/// What can wake the sequencer.
enum Input {
    Request(Request),
    Report(Command),
    /// The timer: something may be due.
    Tick,
    /// The engine was told to end.
    End,
}

#[derive(Debug)]
pub(crate) struct Sequencer {
    pub(crate) state: State,
    pub(crate) log: Box<dyn Log>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) published: Arc<Published>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) supervisor: Supervisor,
    pub(crate) requests: Receiver<Request>,
    pub(crate) reports: Receiver<Command>,
    pub(crate) end: Receiver<()>,
    pub(crate) cursors_logged: Timestamp,
    /// No session ends by itself then, and cursors are not worth a record: the log is forgotten.
    pub(crate) read_only: bool,
}

impl Sequencer {
    /// Runs until the engine is told to end, or its log fails.
    pub(crate) async fn run(mut self) {
        let ending = loop {
            let input = self.wait().await;
            // A broken promise stops the engine: what it holds in memory is not to be trusted.
            match catch_unwind(AssertUnwindSafe(|| self.turn(input))) {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => break Unavailable::ShuttingDown,
                Ok(Err(error)) => break Unavailable::LogFailed(Arc::new(error)),
                Err(_) => break Unavailable::Broken,
            }
        };
        if !matches!(ending, Unavailable::ShuttingDown) {
            tracing::error!("{ending}");
        }
        self.supervisor.interrupt_all();
        self.requests.close();
        self.reports.close();
        // Handles keep the queue alive: who still waits in it would wait for ever.
        while self.requests.try_recv().is_ok() {}
        // Last: whoever is told that the engine has ended may open its log.
        drop(self.log);
        self.published.end(ending);
    }

    async fn wait(&mut self) -> Input {
        // Of a log that is only read, sessions stay due for ever.
        let next = self.state.next_deadline().filter(|_| !self.read_only);
        let sleep = next.map_or(limits::TICK, |due| {
            due.since(self.runtime.now())
                .clamp(SHORTEST_SLEEP, limits::TICK)
        });
        let mut tick = self.runtime.timer(sleep).fuse();
        futures::select_biased! {
            end = self.end.recv().fuse() => { let _ = end; Input::End }
            () = tick => Input::Tick,
            report = self.reports.recv().fuse() => report.map_or(Input::End, Input::Report),
            request = self.requests.recv().fuse() => request.map_or(Input::End, Input::Request),
        }
    }

    /// One batch: the input, and whatever else is there by now. Whether to go on.
    fn turn(&mut self, input: Input) -> Result<bool, AppendError> {
        let mut batch = Batch::default();
        let is_end = matches!(input, Input::End);
        self.take(&mut batch, input);
        // Not only when the timer has woken: under load it never does.
        self.keep_time(&mut batch, is_end);
        loop {
            let report = self.reports.try_recv().map(Input::Report).ok();
            let request = self.requests.try_recv().map(Input::Request).ok();
            if report.is_none() && request.is_none() {
                break;
            }
            report
                .into_iter()
                .chain(request)
                .for_each(|input| self.take(&mut batch, input));
            if batch.is_full() {
                break;
            }
        }
        self.commit(batch)?;
        if is_end {
            self.log.close()?;
        }
        Ok(!is_end)
    }

    fn take(&mut self, batch: &mut Batch, input: Input) {
        let now = self.runtime.now();
        match input {
            Input::Request(Request { command, reply }) => {
                self.decide(batch, now, command, Some(reply));
            }
            // Refused reports are those of jobs that have been finished for them.
            Input::Report(command) => self.decide(batch, now, command, None),
            Input::Tick | Input::End => {}
        }
    }

    fn decide(
        &mut self,
        batch: &mut Batch,
        now: Timestamp,
        command: Command,
        reply: Option<Reply>,
    ) {
        let kind = CommandKind::of(&command);
        let outcome = self.state.step(now, command);
        self.published.counts.decided(kind, &outcome);
        batch.take(outcome, reply);
    }

    fn keep_time(&mut self, batch: &mut Batch, is_end: bool) {
        let now = self.runtime.now();
        // A clock that was set back must not keep cursors from being logged.
        let is_tick = now < self.cursors_logged || now.since(self.cursors_logged) >= limits::TICK;
        if (is_tick || is_end) && !self.read_only {
            self.cursors_logged = now;
            for command in self.activity.take_unlogged() {
                self.decide(batch, now, command, None);
            }
        }
        // As the core judges it: a clock that was set back does not take back what is due.
        let now = now.max(self.state.last_at());
        // All that is due, not only as much as one `Expire` handles: nobody is expired for what
        // the log has not been told.
        let due: Vec<_> = match self.read_only {
            true => self.state.due_consumers(now).collect(),
            false => self.state.due(now).collect(),
        };
        if due.is_empty() {
            return;
        }
        for command in due
            .into_iter()
            .filter_map(|due| self.activity.before_expiry(due, now))
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

    /// Nothing is told, shown or done before it is durable.
    fn commit(&mut self, mut batch: Batch) -> Result<(), AppendError> {
        if !batch.records.is_empty() {
            self.activity.stamp(self.state.last_at());
            self.log.append(&batch.records)?;
            self.published.counts.batch(batch.records.len());
            self.published.publish(&batch.records);
            self.supervisor
                .carry_out(std::mem::take(&mut batch.effects), &batch.records);
            for record in &batch.records {
                journal::note(record);
                self.published.counts.record(record);
                match record.event {
                    Event::ConsumerLeft { consumer, .. } => {
                        self.activity.forget_consumer(record.session, consumer);
                    }
                    Event::SessionClosed { .. } => self.activity.forget_session(record.session),
                    _ => {}
                }
            }
        }
        batch.reply();
        Ok(())
    }
}

/// A deadline that has passed and could not be handled at once must not spin.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);
