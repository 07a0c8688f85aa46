//! A session's events as Server-Sent Events: what has been and what comes are one stream.
//!
//! What enters: a session and the sequence after which to begin. What leaves: each event with its
//! sequence as its `id`, and comments where nothing happens. What is never true: that the next
//! events are read before the client has taken the last ones, or that anybody waits for a client.

use crate::limits::{HEARTBEAT, MOST_EVENTS, READ_BYTES, RETRY};
use crate::translate;
use futures::Stream;
use futures::future::{Either, select};
use rejoin_accounts::{Accounts, Caller};
use rejoin_core::{Event, LossCause, Record, Sequence, SessionId};
use rejoin_engine::{Engine, PullError};
use rejoin_http::{Bytes, Shutdown};
use rejoin_log::ReadLimit;
use std::io;
use std::pin::pin;
use std::sync::Arc;

/// A reader of one session.
pub(crate) struct Reader {
    pub(crate) engine: Engine,
    pub(crate) accounts: Accounts,
    pub(crate) caller: Caller,
    pub(crate) session: SessionId,
    pub(crate) after: Sequence,
    pub(crate) shutdown: Shutdown,
}

/// The events after the reader's sequence, to the session's last one or the server's end.
///
/// A part that cannot be read cuts the connection: the reader comes back where it was.
pub(crate) fn events(reader: Reader) -> impl Stream<Item = io::Result<Bytes>> + Send {
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

impl Reader {
    /// The next part, and what follows it. None: the server ends, or its engine has, or the login
    /// by which this is read.
    async fn next(&mut self) -> Option<(io::Result<Bytes>, Stage)> {
        // Whoever watches uses the session. Said more often than the session could expire.
        self.engine.touch(self.session);
        let wait = HEARTBEAT.min(self.engine.config().session_timeout / 3);
        let limit = ReadLimit {
            records: MOST_EVENTS,
            bytes: READ_BYTES,
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

/// Whether nothing follows that sequence any more, whose record is `last` if it was just read. Of
/// a session that ended long ago, only its last record knows.
pub(crate) fn has_ended(
    engine: &Engine,
    session: SessionId,
    after: Sequence,
    last: Option<&Arc<Record>>,
) -> bool {
    let known = engine.view(|views| {
        let view = views.session(session)?;
        Some(view.closed.is_some() && after >= view.last_sequence)
    });
    known.unwrap_or_else(|| {
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
        translate::show(&mut out, format_args!("id: {}\n", record.sequence));
        event.clear();
        translate::event(&mut event, record);
        // In JSON a line ends between two tokens only, where it means nothing.
        for line in event.split(|byte| matches!(byte, b'\n' | b'\r')) {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        out.push(b'\n');
    }
    out
}
