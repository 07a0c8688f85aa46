//! Records become events: pure, so that what readers see is tested without a server.
//!
//! What enters: a record. What leaves: one JSON object with `sequence`, `at` (milliseconds since
//! 1970) and `type`, and what its type adds. What is never true: that a result which a runner
//! encoded is parsed or changed, or that what is for its submitter alone is told to others.

use crate::wire;
use crate::words;
use rejoin_core::{Event, Record, Visibility};
use serde_json::{Value, json};
use std::fmt;
use std::io::Write;

/// Appends the JSON of an event to `out`.
pub(crate) fn event(out: &mut Vec<u8>, record: &Record) {
    let sequence = record.sequence;
    let at = record.at.as_millis();
    let (kind, more) = match is_private(&record.event) {
        // A reader learns that it is there, and misses no sequence.
        true => ("private", Value::Null),
        false => (words::kind(&record.event), members(&record.event)),
    };
    show(
        out,
        format_args!(r#"{{"sequence":{sequence},"at":{at},"type":"{kind}""#),
    );
    if let Value::Object(members) = &more {
        for (name, value) in members {
            show(out, format_args!(r#","{name}":{value}"#));
        }
    }
    if let Event::ResultEmitted { job, result, .. } = &record.event
        && kind == "result"
    {
        show(out, format_args!(r#","job":{job},"result":"#));
        out.extend_from_slice(result.as_bytes());
    }
    out.push(b'}');
}

/// Appends what is shown.
#[expect(
    clippy::expect_used,
    reason = "bytes in memory take all that is written"
)]
pub(crate) fn show(out: &mut Vec<u8>, what: fmt::Arguments<'_>) {
    out.write_fmt(what).expect("memory can be written");
}

/// Whether it is for its submitter alone.
fn is_private(event: &Event) -> bool {
    match event {
        Event::JobSubmitted { mode, .. } | Event::JobFinished { mode, .. } => mode.is_private(),
        Event::JobStarted { private, .. } | Event::InterruptRequested { private, .. } => *private,
        Event::ResultEmitted { mode, .. } | Event::InputWritten { mode, .. } => {
            mode.visibility == Visibility::Submitter
        }
        _ => false,
    }
}

/// What its type adds; of a result, nothing.
fn members(event: &Event) -> Value {
    match event {
        Event::SessionCreated {
            number,
            service,
            user,
            remote,
            server,
            timeout,
        } => json!({
            "number": number.0,
            "service": &**service,
            "user": user.as_deref(),
            "remote": remote.as_deref(),
            "server": {"process": server.process, "version": &*server.version},
            "timeoutMillis": wire::millis(*timeout),
        }),
        Event::SessionResumed | Event::ResultEmitted { .. } => Value::Null,
        Event::SessionTouched { seen } => json!({"seen": seen.as_millis()}),
        Event::UserSet { user } => json!({"user": &**user}),
        Event::ConsumerJoined { consumer, .. } => {
            json!({"consumer": consumer.ordinal})
        }
        Event::CursorAdvanced { consumer, to, .. } => {
            json!({"consumer": consumer.ordinal, "to": to.0})
        }
        Event::ConsumerLeft { consumer, cause } => {
            json!({"consumer": consumer.ordinal, "cause": words::left(*cause)})
        }
        Event::JobSubmitted {
            job,
            mode,
            statement,
            timeout,
            output_limit,
            request,
            input,
        } => json!({
            "job": job.0,
            "statement": &**statement,
            "place": words::slot(mode.slot),
            "request": request.as_deref(),
            "input": input,
            "timeoutMillis": wire::millis(*timeout),
            "outputLimit": output_limit,
        }),
        Event::StatementRefused { statement, reason } => {
            json!({"statement": statement.as_deref(), "reason": &**reason})
        }
        Event::RecordsLost { first, last, cause } => {
            json!({"first": first.0, "last": last.0, "cause": words::lost(*cause)})
        }
        Event::JobStarted { job, .. } => json!({"job": job.0}),
        Event::InputWritten {
            job, bytes, end, ..
        } => {
            let (name, written) = words::written(bytes);
            json!({"job": job.0, (name): written, "end": end})
        }
        Event::InterruptRequested { job, cause, .. } => {
            json!({"job": job.0, "cause": words::interrupted(*cause)})
        }
        Event::JobFinished {
            job,
            outcome,
            status,
            message,
            ..
        } => json!({
            "job": job.0,
            "outcome": words::outcome(*outcome),
            "status": status,
            "message": message.as_deref(),
        }),
        Event::SessionClosed { cause } => json!({"cause": words::closed(*cause)}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::{InterruptCause, JobId, JobMode, JobSlot, Sequence, SessionId, Timestamp};

    fn shown(event: Event) -> String {
        let record = Record {
            session: SessionId::from_bytes([1; 16]),
            sequence: Sequence(7),
            at: Timestamp::from_millis(1_000),
            event,
        };
        let mut out = vec![];
        super::event(&mut out, &record);
        String::from_utf8(out).unwrap()
    }

    fn emitted(visibility: Visibility) -> Event {
        Event::ResultEmitted {
            job: JobId(3),
            mode: JobMode {
                slot: JobSlot::Foreground,
                visibility,
            },
            // Not as anybody would encode it again.
            result: r#"{ "b":1.0,"a":"\u0041" }"#.into(),
        }
    }

    #[test]
    fn a_result_is_the_bytes_that_its_runner_encoded() {
        assert_eq!(
            shown(emitted(Visibility::Session)),
            r#"{"sequence":7,"at":1000,"type":"result","job":3,"result":{ "b":1.0,"a":"\u0041" }}"#
        );
    }

    #[test]
    fn what_is_for_its_submitter_is_only_counted() {
        assert_eq!(
            shown(emitted(Visibility::Submitter)),
            r#"{"sequence":7,"at":1000,"type":"private"}"#
        );
    }

    #[test]
    fn of_a_job_that_is_private_nothing_is_told() {
        let job = JobId(3);
        let mode = JobMode {
            slot: JobSlot::Background,
            visibility: Visibility::Submitter,
        };
        let cause = InterruptCause::Requested;
        let private = true;
        for event in [
            Event::JobStarted { job, private },
            Event::InterruptRequested {
                job,
                cause,
                private,
            },
            Event::InputWritten {
                job,
                mode,
                bytes: (*b"secret").into(),
                end: true,
            },
            Event::JobFinished {
                job,
                mode,
                outcome: rejoin_core::Outcome::Completed,
                status: 0,
                message: Some("secret".into()),
            },
        ] {
            assert_eq!(shown(event), r#"{"sequence":7,"at":1000,"type":"private"}"#);
        }
    }

    #[test]
    fn an_event_is_one_object_whatever_is_in_it() {
        let refused = shown(Event::StatementRefused {
            statement: None,
            reason: "\"\n".into(),
        });
        assert_eq!(
            refused,
            r#"{"sequence":7,"at":1000,"type":"statement-refused","reason":"\"\n","statement":null}"#
        );
    }
}
