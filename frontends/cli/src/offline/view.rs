//! What a viewer of a session would have seen in a terminal.
//!
//! What enters: the records of one session, in their order. What leaves: bytes. What a job wrote is
//! given as it was written; lines of our own (prompts, how jobs ended) begin at a line's beginning.
//! Never: a record is left out that a viewer saw, or missing ones are passed over in silence.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rejoin_core::{Event, JobMode, JobSlot, Outcome, Record, Sequence, Visibility};
use serde_json::Value;
use std::ops::RangeInclusive;

/// What is shown at all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct View {
    /// Also what only its submitter was told.
    pub(crate) all: bool,
    /// Also what is neither a statement, nor output, nor the end of a job.
    pub(crate) events: bool,
}

/// Something to be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) style: Style,
    pub(crate) bytes: Vec<u8>,
}

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// A statement, as it stands behind a prompt.
    Prompt,
    /// What a job wrote, byte for byte.
    Output,
    /// A line about what happened.
    Note,
}

impl View {
    /// Whether a consumer of the session is told of this record.
    pub(crate) fn is_told(&self, record: &Record) -> bool {
        match &record.event {
            Event::JobSubmitted { mode, .. }
            | Event::InputWritten { mode, .. }
            | Event::ResultEmitted { mode, .. }
            | Event::JobFinished { mode, .. } => self.all || mode.visibility == Visibility::Session,
            _ => true,
        }
    }

    /// What a record shows, if anything.
    pub(crate) fn show(&self, record: &Record) -> Option<Shown> {
        if !self.is_told(record) {
            return None;
        }
        match &record.event {
            Event::JobSubmitted {
                mode, statement, ..
            } => Some(prompt(statement, *mode)),
            Event::ResultEmitted { result, .. } => Some(output(result)),
            event @ (Event::JobFinished { .. } | Event::RecordsLost { .. }) => {
                words_of(event).map(|words| note(&words))
            }
            event if self.events => words_of(event).map(|words| note(&words)),
            _ => None,
        }
    }
}

/// A statement as it was typed; its further lines as a shell asks for them.
fn prompt(statement: &str, mode: JobMode) -> Shown {
    let mut shown = format!("$ {}", statement.trim_end().replace('\n', "\n> "));
    if mode.slot == JobSlot::Background {
        shown.push_str(" &");
    }
    Shown {
        style: Style::Prompt,
        bytes: shown.into_bytes(),
    }
}

/// What a result says, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) bytes: Vec<u8>,
    /// Whether it was said on standard error.
    pub(crate) is_error: bool,
}

/// What a shell's job wrote; every other result as the JSON that it is.
pub(crate) fn said(result: &str) -> Said {
    let value: Value = serde_json::from_str(result).unwrap_or_default();
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let written = match (text("type"), text("content"), text("contentBase64")) {
        (Some("shell"), Some(content), _) => Some(content.as_bytes().to_vec()),
        (Some("shell"), None, Some(content)) => STANDARD.decode(content).ok(),
        _ => None,
    };
    Said {
        is_error: written.is_some() && text("stream") == Some("stderr"),
        bytes: written.unwrap_or_else(|| format!("{result}\n").into_bytes()),
    }
}

fn output(result: &str) -> Shown {
    Shown {
        style: Style::Output,
        bytes: said(result).bytes,
    }
}

fn note(words: &str) -> Shown {
    Shown {
        style: Style::Note,
        bytes: format!("[{words}]").into_bytes(),
    }
}

