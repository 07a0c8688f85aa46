//! Translates a session's records for one of its consumers.

use super::Results;
use super::result::InputStatus;
use jiff::tz::TimeZone;
use rejoin_engine::{
    CloseCause, ConsumerId, Event, JobMode, JobSlot, LeaveCause, LossCause, Record, Sequence,
    Visibility,
};
use std::sync::Arc;

/// What the translation depends on besides the records.
#[derive(Debug)]
pub(crate) struct ConsumerView<'a> {
    /// The consumer that reads.
    pub(crate) consumer: ConsumerId,
    /// The sequence at which it joined: earlier records are history.
    pub(crate) joined: Sequence,
    /// The time zone for times.
    pub(crate) zone: &'a TimeZone,
}

/// Whether some consumer may see something of a record. This does not know which consumer asks:
/// [`ConsumerView::show`] leaves out that others joined or left.
pub(crate) fn is_visible(record: &Record) -> bool {
    match &record.event {
        Event::SessionCreated { .. }
        | Event::ConsumerJoined { .. }
        | Event::ConsumerLeft { .. }
        | Event::StatementRefused { .. }
        | Event::SessionTakenOver { .. }
        | Event::RecordsLost { .. }
        | Event::SessionClosed { .. } => true,
        Event::JobSubmitted { mode, .. } | Event::JobFinished { mode, .. } => {
            mode.visibility == Visibility::Session || mode.slot == JobSlot::Foreground
        }
        Event::ResultEmitted { mode, .. } => mode.visibility == Visibility::Session,
        Event::SessionResumed
        | Event::SessionTouched { .. }
        | Event::UserSet { .. }
        | Event::SessionDescribed { .. }
        | Event::LinkChanged { .. }
        | Event::CursorAdvanced { .. }
        | Event::JobStarted { .. }
        | Event::InputWritten { .. }
        | Event::InputHidden { .. }
        | Event::LeftoversChosen { .. }
        | Event::TerminalResized { .. }
        | Event::ControllerChanged { .. }
        | Event::ScreenCaptured { .. }
        | Event::RecordsRedacted { .. }
        | Event::InterruptRequested { .. } => false,
    }
}

/// Whether the next command can be sent. Clients wait for this.
pub(crate) fn frees_foreground(record: &Record) -> bool {
    matches!(
        record.event,
        Event::JobFinished {
            mode: JobMode {
                slot: JobSlot::Foreground,
                ..
            },
            ..
        }
    )
}

impl ConsumerView<'_> {
    /// The results of `records`, which are those after `after`.
    ///
    /// A consumer that joins later first gets `DISABLED`, then the history without its input
    /// statuses, then every input status since it joined.
    pub(crate) fn results(&self, after: Sequence, records: &[Arc<Record>]) -> Results {
        let mut results =
            Results::with_capacity(records.iter().map(|record| estimated_len(record)).sum());
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
                results.message(&match cause {
                    LossCause::Damage => damaged_message(*first, *last),
                    LossCause::Retention { .. } => removed_message(record),
                });
            }
            Event::SessionTakenOver { by } => results.message(&format!(
                "node {} took this session over in term {}; the directory and the variables of its shell did not \
                 follow.",
                by.node, by.term
            )),
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

/// The approximate size in bytes of a record's results.
fn estimated_len(record: &Record) -> usize {
    match &record.event {
        Event::ResultEmitted { result, .. } => result.len() + 1,
        Event::JobSubmitted { statement, .. } => statement.len() + SMALL_RESULTS,
        _ => SMALL_RESULTS,
    }
}

/// Enough bytes for the results of most records, without what a statement adds.
const SMALL_RESULTS: usize = 256;

/// The message where records were damaged.
fn damaged_message(first: Sequence, last: Sequence) -> String {
    format!("records {first} to {last} of this session are missing: they were damaged in the log.")
}

/// The message about a session whose records were removed: by whom, where the log knows that somebody
/// asked for it.
pub(crate) fn removed_message(removal: &Record) -> String {
    let actor = removal.actor.as_deref().filter(|_| removal.is_deletion());
    if let Some(actor) = actor {
        let who = actor.account.as_deref().unwrap_or("someone");
        let millis = i64::try_from(removal.at.as_millis()).unwrap_or(i64::MAX);
        let at = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
        return format!("this session was deleted by {who} at {at:.3}.");
    }
    let (first, last) = match removal.event {
        Event::RecordsLost { first, last, .. } => (first, last),
        _ => (Sequence(1), removal.sequence),
    };
    format!(
        "records {first} to {last} of this session were removed: it was deleted, or it was closed and closed sessions are not kept for longer."
    )
}

/// The sequence at which the creator of a session joins it.
const CREATOR_JOINED: Sequence = Sequence(2);

#[cfg(test)]
mod tests;
