//! Reads the output of a job, or the transcript of a session, in pieces from any place.
//!
//! Invariant: the pieces from one place on, each begun where the one before ended, are the whole: no
//! byte is left out or repeated. A piece of text ends between two characters.

use crate::limits::{READ_BYTES, READ_RECORDS, TAIL_RECORDS};
use rejoin_engine::{
    Engine, Event, JobId, JobMode, Moment, Outcome, PullError, ReadLimit, Record, Sequence,
    SessionId, Visibility,
};
pub(crate) use rejoin_search::OutputPlace as Position;
use rejoin_search::output_part;
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// One of the streams of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OutputStream {
    Stdout,
    Stderr,
}

/// What is shown of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Show {
    /// The output of a job, or one of its streams.
    Output(JobId, Option<OutputStream>),
    /// Commands, their output and how they ended, as in a terminal.
    Transcript,
}

/// Reads one session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutputReader<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) session: SessionId,
    pub(crate) show: Show,
}

/// What was read.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) segments: VecDeque<Segment>,
    /// Where the next piece begins.
    pub(crate) next: Position,
    pub(crate) end: PieceEnd,
    /// The first and the last sequence of each range of records that are lost, and why.
    pub(crate) gaps: Vec<Gap>,
}

/// What a record shows, or a part of it.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Where it begins.
    pub(crate) at: Position,
    pub(crate) bytes: Vec<u8>,
    /// Whether it is a remark of ours, which stands on a line of its own.
    pub(crate) is_remark: bool,
}

/// Records that are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    first: Sequence,
    last: Sequence,
    cause: &'static str,
    /// Whether the session was removed, so that nothing follows.
    pub(crate) is_removal: bool,
}

impl Gap {
    fn of(record: &Record) -> Option<Self> {
        let Event::RecordsLost { first, last, .. } = record.event else {
            return None;
        };
        Some(Self {
            first,
            last,
            cause: record.loss()?,
            is_removal: record.is_removal(),
        })
    }

    pub(crate) fn json(&self) -> Value {
        json!({"first": self.first.0, "last": self.last.0, "cause": self.cause})
    }
}

/// Why a piece ends where it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PieceEnd {
    /// It is as long as it may be.
    Full,
    /// There is nothing more yet.
    CaughtUp,
    /// The job has finished.
    Finished(Finish),
}

/// How a job finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finish {
    pub(crate) outcome: Outcome,
    pub(crate) status: i32,
    pub(crate) message: Option<Arc<str>>,
    pub(crate) at: Moment,
    pub(crate) sequence: Sequence,
}

impl Piece {
    /// Its bytes, without remarks.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let output = self.segments.iter().filter(|segment| !segment.is_remark);
        output.flat_map(|it| it.bytes.iter().copied()).collect()
    }

    /// Its text. Bytes that are not UTF-8 are replaced.
    pub(crate) fn text(&self) -> String {
        let mut bytes = vec![];
        for segment in &self.segments {
            if segment.is_remark && bytes.last().is_some_and(|last| *last != b'\n') {
                bytes.push(b'\n');
            }
            bytes.extend_from_slice(&segment.bytes);
        }
        String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    fn len(&self) -> usize {
        self.segments
            .iter()
            .map(|segment| segment.bytes.len())
            .sum()
    }
}