/// What happened, in words, where it is neither a statement nor output.
pub(crate) fn words_of(event: &Event) -> Option<String> {
    Some(match event {
        Event::JobFinished {
            job,
            outcome: ended,
            status,
            message,
            ..
        } => {
            let ended = match ended {
                Outcome::Completed => plain(ended.name()),
                ended => format!("{}, status {status}", plain(ended.name())),
            };
            let message = message.as_deref().map(|it| format!(": {it}"));
            let message = message.unwrap_or_default();
            format!("job {job} {ended}{message}")
        }
        Event::RecordsLost { first, last, cause } => {
            let cause = cause.name();
            format!("records {first} to {last} are gone: {cause}")
        }
        Event::SessionCreated {
            number,
            service,
            user,
            ..
        } => {
            let by = user.as_deref().map(|user| format!(" by {user}"));
            let by = by.unwrap_or_default();
            format!("session {number} created{by} on the service {service}")
        }
        Event::SessionResumed => "the server started again".into(),
        Event::UserSet { user } => format!("used by {user}"),
        // By its number alone: the rest of its identity is a secret while the session is open.
        Event::ConsumerJoined { consumer, .. } => format!("consumer {} joined", consumer.ordinal),
        Event::ConsumerLeft { consumer, cause } => {
            let cause = plain(cause.name());
            format!("consumer {} left: {cause}", consumer.ordinal)
        }
        Event::StatementRefused { statement, reason } => match statement {
            Some(statement) => format!("refused: {reason}: {statement}"),
            None => format!("refused: {reason}"),
        },
        Event::InputWritten {
            job, bytes, end, ..
        } => {
            let end = if *end { ", the last" } else { "" };
            match bytes.len() {
                0 => format!("job {job} was told that its input ends"),
                count => format!("job {job} was given {count} bytes of input{end}"),
            }
        }
        Event::InterruptRequested { job, cause, .. } => {
            format!("job {job} told to end: {}", plain(cause.name()))
        }
        Event::SessionClosed { cause } => format!("session closed: {}", cause.name()),
        _ => return None,
    })
}

/// A word of the API, for people.
pub(crate) fn plain(word: &str) -> String {
    word.replace('-', " ")
}

/// A terminal that is written to from its first line on.
#[derive(Debug)]
pub(crate) struct Viewer {
    /// Whether prompts and notes are told apart by how they look.
    is_styled: bool,
    is_line_begun: bool,
    last: Sequence,
}

impl Viewer {
    pub(crate) fn new(is_styled: bool) -> Self {
        Self::after(is_styled, Sequence::START)
    }

    /// One that is shown what follows a sequence.
    pub(crate) fn after(is_styled: bool, last: Sequence) -> Self {
        Self {
            is_styled,
            is_line_begun: false,
            last,
        }
    }

    /// Takes notice of the next record of the session, shown or not, which stands for these
    /// sequences (a declared gap says itself what is gone); says what is missing before it.
    pub(crate) fn pass(&mut self, covered_sequences: &RangeInclusive<Sequence>) -> Option<Shown> {
        let before = std::mem::replace(&mut self.last, *covered_sequences.end());
        let start = covered_sequences.start().0;
        let missing = start.saturating_sub(before.0);
        (missing > 1).then(|| {
            let (first, last) = (before.0.saturating_add(1), start - 1);
            note(&format!("sequences {first} to {last} are missing"))
        })
    }

