//! A session's events, one after the other, also when the server is gone for a while.
//!
//! What enters: a session, and the sequence after which to begin. What leaves: each event once, in
//! its order. Never: an event is left out or given twice because a connection broke.

use super::ClientError;
use super::api::Api;
use super::limits::{FIRST_PAUSE, LONGEST_PAUSE, READ_BYTES};
use super::sse::Parser;
use crate::offline::warn;
use std::io::Read;
use std::time::{Duration, Instant};
use ureq::BodyReader;

/// The events of one session.
pub(crate) struct Events {
    api: Api,
    session: String,
    after: u64,
    patience: Duration,
    connection: Option<Connection>,
}

struct Connection {
    body: BodyReader<'static>,
    parser: Parser,
    /// Whether anything has come on it.
    is_alive: bool,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    /// An event, and its JSON.
    Event(String),
    /// Nothing for now: ask again, and that waits.
    Nothing,
    /// The session has ended, and that was all of it.
    End,
}

impl Events {
    /// The events after a sequence. Tries for so long to come back to a server that is gone.
    pub(crate) fn after(api: &Api, session: &str, after: u64, patience: Duration) -> Self {
        Self {
            api: api.clone(),
            session: session.to_owned(),
            after,
            patience,
            connection: None,
        }
    }

    /// The next event, where one has come; else `Nothing` before this waits for one: what was taken
    /// so far can be shown.
    ///
    /// # Errors
    ///
    /// When the server stays away, or has something against it.
    pub(crate) fn next(&mut self, may_wait: bool) -> Result<Next, ClientError> {
        loop {
            if let Some(connection) = &mut self.connection {
                while let Some(block) = connection.parser.next() {
                    if block.event == "end" {
                        return Ok(Next::End);
                    }
                    let sequence = block.id.as_deref().and_then(|id| id.parse().ok());
                    // What was given is not given again, whoever sends it.
                    if let Some(sequence) = sequence.filter(|it| *it > self.after) {
                        self.after = sequence;
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
            if !is_read && !self.connect()? {
                return Ok(Next::End);
            }
        }
    }

    /// Comes back, and waits for that as long as it is worth it. False: there is nothing more.
    fn connect(&mut self) -> Result<bool, ClientError> {
        let began = now();
        // A connection on which nothing came is not followed by another at once.
        let mut pause = match self.connection.take() {
            Some(connection) if !connection.is_alive => Some(FIRST_PAUSE),
            _ => None,
        };
        let mut is_said = false;
        loop {
            if let Some(pause) = pause {
                std::thread::sleep(pause);
            }
            let failed = match self.api.stream(&self.session, self.after) {
                Ok(body) => {
                    if is_said {
                        warn("the server is back");
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
                    "the server did not come back within {:?} ({failed}): `rejoin attach {}` shows \
                     what has become of it",
                    self.patience, self.session
                )));
            }
            if !std::mem::replace(&mut is_said, true) {
                warn("the server is gone, trying again …");
            }
            pause = Some(pause.map_or(FIRST_PAUSE, |it| (it * 2).min(LONGEST_PAUSE)));
        }
    }
}

/// An event's JSON in one line: in JSON a line ends between two tokens only, where it means nothing.
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

    /// Waits for more. False: the connection is over.
    fn read(&mut self) -> Result<bool, ClientError> {
        let mut bytes = vec![0; READ_BYTES];
        match self.body.read(&mut bytes) {
            Ok(0) | Err(_) => Ok(false),
            Ok(read) => {
                self.is_alive = true;
                self.parser.push(&bytes[..read]).map_err(|_| {
                    ClientError::Lost("the server sends an event that has no end".to_owned())
                })?;
                Ok(true)
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a server is gone is measured by the clock of whoever waits for it"
)]
fn now() -> Instant {
    Instant::now()
}
