//! `GET /sessions/{session}/records`: what a session's log has, for exports, replays and checks elsewhere.
//!
//! As JSON lines it is what `rejoin export --format jsonl` writes. As `format=log` each record has the
//! encoding that the log has, in a frame: its sequence (eight bytes, least significant first), the length of
//! the encoded record (four bytes), and the record. So a reader gets from a server what the
//! directory has. As `format=asciicast` it is a recording for players, which has no UUID in it and so is for
//! those with a link, too.
//!
//! Invariants: what only the submitter of a job may see is left out or empty, except for admins who ask for
//! it. The token of a consumer, by which others could pull in its place, is never sent while its session is
//! open. Records are read only when the client has taken those before.

use crate::Native;
use crate::answer::{HandlerResult, uncached};
use crate::error::Fault;
use crate::event_json::is_private;
use crate::record_json::fields;
use crate::record_source::RecordSource;
use crate::recording::{RecordingWriter, has_no_terminal};
use crate::request::Query;
use futures::Stream;
use rejoin_accounts::Permission;
use rejoin_engine::{Event, Record, Sequence, Visibility};
use rejoin_http::{Bytes, Request, Response, StatusCode};
use rejoin_log::schema;
use rejoin_replay::Version;
use serde_json::Value;
use std::io;

impl Native {
    pub(crate) async fn records(&self, http: &Request) -> HandlerResult {
        let (caller, session, visit) = self.reader(http).await?;
        let query = Query::parse(http.url(), &["after", "format", "all"])?;
        let format = Format::parse(query.text("format"))?;
        let shows_private = query.flag("all")?;
        if shows_private && !caller.may(Permission::SeeAll) {
            let reason = "only an admin may read what jobs printed for their submitter alone";
            return Err(Fault::Forbidden(reason.to_owned()));
        }
        let after = query.number("after")?;
        let (number, hides_tokens, has_no_terminal) = self.view(session, |view| {
            (view.number, view.closed.is_none(), has_no_terminal(view))
        })?;
        let mut source = RecordSource {
            _visit: visit,
            engine: self.engine.clone(),
            accounts: self.accounts.clone(),
            caller,
            session,
            after: after.map_or(Sequence::START, Sequence),
            shutdown: http.shutdown(),
        };
        let writer = match format {
            Format::Lines | Format::Log if source.caller.link().is_some() => {
                let reason = "a link leads to no records in this form, because they name its session: ask for \
                              `format=asciicast`";
                return Err(Fault::Forbidden(reason.to_owned()));
            }
            Format::Lines => Writer::Lines,
            Format::Log => Writer::Log,
            Format::Asciicast(_) if after.is_some() => {
                let reason = "a recording is of all of a session: leave out `after`";
                return Err(Fault::RequestInvalid(reason.to_owned()));
            }
            Format::Asciicast(version) => {
                let terminal = match has_no_terminal {
                    true => None,
                    false => source.first_terminal().await?,
                };
                let recording = self.view(session, |view| {
                    RecordingWriter::new(version, view, terminal, shows_private)
                })?;
                Writer::Recording(Box::new(recording))
            }
        };
        let mut reader = RecordReader {
            source,
            writer,
            shows_private,
            hides_tokens,
        };
        // What can't be read at all is an error and no empty file.
        let first = reader.next().await?.unwrap_or_default();
        let parts = parts(first, reader);
        let response = uncached(Response::streaming(StatusCode::OK, format.kind(), parts));
        Ok(match format {
            Format::Lines | Format::Log => response,
            Format::Asciicast(version) => {
                let ending = match version {
                    Version::Two => "cast",
                    Version::Three => "v3.cast",
                };
                let file = format!("attachment; filename=\"rejoin-session-{number}.{ending}\"");
                response.header("content-disposition", file)
            }
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Lines,
    Log,
    Asciicast(Version),
}

impl Format {
    /// The names are those of `rejoin export`.
    fn parse(name: Option<&str>) -> Result<Self, Fault> {
        Ok(match name {
            None | Some("jsonl") => Self::Lines,
            Some("log") => Self::Log,
            Some("asciicast" | "asciicast-v3") => Self::Asciicast(Version::Three),
            Some("asciicast-v2") => Self::Asciicast(Version::Two),
            Some(other) => {
                let reason = format!(
                    "`format` is {other:?}, but can be `jsonl`, `log`, `asciicast` or `asciicast-v2`"
                );
                return Err(Fault::RequestInvalid(reason));
            }
        })
    }

    /// The media type.
    const fn kind(self) -> &'static str {
        match self {
            Self::Lines => "application/jsonl",
            Self::Log => "application/vnd.rejoin.records",
            Self::Asciicast(_) => "application/x-asciicast",
        }
    }
}

struct RecordReader {
    source: RecordSource,
    writer: Writer,
    shows_private: bool,
    hides_tokens: bool,
}

/// How records are written.
enum Writer {
    Lines,
    Log,
    Recording(Box<RecordingWriter>),
}

/// The records from `first` on, up to those that there are now.
fn parts(first: Vec<u8>, reader: RecordReader) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let begin = (Some(first), Some(reader));
    futures::stream::unfold(begin, |(first, reader)| async move {
        let mut reader = reader?;
        if let Some(first) = first {
            return Some((Ok(first.into()), (None, Some(reader))));
        }
        match reader.next().await {
            Ok(Some(part)) => Some((Ok(part.into()), (None, Some(reader)))),
            Ok(None) => None,
            Err(error) => Some((Err(io::Error::other(error.to_string())), (None, None))),
        }
    })
}

impl RecordReader {
    /// The next part, which may be empty. None: there is no more.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let Some(records) = self.source.next().await? else {
            return Ok(None);
        };
        let mut out = vec![];
        let mut encoded = vec![];
        for record in &records {
            self.add(&mut out, &mut encoded, record);
        }
        Ok(Some(out))
    }

    fn add(&mut self, out: &mut Vec<u8>, encoded: &mut Vec<u8>, record: &Record) {
        match &mut self.writer {
            Writer::Recording(recording) => recording.add(out, record),
            Writer::Lines if !self.shows_private && is_for_submitter(&record.event) => {}
            Writer::Lines => {
                let masked = self.masked(record);
                let shown = masked.as_ref().unwrap_or(record);
                out.extend_from_slice(Value::Object(fields(shown)).to_string().as_bytes());
                out.push(b'\n');
            }
            Writer::Log => {
                let masked = self.masked(record);
                let shown = masked.as_ref().unwrap_or(record);
                encoded.clear();
                schema::encode(shown, encoded);
                let length = u32::try_from(encoded.len()).unwrap_or(u32::MAX);
                out.extend_from_slice(&shown.sequence.0.to_le_bytes());
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(encoded);
            }
        }
    }

    /// The record without what the reader may not know; none if that is nothing.
    fn masked(&self, record: &Record) -> Option<Record> {
        let is_hidden = !self.shows_private && is_private(&record.event);
        let has_token = self.hides_tokens && names_consumer(&record.event);
        if !is_hidden && !has_token {
            return None;
        }
        let mut masked = Record::clone(record);
        mask(&mut masked.event, is_hidden);
        Some(masked)
    }
}