    /// The bytes that show something after what was shown before.
    pub(crate) fn bytes(&mut self, shown: &Shown) -> Vec<u8> {
        if shown.style == Style::Output {
            if let Some(last) = shown.bytes.last() {
                self.is_line_begun = *last != b'\n';
            }
            return shown.bytes.clone();
        }
        let (begin, end) = match (self.is_styled, shown.style) {
            (false, _) | (_, Style::Output) => ("", ""),
            (true, Style::Prompt) => ("\x1b[1m", "\x1b[0m"),
            (true, Style::Note) => ("\x1b[2m", "\x1b[0m"),
        };
        let fresh = if self.is_line_begun { "\n" } else { "" };
        self.is_line_begun = false;
        let mut bytes = format!("{fresh}{begin}").into_bytes();
        bytes.extend_from_slice(&shown.bytes);
        bytes.extend_from_slice(end.as_bytes());
        bytes.push(b'\n');
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::testing::{SESSION, instant};
    use rejoin_core::{InterruptCause, JobId, LossCause};
    use std::time::Duration;

    #[test]
    fn a_declared_gap_is_told_once_and_in_its_own_words() {
        let mut viewer = Viewer::new(false);
        let record = |sequence, event| Record {
            session: SESSION,
            sequence: Sequence(sequence),
            at: instant(1),
            event,
        };
        assert!(
            viewer
                .pass(&record(1, Event::SessionResumed).covered_sequences())
                .is_none()
        );
        let lost = Event::RecordsLost {
            first: Sequence(2),
            last: Sequence(9),
            cause: LossCause::Damage,
        };
        let lost = record(9, lost);
        assert!(viewer.pass(&lost.covered_sequences()).is_none());
        let shown = View::default().show(&lost).unwrap();
        assert_eq!(shown.bytes, b"[records 2 to 9 are gone: damage]");
        assert!(
            viewer
                .pass(&record(10, Event::SessionResumed).covered_sequences())
                .is_none()
        );
    }

    const HEARD: JobMode = JobMode {
        slot: JobSlot::Foreground,
        visibility: Visibility::Session,
    };
    const JOB: JobId = JobId(3);

    fn submitted(statement: &str, mode: JobMode) -> Event {
        Event::JobSubmitted {
            job: JOB,
            mode,
            statement: statement.into(),
            timeout: Duration::from_secs(1),
            output_limit: 1,
            request: None,
            input: false,
        }
    }

    fn said(result: &str) -> Event {
        Event::ResultEmitted {
            job: JOB,
            mode: HEARD,
            result: result.into(),
        }
    }

    fn finished(outcome: Outcome, status: i32, message: Option<&str>) -> Event {
        Event::JobFinished {
            job: JOB,
            mode: HEARD,
            outcome,
            status,
            message: message.map(Into::into),
        }
    }

    fn seen(view: View, is_styled: bool, events: &[Event]) -> Vec<u8> {
        let mut viewer = Viewer::new(is_styled);
        let mut seen = vec![];
        for (event, sequence) in events.iter().zip(1..) {
            let record = Record {
                session: SESSION,
                sequence: Sequence(sequence),
                at: instant(1),
                event: event.clone(),
            };
            assert_eq!(viewer.pass(&record.covered_sequences()), None);
            if let Some(shown) = view.show(&record) {
                seen.extend(viewer.bytes(&shown));
            }
        }
        seen
    }

    #[test]
    fn output_is_given_byte_for_byte_and_our_lines_begin_at_a_lines_beginning() {
        let events = [
            submitted("printf 'a\\nb'\n", HEARD),
            said(r#"{"content":"a\nb","jobId":3,"stream":"stdout","type":"shell"}"#),
            said(r#"{"contentBase64":"/wA=","jobId":3,"stream":"stderr","type":"shell"}"#),
            finished(Outcome::Failed, 2, Some("no")),
            submitted("cat <<E\nx\nE", HEARD),
            said(r#"{"jobId":3,"type":"version","version":"1"}"#),
            finished(Outcome::Completed, 0, None),
        ];
        let expected = b"$ printf 'a\\nb'\na\nb\xff\0\n[job 3 failed, status 2: no]\n\
            $ cat <<E\n> x\n> E\n{\"jobId\":3,\"type\":\"version\",\"version\":\"1\"}\n\
            [job 3 completed]\n";
        assert_eq!(seen(View::default(), false, &events), expected);
    }

    #[test]
    fn what_only_the_submitter_was_told_and_what_is_no_output_is_shown_on_demand() {
        let alone = JobMode {
            slot: JobSlot::Background,
            visibility: Visibility::Submitter,
        };
        let events = [
            submitted("secret", alone),
            Event::InterruptRequested {
                job: JOB,
                cause: InterruptCause::OutputLimit,
                private: true,
            },
            Event::StatementRefused {
                statement: Some("x".into()),
                reason: "no".into(),
            },
            Event::InputWritten {
                job: JOB,
                mode: HEARD,
                bytes: [].into(),
                end: true,
            },
        ];
        let view = |all, events| View { all, events };
        assert_eq!(seen(view(false, false), false, &events), b"");
        assert_eq!(seen(view(true, false), false, &events), b"$ secret &\n");
        let words = b"[job 3 told to end: output limit]\n[refused: no: x]\n\
            [job 3 was told that its input ends]\n";
        assert_eq!(seen(view(false, true), false, &events), words);
    }

    #[test]
    fn on_a_terminal_our_lines_look_different_and_output_does_not() {
        let events = [
            submitted("true", HEARD),
            said(r#"{"content":"a\n","jobId":3,"stream":"stdout","type":"shell"}"#),
            finished(Outcome::TimedOut, 130, None),
        ];
        let expected = b"\x1b[1m$ true\x1b[0m\na\n\x1b[2m[job 3 timed out, status 130]\x1b[0m\n";
        assert_eq!(seen(View::default(), true, &events), expected);
    }

    #[test]
    fn what_is_missing_is_said_in_its_place() {
        let mut viewer = Viewer::new(false);
        let mut pass = |sequence| {
            let record = Record {
                session: SESSION,
                sequence: Sequence(sequence),
                at: instant(1),
                event: Event::SessionResumed,
            };
            viewer.pass(&record.covered_sequences()).map(|it| it.bytes)
        };
        assert_eq!(
            pass(3).as_deref(),
            Some(&b"[sequences 1 to 2 are missing]"[..])
        );
        assert_eq!(pass(4), None);
        assert_eq!(
            pass(6).as_deref(),
            Some(&b"[sequences 5 to 5 are missing]"[..])
        );
    }
}
