//! The sessions of a log, and the choice of one by number or ID.

use super::instant;
use rejoin_core::{Event, Moment, Record, SessionId, SessionNumber, Timestamp};
use rejoin_replay::size_of;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The most sessions in a list; further ones are counted.
const LISTED: usize = 100;

/// The sessions of a log.
#[derive(Debug, Default)]
pub(crate) struct Sessions(BTreeMap<SessionId, Summary>);

#[derive(Debug)]
struct Summary {
    /// Unknown if the session's first record could not be read.
    number: Option<SessionNumber>,
    begin: Moment,
    end: Timestamp,
    records: u64,
    jobs: u64,
    is_closed: bool,
    terminal: Option<(u16, u16)>,
}

/// The chosen session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) session: SessionId,
    pub(crate) number: Option<SessionNumber>,
    /// When the first readable record was decided.
    pub(crate) begin: Moment,
    /// Columns and rows of its first terminal.
    pub(crate) terminal: Option<(u16, u16)>,
}

impl Sessions {
    pub(crate) fn add(&mut self, record: &Record) {
        let summary = self.0.entry(record.session).or_insert_with(|| Summary {
            number: None,
            begin: record.moment(),
            end: record.at,
            records: 0,
            jobs: 0,
            is_closed: false,
            terminal: None,
        });
        summary.end = record.at;
        summary.records += 1;
        match &record.event {
            Event::SessionCreated { number, .. } => summary.number = Some(*number),
            Event::JobSubmitted { output, .. } => {
                summary.jobs += 1;
                let size = output.terminal().map(size_of);
                summary.terminal = summary.terminal.or(size);
            }
            Event::SessionClosed { .. } => summary.is_closed = true,
            _ => {}
        }
    }

    /// The session with the number or ID `name`, or the only one whose ID starts with it. Without a
    /// name, the only session.
    ///
    /// # Errors
    ///
    /// A message with a list of the sessions, if none matches, or several.
    pub(crate) fn choose(&self, name: Option<&str>) -> Result<Choice, String> {
        let matching: Vec<_> = match name {
            None => self.0.iter().collect(),
            Some(name) => self.find(name),
        };
        match (&matching[..], name) {
            ([(session, summary)], _) => Ok(Choice {
                session: **session,
                number: summary.number,
                begin: summary.begin,
                terminal: summary.terminal,
            }),
            ([], None) => Err("the log has no sessions".to_owned()),
            ([], Some(name)) => Err(format!(
                "no session {name} in the log, which has these:\n{}",
                table(self.0.iter())
            )),
            (_, None) => Err(format!(
                "the log has {} sessions; choose one by its number, or its ID or a prefix of it:\n{}",
                matching.len(),
                table(matching.into_iter())
            )),
            (_, Some(name)) => Err(format!(
                "{name} matches {} sessions; use the number or a longer prefix of the ID:\n{}",
                matching.len(),
                table(matching.into_iter())
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
        let has_prefix = |id: &SessionId| !name.is_empty() && id.to_string().starts_with(&name);
        self.0.iter().filter(|(id, _)| has_prefix(id)).collect()
    }
}

fn table<'a>(sessions: impl Iterator<Item = (&'a SessionId, &'a Summary)>) -> String {
    let mut sessions: Vec<_> = sessions.collect();
    sessions.sort_by_key(|(_, summary)| (summary.number, summary.begin.at));
    let mut table = format!(
        "{:>6}  {:36}  {:24}  {:24}  {:>7}  {:>5}  STATE",
        "NUMBER", "SESSION", "FIRST RECORD", "LAST RECORD", "RECORDS", "JOBS"
    );
    for (id, summary) in sessions.iter().take(LISTED) {
        let number = summary
            .number
            .map_or_else(|| "?".to_owned(), |number| number.to_string());
        let state = if summary.is_closed { "ended" } else { "open" };
        let (begin, end) = (instant(summary.begin.at), instant(summary.end));
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
                clock: Timestamp::from_millis(1_000).into(),
                actor: None,
                redacted: None,
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
    fn a_session_is_chosen_by_its_number_its_id_or_a_prefix() {
        let sessions = sessions(&[(0xa1, 1), (0xa2, 2), (0x3c, 10)]);
        for (name, number) in [
            ("1", 1),
            ("10", 10),
            ("a2", 2),
            ("A1", 1),
            // No session has the number 3, so it is a prefix.
            ("3", 10),
            ("3c000000-0000-0000-0000-000000000000", 10),
        ] {
            assert_eq!(chosen(&sessions, Some(name)), Ok(number), "{name}");
        }
    }

    #[test]
    fn an_ambiguous_choice_lists_the_sessions() {
        let two = sessions(&[(0xa1, 1), (0xa2, 2)]);
        for (name, words) in [
            (None, "the log has 2 sessions"),
            (Some("a"), "a matches 2 sessions"),
            (Some("b"), "no session b in the log"),
            (Some(""), "no session"),
        ] {
            let error = chosen(&two, name).unwrap_err();
            assert!(error.contains(words), "{error}");
            let line = "\n     2  a2000000-0000-0000-0000-000000000000  \
                        1970-01-01T00:00:01.000Z  1970-01-01T00:00:02.500Z        2      0  ended";
            assert!(error.contains(line), "{error}");
        }
        assert_eq!(chosen(&sessions(&[(0xa1, 1)]), None), Ok(1));
        let none = chosen(&Sessions::default(), None).unwrap_err();
        assert_eq!(none, "the log has no sessions");
    }
}
