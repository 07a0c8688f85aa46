//! What a consumer is shown of its session.

use super::Results;
use super::result::InputStatus;
use jiff::tz::TimeZone;
use rejoin_core::{
    CloseCause, ConsumerId, Event, JobMode, JobSlot, LeaveCause, LossCause, Record, Sequence,
    Visibility,
};
use std::sync::Arc;

/// Who reads, and where it stands.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    /// The consumer.
    pub(crate) consumer: ConsumerId,
    /// The sequence at which it joined: what is before that is history.
    pub(crate) joined: Sequence,
    /// The time zone in which it is told times.
    pub(crate) zone: &'a TimeZone,
}

/// Whether a record may be worth an answer. Which consumer asks is not known here: that another
/// one has joined or left is found out by [`Reader::show`].
pub(crate) fn may_tell(record: &Record) -> bool {
    match &record.event {
        Event::SessionCreated { .. }
        | Event::ConsumerJoined { .. }
        | Event::ConsumerLeft { .. }
        | Event::StatementRefused { .. }
        | Event::RecordsLost { .. }
        | Event::SessionClosed { .. } => true,
        Event::JobSubmitted { mode, .. } | Event::JobFinished { mode, .. } => {
            mode.visibility == Visibility::Session || mode.slot == JobSlot::Foreground
        }
        Event::ResultEmitted { mode, .. } => mode.visibility == Visibility::Session,
        Event::SessionResumed
        | Event::SessionTouched { .. }
        | Event::UserSet { .. }
        | Event::CursorAdvanced { .. }
        | Event::JobStarted { .. }
        | Event::InputWritten { .. }
        | Event::InterruptRequested { .. } => false,
    }
}

impl Reader<'_> {
    /// What the records after `after` show.
    ///
    /// Somebody who joins later is first told that there is no input yet, then the history without
    /// what input there was at the time, and then from its own joining on what input there is.
    pub(crate) fn read(&self, after: Sequence, records: &[Arc<Record>]) -> Results {
        let mut results = Results::with_room(records.iter().map(|record| room(record)).sum());
        if after == Sequence::START && self.joined > CREATOR_JOINED && !records.is_empty() {
            results.input_status(InputStatus::Disabled);
        }
        for record in records {
            self.show(record, &mut results);
        }
        results
    }

    fn show(&self, record: &Record, results: &mut Results) {
        let input = |results: &mut Results, status| {
            if record.sequence >= self.joined {
                results.input_status(status);
            }
        };
        match &record.event {
            Event::SessionCreated { server, .. } => {
                results.message("Welcome to arthas!");
                results.welcome(record.at, server, self.zone);
            }
            Event::ConsumerJoined {
                consumer,
                foreground,
                ..
            } if *consumer == self.consumer => match foreground {
                Some(_) => input(results, InputStatus::AllowInterrupt),
                None => input(results, InputStatus::AllowInput),
            },
            Event::JobSubmitted {
                job,
                mode: JobMode { slot, visibility },
                statement,
                ..
            } => {
                if *visibility == Visibility::Session {
                    results.command(*job, statement, *slot);
                }
                match (slot, visibility) {
                    (JobSlot::Foreground, _) => input(results, InputStatus::AllowInterrupt),
                    (JobSlot::Background, Visibility::Session) => {
                        input(results, InputStatus::AllowInterrupt);
                        input(results, InputStatus::AllowInput);
                    }
                    (JobSlot::Background, Visibility::Submitter) => {}
                }
            }
            Event::ResultEmitted {
                mode:
                    JobMode {
                        visibility: Visibility::Session,
                        ..
                    },
                result,
                ..
            } => results.splice(result),
            Event::JobFinished {
                job,
                mode: JobMode { slot, visibility },
                outcome,
                status,
                message,
            } => {
                if *visibility == Visibility::Session {
                    results.status(*job, *outcome, *status, message.as_deref());
                }
                if *slot == JobSlot::Foreground {
                    input(results, InputStatus::AllowInput);
                }
            }
            Event::StatementRefused { statement, reason } => {
                results.refused_command(statement.as_deref(), reason);
            }
            Event::RecordsLost { first, last, cause } => {
                results.message(&lost(*first, *last, *cause));
            }
            Event::ConsumerLeft {
                consumer,
                cause: LeaveCause::Expired,
            } if *consumer == self.consumer => {
                results.message("consumer is inactive for a while, please refresh the page.");
            }
            Event::SessionClosed {
                cause: CloseCause::Idle,
            } => results.message("session is inactive for a while."),
            _ => {}
        }
    }
}

/// About the bytes that a record's results take.
fn room(record: &Record) -> usize {
    match &record.event {
        Event::ResultEmitted { result, .. } => result.len() + 1,
        Event::JobSubmitted { statement, .. } => statement.len() + OWN_RESULTS,
        _ => OWN_RESULTS,
    }
}

/// What this product's own results take at most of most records.
const OWN_RESULTS: usize = 256;

/// What is said where records are gone.
fn lost(first: Sequence, last: Sequence, cause: LossCause) -> String {
    match cause {
        LossCause::Damage => format!(
            "records {first} to {last} of this session are missing: they were damaged in the log."
        ),
        LossCause::Retention { .. } => removed(first, last),
    }
}

/// What is said of a session that was removed.
pub(crate) fn removed(first: Sequence, last: Sequence) -> String {
    format!(
        "records {first} to {last} of this session were removed: it was closed, and closed sessions are not kept for longer."
    )
}

/// The sequence at which whoever creates a session joins it.
const CREATOR_JOINED: Sequence = Sequence(2);

#[cfg(test)]
mod tests;
