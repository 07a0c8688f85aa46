//! Writes a recording in version 2 or 3 of asciinema's format
//! (<https://docs.asciinema.org/manual/asciicast/v3/>): a header, then an event a line.
//!
//! An event's time is that since the beginning in version 2, and since the previous event in version 3,
//! in seconds. What a job writes to its terminal is recorded as it is. In other output, a line feed
//! without a carriage return gets one, so that the cursor returns to the first column. Bytes that are
//! not UTF-8 become U+FFFD, because the format is JSON.

use crate::{output_of, size_of};
use rejoin_core::{Event, JobId, Moment, Record, SessionId, SessionNumber};
use rejoin_screen::{Decoder, Modes, Screen};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Times are those since the beginning.
    Two,
    /// Times are those since the previous event.
    Three,
}

/// Columns and rows of a recording of a session that has no terminal.
pub const DEFAULT_SIZE: (u16, u16) = (80, 24);

/// What a recording is to be like.
#[derive(Clone, Copy, Debug)]
pub struct Recording {
    /// The version of the format.
    pub version: Version,
    /// Columns of the terminal at the start.
    pub columns: u16,
    /// Its rows.
    pub rows: u16,
    /// The longest pause in a player.
    pub idle_limit: Option<Duration>,
    /// Whether what was typed is in it.
    pub input: bool,
}

/// A recording that is being written: records in, lines out. Its memory does not grow with the session,
/// but with the jobs that run.
#[derive(Debug)]
pub struct Asciicast {
    recording: Recording,
    /// The header, until the first record sets the start of the recording.
    header: Option<Value>,
    begin: Moment,
    last: Moment,
    size: (u16, u16),
    terminals: BTreeMap<JobId, CastTerminal>,
    /// What terminals show already when the recording begins.
    resumed: Vec<((u16, u16), String)>,
    /// Whether the last character written was a carriage return.
    is_returned: bool,
    /// The exit status of the last job.
    status: i32,
    is_closed: bool,
}

/// The terminal of a job that runs.
#[derive(Debug, Default)]
struct CastTerminal {
    decoder: Decoder,
    modes: Modes,
}

impl Asciicast {
    /// A recording of a session whose first readable record was decided at `begin`. Its title has the
    /// number of the session, or its ID where the number is not known.
    #[must_use]
    pub fn new(
        recording: Recording,
        session: SessionId,
        number: Option<SessionNumber>,
        begin: Moment,
    ) -> Self {
        let name = number.map(|number| format!("session {number}"));
        let name = name.unwrap_or_else(|| format!("session {session}"));
        let (columns, rows) = (recording.columns, recording.rows);
        let mut header = match recording.version {
            Version::Two => json!({
                "version": 2,
                "width": columns,
                "height": rows,
                "env": {"TERM": "xterm-256color"},
            }),
            Version::Three => json!({
                "version": 3,
                "term": {"cols": columns, "rows": rows, "type": "xterm-256color"},
            }),
        };
        header["title"] = format!("Rejoin, {name}").into();
        if let Some(limit) = recording.idle_limit {
            header["idle_time_limit"] = limit.as_secs_f64().into();
        }
        Self {
            recording,
            header: Some(header),
            begin,
            last: begin,
            size: (columns, rows),
            terminals: BTreeMap::new(),
            resumed: vec![],
            is_returned: false,
            status: 0,
            is_closed: false,
        }
    }

    /// The recording begins while the terminal of a job shows this.
    pub fn resume(&mut self, job: JobId, screen: &Screen) {
        let content = screen.content();
        let mut terminal = CastTerminal::default();
        terminal.modes.feed(content.as_bytes());
        self.terminals.insert(job, terminal);
        self.resumed.push((screen.size(), content));
    }

    /// The lines for the next record, which a terminal shows as these bytes.
    #[must_use]
    pub fn take(&mut self, record: &Record, is_visible: bool, shown: &[u8]) -> String {
        let now = record.moment();
        let mut lines = self.begin(now);
        if !is_visible {
            return lines;
        }
        let mut size = None;
        match &record.event {
            Event::JobSubmitted {
                job,
                statement,
                output,
                ..
            } => {
                let label = statement.lines().next().unwrap_or_default().trim();
                lines += &self.event(now, "m", label);
                if let Some(terminal) = output.terminal() {
                    self.terminals.insert(*job, CastTerminal::default());
                    size = Some(size_of(terminal));
                }
            }
            Event::TerminalResized { size: new, .. } => size = Some(size_of(*new)),
            Event::InputWritten { bytes, .. } if self.recording.input && !bytes.is_empty() => {
                lines += &self.event(now, "i", &String::from_utf8_lossy(bytes));
            }
            Event::JobFinished { job, status, .. } => {
                self.status = *status;
                if let Some(terminal) = self.terminals.remove(job) {
                    let undo = terminal.modes.undo();
                    if !undo.is_empty() {
                        lines += &self.event(now, "o", &undo);
                    }
                }
            }
            Event::SessionClosed { .. } => self.is_closed = true,
            _ => {}
        }
        match &record.event {
            Event::ResultEmitted { job, result, .. } if self.terminals.contains_key(job) => {
                let bytes = output_of(result).bytes;
                let decoded = self.terminals.get_mut(job).map(|terminal| {
                    terminal.modes.feed(&bytes);
                    terminal.decoder.decode(&bytes)
                });
                if let Some(text) = decoded.filter(|it| !it.is_empty()) {
                    lines += &self.event(now, "o", &text);
                    self.is_returned = text.ends_with('\r');
                }
            }
            _ if !shown.is_empty() => {
                let text = self.returned(&String::from_utf8_lossy(shown));
                lines += &self.event(now, "o", &text);
            }
            _ => {}
        }
        if let Some(size) = size {
            lines += &self.resize(now, size);
        }
        if self.is_closed && self.recording.version == Version::Three {
            lines += &self.event(now, "x", &self.status.to_string());
        }
        lines
    }

