//! `rejoin redact`: finds the records that have a text, and redacts them.

use super::actions::{NATS_KEEPS, has_nodes, is_sure};
use super::sessions::print;
use crate::args::RedactArgs;
use crate::client::api::Api;
use crate::client::event::SessionEvent;
use crate::client::resolve::{any, identity};
use crate::client::{ClientError, limits};
use crate::offline::warn;
use rejoin_core::{Event, JobId, SessionId};
use rejoin_replay::output_of;
use rejoin_search::PlainText;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Redacts records.
pub(crate) fn redact(args: &RedactArgs) -> Result<(), ClientError> {
    let (api, shown) = any(&args.at)?;
    let (session, id) = identity(&shown)?;
    let records: Vec<u64> = match &args.text_file {
        None => args.records.clone(),
        Some(file) => find(&api, &session, id, &first_line(file)?)?,
    };
    if records.is_empty() {
        let reason = "nothing to redact: no result and no input has this text";
        return Err(ClientError::Settings(reason.to_owned()));
    }
    let what = match &records[..] {
        [one] => format!("record {one}"),
        all => format!("{} records", all.len()),
    };
    let question = format!(
        "Redact {what} of session {}? This can't be undone.",
        args.at.session
    );
    if !args.yes && !is_sure(&question, &format!("redact {what}")) {
        return Err(ClientError::Settings("nothing was redacted".to_owned()));
    }
    let path = format!("/sessions/{session}/redactions");
    let mut sequence = json!(null);
    for some in records.chunks(limits::REDACTED) {
        let redacted = api.post(&path, &json!({"records": some}))?;
        sequence = redacted["sequence"].clone();
    }
    if args.json {
        let redacted = json!({"session": session, "records": records, "sequence": sequence});
        return print(&format!("{redacted}\n"));
    }
    print(&format!("redacted {what} of session {session}\n"))?;
    if has_nodes(&shown) {
        warn(NATS_KEEPS);
    }
    Ok(())
}

/// The first line of a file without its end. It is not an argument, because all users of a machine can
/// read those.
fn first_line(file: &Path) -> Result<Vec<u8>, ClientError> {
    let mut bytes = vec![];
    let read = match file.as_os_str() == "-" {
        true => io::stdin()
            .lock()
            .take(limits::FILE_BYTES)
            .read_to_end(&mut bytes),
        false => {
            File::open(file).and_then(|open| open.take(limits::FILE_BYTES).read_to_end(&mut bytes))
        }
    };
    let file = file.display();
    read.map_err(|error| ClientError::Settings(format!("cannot read {file}: {error}")))?;
    let line = bytes.split(|byte| *byte == b'\n').next();
    let line = line.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    match line {
        Some(line) if !line.is_empty() => Ok(line.to_vec()),
        _ => Err(ClientError::Settings(format!(
            "the first line of {file} is empty"
        ))),
    }
}

#[derive(Deserialize)]
struct Events<'a> {
    after: u64,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// The records with a text.
