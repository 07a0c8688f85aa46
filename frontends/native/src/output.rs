//! `GET /sessions/{session}/output`: all that the session's commands have printed, as text.
//!
//! Records are read only when the client has taken those before, so a slow client costs no memory.

use crate::Native;
use crate::answer::{HandlerResult, uncached};
use crate::error::Fault;
use crate::record_source::RecordSource;
use crate::request::Query;
use futures::Stream;
use rejoin_engine::{Event, JobId, Record, Sequence, Visibility};
use rejoin_http::{Bytes, Request, Response, StatusCode};
use rejoin_search::{PlainText, output_part};
use std::collections::BTreeMap;
use std::io;

impl Native {
    pub(crate) async fn output(&self, http: &Request) -> HandlerResult {
        let (caller, session, visit) = self.reader(http).await?;
        let query = Query::parse(http.url(), &["job", "raw"])?;
        let job = query.number("job")?.map(JobId);
        let is_raw = query.flag("raw")?;
        let mut reader = OutputReader {
            source: RecordSource {
                _visit: visit,
                engine: self.engine.clone(),
                accounts: self.accounts.clone(),
                caller,
                session,
                after: Sequence::START,
                shutdown: http.shutdown(),
            },
            job,
            plain: (!is_raw).then(BTreeMap::new),
        };
        // A session that does not exist has no output.
        let first = reader.next().await?.unwrap_or_default();
        let response = Response::streaming(StatusCode::OK, TEXT, parts(first, reader));
        Ok(uncached(response))
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

struct OutputReader {
    source: RecordSource,
    job: Option<JobId>,
    /// What removes escape sequences, for each output of a job that runs. None: nothing does.
    plain: Option<BTreeMap<(JobId, bool), PlainText>>,
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
        let Some(records) = self.source.next().await? else {
            return Ok(None);
        };
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
