//! A record as a JSON object, with everything that is in the log.

use crate::event_json::{Detail, event_type, members};
use rejoin_engine::{Event, Record, SessionNumber, Timestamp};
pub use rejoin_replay::instant;
use serde_json::{Map, Value};

/// The members of a record: `session`, `sequence`, `at`, `clock` (what the log's clock showed, if that
/// is something else than `at`), `event`, and those of the event that are
/// not null.
#[must_use]
pub fn fields(record: &Record) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("session".into(), record.session.to_string().into());
    fields.insert("sequence".into(), record.sequence.0.into());
    fields.insert("at".into(), instant(record.at).into());
    if record.clock != record.at.into() {
        let clock = Timestamp::from_millis(record.clock.as_millis());
        fields.insert("clock".into(), instant(clock).into());
    }
    fields.insert("event".into(), event_type(&record.event).into());
    let members = members(record, Detail::Full(instant)).into_iter();
    fields.extend(members.filter(|(_, value)| !value.is_null()));
    if let Some(Value::Object(by)) = fields.get_mut("by") {
        by.retain(|_, value| !value.is_null());
    }
    fields
}

/// What a record says that somebody asked for: its members, `what` in words, and the number of its session;
/// what was typed may be a password, and an audit is passed on, so only how much it was. None for a record of
/// something that follows from a request or happens by itself.
#[must_use]
pub fn audited(record: &Record, number: Option<SessionNumber>) -> Option<Map<String, Value>> {
    let what = rejoin_replay::request(record)?;
    let mut fields = fields(record);
    fields.insert("what".into(), what.into());
    if let Some(number) = number {
        // Also of the events that are not its first.
        fields.insert("number".into(), number.0.into());
    }
    if let Event::InputWritten { bytes, .. } = &record.event {
        fields.remove("content");
        fields.remove("contentBase64");
        fields.insert("inputBytes".into(), bytes.len().into());
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::testing::{SESSION, created};
    use rejoin_core::{JobId, JobMode, JobSlot, LossCause, Outcome, Sequence, Visibility};
    use serde_json::json;

    fn shown(sequence: u64, event: Event) -> Value {
        let record = Record {
            session: SESSION,
            sequence: Sequence(sequence),
            at: Timestamp::from_millis(1_500),
            clock: Timestamp::from_millis(1_500).into(),
            actor: None,
            redacted: None,
            event,
        };
        Value::Object(fields(&record))
    }

    #[test]
    fn a_result_is_nested_json_and_null_members_are_left_out() {
        let mode = JobMode {
            slot: JobSlot::Foreground,
            visibility: Visibility::Submitter,
        };
        let event = Event::ResultEmitted {
            job: JobId(3),
            mode,
            result: r#"{"content":"a\n","jobId":3,"stream":"stdout","type":"shell"}"#.into(),
            position: None,
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