impl OutputReader<'_> {
    /// What follows a place, at most `most` bytes of it.
    pub(crate) async fn forward(&self, from: Position, most: usize) -> Result<Piece, PullError> {
        self.between(from, None, most).await
    }

    /// What follows a place, waiting for the first byte of it or for the end of the job, until
    /// `patience` is ready.
    pub(crate) async fn follow(
        &self,
        from: Position,
        most: usize,
        mut patience: impl Future + Unpin,
    ) -> Result<Piece, PullError> {
        let mut from = from;
        let mut gaps = vec![];
        loop {
            let mut piece = self.forward(from, most).await?;
            gaps.append(&mut piece.gaps);
            if !piece.segments.is_empty() || piece.end != PieceEnd::CaughtUp {
                return Ok(Piece { gaps, ..piece });
            }
            from = piece.next;
            let after = from.after;
            let next = self
                .engine
                .read_until(self.session, after, ONE, &mut patience);
            if next.await?.is_empty() {
                return Ok(Piece { gaps, ..piece });
            }
        }
    }

    /// The last `most` bytes between a place and the record `last`. Looks at a bounded number of
    /// records before the last.
    pub(crate) async fn tail(
        &self,
        from: Position,
        last: Sequence,
        most: usize,
    ) -> Result<Piece, PullError> {
        let mut records = 8;
        loop {
            let begin = Position::after(Sequence(last.0.saturating_sub(records)));
            let is_all = begin.after <= from.after;
            let begin = if is_all { from } else { begin };
            let piece = self.last_between(begin, last, most).await?;
            if is_all || records >= TAIL_RECORDS || piece.len() >= most {
                return Ok(piece);
            }
            records *= 8;
        }
    }

    async fn last_between(
        &self,
        from: Position,
        last: Sequence,
        most: usize,
    ) -> Result<Piece, PullError> {
        let mut all = Piece {
            segments: VecDeque::new(),
            next: from,
            end: PieceEnd::CaughtUp,
            gaps: vec![],
        };
        loop {
            let mut piece = self.between(all.next, Some(last), READ_BYTES).await?;
            all.segments.append(&mut piece.segments);
            all.gaps.append(&mut piece.gaps);
            let is_over = piece.end != PieceEnd::Full;
            (all.next, all.end) = (piece.next, piece.end);
            let mut over = all.len().saturating_sub(most);
            while let Some(first) = all.segments.front_mut() {
                if first.bytes.len() > over {
                    let cut = first.cut_front(over);
                    first.at.skip += cut;
                    break;
                }
                over -= first.bytes.len();
                all.segments.pop_front();
            }
            if is_over {
                return Ok(all);
            }
        }
    }

    /// What follows a place, up to the record `last`.
    async fn between(
        &self,
        from: Position,
        last: Option<Sequence>,
        most: usize,
    ) -> Result<Piece, PullError> {
        let mut piece = Piece {
            segments: VecDeque::new(),
            next: from,
            end: PieceEnd::CaughtUp,
            gaps: vec![],
        };
        let mut room = most;
        loop {
            if last.is_some_and(|last| piece.next.after >= last) {
                return Ok(piece);
            }
            let after = piece.next.after;
            let read = self.engine.read(self.session, after, LIMIT, Duration::ZERO);
            let records = read.await?;
            if records.is_empty() {
                return Ok(piece);
            }
            for record in &records {
                if last.is_some_and(|last| record.sequence > last) {
                    return Ok(piece);
                }
                piece.gaps.extend(Gap::of(record));
                if let Some(shown) = self.show.record(record) {
                    let skip = piece.next.skip.min(shown.bytes.len());
                    let rest = &shown.bytes[skip..];
                    let fitting = fitting(rest, room);
                    if fitting > 0 {
                        piece.segments.push_back(Segment {
                            at: piece.next,
                            bytes: rest[..fitting].to_vec(),
                            is_remark: shown.is_remark,
                        });
                    }
                    room -= fitting;
                    if fitting < rest.len() {
                        piece.next.skip = skip + fitting;
                        piece.end = PieceEnd::Full;
                        return Ok(piece);
                    }
                }
                piece.next = Position::after(record.sequence);
                if let Some(finish) = self.show.finish(record) {
                    piece.end = PieceEnd::Finished(finish);
                    return Ok(piece);
                }
            }
        }
    }
}

impl Segment {
    /// Removes at least this many bytes from the front, up to the next character. Returns how many.
    fn cut_front(&mut self, bytes: usize) -> usize {
        let is_middle = |at: usize| self.bytes.get(at).is_some_and(|it| is_continuation(*it));
        let cut = (bytes..bytes + 4)
            .find(|at| !is_middle(*at))
            .unwrap_or(bytes);
        self.bytes.drain(..cut);
        cut
    }
}

/// How many of the bytes fit, without cutting a character of UTF-8.
fn fitting(bytes: &[u8], room: usize) -> usize {
    if bytes.len() <= room {
        return bytes.len();
    }
    let is_middle = |at: usize| bytes.get(at).is_some_and(|it| is_continuation(*it));
    let before = (room.saturating_sub(3)..=room).rev();
    before
        .into_iter()
        .find(|at| !is_middle(*at))
        .unwrap_or(room)
}

const fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

/// What a record shows.
struct Shown<'a> {
    bytes: Cow<'a, [u8]>,
    is_remark: bool,
}

impl Show {
    fn record(self, record: &Record) -> Option<Shown<'_>> {
        let remark = |text: String| {
            Some(Shown {
                bytes: Cow::Owned(text.into_bytes()),
                is_remark: true,
            })
        };
        match &record.event {
            Event::ResultEmitted {
                job, mode, result, ..
            } if self.has(*job, *mode) => {
                let bytes = output(result, self.stream())?;
                Some(Shown {
                    bytes,
                    is_remark: false,
                })
            }
            Event::RecordsLost { first, last, .. } => {
                let why = record.loss().unwrap_or_default();
                let by = record.actor.as_ref().filter(|_| record.is_deletion());
                let by = by.map(|actor| actor.account.as_deref().unwrap_or("someone"));
                let by = by.map(|who| format!(" by {who}")).unwrap_or_default();
                remark(format!("[records {first} to {last} are lost: {why}{by}]\n"))
            }
            event if matches!(self, Self::Transcript) => remark(transcript_line(event)?),
            _ => None,
        }
    }

    fn finish(self, record: &Record) -> Option<Finish> {
        let Self::Output(wanted, _) = self else {
            return None;
        };
        finish_of(record, wanted)
    }

    fn has(self, job: JobId, mode: JobMode) -> bool {
        if mode.visibility == Visibility::Submitter {
            return false;
        }
        match self {
            Self::Output(wanted, _) => wanted == job,
            Self::Transcript => true,
        }
    }

    fn stream(self) -> Option<OutputStream> {
        match self {
            Self::Output(_, stream) => stream,
            Self::Transcript => None,
        }
    }
}

