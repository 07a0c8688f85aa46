//! Renders the records of a session for a terminal.
//!
//! Output of jobs is passed on byte for byte; prompts and notes start on a new line. Invariant:
//! missing records are always reported.

use crate::{arthas, instant};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rejoin_core::{
    Actor, Description, Event, JobMode, JobSlot, LinkChange, Outcome, Record, Sequence, Visibility,
};
use serde_json::Value;
use std::ops::RangeInclusive;

/// Which records are shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct View {
    /// Also jobs that only their submitter could see.
    pub all: bool,
    /// Also events other than commands, output and the end of a job.
    pub events: bool,
}

/// A rendered record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Its kind.
    pub style: Style,
    /// A line about it that comes first.
    pub before: Option<String>,
    /// What it says, without the line feed that ends a prompt or a note.
    pub bytes: Vec<u8>,
}

/// The kind of a rendered record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A command after a prompt.
    Prompt,
    /// Output of a job, byte for byte.
    Output,
    /// Output that takes the place of what a terminal shows.
    Page,
    /// A line about an event.
    Note,
}

impl View {
    /// Whether viewers of the session can see this record.
    pub fn is_visible(&self, record: &Record) -> bool {
        match &record.event {
            Event::JobSubmitted { mode, .. }
            | Event::InputWritten { mode, .. }
            | Event::InputHidden { mode, .. }
            | Event::LeftoversChosen { mode, .. }
            | Event::TerminalResized { mode, .. }
            | Event::ControllerChanged { mode, .. }
            | Event::ScreenCaptured { mode, .. }
            | Event::ResultEmitted { mode, .. }
            | Event::JobFinished { mode, .. } => self.all || mode.visibility == Visibility::Session,
            _ => true,
        }
    }

    /// Renders a record, if it is shown.
    pub fn show(&self, record: &Record) -> Option<Rendered> {
        if !self.is_visible(record) {
            return None;
        }
        match &record.event {
            Event::JobSubmitted {
                job,
                mode,
                statement,
                ..
            } => {
                let by = record.actor.as_deref().filter(|_| self.events);
                Some(Rendered {
                    before: by.map(|actor| format!("[job {job} is of {}]", named(actor))),
                    ..prompt(statement, *mode)
                })
            }
            Event::ResultEmitted { result, .. } => Some(output(result)),
            Event::RecordsLost { .. } => lost(record).map(|words| note(&words)),
            event @ Event::JobFinished { .. } => describe(event).map(|words| note(&words)),
            event if self.events => describe(event).map(|words| note(&(words + &asked_by(record)))),
            _ => None,
        }
    }
}

/// A command as it was typed; further lines follow a `> ` prompt, as in a shell.
fn prompt(statement: &str, mode: JobMode) -> Rendered {
    let mut shown = format!("$ {}", statement.trim_end().replace('\n', "\n> "));
    if mode.slot == JobSlot::Background {
        shown.push_str(" &");
    }
    Rendered {
        style: Style::Prompt,
        before: None,
        bytes: shown.into_bytes(),
    }
}

/// Output of a job, decoded from a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// What was written.
    pub bytes: Vec<u8>,
    /// Whether it was written to standard error.
    pub is_error: bool,
    /// Whether it takes the place of what was shown before.
    pub repaints: bool,
}

/// What people see of a result: a shell's and a terminal's output byte for byte, a result of Arthas as Arthas shows
/// it, and for any other type its JSON, indented.
#[must_use]
pub fn output_of(result: &str) -> Output {
    let value: Value = serde_json::from_str(result).unwrap_or_default();
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let written = match (text("type"), text("content"), text("contentBase64")) {
        (Some("shell" | "terminal"), Some(content), _) => Some(content.as_bytes().to_vec()),
        (Some("shell" | "terminal"), None, Some(content)) => STANDARD.decode(content).ok(),
        _ => None,
    };
    let is_error = written.is_some() && text("stream") == Some("stderr");
    let kind = text("type").unwrap_or_default();
    let rendered = || arthas::text(kind, &value).unwrap_or_else(|| readable(result, &value));
    Output {
        is_error,
        repaints: arthas::repaints(kind),
        bytes: written.unwrap_or_else(|| rendered().into_bytes()),
    }
}

