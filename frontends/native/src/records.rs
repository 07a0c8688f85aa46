//! `GET /sessions/{session}/records`: what a session's log has, for exports, replays and checks elsewhere.
//!
//! As JSON lines it is what `rejoin export --format jsonl` writes. As `format=log` each record has the
//! encoding that the log has, in a frame: its sequence (eight bytes, least significant first), the length of
//! the encoded record (four bytes), and the record. So whoever reads it from a server has what the
//! directory has.
//!
//! Invariants: what only the submitter of a job may see is left out or empty, except for admins who ask for
//! it. The token of a consumer, by which others could pull in its place, is never sent while its session is
//! open. Records are read only when the client has taken those before.

use crate::Native;
use crate::answer::{HandlerResult, uncached};
use crate::error::Fault;
use crate::event_json::is_private;
use crate::limits::{MAX_EVENTS, PART_BYTES};
use crate::record_json::fields;
use crate::request::Query;
use futures::Stream;
use futures::future::{Either, select};
use rejoin_accounts::{Accounts, Caller, Permission};
use rejoin_engine::{Engine, Event, PullError, ReadLimit, Record, Sequence, SessionId, Visibility};
use rejoin_http::{Bytes, Request, Response, Shutdown, StatusCode};
use rejoin_log::schema;
use serde_json::Value;
use std::io;
use std::pin::pin;
use std::time::Duration;

impl Native {
    pub(crate) async fn records(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::Read).await?;
        let session = self.session(http, &caller)?;
        let query = Query::parse(http.url(), &["after", "format", "all"])?;
        let format = match query.text("format") {
            None | Some("jsonl") => Format::Lines,
            Some("log") => Format::Log,
            Some(other) => {
                let reason = format!("`format` is {other:?}, but can be `jsonl` or `log`");
                return Err(Fault::RequestInvalid(reason));
            }
        };
        let shows_private = query.flag("all")?;
        if shows_private && !caller.may(Permission::SeeAll) {
            let reason = "only an admin may read what jobs printed for their submitter alone";
            return Err(Fault::Forbidden(reason.to_owned()));
        }
        let hides_tokens = self.view(session, |view| view.closed.is_none())?;
        let mut reader = RecordReader {
            engine: self.engine.clone(),
            accounts: self.accounts.clone(),
            caller,
            session,
            after: query.number("after")?.map_or(Sequence::START, Sequence),
            format,
            shows_private,
            hides_tokens,
            shutdown: http.shutdown(),
        };
        // What can't be read at all is an error and no empty file.
        let first = reader.next().await?.unwrap_or_default();
        let kind = match format {
            Format::Lines => LINES,
            Format::Log => LOG,
        };
        let response = Response::streaming(StatusCode::OK, kind, parts(first, reader));
        Ok(uncached(response))
    }
}

const LINES: &str = "application/jsonl";
const LOG: &str = "application/vnd.rejoin.records";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Lines,
    Log,
}

struct RecordReader {
    engine: Engine,
    accounts: Accounts,
    caller: Caller,
    session: SessionId,
    after: Sequence,
    format: Format,
    shows_private: bool,
    hides_tokens: bool,
    shutdown: Shutdown,
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
            Err(error) => Some((Err(io::Error::other(error)), (None, None))),
        }
    })
}

impl RecordReader {
    /// The next part, which may be empty. None: there is no more.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, PullError> {
        let limit = ReadLimit {
            records: MAX_EVENTS,
            bytes: PART_BYTES,
        };
        let read = self
            .engine
            .read(self.session, self.after, limit, Duration::ZERO);
        let records = match select(pin!(read), pin!(self.shutdown.wait())).await {
            Either::Left((read, _)) => read?,
            Either::Right(_) => return Ok(None),
        };
        let Some(last) = records.last() else {
            return Ok(None);
        };
        if !self.accounts.is_current(&self.caller) {
            return Ok(None);
        }
        self.after = last.sequence;
        let mut out = vec![];
        let mut encoded = vec![];
        for record in &records {
            self.add(&mut out, &mut encoded, record);
        }
        Ok(Some(out))
    }

    fn add(&self, out: &mut Vec<u8>, encoded: &mut Vec<u8>, record: &Record) {
        let mut shown = None;
        let is_hidden = !self.shows_private && is_private(&record.event);
        let is_left_out = !self.shows_private && is_for_submitter(&record.event);
        if is_left_out && self.format == Format::Lines {
            return;
        }
        if is_hidden || (self.hides_tokens && names_consumer(&record.event)) {
            let mut masked = Record::clone(record);
            mask(&mut masked.event, is_hidden);
            shown = Some(masked);
        }
        let shown = shown.as_ref().unwrap_or(record);
        match self.format {
            Format::Lines => {
                out.extend_from_slice(Value::Object(fields(shown)).to_string().as_bytes());
                out.push(b'\n');
            }
            Format::Log => {
                encoded.clear();
                schema::encode(shown, encoded);
                let length = u32::try_from(encoded.len()).unwrap_or(u32::MAX);
                out.extend_from_slice(&shown.sequence.0.to_le_bytes());
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(encoded);
            }
        }
    }
}

/// Whether an event belongs to a job whose results are for its submitter: an export leaves it out.
fn is_for_submitter(event: &Event) -> bool {
    match event {
        Event::JobSubmitted { mode, .. }
        | Event::InputWritten { mode, .. }
        | Event::InputHidden { mode, .. }
        | Event::LeftoversChosen { mode, .. }
        | Event::TerminalResized { mode, .. }
        | Event::ControllerChanged { mode, .. }
        | Event::ScreenCaptured { mode, .. }
        | Event::ResultEmitted { mode, .. }
        | Event::JobFinished { mode, .. } => mode.visibility == Visibility::Submitter,
        _ => false,
    }
}

fn names_consumer(event: &Event) -> bool {
    matches!(
        event,
        Event::ConsumerJoined { .. } | Event::CursorAdvanced { .. } | Event::ConsumerLeft { .. }
    )
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