/// How the job finished, if the record says so.
pub(crate) fn finish_of(record: &Record, wanted: JobId) -> Option<Finish> {
    match &record.event {
        Event::JobFinished {
            job,
            outcome,
            status,
            message,
            ..
        } if *job == wanted => Some(Finish {
            outcome: *outcome,
            status: *status,
            message: message.clone(),
            at: record.moment(),
            sequence: record.sequence,
        }),
        _ => None,
    }
}

/// A line of the transcript about an event that is no output.
fn transcript_line(event: &Event) -> Option<String> {
    Some(match event {
        Event::JobSubmitted {
            job,
            mode,
            statement,
            ..
        } if !mode.is_private() => format!("[job {job}] $ {statement}\n"),
        Event::InputWritten {
            job, mode, bytes, ..
        } if mode.visibility == Visibility::Session => {
            let text = String::from_utf8_lossy(bytes);
            format!("[input of job {job}] {}\n", text.trim_end_matches('\n'))
        }
        Event::InterruptRequested {
            job,
            cause,
            private: false,
        } => format!("[job {job} is interrupted: {}]\n", cause.name()),
        Event::JobFinished {
            job,
            mode,
            outcome,
            status,
            ..
        } if !mode.is_private() => format!("[job {job} {}]\n", ended(*outcome, *status)),
        Event::SessionClosed { cause } => format!("[the session has ended: {}]\n", cause.name()),
        _ => return None,
    })
}

/// How a job ended, in a few words.
pub(crate) fn ended(outcome: Outcome, status: i32) -> String {
    match outcome {
        Outcome::Completed | Outcome::Failed => format!("ended with exit status {status}"),
        Outcome::Interrupted => format!("was interrupted, with exit status {status}"),
        Outcome::TimedOut => format!("reached its timeout, with exit status {status}"),
        Outcome::Lost => {
            "was lost: the server ended while it ran, so it is unknown how far it got".to_owned()
        }
    }
}

/// The output that a result is: its content, or a result of another kind as a line of JSON.
pub(crate) fn output(result: &str, wanted: Option<OutputStream>) -> Option<Cow<'_, [u8]>> {
    let part = output_part(result)?;
    let wanted = wanted.map(|wanted| match wanted {
        OutputStream::Stdout => "stdout",
        OutputStream::Stderr => "stderr",
    });
    let is_wanted = wanted.is_none() || part.stream.as_deref() == wanted;
    is_wanted.then_some(part.bytes)
}

const LIMIT: ReadLimit = ReadLimit {
    records: READ_RECORDS,
    bytes: READ_BYTES,
};

/// The next record.
pub(crate) const ONE: ReadLimit = ReadLimit {
    records: 1,
    bytes: 1,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters() {
        let text = "aé€😀".as_bytes();
        let cuts: Vec<_> = (0..=10).map(|room| fitting(text, room)).collect();
        assert_eq!(cuts, [0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10]);
        assert_eq!(fitting(&[0x80; 9], 5), 5, "what is no text is cut anywhere");
        let mut segment = Segment {
            at: Position::START,
            bytes: text.to_vec(),
            is_remark: false,
        };
        assert_eq!(segment.cut_front(2), 3);
        assert_eq!(segment.bytes, "€😀".as_bytes());
    }

    #[test]
    fn the_output_of_a_result_is_its_bytes() {
        let text = r#"{"content":"a\n","jobId":1,"stream":"stdout","type":"shell"}"#;
        let bytes = r#"{"contentBase64":"/w==","jobId":1,"stream":"stderr","type":"shell"}"#;
        let other = r#"{"jobId":1,"rows":[1],"type":"table"}"#;
        let all = |result| output(result, None).map(Cow::into_owned);
        assert_eq!(all(text), Some(b"a\n".to_vec()));
        assert_eq!(all(bytes), Some(vec![0xFF]));
        assert_eq!(all(other), Some([other.as_bytes(), b"\n"].concat()));
        let stderr = |result| output(result, Some(OutputStream::Stderr)).is_some();
        assert_eq!([text, bytes, other].map(stderr), [false, true, false]);
    }
}