/// The JSON of a result, over several lines where it has several members of its own.
fn readable(result: &str, value: &Value) -> String {
    let pretty = serde_json::to_string_pretty(value).ok();
    match pretty.filter(|_| value.is_object()) {
        Some(pretty) => format!("{pretty}\n"),
        None => format!("{result}\n"),
    }
}

fn output(result: &str) -> Rendered {
    let output = output_of(result);
    Rendered {
        style: match output.repaints {
            true => Style::Page,
            false => Style::Output,
        },
        before: None,
        bytes: output.bytes,
    }
}

fn note(words: &str) -> Rendered {
    Rendered {
        style: Style::Note,
        before: None,
        bytes: format!("[{words}]").into_bytes(),
    }
}

/// Describes an event that is neither a command nor output.
#[must_use]
pub fn describe(event: &Event) -> Option<String> {
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
            format!("records {first} to {last} were lost: {cause}")
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
        Event::SessionResumed => "server restarted".into(),
        Event::SessionTakenOver { by } => format!(
            "node {} took over: the next command begins in the start directory",
            by.node
        ),
        Event::UserSet { user } => format!("user is now {user}"),
        Event::SessionDescribed { description } => described(description),
        Event::LinkChanged { link, change } => match change {
            LinkChange::Added { .. } => format!("link {link} to watch it was made"),
            LinkChange::Removed => format!("link {link} was removed"),
            LinkChange::Joined => format!("somebody watches by the link {link}"),
            LinkChange::Left => format!("nobody watches by the link {link} any more"),
        },
        // Only its number: the token is a secret while the session is open.
        Event::ConsumerJoined { consumer, .. } => format!("consumer {} joined", consumer.ordinal),
        Event::ConsumerLeft { consumer, cause } => {
            let cause = plain(cause.name());
            format!("consumer {} left: {cause}", consumer.ordinal)
        }
        Event::StatementRefused { statement, reason } => match statement {
            Some(statement) => format!("rejected: {reason}: {statement}"),
            None => format!("rejected: {reason}"),
        },
        Event::InputWritten {
            job, bytes, end, ..
        } => {
            let end = if *end { ", then end of input" } else { "" };
            match bytes.len() {
                0 => format!("job {job}: end of input"),
                count => format!("job {job}: {count} bytes of input{end}"),
            }
        }
        Event::InputHidden { job, bytes, .. } => {
            format!("job {job}: {bytes} bytes of hidden input")
        }
        Event::RecordsRedacted { records } => {
            let all: Vec<_> = records.iter().map(ToString::to_string).collect();
            match &all[..] {
                [one] => format!("record {one} was redacted"),
                all => format!("records {} were redacted", all.join(", ")),
            }
        }
        Event::LeftoversChosen {
            job, kept: true, ..
        } => {
            format!("what job {job} leaves behind goes on until the session ends")
        }
        Event::LeftoversChosen { job, .. } => format!("what job {job} leaves behind ends with it"),
        Event::TerminalResized { job, size, .. } => {
            let (columns, rows) = (size.columns, size.rows);
            format!("the terminal of job {job} has {columns} columns and {rows} rows now")
        }
        Event::ControllerChanged {
            job, controller, ..
        } => match controller.as_deref() {
            None => format!("nobody controls the terminal of job {job} any more"),
            Some(by) => {
                let who = by.user.as_ref().unwrap_or(&by.client);
                format!("{who} controls the terminal of job {job} now")
            }
        },
        Event::InterruptRequested { job, cause, .. } => {
            format!("interrupting job {job}: {}", plain(cause.name()))
        }
        Event::SessionClosed { cause } => format!("session closed: {}", cause.name()),
        _ => return None,
    })
}

/// Which records are lost or were deleted, and by whom; none if the record is about something else.
#[must_use]
pub fn lost(record: &Record) -> Option<String> {
    match (&record.event, record.actor.as_deref()) {
        (Event::RecordsLost { first, last, .. }, Some(actor)) if record.is_deletion() => {
            let (who, at) = (named(actor), instant(record.at));
            Some(format!(
                "records {first} to {last} were deleted by {who} at {at}"
            ))
        }
        (event @ Event::RecordsLost { .. }, _) => describe(event),
        _ => None,
    }
}

