//! `rejoin log`: prints the raw records of a log, to debug the engine. Changes nothing.

use crate::args::LogArgs;
use crate::commands::audit;
use crate::offline::{Offline, OfflineError, Sessions, conclude, fields, written};
use rejoin_core::{Event, Record, Visibility};
use rejoin_log::schema;
use serde_json::{Map, Value};
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

/// Prints the records; the exit status says whether all of them could be read.
pub(crate) fn run(args: &LogArgs) -> Result<ExitCode, OfflineError> {
    if args.audit {
        return audit::run(args);
    }
    let (log, name) = Offline::find(&args.place, args.session.as_deref(), true)?;
    let session = match name {
        None => None,
        Some(name) => {
            let mut sessions = Sessions::default();
            log.read(&mut |record| sessions.add(&record))?;
            let choice = sessions.choose(Some(name)).map_err(OfflineError::Session)?;
            Some(choice.session)
        }
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut outcome = Ok(());
    let (mut position, mut left) = (0_u64, args.limit.unwrap_or(u64::MAX));
    let mut encoded = Vec::new();
    let findings = log.read(&mut |record| {
        position += 1;
        let is_wanted = position >= args.from && session.is_none_or(|it| it == record.session);
        if left == 0 || outcome.is_err() || !is_wanted {
            return;
        }
        left -= 1;
        encoded.clear();
        schema::encode(&record, &mut encoded);
        let raw = Raw {
            position,
            bytes: encoded.len(),
            record: &record,
        };
        let line = if args.json { raw.json() } else { raw.line() };
        outcome = writeln!(out, "{line}");
    })?;
    written(outcome.and_then(|()| out.flush()), "the records")?;
    Ok(conclude(&findings, session))
}

/// A record with its position and size.
struct Raw<'a> {
    /// Its position in the log, counted from 1 over all readable records.
    position: u64,
    /// The encoded size in bytes.
    bytes: usize,
    record: &'a Record,
}

impl Raw<'_> {
    fn json(&self) -> String {
        let mut fields = fields(self.record);
        fields.insert("position".into(), self.position.into());
        fields.insert("bytes".into(), self.bytes.into());
        Value::Object(fields).to_string()
    }

    fn line(&self) -> String {
        let mut fields = fields(self.record);
        let mut take = |name: &str| match fields.remove(name) {
            Some(Value::String(text)) => text,
            other => other.unwrap_or_default().to_string(),
        };
        let (session, sequence) = (take("session"), take("sequence"));
        let (at, event) = (take("at"), take("event"));
        let (position, bytes) = (self.position, self.bytes);
        let only = if is_for_the_submitter(&self.record.event) {
            "  (for the submitter only)"
        } else {
            ""
        };
        format!(
            "{position:>8}  {at}  {session} {sequence:>6}  {bytes:>6} B  {event}{}{only}",
            members(&fields)
        )
    }
}

fn members(fields: &Map<String, Value>) -> String {
    let members = fields.iter();
    members
        .map(|(name, value)| format!(" {name}={value}"))
        .collect()
}

fn is_for_the_submitter(event: &Event) -> bool {
    match event {
        Event::JobStarted { private, .. } | Event::InterruptRequested { private, .. } => *private,
        _ => event
            .mode()
            .is_some_and(|it| it.visibility == Visibility::Submitter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::testing::SESSION;
    use rejoin_core::{JobId, JobMode, JobSlot, Sequence, Timestamp};

    #[test]
    fn a_line_shows_all_fields_of_a_record() {
        let record = Record {
            session: SESSION,
            sequence: Sequence(7),
            at: Timestamp::from_millis(1_500),
            clock: Timestamp::from_millis(1_500).into(),
            actor: None,
            redacted: None,
            event: Event::ResultEmitted {
                job: JobId(3),
                mode: JobMode {
                    slot: JobSlot::Foreground,
                    visibility: Visibility::Submitter,
                },
                result: r#"{"content":"a b","jobId":3}"#.into(),
                position: None,
            },
        };
        let raw = Raw {
            position: 12,
            bytes: 90,
            record: &record,
        };
        let expected = format!(
            "      12  1970-01-01T00:00:01.500Z  {SESSION}      7      90 B  result \
             audience=\"submitter\" job=3 place=\"foreground\" \
             result={{\"content\":\"a b\",\"jobId\":3}}  (for the submitter only)"
        );
        assert_eq!(raw.line(), expected);
        let json: Value = serde_json::from_str(&raw.json()).unwrap();
        assert_eq!(
            (&json["position"], &json["bytes"]),
            (&12.into(), &90.into())
        );
        assert_eq!(json["result"]["content"], "a b");
    }
}
