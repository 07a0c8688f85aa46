//! Which sessions a log holds, and which of them is meant.

use super::record_json::instant;
use rejoin_core::{Event, Record, SessionId, SessionNumber, Timestamp};
use std::collections::BTreeMap;
use std::fmt::Write;

/// So many sessions are listed; the others are counted.
const LISTED: usize = 100;

/// The sessions of a log.
#[derive(Debug, Default)]
pub(crate) struct Sessions(BTreeMap<SessionId, Summary>);

#[derive(Debug)]
struct Summary {
    /// Not known when the session's first record could not be read.
    number: Option<SessionNumber>,
    begin: Timestamp,
    end: Timestamp,
    records: u64,
    jobs: u64,
    is_closed: bool,
}

/// The session that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) session: SessionId,
    pub(crate) number: Option<SessionNumber>,
    /// The instant of the first record that is readable.
    pub(crate) begin: Timestamp,
}

impl Sessions {
    pub(crate) fn add(&mut self, record: &Record) {
        let summary = self.0.entry(record.session).or_insert(Summary {
            number: None,
            begin: record.at,
            end: record.at,
            records: 0,
            jobs: 0,
            is_closed: false,
        });
        summary.end = record.at;
        summary.records += 1;
        match &record.event {
            Event::SessionCreated { number, .. } => summary.number = Some(*number),
            Event::JobSubmitted { .. } => summary.jobs += 1,
            Event::SessionClosed { .. } => summary.is_closed = true,
            _ => {}
        }
    }

    /// The session that `name` means: its identity, the only one that begins so, or its number.
    /// Without a name, the only session.
    ///
    /// # Errors
    ///
    /// Why none is meant, in words, with a list of those that could be.
    pub(crate) fn choose(&self, name: Option<&str>) -> Result<Choice, String> {
        let meant: Vec<_> = match name {
            None => self.0.iter().collect(),
            Some(name) => self.find(name),
        };
        match (&meant[..], name) {
            ([(session, summary)], _) => Ok(Choice {
                session: **session,
                number: summary.number,
                begin: summary.begin,
            }),
            ([], None) => Err("the log holds no session".to_owned()),
            ([], Some(name)) => Err(format!(
                "no session of the log has the number {name}, or an identity that begins so; \
                 there {}:\n{}",
                if self.0.len() == 1 { "is" } else { "are" },
                table(self.0.iter())
            )),
            (_, None) => Err(format!(
                "the log holds {} sessions: name one by its number or the beginning of its \
                 identity:\n{}",
                meant.len(),
                table(meant.into_iter())
            )),
            (_, Some(name)) => Err(format!(
                "{name} can mean {} sessions: name one by its number or more of its identity:\n{}",
                meant.len(),
                table(meant.into_iter())
            )),
        }
    }

    fn find(&self, name: &str) -> Vec<(&SessionId, &Summary)> {
        let by_number = name.parse().ok().and_then(|number| {
            self.0
                .iter()
                .find(|(_, it)| it.number == Some(SessionNumber(number)))
        });
        if let Some(found) = by_number {
            return vec![found];
        }
        let name = name.to_lowercase();
        let begins_so = |id: &SessionId| !name.is_empty() && id.to_string().starts_with(&name);
        self.0.iter().filter(|(id, _)| begins_so(id)).collect()
    }
}

fn table<'a>(sessions: impl Iterator<Item = (&'a SessionId, &'a Summary)>) -> String {
    let mut sessions: Vec<_> = sessions.collect();
    sessions.sort_by_key(|(_, summary)| (summary.number, summary.begin));
    let mut table = format!(
        "{:>6}  {:36}  {:24}  {:24}  {:>7}  {:>5}  STATE",
        "NUMBER", "SESSION", "FIRST RECORD", "LAST RECORD", "RECORDS", "JOBS"
    );
    for (id, summary) in sessions.iter().take(LISTED) {
        let number = summary
            .number
            .map_or_else(|| "?".to_owned(), |number| number.to_string());
        let state = if summary.is_closed { "closed" } else { "open" };
        let (begin, end) = (instant(summary.begin), instant(summary.end));
        let (records, jobs) = (summary.records, summary.jobs);
        let _ = write!(
            table,
            "\n{number:>6}  {id}  {begin:24}  {end:24}  {records:>7}  {jobs:>5}  {state}"
        );
    }
    let more = sessions.len().saturating_sub(LISTED);
    if more > 0 {
        let _ = write!(table, "\n… and {more} more");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::testing::created;
    use rejoin_core::{CloseCause, Sequence};

    fn sessions(ids: &[(u8, u64)]) -> Sessions {
        let mut sessions = Sessions::default();
        for (first, number) in ids {
            let mut event = created();
            if let Event::SessionCreated { number: it, .. } = &mut event {
                *it = SessionNumber(*number);
            }
            let mut bytes = [0; 16];
            bytes[0] = *first;
            let mut record = Record {
                session: SessionId::from_bytes(bytes),
                sequence: Sequence(1),
                at: Timestamp::from_millis(1_000),
                event,
            };
            sessions.add(&record);
            record.at = Timestamp::from_millis(2_500);
            record.event = Event::SessionClosed {
                cause: CloseCause::Requested,
            };
            sessions.add(&record);
        }
        sessions
    }

    fn chosen(sessions: &Sessions, name: Option<&str>) -> Result<u64, String> {
        let choice = sessions.choose(name)?;
        Ok(choice.number.unwrap().0)
    }

    #[test]
    fn a_session_is_named_by_its_number_its_identity_or_how_that_begins() {
        let sessions = sessions(&[(0xa1, 1), (0xa2, 2), (0x3c, 10)]);
        for (name, number) in [
            ("1", 1),
            ("10", 10),
            ("a2", 2),
            ("A1", 1),
            // No session has the number 3.
            ("3", 10),
            ("3c000000-0000-0000-0000-000000000000", 10),
        ] {
            assert_eq!(chosen(&sessions, Some(name)), Ok(number), "{name}");
        }
    }

    #[test]
    fn who_names_none_of_several_is_shown_them_all() {
        let two = sessions(&[(0xa1, 1), (0xa2, 2)]);
        for (name, words) in [
            (None, "the log holds 2 sessions"),
            (Some("a"), "a can mean 2 sessions"),
            (Some("b"), "no session of the log has the number b"),
            (Some(""), "no session"),
        ] {
            let error = chosen(&two, name).unwrap_err();
            assert!(error.contains(words), "{error}");
            let line = "\n     2  a2000000-0000-0000-0000-000000000000  \
                        1970-01-01T00:00:01.000Z  1970-01-01T00:00:02.500Z        2      0  closed";
            assert!(error.contains(line), "{error}");
        }
        assert_eq!(chosen(&sessions(&[(0xa1, 1)]), None), Ok(1));
        let none = chosen(&Sessions::default(), None).unwrap_err();
        assert_eq!(none, "the log holds no session");
    }
}