/// Who asked for the event of a record, to go on a description of it; empty where that is not known.
fn asked_by(record: &Record) -> String {
    match (&record.event, record.actor.as_deref()) {
        (_, None) => String::new(),
        // Its user is named already.
        (Event::SessionCreated { user: Some(_), .. }, Some(actor)) => {
            format!(" ({})", means(actor))
        }
        (_, Some(actor)) => format!(", by {}", named(actor)),
    }
}

/// Somebody, for people: `ada (token ci, mcp, 127.0.0.1:40212)`.
#[must_use]
pub fn named(actor: &Actor) -> String {
    let account = actor.account.as_deref().unwrap_or("someone");
    format!("{account} ({})", means(actor))
}

/// With what somebody asked, and from where.
fn means(actor: &Actor) -> String {
    let kind = if actor.link().is_some() {
        "link"
    } else {
        "token"
    };
    let token = actor.token.as_ref().map(|token| format!("{kind} {token}"));
    let parts = [
        token.as_deref(),
        Some(&*actor.frontend),
        actor.address.as_deref(),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn described(description: &Description) -> String {
    let Description { title, labels } = description;
    let title = title
        .as_deref()
        .map(|title| format!("title is now {title}"));
    let mut words = title.unwrap_or_else(|| "no title".into());
    for (index, (key, value)) in labels.iter().enumerate() {
        words += if index == 0 { ", labels " } else { ", " };
        words += &format!("{key}={value}");
    }
    words
}

/// A name of the API, for people.
#[must_use]
pub fn plain(word: &str) -> String {
    word.replace('-', " ")
}

/// Tracks what a terminal shows: whether the cursor is on a new line, and the last sequence.
#[derive(Debug)]
pub struct Printer {
    /// Whether prompts and notes are styled.
    is_styled: bool,
    is_inside_line: bool,
    last: Sequence,
}

impl Printer {
    /// A printer that starts at the beginning of a session.
    pub fn new(is_styled: bool) -> Self {
        Self::after(is_styled, Sequence::START)
    }

    /// A printer that starts after a sequence.
    pub fn after(is_styled: bool, last: Sequence) -> Self {
        Self {
            is_styled,
            is_inside_line: false,
            last,
        }
    }

    /// Whether prompts and notes are styled.
    pub const fn is_styled(&self) -> bool {
        self.is_styled
    }

    /// Advances to the next record of the session, shown or not, which covers these sequences (a
    /// declared gap covers several); returns a note if records before it are missing.
    pub fn advance(&mut self, covered_sequences: &RangeInclusive<Sequence>) -> Option<Rendered> {
        let before = std::mem::replace(&mut self.last, *covered_sequences.end());
        let start = covered_sequences.start().0;
        let missing = start.saturating_sub(before.0);
        (missing > 1).then(|| {
            let (first, last) = (before.0.saturating_add(1), start - 1);
            note(&format!("sequences {first} to {last} are missing"))
        })
    }

    /// The bytes to write for a rendered record.
    pub fn bytes(&mut self, shown: &Rendered) -> Vec<u8> {
        if matches!(shown.style, Style::Output | Style::Page) {
            if let Some(last) = shown.bytes.last() {
                self.is_inside_line = *last != b'\n';
            }
            let begin = match shown.style {
                Style::Page if self.is_styled => CLEAR,
                _ => "",
            };
            return [begin.as_bytes(), &shown.bytes].concat();
        }
        let (begin, end) = match (self.is_styled, shown.style) {
            (false, _) | (_, Style::Output | Style::Page) => ("", ""),
            (true, Style::Prompt) => ("\x1b[1m", "\x1b[0m"),
            (true, Style::Note) => ("\x1b[2m", "\x1b[0m"),
        };
        let fresh = if self.is_inside_line { "\n" } else { "" };
        self.is_inside_line = false;
        let before = shown.before.as_ref().map(|line| match self.is_styled {
            true => format!("\x1b[2m{line}\x1b[0m\n"),
            false => format!("{line}\n"),
        });
        let before = before.unwrap_or_default();
        let mut bytes = format!("{fresh}{before}{begin}").into_bytes();
        bytes.extend_from_slice(&shown.bytes);
        bytes.extend_from_slice(end.as_bytes());
        bytes.push(b'\n');
        bytes
    }
}

/// Clears a terminal, and puts its cursor at the top.
pub const CLEAR: &str = "\x1b[H\x1b[2J";

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::testing::{instant, record_at};
    use rejoin_core::{InterruptCause, JobId, LossCause};
    use std::time::Duration;

    #[test]
    fn a_declared_gap_is_reported_once() {
        let mut printer = Printer::new(false);
        let record = |sequence, event| record_at(sequence, instant(1), event);
        assert!(
            printer
                .advance(&record(1, Event::SessionResumed).covered_sequences())
                .is_none()
        );
        let lost = Event::RecordsLost {
            first: Sequence(2),
            last: Sequence(9),
            cause: LossCause::Damage,
        };
        let lost = record(9, lost);
        assert!(printer.advance(&lost.covered_sequences()).is_none());
        let shown = View::default().show(&lost).unwrap();
        assert_eq!(shown.bytes, b"[records 2 to 9 were lost: damage]");
        assert!(
            printer
                .advance(&record(10, Event::SessionResumed).covered_sequences())
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
            output: rejoin_core::JobOutput::Separate,
            controller: None,
        }
    }

    fn said(result: &str) -> Event {
        Event::ResultEmitted {
            job: JOB,
            mode: HEARD,
            result: result.into(),
            position: None,
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
        let mut printer = Printer::new(is_styled);
        let mut seen = vec![];
        for (event, sequence) in events.iter().zip(1..) {
            let record = record_at(sequence, instant(1), event.clone());
            assert_eq!(printer.advance(&record.covered_sequences()), None);
            if let Some(shown) = view.show(&record) {
                seen.extend(printer.bytes(&shown));
            }
        }
        seen
    }

    #[test]
    fn output_is_unchanged_and_notes_start_on_a_new_line() {
        let events = [
            submitted("printf 'a\\nb'\n", HEARD),
            said(r#"{"content":"a\nb","jobId":3,"stream":"stdout","type":"shell"}"#),
            said(r#"{"contentBase64":"/wA=","jobId":3,"stream":"stderr","type":"shell"}"#),
            finished(Outcome::Failed, 2, Some("no")),
            submitted("cat <<E\nx\nE", HEARD),
            said(r#"{"jobId":3,"type":"version","version":"1"}"#),
            said(r#"{"jobId":3,"type":"unknown"}"#),
            finished(Outcome::Completed, 0, None),
        ];
        let expected = b"$ printf 'a\\nb'\na\nb\xff\0\n[job 3 failed, status 2: no]\n\
            $ cat <<E\n> x\n> E\n1\n{\n  \"jobId\": 3,\n  \"type\": \"unknown\"\n}\n\
            [job 3 completed]\n";
        assert_eq!(seen(View::default(), false, &events), expected);
    }

    #[test]
    fn private_jobs_and_other_events_are_shown_on_request() {
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
        let words = b"[interrupting job 3: output limit]\n[rejected: no: x]\n\
            [job 3: end of input]\n";
        assert_eq!(seen(view(false, true), false, &events), words);
    }

    #[test]
    fn on_a_terminal_prompts_and_notes_are_styled() {
        let events = [
            submitted("true", HEARD),
            said(r#"{"content":"a\n","jobId":3,"stream":"stdout","type":"shell"}"#),
            finished(Outcome::TimedOut, 130, None),
        ];
        let expected = b"\x1b[1m$ true\x1b[0m\na\n\x1b[2m[job 3 timed out, status 130]\x1b[0m\n";
        assert_eq!(seen(View::default(), true, &events), expected);
    }

    #[test]
    fn missing_records_are_reported_in_place() {
        let mut printer = Printer::new(false);
        let mut advance = |sequence| {
            let record = record_at(sequence, instant(1), Event::SessionResumed);
            printer
                .advance(&record.covered_sequences())
                .map(|it| it.bytes)
        };
        assert_eq!(
            advance(3).as_deref(),
            Some(&b"[sequences 1 to 2 are missing]"[..])
        );
        assert_eq!(advance(4), None);
        assert_eq!(
            advance(6).as_deref(),
            Some(&b"[sequences 5 to 5 are missing]"[..])
        );
    }
}