/// Whether an event belongs to a job whose results are for its submitter: an export leaves it out.
fn is_for_submitter(event: &Event) -> bool {
    let mode = event.mode();
    mode.is_some_and(|it| it.visibility == Visibility::Submitter)
}

fn names_consumer(event: &Event) -> bool {
    matches!(
        event,
        Event::ConsumerJoined { .. } | Event::CursorAdvanced { .. } | Event::ConsumerLeft { .. }
    )
}

/// The record without the token of a consumer; none if it has no token.
pub(crate) fn without_token(record: &Record) -> Option<Record> {
    names_consumer(&record.event).then(|| {
        let mut masked = record.clone();
        mask(&mut masked.event, false);
        masked
    })
}

/// Removes the token of a consumer, and what a hidden job ran, took and printed.
fn mask(event: &mut Event, is_hidden: bool) {
    match event {
        Event::ConsumerJoined { consumer, .. }
        | Event::CursorAdvanced { consumer, .. }
        | Event::ConsumerLeft { consumer, .. } => consumer.token = [0; 16],
        _ if !is_hidden => {}
        Event::JobSubmitted {
            statement,
            request,
            controller,
            ..
        } => {
            *statement = "".into();
            *request = None;
            *controller = None;
        }
        Event::ResultEmitted { result, .. } => *result = "null".into(),
        Event::InputWritten { bytes, .. } => *bytes = [].into(),
        Event::ScreenCaptured { content, .. } => *content = "".into(),
        Event::ControllerChanged { controller, .. } => *controller = None,
        Event::JobFinished { message, .. } => *message = None,
        _ => {}
    }
}
