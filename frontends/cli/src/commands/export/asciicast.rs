//! Writes a recording in version 3 of asciinema's format
//! (<https://docs.asciinema.org/manual/asciicast/v3/>): a header, then an event a line.
//!
//! An event's interval is the time since the previous event, in seconds. A line feed without a
//! carriage return gets one, so that the cursor returns to the first column. Bytes that are not
//! UTF-8 become U+FFFD, because the format is JSON.

use crate::offline::Choice;
use rejoin_core::{Event, Moment, Record};
use serde_json::{Value, json};
use std::time::Duration;

/// The terminal in the recording.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    pub(super) columns: u16,
    pub(super) rows: u16,
    /// The longest pause in a player.
    pub(super) idle_limit: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Asciicast {
    /// The header, until the first record sets the start of the recording.
    header: Option<Value>,
    last: Moment,
    /// Whether the last character written was a carriage return.
    is_returned: bool,
    /// The exit status of the last job.
    status: i32,
    is_closed: bool,
}

impl Asciicast {
    pub(super) fn new(screen: Screen, session: &Choice) -> Self {
        let name = session.number.map(|number| format!("session {number}"));
        let name = name.unwrap_or_else(|| format!("session {}", session.session));
        let mut header = json!({
            "version": 3,
            "term": {"cols": screen.columns, "rows": screen.rows, "type": "xterm-256color"},
            "title": format!("Rejoin, {name}"),
        });
        if let Some(limit) = screen.idle_limit {
            header["idle_time_limit"] = limit.as_secs_f64().into();
        }
        Self {
            header: Some(header),
            last: session.begin,
            is_returned: false,
            status: 0,
            is_closed: false,
        }
    }

    /// The lines for the next record, which a terminal shows as these bytes.
    pub(super) fn take(&mut self, record: &Record, is_visible: bool, shown: &[u8]) -> String {
        let mut lines = self.begin(record.moment());
        if !is_visible {
            return lines;
        }
        match &record.event {
            Event::JobSubmitted { statement, .. } => {
                let label = statement.lines().next().unwrap_or_default().trim();
                lines += &self.event(record.moment(), "m", label);
            }
            Event::JobFinished { status, .. } => self.status = *status,
            Event::SessionClosed { .. } => self.is_closed = true,
            _ => {}
        }
        if !shown.is_empty() {
            let text = self.returned(&String::from_utf8_lossy(shown));
            lines += &self.event(record.moment(), "o", &text);
        }
        if self.is_closed {
            lines += &self.event(record.moment(), "x", &self.status.to_string());
        }
        lines
    }

    /// The rest to write: the header, if there were no records.
    pub(super) fn end(&mut self) -> String {
        self.begin(self.last)
    }

    fn begin(&mut self, now: Moment) -> String {
        let Some(mut header) = self.header.take() else {
            return String::new();
        };
        self.last = now;
        header["timestamp"] = (now.at.as_millis() / 1_000).into();
        format!("{header}\n")
    }

    fn event(&mut self, now: Moment, code: &str, content: &str) -> String {
        let passed = now.since(std::mem::replace(&mut self.last, now));
        let (seconds, millis) = (passed.as_secs(), passed.subsec_millis());
        format!(
            "[{seconds}.{millis:03}, \"{code}\", {}]\n",
            Value::from(content)
        )
    }

    /// The text with a carriage return before each line feed that has none.
    fn returned(&mut self, text: &str) -> String {
        let mut returned = String::with_capacity(text.len());
        for character in text.chars() {
            if character == '\n' && !self.is_returned {
                returned.push('\r');
            }
            returned.push(character);
            self.is_returned = character == '\r';
        }
        returned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::testing::SESSION;
    use rejoin_core::{
        CloseCause, JobId, JobMode, JobSlot, Outcome, Sequence, SessionNumber, Timestamp,
        Visibility,
    };

    fn cast(idle_limit: Option<Duration>) -> Asciicast {
        let screen = Screen {
            columns: 100,
            rows: 30,
            idle_limit,
        };
        Asciicast::new(
            screen,
            &Choice {
                session: SESSION,
                number: Some(SessionNumber(4)),
                begin: Timestamp::from_millis(1_504_467_315_250).into(),
            },
        )
    }

    fn record(millis: u64, event: Event) -> Record {
        Record {
            session: SESSION,
            sequence: Sequence(1),
            at: Timestamp::from_millis(1_504_467_315_250 + millis),
            clock: Timestamp::from_millis(1_504_467_315_250 + millis).into(),
            actor: None,
            event,
        }
    }

    #[test]
    fn a_recording_is_a_header_and_events_with_the_time_between_them() {
        let mode = JobMode {
            slot: JobSlot::Foreground,
            visibility: Visibility::Session,
        };
        let job = JobId(1);
        let submitted = Event::JobSubmitted {
            job,
            mode,
            statement: "make\nmake install".into(),
            timeout: Duration::ZERO,
            output_limit: 0,
            request: None,
            input: false,
            output: rejoin_core::JobOutput::Separate,
            controller: None,
        };
        let said = Event::ResultEmitted {
            job,
            mode,
            result: "{}".into(),
            position: None,
        };
        let finished = Event::JobFinished {
            job,
            mode,
            outcome: Outcome::Failed,
            status: 2,
            message: None,
        };
        let closed = Event::SessionClosed {
            cause: CloseCause::Requested,
        };
        let mut cast = cast(Some(Duration::from_millis(1_500)));
        let lines = [
            cast.take(&record(0, Event::SessionResumed), true, b""),
            cast.take(&record(1_250, submitted), true, b"$ make\n"),
            cast.take(&record(1_251, said.clone()), true, b"a\r"),
            cast.take(&record(3_000, said.clone()), true, b"\nb\n\xff\"\x1b[0m"),
            cast.take(&record(3_500, said), false, b""),
            cast.take(&record(4_000, finished), true, b""),
            cast.take(&record(5_000, closed), true, b""),
            cast.end(),
        ];
        let expected = [
            "{\"idle_time_limit\":1.5,\"term\":{\"cols\":100,\"rows\":30,\
             \"type\":\"xterm-256color\"},\"timestamp\":1504467315,\
             \"title\":\"Rejoin, session 4\",\"version\":3}\n",
            "[1.250, \"m\", \"make\"]\n[0.000, \"o\", \"$ make\\r\\n\"]\n",
            "[0.001, \"o\", \"a\\r\"]\n",
            "[1.749, \"o\", \"\\nb\\r\\n\u{fffd}\\\"\\u001b[0m\"]\n",
            "",
            "",
            "[2.000, \"x\", \"2\"]\n",
            "",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_recording_of_nothing_is_its_header() {
        let header: Value = serde_json::from_str(&cast(None).end()).unwrap();
        assert_eq!(header["version"], 3);
        assert_eq!(header.get("idle_time_limit"), None);
    }
}
