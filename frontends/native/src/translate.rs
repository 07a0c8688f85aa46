//! Records become events: pure, so that what readers see is tested without a server.
//!
//! What enters: a record. What leaves: one JSON object with `sequence`, `at` (milliseconds since
//! 1970) and `type`, and what its type adds. What is never true: that a result which a runner
//! encoded is parsed or changed, or that what is for its submitter alone is told to others.

use crate::wire::{self, base64};
use rejoin_core::{Audience, Event, LeaveCause, LossCause, Manner, Place, Record};
use serde_json::{Value, json};
use std::fmt;
use std::io::Write;

/// Appends the JSON of an event to `out`.
pub(crate) fn event(out: &mut Vec<u8>, record: &Record) {
    let sequence = record.sequence;
    let at = record.at.as_millis();
    let (kind, more) = told(&record.event);
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

/// Whether others than its submitter may know of a job.
pub(crate) fn is_shown(manner: Manner) -> bool {
    manner.audience == Audience::Session || manner.place == Place::Foreground
}

fn told(event: &Event) -> (&'static str, Value) {
    match event {
        Event::SessionCreated {
            number,
            service,
            user,
            remote,
            server,
            timeout,
        } => (
            "session-created",
            json!({
                "number": number.0,
                "service": &**service,
                "user": user.as_deref(),
                "remote": remote.as_deref(),
                "server": {"process": server.process, "version": &*server.version},
                "timeoutMillis": wire::millis(*timeout),
            }),
        ),
        Event::SessionResumed => ("session-resumed", Value::Null),
        Event::SessionTouched { seen } => ("session-touched", json!({"seen": seen.as_millis()})),
        Event::UserSet { user } => ("user-set", json!({"user": &**user})),
        Event::ConsumerJoined { consumer, .. } => {
            ("consumer-joined", json!({"consumer": consumer.ordinal}))
        }
        Event::CursorAdvanced { consumer, to, .. } => (
            "cursor-advanced",
            json!({"consumer": consumer.ordinal, "to": to.0}),
        ),
        Event::ConsumerLeft { consumer, cause } => {
            let cause = match cause {
                LeaveCause::Left => "left",
                LeaveCause::Expired => "expired",
                LeaveCause::SessionClosed => "session-closed",
            };
            (
                "consumer-left",
                json!({"consumer": consumer.ordinal, "cause": cause}),
            )
        }
        Event::JobSubmitted { manner, .. } | Event::JobFinished { manner, .. }
            if !is_shown(*manner) =>
        {
            PRIVATE
        }
        Event::ResultEmitted { manner, .. } | Event::InputWritten { manner, .. }
            if manner.audience == Audience::Submitter =>
        {
            PRIVATE
        }
        Event::JobSubmitted {
            job,
            manner,
            statement,
            timeout,
            output_limit,
            request,
            input,
        } => (
            "job-submitted",
            json!({
                "job": job.0,
                "statement": &**statement,
                "place": wire::place(manner.place),
                "request": request.as_deref(),
                "input": input,
                "timeoutMillis": wire::millis(*timeout),
                "outputLimit": output_limit,
            }),
        ),
        Event::StatementRefused { statement, reason } => (
            "statement-refused",
            json!({"statement": statement.as_deref(), "reason": &**reason}),
        ),
        Event::RecordsLost { first, last, cause } => {
            let cause = match cause {
                LossCause::Damage => "damage",
                LossCause::Retention { .. } => "retention",
            };
            (
                "records-lost",
                json!({"first": first.0, "last": last.0, "cause": cause}),
            )
        }
        Event::JobStarted { job } => ("job-started", json!({"job": job.0})),
        Event::ResultEmitted { .. } => ("result", Value::Null),
        Event::InputWritten {
            job, bytes, end, ..
        } => {
            let (name, written) = match std::str::from_utf8(bytes) {
                Ok(text) => ("content", text.to_owned()),
                Err(_) => ("contentBase64", base64(bytes)),
            };
            ("input", json!({"job": job.0, (name): written, "end": end}))
        }
        Event::InterruptRequested { job, cause } => (
            "interrupt-requested",
            json!({"job": job.0, "cause": wire::interrupt_cause(*cause)}),
        ),
        Event::JobFinished {
            job,
            outcome,
            status,
            message,
            ..
        } => (
            "job-finished",
            json!({
                "job": job.0,
                "outcome": wire::outcome(*outcome),
                "status": status,
                "message": message.as_deref(),
            }),
        ),
        Event::SessionClosed { cause } => (
            "session-closed",
            json!({"cause": wire::close_cause(*cause)}),
        ),
    }
}

/// What is for somebody else: a reader learns that it is there, and misses no sequence.
const PRIVATE: (&str, Value) = ("private", Value::Null);

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::{JobId, Sequence, SessionId, Timestamp};

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

    fn emitted(audience: Audience) -> Event {
        Event::ResultEmitted {
            job: JobId(3),
            manner: Manner {
                place: Place::Foreground,
                audience,
            },
            // Not as anybody would encode it again.
            result: r#"{ "b":1.0,"a":"\u0041" }"#.into(),
        }
    }

    #[test]
    fn a_result_is_the_bytes_that_its_runner_encoded() {
        assert_eq!(
            shown(emitted(Audience::Session)),
            r#"{"sequence":7,"at":1000,"type":"result","job":3,"result":{ "b":1.0,"a":"\u0041" }}"#
        );
    }

    #[test]
    fn what_is_for_its_submitter_is_only_counted() {
        assert_eq!(
            shown(emitted(Audience::Submitter)),
            r#"{"sequence":7,"at":1000,"type":"private"}"#
        );
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
