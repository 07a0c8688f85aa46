//! Events as JSON, for the API and for programs that show a log. Pure.

use crate::view_json::{controller, size, slot_name};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rejoin_engine::{
    Actor, ConsumerId, Description, Event, JobMode, LinkChange, Record, Redaction, TerminalSize,
    Timestamp, Visibility,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

/// How much of an event is shown.
#[derive(Clone, Copy, Debug)]
pub enum Detail {
    /// What a viewer may know: consumers by their ordinals, since their IDs are secrets; instants in
    /// milliseconds since 1970; results not at all, because the API sends their bytes unchanged.
    Viewer,
    /// Everything that is in the log. The function formats instants.
    Full(fn(Timestamp) -> String),
}

impl Detail {
    const fn is_full(self) -> bool {
        matches!(self, Self::Full(_))
    }

    fn instant(self, at: Timestamp) -> Value {
        match self {
            Self::Viewer => at.as_millis().into(),
            Self::Full(format) => format(at).into(),
        }
    }

    fn consumer(self, consumer: &ConsumerId) -> Value {
        match self {
            Self::Viewer => consumer.ordinal.into(),
            Self::Full(_) => consumer.to_string().into(),
        }
    }
}

/// The name of an event's type in the API.
#[must_use]
pub const fn event_type(event: &Event) -> &'static str {
    match event {
        Event::SessionCreated { .. } => "session-created",
        Event::SessionResumed | Event::SessionTakenOver { .. } => "session-resumed",
        Event::SessionTouched { .. } => "session-touched",
        Event::UserSet { .. } => "user-set",
        Event::SessionDescribed { .. } => "session-described",
        Event::LinkChanged { change, .. } => match change {
            LinkChange::Added { .. } => "link-added",
            LinkChange::Removed => "link-removed",
            LinkChange::Joined => "link-joined",
            LinkChange::Left => "link-left",
        },
        Event::ConsumerJoined { .. } => "consumer-joined",
        Event::CursorAdvanced { .. } => "cursor-advanced",
        Event::ConsumerLeft { .. } => "consumer-left",
        Event::JobSubmitted { .. } => "job-submitted",
        Event::InputWritten { .. } => "input",
        Event::LeftoversChosen { .. } => "leftovers-chosen",
        Event::InputHidden { .. } => "input-hidden",
        Event::TerminalResized { .. } => "terminal-resized",
        Event::ControllerChanged { .. } => "controller-changed",
        Event::ScreenCaptured { .. } => "screen-captured",
        Event::StatementRefused { .. } => "statement-refused",
        Event::JobStarted { .. } => "job-started",
        Event::ResultEmitted { .. } => "result",
        Event::InterruptRequested { .. } => "interrupt-requested",
        Event::JobFinished { .. } => "job-finished",
        Event::SessionClosed { .. } => "session-closed",
        Event::RecordsRedacted { .. } => "records-redacted",
        Event::RecordsLost { .. } => "records-lost",
    }
}

