//! What somebody asked for, in words.

use crate::{describe, instant};
use rejoin_core::{CloseCause, Event, InterruptCause, LeaveCause, LinkChange, Record};
use serde_json::Value;

/// What somebody asked for, in the past tense; none for all that follows from it or happens by itself.
#[must_use]
pub fn request(record: &Record) -> Option<String> {
    Some(match &record.event {
        Event::SessionCreated { service, .. } => format!("created it on the service {service}"),
        Event::UserSet { user } => format!("set its user to {user}"),
        Event::LinkChanged { link, change } => match change {
            LinkChange::Added { expires } => {
                format!(
                    "made the link {link} to watch it, until {}",
                    instant(*expires)
                )
            }
            LinkChange::Removed => format!("removed the link {link}"),
            LinkChange::Joined => format!("began to watch it by the link {link}"),
            LinkChange::Left => format!("stopped watching it by the link {link}"),
        },
        Event::ConsumerJoined { consumer, .. } => {
            format!("joined as consumer {}", consumer.ordinal)
        }
        Event::ConsumerLeft {
            consumer,
            cause: LeaveCause::Left,
        } => format!("left as consumer {}", consumer.ordinal),
        Event::JobSubmitted { job, statement, .. } => {
            format!("ran {} as job {job}", Value::from(&**statement))
        }
        Event::InputWritten {
            job, bytes, end, ..
        } => {
            let end = if *end { " and ended the input" } else { "" };
            format!("wrote {} bytes to job {job}{end}", bytes.len())
        }
        Event::StatementRefused { statement, reason } => match statement {
            Some(statement) => {
                format!("was refused to run {}: {reason}", Value::from(&**statement))
            }
            None => format!("was refused to run something: {reason}"),
        },
        Event::InterruptRequested {
            job,
            cause: InterruptCause::Requested,
            ..
        } => format!("interrupted job {job}"),
        Event::SessionClosed {
            cause: CloseCause::Requested,
        } => "closed it".into(),
        Event::RecordsLost { .. } => {
            record.actor.as_ref()?;
            "deleted its records".into()
        }
        Event::RecordsRedacted { records } => {
            let all: Vec<_> = records.iter().map(ToString::to_string).collect();
            let noun = if all.len() == 1 { "record" } else { "records" };
            format!("redacted {noun} {}", all.join(", "))
        }
        // They follow from something else.
        Event::ConsumerLeft { .. }
        | Event::InterruptRequested { .. }
        | Event::JobFinished { .. }
        | Event::SessionClosed { .. } => return None,
        event => {
            record.actor.as_ref()?;
            describe(event)?
        }
    })
}
