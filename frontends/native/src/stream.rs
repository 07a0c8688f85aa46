//! A session's events as one stream of Server-Sent Events: the past ones, then the live ones. The
//! `id` of each is its sequence and, after a hyphen, its instant: that tells a reader of a log that was
//! restored from a backup, where other events have the same sequences.
//!
//! Events are read only when the client has taken the previous ones, so a slow client costs no
//! memory and delays nothing.

use crate::event_json::{append, append_event};
use crate::limits::{HEARTBEAT, MAX_EVENTS, PART_BYTES, RETRY};
use crate::links::Visit;
use futures::Stream;
use futures::future::{Either, select};
use rejoin_accounts::{Accounts, Caller};
use rejoin_engine::{
    Engine, Event, LossCause, PullError, ReadLimit, Record, Sequence, SessionId, Watch,
};
use rejoin_http::{Bytes, Shutdown};
use std::io;
use std::pin::pin;
use std::sync::Arc;

/// Reads a session for one stream.
pub(crate) struct EventReader {
    /// While it reads, its client is a viewer.
    pub(crate) _watch: Watch,
    /// If it reads by a link.
    pub(crate) _visit: Option<Visit>,
    pub(crate) engine: Engine,
    pub(crate) accounts: Accounts,
    pub(crate) caller: Caller,
    pub(crate) session: SessionId,
    pub(crate) after: Sequence,
    pub(crate) shutdown: Shutdown,
}

/// The events after the reader's sequence, until the session ends or the server shuts down.
///
/// A read error closes the connection; the client then reconnects and continues after the last event.
pub(crate) fn events(reader: EventReader) -> impl Stream<Item = io::Result<Bytes>> + Send {
    futures::stream::unfold((reader, Stage::Begin), |(mut reader, stage)| async move {
        match stage {
            Stage::Begin => {
                let begin = format!("retry: {}\n\n", RETRY.as_millis());
                Some((Ok(begin.into()), (reader, Stage::Events)))
            }
            Stage::Events => {
                let (part, stage) = reader.next().await?;
                Some((part, (reader, stage)))
            }
            Stage::Over => None,
        }
    })
}

#[derive(Debug)]
enum Stage {
    Begin,
    Events,
    Over,
}

impl EventReader {
    /// The next part of the stream, and the stage after it. `None` when the server shuts down, the
    /// engine has stopped, or the login has expired.
    async fn next(&mut self) -> Option<(io::Result<Bytes>, Stage)> {
        // Watching counts as use. Touch the session more often than it could expire.
        self.engine.touch(self.session);
        let wait = HEARTBEAT.min(self.engine.config().session_timeout / 3);
        let limit = ReadLimit {
            records: MAX_EVENTS,
            bytes: PART_BYTES,
        };
        let read = pin!(self.engine.read(self.session, self.after, limit, wait));
        let read = match select(read, pin!(self.shutdown.wait())).await {
            Either::Left((read, _)) => read,
            Either::Right(_) => return None,
        };
        if !self.accounts.is_current(&self.caller) {
            return None;
        }
        match read {
            Ok(records) => match records.last() {
                Some(last) => {
                    self.after = last.sequence;
                    Some((Ok(encode(&records).into()), Stage::Events))
                }
                None if has_ended(&self.engine, self.session, self.after, None) => {
                    let end = format!("event: end\ndata: {{\"after\":{}}}\n\n", self.after);
                    Some((Ok(end.into()), Stage::Over))
                }
                None => Some((Ok(Bytes::from_static(b":\n\n")), Stage::Events)),
            },
            Err(PullError::Unavailable(_)) => None,
            Err(error) => Some((Err(io::Error::other(error)), Stage::Over)),
        }
    }
}

/// Whether the session has no more records after `after`. `last` is the record at `after`, if it was
/// just read: for a session that ended long ago, only its last record shows that.
pub(crate) fn has_ended(
    engine: &Engine,
    session: SessionId,
    after: Sequence,
    last: Option<&Arc<Record>>,
) -> bool {
    let ended = engine.view(|views| {
        let view = views.session(session)?;
        Some(view.closed.is_some() && after >= view.last_sequence)
    });
    ended.unwrap_or_else(|| {
        last.is_none_or(|last| match last.event {
            Event::SessionClosed { .. } => true,
            Event::RecordsLost { cause, .. } => matches!(cause, LossCause::Retention { .. }),
            _ => false,
        })
    })
}

fn encode(records: &[Arc<Record>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut event = Vec::new();
    for record in records {
        let at = record.at.as_millis();
        append(&mut out, format_args!("id: {}-{at}\n", record.sequence));
        event.clear();
        append_event(&mut event, record);
        // JSON has line breaks only between tokens, so each line can be a `data` field of its own.
        for line in event.split(|byte| matches!(byte, b'\n' | b'\r')) {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        out.push(b'\n');
    }
    // It is held until the client has taken it.
    out.shrink_to_fit();
    out
}