fn find(api: &Api, session: &str, id: SessionId, text: &[u8]) -> Result<Vec<u64>, ClientError> {
    let mut finder = Finder::new(text);
    let mut after = 0;
    loop {
        let page = api.get(&format!("/sessions/{session}/events?after={after}"))?;
        let page = page.to_string();
        let Ok(Events {
            after: next,
            events,
        }) = serde_json::from_str::<Events<'_>>(&page)
        else {
            return Err(ClientError::Settings(
                "the server's answer is no list of events".to_owned(),
            ));
        };
        if events.is_empty() || next <= after {
            return Ok(finder.found.into_iter().collect());
        }
        after = next;
        for event in events {
            let event = SessionEvent::parse(event.get()).ok();
            let Some(record) = event.and_then(|event| event.record(id)) else {
                continue;
            };
            // What is redacted already has the text no more.
            match &record.event {
                Event::ResultEmitted { job, result, .. } => {
                    let output = output_of(result);
                    let kind = if output.is_error {
                        Kind::Stderr
                    } else {
                        Kind::Stdout
                    };
                    finder.take((*job, kind), record.sequence.0, &output.bytes);
                }
                Event::InputWritten { job, bytes, .. } => {
                    finder.take((*job, Kind::Input), record.sequence.0, bytes);
                }
                _ => {}
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Stdout,
    Stderr,
    Input,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    AsIs,
    /// Without escape sequences, such as colours, as searches find it.
    Plain,
}

/// Finds a text in pieces of streams, also where it is spread over several pieces. Keeps less of each
/// stream than the text is long.
struct Finder<'a> {
    text: &'a [u8],
    found: BTreeSet<u64>,
    ends: BTreeMap<(JobId, Kind, Form), Stream>,
    /// What removes the escape sequences of each output.
    escapes: BTreeMap<(JobId, Kind), PlainText>,
}

/// The end of a stream.
#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    /// The pieces that the bytes are of, each with its number of bytes.
    pieces: VecDeque<(u64, usize)>,
}

impl<'a> Finder<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            found: BTreeSet::new(),
            ends: BTreeMap::new(),
            escapes: BTreeMap::new(),
        }
    }

    /// Takes a piece as it is, and as a person sees it.
    fn take(&mut self, stream: (JobId, Kind), piece: u64, bytes: &[u8]) {
        self.look(stream, Form::AsIs, piece, bytes);
        let (job, kind) = stream;
        if kind == Kind::Input {
            return;
        }
        let mut plain = vec![];
        let escapes = self.escapes.entry((job, kind)).or_default();
        escapes.add(&mut plain, bytes);
        self.look(stream, Form::Plain, piece, &plain);
    }

    fn look(&mut self, (job, kind): (JobId, Kind), form: Form, piece: u64, bytes: &[u8]) {
        let stream = self.ends.entry((job, kind, form)).or_default();
        let Stream { bytes: all, pieces } = stream;
        all.extend_from_slice(bytes);
        pieces.push_back((piece, bytes.len()));
        let hits = all.windows(self.text.len().max(1));
        let hits: Vec<_> = hits
            .enumerate()
            .filter(|(_, window)| *window == self.text)
            .map(|(at, _)| at..at + self.text.len())
            .collect();
        let mut start = 0;
        for (piece, length) in pieces.iter() {
            let end = start + length;
            let is_hit = hits.iter().any(|hit| hit.start < end && start < hit.end);
            if is_hit && *length > 0 {
                self.found.insert(*piece);
            }
            start = end;
        }
        // A text that begins in what is dropped ended, too.
        let mut excess = (all.len() + 1).saturating_sub(self.text.len().max(1));
        all.drain(..excess);
        while let Some((_, length)) = pieces.front_mut() {
            let dropped = excess.min(*length);
            *length -= dropped;
            excess -= dropped;
            if *length > 0 {
                break;
            }
            pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_in_one_piece_and_over_several_of_one_stream() {
        let mut finder = Finder::new(b"sesame");
        let one = (JobId(1), Kind::Stdout);
        let other = (JobId(2), Kind::Stdout);
        for (stream, piece, bytes) in [
            (one, 1, "it is sesame."),
            (one, 2, "nothing"),
            (one, 3, "ses"),
            (other, 4, "ame"),
            (one, 5, ""),
            (one, 6, "am"),
            (one, 7, "e, sesame"),
            (other, 8, "sesam"),
        ] {
            finder.take(stream, piece, bytes.as_bytes());
        }
        assert_eq!(finder.found, BTreeSet::from([1, 3, 6, 7]));
    }

    #[test]
    fn a_text_is_found_where_escape_sequences_are_in_it() {
        let mut finder = Finder::new(b"sesame");
        let output = (JobId(1), Kind::Stdout);
        for (piece, bytes) in [
            (1, "\x1b[31mse\x1b[0msame"),
            (2, "\x1b[31m"),
            (3, "s\x1b[1"),
            (4, "mesa"),
            (5, "\x1b]0;title\x07"),
            (6, "me\n"),
        ] {
            finder.take(output, piece, bytes.as_bytes());
        }
        // Input is not shown, and escape sequences are keys there.
        finder.take((JobId(1), Kind::Input), 7, b"ses\x1b[Aame");
        assert_eq!(finder.found, BTreeSet::from([1, 3, 4, 6]));
    }
}
