//! A log that tells the witness what it was given and how that went, before the engine knows.

use crate::world::World;
use rejoin_core::{CloseCause, Event, InterruptCause, LeaveCause, Outcome, Record};
use rejoin_log::{AppendError, Log, LogReader};
use std::sync::Arc;

/// The real log, watched.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) world: Arc<World>,
    pub(crate) log: Box<dyn Log>,
}

impl Log for Recorder {
    fn append(&mut self, records: &[Arc<Record>]) -> Result<(), AppendError> {
        let progress = self.world.clock.progress();
        {
            let mut witness = self.world.witness();
            if witness.log_failed {
                witness.fail("promise 11: the engine goes on after a failed append".to_owned());
            }
            let witness = &mut *witness;
            witness.shadow.hand(records);
            for record in records {
                let expired = witness.readers.expire(record, progress, &witness.shadow);
                witness.judge(expired);
            }
        }
        let appended = self.log.append(records);
        let mut witness = self.world.witness();
        let witness = &mut *witness;
        match &appended {
            Ok(()) => {
                let kept = witness.shadow.keep();
                witness.judge(kept);
                for record in records {
                    let submitted = witness.runs.submit(record, &witness.shadow);
                    witness.judge(submitted);
                    let finished = witness.runs.finish(record, &witness.shadow);
                    witness.judge(finished);
                    witness.ledger.count(name(&record.event));
                    witness
                        .trace
                        .note(self.world.steps(), format_args!("durable {record:?}"));
                }
            }
            Err(error) => {
                witness.log_failed = true;
                if let AppendError::Refused(_) = error {
                    witness.shadow.take_back();
                }
                witness
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
            self.world.witness().log_failed = true;
        }
        closed
    }
}

/// What the ledger calls it.
fn name(event: &Event) -> &'static str {
    match event {
        Event::ConsumerJoined { .. } => "event: consumer joined",
        Event::ConsumerLeft { cause, .. } => match cause {
            LeaveCause::Left => "event: consumer left, by itself",
            LeaveCause::Expired => "event: consumer left, expired",
            LeaveCause::SessionClosed => "event: consumer left, as the session was closed",
        },
        Event::CursorAdvanced { .. } => "event: cursor advanced",
        Event::InputWritten { .. } => "event: input written",
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
        Event::RecordsLost { .. } => "event: records lost, by retention",
        Event::SessionClosed { cause } => match cause {
            CloseCause::Idle => "event: session closed, idle",
            CloseCause::Requested => "event: session closed, requested",
        },
        Event::SessionCreated { .. } => "event: session created",
        Event::SessionResumed => "event: session resumed",
        Event::SessionTouched { .. } => "event: session touched",
        Event::StatementRefused { .. } => "event: statement refused",
        Event::UserSet { .. } => "event: user set",
    }
}
