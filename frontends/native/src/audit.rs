//! `GET /audit`: who asked for what, over all sessions that the log knows.
//!
//! One answer looks at a bounded part of the log, session by session in the order of their UUIDs, and says
//! where the next one goes on. Invariant: what could not be read is named.

use crate::Native;
use crate::answer::{HandlerResult, ok};
use crate::error::Fault;
use crate::handlers::clamp_limit;
use crate::limits::{
    AUDIT_BYTES, AUDIT_READS, AUDIT_SESSIONS, MAX_EVENTS, MAX_REQUESTS, READ_BYTES, REQUESTS,
};
use crate::record_json::audited;
use crate::records::without_token;
use crate::request::Query;
use futures::future::{Either, select};
use rejoin_accounts::{Denied, Permission};
use rejoin_engine::{
    Engine, Event, PullError, ReadLimit, Record, Sequence, SessionId, SessionNumber, Timestamp,
    Unavailable,
};
use rejoin_http::Request;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fmt;
use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

impl Native {
    pub(crate) async fn audit(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::Read).await?;
        if !caller.may(Permission::SeeAll) {
            let reason = "only an admin may read who asked for what in all sessions";
            return Err(Fault::Forbidden(reason.to_owned()));
        }
        let query = Query::parse(http.url(), &["after", "account", "since", "until", "limit"])?;
        let after = query.text("after").map(str::parse).transpose();
        let after = after.map_err(|NoPlace| {
            let reason = "`after` must be the `after` of an earlier answer";
            Fault::RequestInvalid(reason.to_owned())
        })?;
        let instant = |name| -> Result<_, Fault> {
            let millis = query.number(name)?;
            Ok(millis.map(Timestamp::from_millis))
        };
        let mut audit = Audit {
            engine: &self.engine,
            account: query.text("account"),
            since: instant("since")?,
            until: instant("until")?,
            limit: clamp_limit(query.number("limit")?, REQUESTS, MAX_REQUESTS),
            place: after,
            sessions: VecDeque::new(),
            bytes: 0,
            reads: 0,
            requests: vec![],
            unreadable: vec![],
        };
        let shutdown = http.shutdown();
        let is_over = match select(pin!(audit.run()), pin!(shutdown.wait())).await {
            Either::Left((is_over, _)) => is_over?,
            // What was found so far would be said again after the next start.
            Either::Right(_) => {
                return Err(PullError::Unavailable(Unavailable::ShuttingDown).into());
            }
        };
        if !self.accounts.is_current(&caller) {
            return Err(Fault::Denied(Denied::Expired));
        }
        Ok(ok(&json!({
            "after": audit.place.map(|place| place.to_string()),
            "more": !is_over,
            "requests": audit.requests,
            "unreadable": audit.unreadable,
        })))
    }
}

/// Where an audit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    session: SessionId,
    /// Up to where the session was read. None: to its end.
    after: Option<Sequence>,
}

/// A text that is no place.
#[derive(Debug)]
struct NoPlace;

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.after {
            Some(after) => write!(f, "{}.{after}", self.session),
            None => write!(f, "{}", self.session),
        }
    }
}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (session, after) = match text.split_once('.') {
            Some((session, after)) => {
                let after = after.parse().map_err(|_| NoPlace)?;
                (session, Some(Sequence(after)))
            }
            None => (text, None),
        };
        let session = session.parse().map_err(|_| NoPlace)?;
        Ok(Self { session, after })
    }
}

struct Audit<'a> {
    engine: &'a Engine,
    account: Option<&'a str>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    limit: usize,
    place: Option<Place>,
    /// The next sessions.
    sessions: VecDeque<SessionId>,
    bytes: usize,
    reads: usize,
    requests: Vec<Value>,
    unreadable: Vec<Value>,
}

/// What the views know of the session that is read.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    number: Option<SessionNumber>,
    last: Option<Sequence>,
    is_open: bool,
}

