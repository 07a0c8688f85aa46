//! Reads a session's events and reconnects when the connection breaks.
//!
//! Invariant: each event comes once and in order, however often the connection breaks. If the server
//! comes back with another log, it is read from the beginning, with a warning.

use super::ClientError;
use super::api::{Api, StreamTimes};
use super::limits::{ANSWER, FIRST_PAUSE, HEARTBEAT, LONGEST_PAUSE, READ_BYTES};
use super::sse::Parser;
use super::table::duration;
use crate::offline::warn;
use std::io::Read;
use std::time::{Duration, Instant};
use ureq::BodyReader;

/// The events of one session.
pub(crate) struct Events {
    api: Api,
    session: String,
    after: u64,
    /// `after` as the server gave it, which shows it whether its log is still the same.
    cursor: String,
    patience: Duration,
    connection: Option<Connection>,
    on_change: Box<dyn FnMut(ConnectionState)>,
}

/// What happened to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionState {
    /// It is lost, and is tried again.
    Lost,
    /// It is there again.
    Restored,
}

impl ConnectionState {
    fn warn(self) {
        warn(match self {
            Self::Lost => "connection lost, reconnecting …",
            Self::Restored => "reconnected",
        });
    }
}

struct Connection {
    body: BodyReader<'static>,
    parser: Parser,
    /// Whether anything has arrived on it.
    is_alive: bool,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    /// An event as JSON.
    Event(String),
    /// Nothing has arrived yet; call again with `may_wait`.
    Nothing,
    /// The server does not have the events any more that were read: its log was restored from a
    /// backup. What comes next is the session from its beginning.
    Restored,
    /// The session has ended, and this was all of it.
    End,
}

impl Events {
    /// The events after a sequence. Tries to reconnect for up to `patience`.
    pub(crate) fn after(api: &Api, session: &str, after: u64, patience: Duration) -> Self {
        Self {
            api: api.clone(),
            session: session.to_owned(),
            after,
            cursor: after.to_string(),
            patience,
            connection: None,
            on_change: Box::new(ConnectionState::warn),
        }
    }

    /// The last sequence that was read.
    pub(crate) const fn last(&self) -> u64 {
        self.after
    }

    /// Reports lost connections to this, instead of standard error.
    pub(crate) fn on_change(&mut self, on_change: Box<dyn FnMut(ConnectionState)>) {
        self.on_change = on_change;
    }

    /// Reports lost connections to standard error again.
    pub(crate) fn warn_on_change(&mut self) {
        self.on_change = Box::new(ConnectionState::warn);
    }

    /// The next event. Without `may_wait`, returns `Nothing` instead of waiting, so that the caller
    /// can show what has arrived.
    ///
    /// # Errors
    ///
    /// If the server stays unreachable, or rejects the request.
    pub(crate) fn next(&mut self, may_wait: bool) -> Result<Next, ClientError> {
        loop {
            if let Some(connection) = &mut self.connection {
                while let Some(block) = connection.parser.next() {
                    if block.event == "end" {
                        return Ok(Next::End);
                    }
                    let id = block.id.unwrap_or_default();
                    let sequence = id.split('-').next().and_then(|it| it.parse().ok());
                    // Never repeat an event, even if it is sent again.
                    if let Some(sequence) = sequence.filter(|it| *it > self.after) {
                        self.after = sequence;
                        self.cursor = id;
                        return Ok(Next::Event(block.data));
                    }
                }
            }
            if !may_wait {
                return Ok(Next::Nothing);
            }
            let is_read = match &mut self.connection {
                Some(connection) => connection.read()?,
                None => false,
            };
            if !is_read {
                match self.connect() {
                    Ok(true) => {}
                    Ok(false) => return Ok(Next::End),
                    Err(error) if error.is_code("cursor_unknown") && self.cursor.contains('-') => {
                        self.after = 0;
                        "0".clone_into(&mut self.cursor);
                        return Ok(Next::Restored);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Reconnects, for up to `patience`. False: the session has no more events.
    fn connect(&mut self) -> Result<bool, ClientError> {
        let began = now();
        // Pause after a connection on which nothing arrived.
        let mut pause = match self.connection.take() {
            Some(connection) if !connection.is_alive => Some(FIRST_PAUSE),
            _ => None,
        };
        let mut is_reported = false;
        loop {
            if let Some(pause) = pause {
                let left = self.patience.saturating_sub(now().duration_since(began));
                std::thread::sleep(pause.min(left));
            }
            let left = self.patience.saturating_sub(now().duration_since(began));
            let patience = self.patience.max(ANSWER);
            let times = StreamTimes {
                answer: left.max(ANSWER),
                silence: HEARTBEAT.saturating_add(patience),
            };
            let failed = match self.api.stream(&self.session, &self.cursor, times) {
                Ok(body) => {
                    if is_reported {
                        (self.on_change)(ConnectionState::Restored);
                    }
                    self.connection = body.map(Connection::new);
                    return Ok(self.connection.is_some());
                }
                Err(error) => error,
            };
            if !failed.is_retryable() {
                return Err(failed);
            }
            if now().duration_since(began) >= self.patience {
                return Err(ClientError::Lost(format!(
                    "could not reconnect within {} ({failed}): use `rejoin attach {}` later",
                    duration(self.patience),
                    self.session
                )));
            }
            if !std::mem::replace(&mut is_reported, true) {
                (self.on_change)(ConnectionState::Lost);
            }
            pause = Some(pause.map_or(FIRST_PAUSE, |it| (it * 2).min(LONGEST_PAUSE)));
        }
    }
}

/// An event's JSON on one line: JSON has line feeds between tokens only, where they mean nothing.
pub(crate) fn line(event: &str) -> String {
    event.replace('\n', " ")
}

impl Connection {
    fn new(body: BodyReader<'static>) -> Self {
        Self {
            body,
            parser: Parser::default(),
            is_alive: false,
        }
    }

    /// Waits for more. False: the connection has ended.
    fn read(&mut self) -> Result<bool, ClientError> {
        let mut bytes = vec![0; READ_BYTES];
        match self.body.read(&mut bytes) {
            Ok(0) | Err(_) => Ok(false),
            Ok(read) => {
                self.is_alive = true;
                self.parser.push(&bytes[..read]).map_err(|_| {
                    ClientError::Lost("the server sent an event that is too long".to_owned())
                })?;
                Ok(true)
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long to reconnect is measured by this machine's clock"
)]
fn now() -> Instant {
    Instant::now()
}