    /// The rest to write: the header, if there were no records.
    #[must_use]
    pub fn end(&mut self) -> String {
        self.begin(self.last)
    }

    fn begin(&mut self, now: Moment) -> String {
        let Some(mut header) = self.header.take() else {
            return String::new();
        };
        (self.begin, self.last) = (now, now);
        header["timestamp"] = (now.at.as_millis() / 1_000).into();
        let mut lines = format!("{header}\n");
        for (size, content) in std::mem::take(&mut self.resumed) {
            lines += &self.resize(now, size);
            lines += &self.event(now, "o", &content);
        }
        lines
    }

    fn resize(&mut self, now: Moment, size: (u16, u16)) -> String {
        if std::mem::replace(&mut self.size, size) == size {
            return String::new();
        }
        let (columns, rows) = size;
        self.event(now, "r", &format!("{columns}x{rows}"))
    }

    fn event(&mut self, now: Moment, code: &str, content: &str) -> String {
        let last = std::mem::replace(&mut self.last, now);
        let passed = match self.recording.version {
            Version::Two => now.since(self.begin),
            Version::Three => now.since(last),
        };
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
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use rejoin_core::testing::SESSION;
    use rejoin_core::{
        CloseCause, JobId, JobMode, JobOutput, JobSlot, Outcome, Sequence, SessionNumber,
        TerminalSize, Timestamp, Visibility,
    };

    fn cast(idle_limit: Option<Duration>, version: Version) -> Asciicast {
        let recording = Recording {
            version,
            columns: 100,
            rows: 30,
            idle_limit,
            input: true,
        };
        Asciicast::new(
            recording,
            SESSION,
            Some(SessionNumber(4)),
            Timestamp::from_millis(1_504_467_315_250).into(),
        )
    }

    fn record(millis: u64, event: Event) -> Record {
        Record {
            session: SESSION,
            sequence: Sequence(1),
            at: Timestamp::from_millis(1_504_467_315_250 + millis),
            clock: Timestamp::from_millis(1_504_467_315_250 + millis).into(),
            actor: None,
            redacted: None,
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
            output: JobOutput::Merged,
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
        let mut cast = cast(Some(Duration::from_millis(1_500)), Version::Three);
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
        let header: Value = serde_json::from_str(&cast(None, Version::Three).end()).unwrap();
        assert_eq!(header["version"], 3);
        assert_eq!(header.get("idle_time_limit"), None);
    }

    #[test]
    fn a_terminal_is_recorded_with_its_sizes_and_without_a_change() {
        let mode = JobMode {
            slot: JobSlot::Foreground,
            visibility: Visibility::Session,
        };
        let job = JobId(1);
        let size = |columns, rows| TerminalSize { columns, rows };
        let submitted = Event::JobSubmitted {
            job,
            mode,
            statement: "vi".into(),
            timeout: Duration::ZERO,
            output_limit: 0,
            request: None,
            input: true,
            output: JobOutput::Terminal(size(132, 43)),
            controller: None,
        };
        let said = |content: &str| Event::ResultEmitted {
            job,
            mode,
            result: json!({"contentBase64": STANDARD.encode(content), "type": "terminal"})
                .to_string()
                .into(),
            position: None,
        };
        // A character that is split between two results.
        let half = |base64: &str| Event::ResultEmitted {
            job,
            mode,
            result: json!({"contentBase64": base64, "type": "terminal"})
                .to_string()
                .into(),
            position: None,
        };
        let typed = Event::InputWritten {
            job,
            mode,
            bytes: b":q\r".as_slice().into(),
            end: false,
        };
        let resized = Event::TerminalResized {
            job,
            mode,
            size: size(80, 24),
        };
        let finished = Event::JobFinished {
            job,
            mode,
            outcome: Outcome::Completed,
            status: 0,
            message: None,
        };
        let events = [
            (0, submitted, "$ vi\n"),
            (100, said("\x1b[?2004ha\nb"), "?"),
            (200, half("w6k="), "?"),
            (250, half("ww=="), "?"),
            (300, half("qQ=="), "?"),
            (400, typed, ""),
            (500, resized, ""),
            (600, finished, "\n[job 1 completed]\n"),
        ];
        let mut cast = cast(None, Version::Two);
        let events = events.into_iter();
        let lines: String = events
            .map(|(millis, event, shown)| cast.take(&record(millis, event), true, shown.as_bytes()))
            .collect();
        let undo =
            "\\u001b[?2004l\\u001b[?1l\\u001b[?7h\\u001b[?25h\\u001b[4l\\u001b(B\\u000f\\u001b[0m";
        let expected = [
            "{\"env\":{\"TERM\":\"xterm-256color\"},\"height\":30,\"timestamp\":1504467315,\
             \"title\":\"Rejoin, session 4\",\"version\":2,\"width\":100}",
            "[0.000, \"m\", \"vi\"]",
            "[0.000, \"o\", \"$ vi\\r\\n\"]",
            "[0.000, \"r\", \"132x43\"]",
            "[0.100, \"o\", \"\\u001b[?2004ha\\nb\"]",
            "[0.200, \"o\", \"é\"]",
            "[0.300, \"o\", \"é\"]",
            "[0.400, \"i\", \":q\\r\"]",
            "[0.500, \"r\", \"80x24\"]",
            &format!("[0.600, \"o\", \"{undo}\"]"),
            "[0.600, \"o\", \"\\r\\n[job 1 completed]\\r\\n\"]",
        ];
        assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
    }
}