impl Audit<'_> {
    /// Reads until there is enough for one answer. Whether that was all.
    async fn run(&mut self) -> Result<bool, PullError> {
        let begun = self
            .place
            .and_then(|place| Some((place.session, place.after?)));
        if let Some((session, after)) = begun {
            self.session(session, after).await?;
        }
        while !self.is_full() {
            let Some(session) = self.next_session() else {
                return Ok(true);
            };
            self.session(session, Sequence::START).await?;
        }
        Ok(false)
    }

    fn is_full(&self) -> bool {
        self.requests.len() >= self.limit || self.bytes >= AUDIT_BYTES || self.reads >= AUDIT_READS
    }

    fn next_session(&mut self) -> Option<SessionId> {
        if self.sessions.is_empty() {
            let after = self.place.map(|place| place.session);
            self.sessions = self.engine.logged_sessions(after, AUDIT_SESSIONS).into();
        }
        self.sessions.pop_front()
    }

    /// Reads a session, to its end or until there is enough.
    async fn session(&mut self, session: SessionId, mut after: Sequence) -> Result<(), PullError> {
        let end = Place {
            session,
            after: None,
        };
        let since = self.since;
        let (mut known, is_old) = self.engine.view(|views| match views.session(session) {
            None => (Known::default(), false),
            Some(view) => {
                let known = Known {
                    number: Some(view.number),
                    last: Some(view.last_sequence),
                    is_open: view.closed.is_none(),
                };
                (known, since.is_some_and(|since| view.changed < since))
            }
        });
        if is_old {
            self.reads += 1;
            self.place = Some(end);
            return Ok(());
        }
        if known.number.is_none() && after > Sequence::START {
            known.number = self.number(session).await?;
        }
        loop {
            self.place = Some(Place {
                after: Some(after),
                ..end
            });
            if self.is_full() {
                return Ok(());
            }
            let records = match self.part(session, after).await {
                Ok(records) => records,
                // It was removed and forgotten meanwhile.
                Err(PullError::SessionNotFound | PullError::CursorUnknown { .. }) => vec![],
                Err(error @ PullError::Log(_)) => {
                    self.unreadable.push(json!({
                        "session": session.to_string(),
                        "after": after.0,
                        "reason": error.to_string(),
                    }));
                    vec![]
                }
                Err(error) => return Err(error),
            };
            let mut is_late = false;
            for record in &records {
                self.bytes += usize::try_from(record.bytes()).unwrap_or(usize::MAX);
                after = record.sequence;
                is_late = self.until.is_some_and(|until| record.at > until);
                if is_late {
                    break;
                }
                if let Event::SessionCreated { number, .. } = record.event {
                    known.number = Some(number);
                }
                self.take(record, known);
                if self.requests.len() >= self.limit {
                    break;
                }
            }
            // Of a session that the views have forgotten, an empty read is the end.
            let is_end = known.last.is_some_and(|last| after >= last);
            if records.is_empty() || is_late || is_end {
                self.place = Some(end);
                return Ok(());
            }
        }
    }

    async fn part(
        &mut self,
        session: SessionId,
        after: Sequence,
    ) -> Result<Vec<Arc<Record>>, PullError> {
        self.reads += 1;
        let limit = ReadLimit {
            records: MAX_EVENTS,
            bytes: READ_BYTES,
        };
        self.engine
            .read(session, after, limit, Duration::ZERO)
            .await
    }

    /// The number of a session that the views have forgotten.
    async fn number(&mut self, session: SessionId) -> Result<Option<SessionNumber>, PullError> {
        self.reads += 1;
        let first = ReadLimit {
            records: 1,
            bytes: 1,
        };
        let start = Sequence::START;
        let read = self.engine.read(session, start, first, Duration::ZERO);
        let first = match read.await {
            Ok(records) => records.into_iter().next(),
            Err(error @ (PullError::Overloaded | PullError::Unavailable(_))) => return Err(error),
            Err(_) => None,
        };
        Ok(first.and_then(|record| match record.event {
            Event::SessionCreated { number, .. } => Some(number),
            _ => None,
        }))
    }

    fn take(&mut self, record: &Record, known: Known) {
        let account = record.actor.as_ref().and_then(|it| it.account.as_deref());
        let is_wanted = self.account.is_none_or(|it| account == Some(it))
            && self.since.is_none_or(|since| record.at >= since);
        if !is_wanted {
            return;
        }
        // By it, others could pull in the place of a consumer.
        let masked = known.is_open.then(|| without_token(record)).flatten();
        let shown = audited(masked.as_ref().unwrap_or(record), known.number);
        self.requests.extend(shown.map(Value::Object));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_what_its_text_says() {
        let session = SessionId::from_bytes([7; 16]);
        for after in [None, Some(Sequence(0)), Some(Sequence(12))] {
            let place = Place { session, after };
            assert_eq!(place.to_string().parse::<Place>().ok(), Some(place));
        }
        for wrong in ["", "1", "1.2", "07070707-0707-0707-0707-070707070707.x"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
