//! A record as JSON: all that is in it, in the words of the native API.
//!
//! Pure: a record in, an object out. Never: a member that is null, or a result as an escaped
//! string. Each event is taken apart to its last member, so that one that is added has to be shown;
//! the API tells its readers less.

use rejoin_core::{Event, Record, Timestamp};
use rejoin_native::words;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// An instant as RFC 3339 writes it, in UTC, with milliseconds.
pub(crate) fn instant(at: Timestamp) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    let instant = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{instant:.3}")
}

/// The members of a record: `session`, `sequence`, `at`, `event`, and those of the event.
pub(crate) fn fields(record: &Record) -> Map<String, Value> {
    let members = members(&record.event);
    let mut fields = Map::new();
    fields.insert("session".into(), record.session.to_string().into());
    fields.insert("sequence".into(), record.sequence.0.into());
    fields.insert("at".into(), instant(record.at).into());
    fields.insert("event".into(), words::kind(&record.event).into());
    if let Value::Object(members) = members {
        let known = members.into_iter().filter(|(_, value)| !value.is_null());
        fields.extend(known);
    }
    fields
}

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
            "timeoutMillis": millis(*timeout),
        }),
        Event::SessionResumed => json!({}),
        Event::SessionTouched { seen } => json!({"seen": instant(*seen)}),
        Event::UserSet { user } => json!({"user": &**user}),
        Event::ConsumerJoined {
            consumer,
            timeout,
            foreground,
        } => json!({
            "consumer": consumer.to_string(),
            "timeoutMillis": millis(*timeout),
            "foreground": foreground.map(|job| job.0),
        }),
        Event::CursorAdvanced { consumer, to, seen } => {
            json!({"consumer": consumer.to_string(), "to": to.0, "seen": instant(*seen)})
        }
        Event::ConsumerLeft { consumer, cause } => {
            json!({"consumer": consumer.to_string(), "cause": words::left(*cause)})
        }
        Event::StatementRefused { statement, reason } => {
            json!({"statement": statement.as_deref(), "reason": &**reason})
        }
        Event::SessionClosed { cause } => json!({"cause": words::closed(*cause)}),
        Event::RecordsLost { first, last, cause } => {
            json!({"first": first.0, "last": last.0, "cause": words::lost(*cause)})
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
            "place": words::slot(mode.slot),
            "audience": words::visibility(mode.visibility),
            "statement": &**statement,
            "timeoutMillis": millis(*timeout),
            "outputLimit": output_limit,
            "request": request.as_deref(),
            "input": input,
        }),
        Event::InputWritten {
            job,
            mode,
            bytes,
            end,
        } => {
            let (name, written) = words::written(bytes);
            json!({
                "job": job.0,
                "place": words::slot(mode.slot),
                "audience": words::visibility(mode.visibility),
                (name): written,
                "end": end,
            })
        }
        Event::JobStarted { job, .. } => json!({"job": job.0}),
        Event::ResultEmitted { job, mode, result } => json!({
            "job": job.0,
            "place": words::slot(mode.slot),
            "audience": words::visibility(mode.visibility),
            // What no server writes is shown as it is.
            "result": serde_json::from_str(result).unwrap_or_else(|_| Value::from(&**result)),
        }),
        Event::InterruptRequested { job, cause, .. } => {
            json!({"job": job.0, "cause": words::interrupted(*cause)})
        }
        Event::JobFinished {
            job,
            mode,
            outcome: ended,
            status,
            message,
        } => json!({
            "job": job.0,
            "place": words::slot(mode.slot),
            "audience": words::visibility(mode.visibility),
            "outcome": words::outcome(*ended),
            "status": status,
            "message": message.as_deref(),
        }),
    }
}

fn millis(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::testing::{SESSION, created};
    use rejoin_core::{JobId, JobMode, JobSlot, LossCause, Outcome, Sequence, Visibility};

    fn shown(sequence: u64, event: Event) -> Value {
        let record = Record {
            session: SESSION,
            sequence: Sequence(sequence),
            at: Timestamp::from_millis(1_500),
            event,
        };
        Value::Object(fields(&record))
    }

    #[test]
    fn a_result_is_json_within_json_and_what_is_none_is_not_there() {
        let mode = JobMode {
            slot: JobSlot::Foreground,
            visibility: Visibility::Submitter,
        };
        let event = Event::ResultEmitted {
            job: JobId(3),
            mode,
            result: r#"{"content":"a\n","jobId":3,"stream":"stdout","type":"shell"}"#.into(),
        };
        let expected = json!({
            "session": SESSION.to_string(),
            "sequence": 7,
            "at": "1970-01-01T00:00:01.500Z",
            "event": "result",
            "job": 3,
            "place": "foreground",
            "audience": "submitter",
            "result": {"content": "a\n", "jobId": 3, "stream": "stdout", "type": "shell"},
        });
        assert_eq!(shown(7, event), expected);
        let finished = Event::JobFinished {
            job: JobId(3),
            mode,
            outcome: Outcome::TimedOut,
            status: 143,
            message: None,
        };
        let finished = shown(8, finished);
        assert_eq!(finished["outcome"], "timed-out");
        assert_eq!(finished.get("message"), None);
    }

    #[test]
    fn a_declared_gap_says_what_is_gone_and_why() {
        let (first, last) = (Sequence(3), Sequence(9));
        let cause = LossCause::Damage;
        let shown = shown(9, Event::RecordsLost { first, last, cause });
        let expected = json!({
            "session": SESSION.to_string(),
            "sequence": 9,
            "at": "1970-01-01T00:00:01.500Z",
            "event": "records-lost",
            "first": 3,
            "last": 9,
            "cause": "damage",
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_first_record_says_what_the_session_is() {
        let shown = shown(1, created());
        assert_eq!(shown["event"], "session-created");
        assert!(shown["number"].is_u64() && shown["server"]["version"].is_string());
        assert!(shown["timeoutMillis"].is_u64(), "{shown}");
    }
}
