//! What each path and method does.

use crate::Native;
use crate::error::Fault;
use crate::limits::{EVENTS, LONGEST_PAGE, LONGEST_WAIT, MOST_EVENTS, PAGE, READ_BYTES};
use crate::list::{self, Listed};
use crate::request::{Create, Query, Submit, body, number};
use crate::stream::{Reader, events, has_ended};
use crate::translate::event;
use crate::wire;
use futures::future::{Either, select};
use rejoin_core::{
    Audience, ConsumerId, JobId, Manner, Place, Sequence, SessionId, SessionNumber, SessionView,
};
use rejoin_engine::{NewJob, NewSession};
use rejoin_http::{Answer, StatusCode};
use rejoin_log::ReadLimit;
use serde_json::{Value, json};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// A request, as tide hands it over.
pub(crate) type Http = tide::Request<()>;
pub(crate) type Answered = Result<Answer, Fault>;

/// Who asks. The one place to look where it matters who that is.
struct Caller {
    /// The network address, where the request came from one.
    remote: Option<Arc<str>>,
}

impl Native {
    fn caller(http: &Http) -> Result<Caller, Fault> {
        let peer = rejoin_http::peer(http);
        let remote = (!peer.ip().is_unspecified()).then(|| peer.to_string().into());
        Ok(Caller { remote })
    }

    pub(crate) async fn list(&self, http: &Http) -> Answered {
        Self::caller(http)?;
        let query = Query::parse(http.url(), &["user", "service", "state", "before", "limit"])?;
        let limit = most(query.number("limit")?, PAGE, LONGEST_PAGE);
        let listed = Listed {
            user: query.text("user"),
            service: query.text("service"),
            state: list::State::parse(query.text("state"))?,
            before: query.number("before")?.unwrap_or(u64::MAX),
            limit: limit.max(1),
        };
        let (sessions, next) = self.engine.view(|views| listed.page(views, wire::session));
        Ok(ok(&json!({"next": next, "sessions": sessions})))
    }

    pub(crate) async fn create(&self, http: &Http) -> Answered {
        let caller = Self::caller(http)?;
        let Create { service, user } = body(&rejoin_http::body(http))?;
        let new = NewSession {
            service: service.map(Into::into),
            user: user.map(Into::into),
            remote: caller.remote,
            reads: false,
        };
        let created = self.engine.create_session(new).await?;
        let shown = self.view(created.session, detail)?;
        let place = format!("/sessions/{}", created.session);
        Ok(json_answer(StatusCode::CREATED, &shown).header("location", place))
    }

    pub(crate) async fn show(&self, http: &Http) -> Answered {
        Self::caller(http)?;
        let session = self.session(http)?;
        Ok(ok(&self.view(session, detail)?))
    }

    pub(crate) async fn close(&self, http: &Http) -> Answered {
        Self::caller(http)?;
        self.engine.close_session(self.session(http)?).await?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }

    pub(crate) async fn join(&self, http: &Http) -> Answered {
        Self::caller(http)?;
        let consumer = self.engine.join_session(self.session(http)?).await?;
        let joined = json!({"consumer": consumer.to_string(), "ordinal": consumer.ordinal});
        Ok(json_answer(StatusCode::CREATED, &joined))
    }

    pub(crate) async fn leave(&self, http: &Http) -> Answered {
        Self::caller(http)?;
        let session = self.session(http)?;
        let consumer: ConsumerId = named(http, "consumer")
            .parse()
            .map_err(|_| Fault::RequestInvalid("that is not the name of a consumer".to_owned()))?;
        self.engine.leave_session(session, consumer).await?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }

    pub(crate) async fn submit(&self, http: &Http) -> Answered {
        Self::caller(http)?;
        let session = self.session(http)?;
        let submit: Submit = body(&rejoin_http::body(http))?;
        if submit.statement.trim().is_empty() {
            return Err(Fault::RequestInvalid("the statement is empty".to_owned()));
        }
        if submit.statement.contains('\0') {
            let reason = "a statement cannot hold the character NUL";
            return Err(Fault::RequestInvalid(reason.to_owned()));
        }
        self.engine.touch(session);
        let place = match submit.background {
            true => Place::Background,
            false => Place::Foreground,
        };
        let manner = Manner {
            place,
            audience: Audience::Session,
        };
        let new = NewJob {
            request: submit.request.map(Into::into),
            input: submit.input,
            timeout: submit.timeout_millis.map(Duration::from_millis),
            output_limit: submit.output_limit,
            ..NewJob::new(session, submit.statement, manner)
        };
        let noted = self.engine.submit_job(new).await?;
        let place = format!("/sessions/{session}/jobs/{}", noted.job);
        let submitted = json!({"job": noted.job.0, "sequence": noted.sequence.0});
        Ok(json_answer(StatusCode::CREATED, &submitted).header("location", place))
    }

    pub(crate) async fn jobs(&self, http: &Http) -> Answered {
        Self::caller(http)?;
        let shown = self.view(self.session(http)?, |view| json!({"jobs": jobs(view)}))?;
        Ok(ok(&shown))
    }

    pub(crate) async fn job(&self, http: &Http) -> Answered {
        Self::caller(http)?;
        let session = self.session(http)?;
        let job = job_id(http)?;
        let shown = self.view(session, |view| {
            let known = view.job(job).filter(|job| !job.manner.is_private());
            known.map(wire::job)
        })?;
        shown
            .map(|shown| ok(&shown))
            .ok_or_else(|| Fault::JobNotFound(job.to_string()))
    }

