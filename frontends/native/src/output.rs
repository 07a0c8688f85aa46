//! `GET /sessions/{session}/output`: all that the session's commands have printed, as text.
//!
//! Records are read only when the client has taken those before, so a slow client costs no memory.

use crate::Native;
use crate::answer::{HandlerResult, uncached};
use crate::error::Fault;
use crate::limits::{MAX_EVENTS, PART_BYTES};
use crate::links::Visit;
use crate::request::Query;
use futures::Stream;
use futures::future::{Either, select};
use rejoin_accounts::{Accounts, Caller};
use rejoin_engine::{
    Engine, Event, JobId, PullError, ReadLimit, Record, Sequence, SessionId, Unavailable,
    Visibility,
};
use rejoin_http::{Bytes, Request, Response, Shutdown, StatusCode};
use rejoin_search::{PlainText, output_part};
use std::collections::BTreeMap;
use std::io;
use std::pin::pin;
use std::time::Duration;

impl Native {
    pub(crate) async fn output(&self, http: &Request) -> HandlerResult {
        let (caller, session, visit) = self.reader(http).await?;
        let query = Query::parse(http.url(), &["job", "raw"])?;
        let job = query.number("job")?.map(JobId);
        let is_raw = query.flag("raw")?;
        let mut reader = OutputReader {
            _visit: visit,
            engine: self.engine.clone(),
            accounts: self.accounts.clone(),
            caller,
            session,
            job,
            after: Sequence::START,
            plain: (!is_raw).then(BTreeMap::new),
            shutdown: http.shutdown(),
        };
        // A session that does not exist has no output.
        let first = reader.next().await?.unwrap_or_default();
        let response = Response::streaming(StatusCode::OK, TEXT, parts(first, reader));
        Ok(uncached(response))
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

struct OutputReader {
    /// If it reads by a link.
    _visit: Option<Visit>,
    engine: Engine,
    accounts: Accounts,
    caller: Caller,
    session: SessionId,
    job: Option<JobId>,
    after: Sequence,
    /// What removes escape sequences, for each output of a job that runs. None: nothing does.
    plain: Option<BTreeMap<(JobId, bool), PlainText>>,
    shutdown: Shutdown,
}

/// The output from `first` on, up to what there is now.
fn parts(first: Vec<u8>, reader: OutputReader) -> impl Stream<Item = io::Result<Bytes>> + Send {
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

impl OutputReader {
    /// The next part, which may be empty. None: there is no more.
    ///
    /// # Errors
    ///
    /// Also when the server shuts down, and when the caller may not read it any more: a download that breaks
    /// off must not look like a whole one.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let limit = ReadLimit {
            records: MAX_EVENTS,
            bytes: PART_BYTES,
        };
        let read = self
            .engine
            .read(self.session, self.after, limit, Duration::ZERO);
        let records = match select(pin!(read), pin!(self.shutdown.wait())).await {
            Either::Left((read, _)) => read?,
            Either::Right(_) => {
                return Err(PullError::Unavailable(Unavailable::ShuttingDown).into());
            }
        };
        let Some(last) = records.last() else {
            return Ok(None);
        };
        if !self.accounts.is_current(&self.caller) {
            return Err(Fault::ended(&self.caller));
        }
        self.after = last.sequence;
        let mut out = vec![];
        for record in &records {
            self.add(&mut out, record);
        }
        Ok(Some(out))
    }

    fn add(&mut self, out: &mut Vec<u8>, record: &Record) {
        match &record.event {
            Event::ResultEmitted {
                job, mode, result, ..
            } if mode.visibility == Visibility::Session
                && self.job.is_none_or(|wanted| wanted == *job) =>
            {
                let Some(part) = output_part(result) else {
                    return;
                };
                let is_stderr = part.stream.as_deref() == Some("stderr");
                match &mut self.plain {
                    None => out.extend_from_slice(&part.bytes),
                    Some(plain) => {
                        let plain = plain.entry((*job, is_stderr)).or_default();
                        plain.add(out, &part.bytes);
                    }
                }
            }
            Event::JobFinished { job, .. } => {
                if let Some(plain) = &mut self.plain {
                    plain.retain(|(other, _), _| other != job);
                }
            }
            _ => {}
        }
    }
}