/// The members that an event adds to those of every record. Values that are not set are null, but for
/// `by`, which is left out where nobody asked for the event or it is not known who.
#[must_use]
pub fn members(record: &Record, detail: Detail) -> Map<String, Value> {
    // People are shown the wall's time.
    let instant = |clock| detail.instant(record.moment().wall_at(clock));
    let event = &record.event;
    let mut mode = None;
    let mut shown = match event {
        Event::SessionCreated {
            number,
            service,
            user,
            remote,
            server,
            timeout,
        } => {
            let mut shown = json!({
                "number": number.0,
                "service": &**service,
                "user": user.as_deref(),
                "remote": remote.as_deref(),
                "server": {"process": server.process, "version": &*server.version},
                "timeoutMillis": millis(*timeout),
            });
            if let Some(node) = &server.node {
                shown["server"]["node"] = (**node).into();
            }
            shown
        }
        Event::SessionResumed => Value::Null,
        Event::SessionTakenOver { by } => json!({"node": &*by.node, "term": by.term}),
        Event::SessionTouched { seen } => json!({"seen": instant(*seen)}),
        Event::UserSet { user } => json!({"user": &**user}),
        Event::SessionDescribed { description } => {
            let Description { title, labels } = &**description;
            json!({"title": title.as_deref(), "labels": labels_json(labels)})
        }
        Event::LinkChanged { link, change } => {
            let mut shown = json!({"link": &**link});
            if let LinkChange::Added { expires } = change {
                shown["expires"] = detail.instant(*expires);
            }
            shown
        }
        Event::ConsumerJoined {
            consumer,
            timeout,
            foreground,
        } => {
            let mut shown = json!({"consumer": detail.consumer(consumer)});
            if detail.is_full() {
                shown["timeoutMillis"] = millis(*timeout).into();
                shown["foreground"] = foreground.map(|job| job.0).into();
            }
            shown
        }
        Event::CursorAdvanced { consumer, to, seen } => {
            let mut shown = json!({"consumer": detail.consumer(consumer), "to": to.0});
            if detail.is_full() {
                shown["seen"] = instant(*seen);
            }
            shown
        }
        Event::ConsumerLeft { consumer, cause } => {
            json!({"consumer": detail.consumer(consumer), "cause": cause.name()})
        }
        Event::JobSubmitted {
            job,
            mode: submitted,
            statement,
            timeout,
            output_limit,
            request,
            input,
            output,
            controller: by,
        } => {
            mode = Some(submitted);
            let mut shown = json!({
                "job": job.0,
                "statement": &**statement,
                "place": slot_name(submitted.slot),
                "request": request.as_deref(),
                "input": input,
                "timeoutMillis": millis(*timeout),
                "outputLimit": output_limit,
                "output": output.name(),
            });
            if let Some(terminal) = output.terminal() {
                shown["terminal"] = size(terminal);
                shown["controller"] = controller(by.as_deref());
            }
            shown
        }
        Event::TerminalResized {
            job,
            mode: resized,
            size: TerminalSize { columns, rows },
        } => {
            mode = Some(resized);
            json!({"job": job.0, "columns": columns, "rows": rows})
        }
        Event::ControllerChanged {
            job,
            mode: changed,
            controller: by,
        } => {
            mode = Some(changed);
            let by = by.as_deref();
            let user = by.and_then(|by| by.user.as_deref());
            json!({"job": job.0, "client": by.map(|by| &*by.client), "user": user})
        }
        Event::LeftoversChosen {
            job,
            mode: chosen,
            kept,
        } => {
            mode = Some(chosen);
            json!({"job": job.0, "kept": kept})
        }
        Event::InputHidden {
            job,
            mode: hidden,
            bytes,
        } => {
            mode = Some(hidden);
            json!({"job": job.0, "bytes": bytes})
        }
        Event::ScreenCaptured {
            job,
            mode: captured,
            after,
            size: TerminalSize { columns, rows },
            content,
        } => {
            mode = Some(captured);
            let mut shown =
                json!({"job": job.0, "after": after.0, "columns": columns, "rows": rows});
            if detail.is_full() {
                shown["content"] = (**content).into();
            }
            shown
        }
        Event::StatementRefused { statement, reason } => {
            json!({"statement": statement.as_deref(), "reason": &**reason})
        }
        Event::RecordsRedacted { records } => {
            let records: Vec<_> = records.iter().map(|record| record.0).collect();
            json!({"records": records})
        }
        Event::RecordsLost { first, last, .. } => {
            json!({"first": first.0, "last": last.0, "cause": record.loss()})
        }
        Event::JobStarted { job, .. } => json!({"job": job.0}),
        Event::InputWritten {
            job,
            mode: written,
            bytes,
            end,
        } => {
            mode = Some(written);
            let (name, content) = match std::str::from_utf8(bytes) {
                Ok(text) => ("content", text.to_owned()),
                Err(_) => ("contentBase64", STANDARD.encode(bytes)),
            };
            json!({"job": job.0, (name): content, "end": end})
        }
        Event::ResultEmitted {
            job,
            mode: emitted,
            result,
            position: _,
        } if detail.is_full() => {
            mode = Some(emitted);
            // A result that is not JSON is shown as a string. No server writes one.
            let result = serde_json::from_str(result).unwrap_or_else(|_| Value::from(&**result));
            json!({"job": job.0, "result": result})
        }
        Event::ResultEmitted { .. } => Value::Null,
        Event::InterruptRequested { job, cause, .. } => {
            json!({"job": job.0, "cause": cause.name()})
        }
        Event::JobFinished {
            job,
            mode: finished,
            outcome,
            status,
            message,
        } => {
            mode = Some(finished);
            json!({
                "job": job.0,
                "outcome": outcome.name(),
                "status": status,
                "message": message.as_deref(),
            })
        }
        Event::SessionClosed { cause } => json!({"cause": cause.name()}),
    };
    if let Some(JobMode { slot, visibility }) = mode.filter(|_| detail.is_full()) {
        shown["place"] = slot_name(*slot).into();
        shown["audience"] = match visibility {
            Visibility::Session => "session",
            Visibility::Submitter => "submitter",
        }
        .into();
    }
    let mut members = match shown {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    if let Some(actor) = &record.actor {
        members.insert("by".into(), by(actor));
    }
    if let Some(redaction) = &record.redacted {
        members.insert("redacted".into(), redacted(redaction, detail));
    }
    members
}

/// Who asked for something, as JSON.
#[must_use]
pub fn by(actor: &Actor) -> Value {
    let link = actor.link();
    let token = actor.token.as_deref().filter(|_| link.is_none());
    let mut shown = json!({
        "account": actor.account.as_deref(),
        "token": token,
        "frontend": &*actor.frontend,
        "address": actor.address.as_deref(),
    });
    if let Some(link) = link {
        shown["link"] = Value::from(&**link);
    }
    shown
}

/// Who redacted a record, and when.
fn redacted(redaction: &Redaction, detail: Detail) -> Value {
    let mut shown = json!({"at": detail.instant(redaction.at)});
    if let Some(actor) = &redaction.by {
        shown["by"] = by(actor);
    }
    shown
}

/// Labels as an object.
pub(crate) fn labels_json(labels: &BTreeMap<Arc<str>, Arc<str>>) -> Value {
    let members = labels.iter();
    let members = members.map(|(key, value)| (key.to_string(), Value::from(&**value)));
    Value::Object(members.collect())
}

/// Appends the JSON of a record as viewers see it.
///
/// Invariants: the bytes of a result are sent as its runner encoded them, and nothing of an event
/// that is for its submitter alone is shown but its sequence and instant.
pub(crate) fn append_event(out: &mut Vec<u8>, record: &Record) {
    let sequence = record.sequence;
    let at = record.at.as_millis();
    let is_private = is_private(&record.event);
    let name = match is_private {
        // A viewer still sees every sequence.
        true => "private",
        false => event_type(&record.event),
    };
    append(
        out,
        format_args!(r#"{{"sequence":{sequence},"at":{at},"type":"{name}""#),
    );
    match &record.event {
        _ if is_private => {}
        Event::ResultEmitted { job, result, .. } => {
            if let Some(redaction) = &record.redacted {
                let redacted = redacted(redaction, Detail::Viewer);
                append(out, format_args!(r#","redacted":{redacted}"#));
            }
            append(out, format_args!(r#","job":{job},"result":"#));
            out.extend_from_slice(result.as_bytes());
        }
        _ => {
            for (name, value) in members(record, Detail::Viewer) {
                append(out, format_args!(r#","{name}":{value}"#));
            }
        }
    }
    out.push(b'}');
}

/// Appends formatted text.
#[expect(clippy::expect_used, reason = "writing to a Vec cannot fail")]
pub(crate) fn append(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a Vec cannot fail");
}

/// Whether only the submitter of its job may see an event.
pub(crate) fn is_private(event: &Event) -> bool {
    match event {
        Event::JobSubmitted { mode, .. } | Event::JobFinished { mode, .. } => mode.is_private(),
        Event::JobStarted { private, .. } | Event::InterruptRequested { private, .. } => *private,
        _ => event
            .mode()
            .is_some_and(|it| it.visibility == Visibility::Submitter),
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_engine::{InterruptCause, JobId, JobSlot, Sequence, SessionId};
    use std::sync::Arc;

    fn shown(event: Event) -> String {
        let record = Record {
            session: SessionId::from_bytes([1; 16]),
            sequence: Sequence(7),
            at: Timestamp::from_millis(1_000),
            clock: Timestamp::from_millis(1_000).into(),
            actor: None,
            redacted: None,
            event,
        };
        let mut out = vec![];
        append_event(&mut out, &record);
        String::from_utf8(out).unwrap()
    }

    fn emitted(visibility: Visibility) -> Event {
        Event::ResultEmitted {
            job: JobId(3),
            mode: JobMode {
                slot: JobSlot::Foreground,
                visibility,
            },
            // Not as serde_json would encode it.
            result: r#"{ "b":1.0,"a":"\u0041" }"#.into(),
            position: None,
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
    fn a_private_result_shows_only_its_sequence_and_instant() {
        assert_eq!(
            shown(emitted(Visibility::Submitter)),
            r#"{"sequence":7,"at":1000,"type":"private"}"#
        );
    }

    #[test]
    fn events_of_a_private_job_show_only_their_sequence_and_instant() {
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
                outcome: rejoin_engine::Outcome::Completed,
                status: 0,
                message: Some("secret".into()),
            },
        ] {
            assert_eq!(shown(event), r#"{"sequence":7,"at":1000,"type":"private"}"#);
        }
    }

    #[test]
    fn an_event_that_somebody_asked_for_says_who_unless_it_is_private() {
        let actor = Actor {
            account: Some("ada".into()),
            token: None,
            frontend: "mcp".into(),
            address: Some("127.0.0.1:9".into()),
        };
        let interrupted = |private| Record {
            session: SessionId::from_bytes([1; 16]),
            sequence: Sequence(7),
            at: Timestamp::from_millis(1_000),
            clock: Timestamp::from_millis(1_000).into(),
            actor: Some(Arc::new(actor.clone())),
            redacted: None,
            event: Event::InterruptRequested {
                job: JobId(3),
                cause: InterruptCause::Requested,
                private,
            },
        };
        let shown = |record: &Record| {
            let mut out = vec![];
            append_event(&mut out, record);
            String::from_utf8(out).unwrap()
        };
        let by = r#"{"account":"ada","address":"127.0.0.1:9","frontend":"mcp","token":null}"#;
        assert_eq!(
            shown(&interrupted(false)),
            format!(
                r#"{{"sequence":7,"at":1000,"type":"interrupt-requested","by":{by},"cause":"requested","job":3}}"#
            )
        );
        assert_eq!(
            shown(&interrupted(true)),
            r#"{"sequence":7,"at":1000,"type":"private"}"#
        );
    }

    #[test]
    fn quotes_and_line_breaks_in_an_event_are_escaped() {
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