    pub(crate) async fn interrupt(&self, http: &Http) -> Answered {
        Self::caller(http)?;
        let session = self.session(http)?;
        let job = match named(http, "job") {
            "" => None,
            _ => Some(self.told_of(session, job_id(http)?)?),
        };
        let noted = self.engine.interrupt_job(session, job).await?;
        let told = json!({"job": noted.job.0, "sequence": noted.sequence.0});
        Ok(json_answer(StatusCode::ACCEPTED, &told))
    }

    pub(crate) async fn write(&self, http: &Http) -> Answered {
        Self::caller(http)?;
        let session = self.session(http)?;
        let job = self.told_of(session, job_id(http)?)?;
        let end = Query::parse(http.url(), &["end"])?.flag("end")?;
        let bytes = rejoin_http::body(http)[..].into();
        self.engine.touch(session);
        self.engine.write_input(session, job, bytes, end).await?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }

    pub(crate) async fn events(&self, http: &Http) -> Answered {
        let accept = rejoin_http::header(http, "accept").unwrap_or_default();
        if accept.contains(EVENT_STREAM) {
            return self.stream(http).await;
        }
        Self::caller(http)?;
        let session = self.session(http)?;
        let query = Query::parse(http.url(), &["after", "limit", "wait"])?;
        let after = Sequence(query.number("after")?.unwrap_or(0));
        let limit = ReadLimit {
            records: most(query.number("limit")?, EVENTS, MOST_EVENTS).max(1),
            bytes: READ_BYTES,
        };
        let wait = Duration::from_millis(query.number("wait")?.unwrap_or(0)).min(LONGEST_WAIT);
        if !wait.is_zero() {
            self.engine.touch(session);
        }
        let read = pin!(self.engine.read(session, after, limit, wait));
        let closing = rejoin_http::closing(http);
        let records = match select(read, pin!(closing.begun())).await {
            Either::Left((read, _)) => read?,
            Either::Right(_) => vec![],
        };
        let next = records.last().map_or(after, |last| last.sequence);
        let is_over = has_ended(&self.engine, session, next, records.last());
        let mut out = format!(r#"{{"after":{next},"ended":{is_over},"events":["#).into_bytes();
        for (place, record) in records.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            event(&mut out, record);
        }
        out.extend_from_slice(b"]}");
        Ok(uncached(Answer::new(StatusCode::OK, JSON, out)))
    }

    pub(crate) async fn stream(&self, http: &Http) -> Answered {
        Self::caller(http)?;
        let session = self.session(http)?;
        let query = Query::parse(http.url(), &["after"])?;
        // Who comes back knows better than the address that it first asked for.
        let after = match rejoin_http::header(http, "last-event-id") {
            Some(last) => number("Last-Event-ID", last)?,
            None => query.number("after")?.unwrap_or(0),
        };
        let after = Sequence(after);
        let first = ReadLimit {
            records: 1,
            bytes: 1,
        };
        let read = self.engine.read(session, after, first, Duration::ZERO);
        if read.await?.is_empty() && has_ended(&self.engine, session, after, None) {
            // What tells an EventSource not to come back.
            return Ok(Answer::empty(StatusCode::NO_CONTENT));
        }
        let reader = Reader {
            engine: self.engine.clone(),
            session,
            after,
            closing: rejoin_http::closing(http),
        };
        let answer = Answer::streaming(StatusCode::OK, EVENT_STREAM, events(reader));
        Ok(uncached(answer).header("x-accel-buffering", "no"))
    }

    /// The session that the path names: by its UUID, or by its number.
    fn session(&self, http: &Http) -> Result<SessionId, Fault> {
        let name = named(http, "session");
        let unknown = || Fault::SessionNotFound(name.to_owned());
        if let Ok(session) = name.parse() {
            return Ok(session);
        }
        let number = SessionNumber(number("session", name).map_err(|_| unknown())?);
        self.engine
            .view(|views| views.numbered(number).map(|view| view.id))
            .ok_or_else(unknown)
    }

    /// The job, unless it is for its submitter alone.
    fn told_of(&self, session: SessionId, job: JobId) -> Result<JobId, Fault> {
        let is_private = self.engine.view(|views| {
            let known = views.session(session).and_then(|view| view.job(job));
            known.is_some_and(|known| known.manner.is_private())
        });
        match is_private {
            true => Err(Fault::JobNotFound(job.to_string())),
            false => Ok(job),
        }
    }

    fn view<T>(
        &self,
        session: SessionId,
        tell: impl FnOnce(&SessionView) -> T,
    ) -> Result<T, Fault> {
        self.engine
            .view(|views| views.session(session).map(tell))
            .ok_or_else(|| Fault::SessionNotFound(session.to_string()))
    }
}

fn detail(view: &SessionView) -> Value {
    let mut shown = wire::session(view);
    shown["jobs"] = jobs(view);
    shown
}

fn jobs(view: &SessionView) -> Value {
    view.jobs()
        .filter(|job| !job.manner.is_private())
        .map(wire::job)
        .collect()
}

fn named<'http>(http: &'http Http, name: &str) -> &'http str {
    http.param(name).unwrap_or_default()
}

fn job_id(http: &Http) -> Result<JobId, Fault> {
    let name = named(http, "job");
    number("job", name)
        .map(JobId)
        .map_err(|_| Fault::JobNotFound(name.to_owned()))
}

fn most(asked: Option<u64>, otherwise: usize, most: usize) -> usize {
    asked.map_or(otherwise, |asked| {
        usize::try_from(asked).map_or(most, |asked| asked.min(most))
    })
}

fn ok(body: &Value) -> Answer {
    json_answer(StatusCode::OK, body)
}

fn json_answer(status: StatusCode, body: &Value) -> Answer {
    uncached(Answer::new(status, JSON, body.to_string()))
}

fn uncached(answer: Answer) -> Answer {
    answer.header("cache-control", "no-store")
}

const JSON: &str = "application/json";
const EVENT_STREAM: &str = "text/event-stream";
