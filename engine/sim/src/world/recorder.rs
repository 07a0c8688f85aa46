//! A log that reports every append to the checker before the engine learns of the result.

use super::World;
use rejoin_core::{CloseCause, Event, InterruptCause, LeaveCause, Outcome, Record};
use rejoin_log::{AppendError, ClockAnchor, Log, LogReader};
use std::io;
use std::sync::Arc;

/// The real log, observed.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) world: Arc<World>,
    pub(crate) log: Box<dyn Log>,
}

impl Log for Recorder {
    fn append(&mut self, records: &[Arc<Record>]) -> Result<(), AppendError> {
        let (elapsed, wall) = (self.world.clock.elapsed(), self.world.clock.now());
        {
            let mut checker = self.world.checker();
            if checker.log_failed {
                checker.fail("promise 11: the engine goes on after a failed append".to_owned());
            }
            let checker = &mut *checker;
            checker.model.begin_append(records);
            for record in records {
                checker.check_clock(record.clock, elapsed);
                let shown = checker.clocks.decide(record, elapsed, wall);
                checker.report(shown);
                let expired = checker.readers.expire(record, elapsed, &checker.model);
                checker.report(expired);
            }
        }
        let appended = self.log.append(records);
        let mut checker = self.world.checker();
        let checker = &mut *checker;
        match &appended {
            Ok(()) => {
                let committed = checker.model.commit_pending(&checker.kept);
                checker.report(committed);
                checker.check_kept();
                for record in records {
                    let submitted = checker.runs.submit(record, &checker.model);
                    checker.report(submitted);
                    let finished = checker.runs.finish(record, &checker.model);
                    checker.report(finished);
                    checker.coverage.count(name(record));
                    if record.actor.is_some() {
                        checker.coverage.count("actor: in the log");
                    }
                    checker
                        .trace
                        .note(self.world.steps(), format_args!("durable {record:?}"));
                }
            }
            Err(error) => {
                checker.log_failed = true;
                if let AppendError::Refused(_) = error {
                    let discarded = checker.model.discard_pending();
                    checker.report(discarded);
                }
                checker
                    .trace
                    .note(self.world.steps(), format_args!("not durable: {error}"));
            }
        }
        appended
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        self.log.reader()
    }

    fn close(&mut self) -> Result<(), AppendError> {
        let closed = self.log.close();
        if closed.is_err() {
            self.world.checker().log_failed = true;
        }
        closed
    }

    fn clock_anchor(&self) -> Option<ClockAnchor> {
        let anchor = self.log.clock_anchor();
        let clock = &self.world.clock;
        if let Some(anchor) = anchor.filter(|anchor| anchor.boot == clock.boot()) {
            let since = clock.stopwatch().saturating_sub(anchor.elapsed);
            let elapsed = clock.elapsed().saturating_sub(since);
            self.world.checker().clocks.anchor(elapsed);
        }
        anchor
    }

    fn keep_clock_anchor(&mut self, anchor: &ClockAnchor) -> io::Result<()> {
        self.log.keep_clock_anchor(anchor)
    }
}

/// The name of the event in the coverage.
fn name(record: &Record) -> &'static str {
    let Record { event, actor, .. } = record;
    match event {
        Event::ConsumerJoined { .. } => "event: consumer joined",
        Event::ConsumerLeft { cause, .. } => match cause {
            LeaveCause::Left => "event: consumer left, by itself",
            LeaveCause::Expired => "event: consumer left, expired",
            LeaveCause::SessionClosed => "event: consumer left, as the session was closed",
        },
        Event::CursorAdvanced { .. } => "event: cursor advanced",
        Event::InputWritten { .. } => "event: input written",
        Event::LeftoversChosen { .. } => "event: leftovers chosen",
        Event::InputHidden { .. } => "event: input hidden",
        Event::TerminalResized { .. } => "event: terminal resized",
        Event::ControllerChanged { .. } => "event: controller changed",
        Event::ScreenCaptured { .. } => "event: screen captured",
        Event::InterruptRequested { cause, .. } => match cause {
            InterruptCause::Requested => "event: interrupt, requested",
            InterruptCause::Timeout => "event: interrupt, for timeout",
            InterruptCause::OutputLimit => "event: interrupt, for output",
            InterruptCause::SessionClosed => "event: interrupt, for the session's end",
            InterruptCause::Shutdown => "event: interrupt, for shutdown",
        },
        Event::JobFinished { outcome, .. } => match outcome {
            Outcome::Completed => "event: job finished, completed",
            Outcome::Failed => "event: job finished, failed",
            Outcome::Interrupted => "event: job finished, interrupted",
            Outcome::TimedOut => "event: job finished, timed out",
            Outcome::Lost => "event: job finished, lost",
        },
        Event::JobStarted { .. } => "event: job started",
        Event::JobSubmitted { .. } => "event: job submitted",
        Event::ResultEmitted { .. } => "event: result emitted",
        Event::RecordsRedacted { .. } => "event: records redacted",
        // Only if somebody asked for it.
        Event::RecordsLost { .. } if actor.is_some() => "event: records lost, by a person",
        Event::RecordsLost { .. } => "event: records lost, by retention",
        Event::SessionClosed { cause } => match cause {
            CloseCause::Idle => "event: session closed, idle",
            CloseCause::Requested => "event: session closed, requested",
        },
        Event::SessionCreated { .. } => "event: session created",
        Event::SessionResumed | Event::SessionTakenOver { .. } => "event: session resumed",
        Event::SessionTouched { .. } => "event: session touched",
        Event::StatementRefused { .. } => "event: statement refused",
        Event::UserSet { .. } => "event: user set",
        Event::SessionDescribed { .. } => "event: session described",
        Event::LinkChanged { .. } => "event: link changed",
    }
}
