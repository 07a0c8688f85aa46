//! What each path and method does.

use crate::Native;
use crate::error::Fault;
use crate::limits::{EVENTS, LONGEST_PAGE, LONGEST_WAIT, MOST_EVENTS, PAGE, READ_BYTES};
use crate::list::State;
use crate::request::{Create, Query, Submit, body, number};
use crate::stream::{Reader, events, has_ended};
use crate::translate::event;
use crate::wire;
use futures::future::{Either, select};
use rejoin_accounts::{Caller, Denied, Permission};
use rejoin_core::{
    ConsumerId, JobId, JobMode, JobSlot, Selection, Sequence, SessionId, SessionNumber,
    SessionView, Visibility,
};
use rejoin_engine::{EndedSessions, NewJob, NewSession, SessionPager};
use rejoin_http::{Request, Response, StatusCode};
use rejoin_log::ReadLimit;
use serde_json::{Value, json};
use std::pin::pin;
use std::time::Duration;

pub(crate) type HandlerResult = Result<Response, Fault>;

impl Native {
    pub(crate) async fn list(&self, http: &Request) -> HandlerResult {
        let caller = self.enter(http, Permission::Read).await?;
        let query = Query::parse(http.url(), &["user", "service", "state", "before", "limit"])?;
        let limit = most(query.number("limit")?, PAGE, LONGEST_PAGE);
        let (asked, shown) = (query.text("user"), caller.shown_user());
        let state = State::parse(query.text("state"))?;
        let before = query.number("before")?.unwrap_or(u64::MAX);
        let selection = Selection {
            user: shown.or(asked),
            service: query.text("service"),
            busy: state.and_then(State::busy),
            // The first session has number 1.
            numbers: 0..=before.saturating_sub(1),
        };
        if asked.is_some() && shown.is_some() && asked != shown {
            return Ok(ok(&json!({"next": null, "sessions": []})));
        }
        let ended = state.map_or(EndedSessions::Include, State::ended);
        let pager = SessionPager::new(&self.engine, &selection);
        let (sessions, next) = pager.newest(limit.max(1), ended, wire::session);
        Ok(ok(&json!({"next": next, "sessions": sessions})))
    }

    pub(crate) async fn create(&self, http: &Request) -> HandlerResult {
        let caller = self.enter(http, Permission::Create).await?;
        let Create { service, user } = body(http.body())?;
        let own = caller.name().cloned();
        let user = user.map(Into::into);
        if own.is_some() && user.is_some() && own != user {
            let why = "with accounts, `user` is the account's own name";
            return Err(Fault::Forbidden(why.to_owned()));
        }
        let peer = http.peer();
        let new = NewSession {
            service: service.map(Into::into),
            user: own.or(user),
            remote: (!peer.ip().is_unspecified()).then(|| peer.to_string().into()),
            reads: false,
        };
        let created = self.engine.create_session(new).await?;
        http.log_session(created.id());
        let shown = self.view(created.id(), detail)?;
        let slot = format!("/sessions/{}", created.id());
        Ok(json_answer(StatusCode::CREATED, &shown).header("location", slot))
    }

    pub(crate) async fn show(&self, http: &Request) -> HandlerResult {
        let caller = self.enter(http, Permission::Read).await?;
        let session = self.session(http, &caller)?;
        Ok(ok(&self.view(session, detail)?))
    }

    pub(crate) async fn close(&self, http: &Request) -> HandlerResult {
        let caller = self.enter(http, Permission::CloseOwn).await?;
        let session = self.session(http, &caller)?;
        let owner = self.engine.view(|views| {
            let view = views.session(session);
            view.map(|view| view.user.clone())
        });
        if let Some(owner) = owner
            && !caller.may_close(owner.as_deref())
        {
            let why = "the session is closed by its creator, or an admin";
            return Err(Fault::Forbidden(why.to_owned()));
        }
        self.engine.close_session(session).await?;
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }

    pub(crate) async fn join(&self, http: &Request) -> HandlerResult {
        let caller = self.enter(http, Permission::Read).await?;
        let consumer = self
            .engine
            .join_session(self.session(http, &caller)?)
            .await?;
        let joined = json!({"consumer": consumer.to_string(), "ordinal": consumer.ordinal});
        Ok(json_answer(StatusCode::CREATED, &joined))
    }

    pub(crate) async fn leave(&self, http: &Request) -> HandlerResult {
        let caller = self.enter(http, Permission::Read).await?;
        let session = self.session(http, &caller)?;
        let consumer: ConsumerId = named(http, "consumer")
            .parse()
            .map_err(|_| Fault::RequestInvalid("that is not the name of a consumer".to_owned()))?;
        self.engine.leave_session(session, consumer).await?;
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }

    pub(crate) async fn submit(&self, http: &Request) -> HandlerResult {
        let caller = self.enter(http, Permission::Run).await?;
        let session = self.session(http, &caller)?;
        let submit: Submit = body(http.body())?;
        if submit.statement.trim().is_empty() {
            return Err(Fault::RequestInvalid("the statement is empty".to_owned()));
        }
        if submit.statement.contains('\0') {
            let reason = "a statement cannot hold the character NUL";
            return Err(Fault::RequestInvalid(reason.to_owned()));
        }
        self.engine.touch(session);
        let slot = match submit.background {
            true => JobSlot::Background,
            false => JobSlot::Foreground,
        };
        let mode = JobMode {
            slot,
            visibility: Visibility::Session,
        };
        let new = NewJob {
            request: submit.request.map(Into::into),
            input: submit.input,
            timeout: submit.timeout_millis.map(Duration::from_millis),
            output_limit: submit.output_limit,
            ..NewJob::new(session, submit.statement, mode)
        };
        let noted = self.engine.submit_job(new).await?;
        http.log_job(noted.job);
        let slot = format!("/sessions/{session}/jobs/{}", noted.job);
        let submitted = json!({"job": noted.job.0, "sequence": noted.sequence.0});
        Ok(json_answer(StatusCode::CREATED, &submitted).header("location", slot))
    }

    pub(crate) async fn jobs(&self, http: &Request) -> HandlerResult {
        let caller = self.enter(http, Permission::Read).await?;
        let shown = self.view(
            self.session(http, &caller)?,
            |view| json!({"jobs": jobs(view)}),
        )?;
        Ok(ok(&shown))
    }

    pub(crate) async fn job(&self, http: &Request) -> HandlerResult {
        let caller = self.enter(http, Permission::Read).await?;
        let session = self.session(http, &caller)?;
        let job = job_id(http)?;
        let shown = self.view(session, |view| {
            let known = view.job(job).filter(|job| !job.mode.is_private());
            known.map(wire::job)
        })?;
        shown
            .map(|shown| ok(&shown))
            .ok_or_else(|| Fault::JobNotFound(job.to_string()))
    }

    pub(crate) async fn interrupt(&self, http: &Request) -> HandlerResult {
        let caller = self.enter(http, Permission::Interrupt).await?;
        let session = self.session(http, &caller)?;
        let job = match named(http, "job") {
            "" => None,
            _ => Some(self.told_of(session, job_id(http)?)?),
        };
        let noted = self.engine.interrupt_job(session, job).await?;
        let told = json!({"job": noted.job.0, "sequence": noted.sequence.0});
        Ok(json_answer(StatusCode::ACCEPTED, &told))
    }

    pub(crate) async fn write(&self, http: &Request) -> HandlerResult {
        let caller = self.enter(http, Permission::Run).await?;
        let session = self.session(http, &caller)?;
        let job = self.told_of(session, job_id(http)?)?;
        let end = Query::parse(http.url(), &["end"])?.flag("end")?;
        let bytes = http.body()[..].into();
        self.engine.touch(session);
        self.engine.write_input(session, job, bytes, end).await?;
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }

    pub(crate) async fn events(&self, http: &Request) -> HandlerResult {
        let accept = http.header("accept").unwrap_or_default();
        if accept.contains(EVENT_STREAM) {
            return self.stream(http).await;
        }
        let caller = self.enter(http, Permission::Read).await?;
        let session = self.session(http, &caller)?;
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
        let shutdown = http.shutdown();
        let records = match select(read, pin!(shutdown.wait())).await {
            Either::Left((read, _)) => read?,
            Either::Right(_) => vec![],
        };
        if !self.accounts.is_current(&caller) {
            return Err(Fault::Denied(Denied::Expired));
        }
        let next = records.last().map_or(after, |last| last.sequence);
        let is_over = has_ended(&self.engine, session, next, records.last());
        let mut out = format!(r#"{{"after":{next},"ended":{is_over},"events":["#).into_bytes();
        for (slot, record) in records.iter().enumerate() {
            if slot > 0 {
                out.push(b',');
            }
            event(&mut out, record);
        }
        out.extend_from_slice(b"]}");
        Ok(uncached(Response::new(StatusCode::OK, JSON, out)))
    }

    pub(crate) async fn stream(&self, http: &Request) -> HandlerResult {
        let caller = self.enter(http, Permission::Read).await?;
        let session = self.session(http, &caller)?;
        let query = Query::parse(http.url(), &["after"])?;
        // Who comes back knows better than the address that it first asked for.
        let after = match http.header("last-event-id") {
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
            return Ok(Response::empty(StatusCode::NO_CONTENT));
        }
        let reader = Reader {
            engine: self.engine.clone(),
            accounts: self.accounts.clone(),
            caller,
            session,
            after,
            shutdown: http.shutdown(),
        };
        let answer = Response::streaming(StatusCode::OK, EVENT_STREAM, events(reader));
        Ok(uncached(answer).header("x-accel-buffering", "no"))
    }

    pub(crate) async fn not_found(&self, http: &Request) -> HandlerResult {
        Err(Fault::PathNotFound(http.url().path().to_owned()))
    }

    /// The session that the path names: by its UUID, or by its number where it is shown to the
    /// caller. A number is no secret.
    fn session(&self, http: &Request, caller: &Caller) -> Result<SessionId, Fault> {
        let name = named(http, "session");
        let unknown = || Fault::SessionNotFound(name.to_owned());
        let session = match name.parse() {
            Ok(session) => session,
            Err(_) => {
                let number = SessionNumber(number("session", name).map_err(|_| unknown())?);
                self.engine
                    .view(|views| {
                        let view = views.numbered(number);
                        let view = view.filter(|view| caller.sees(view.user.as_deref()));
                        view.map(|view| view.id)
                    })
                    .ok_or_else(unknown)?
            }
        };
        http.log_session(session);
        Ok(session)
    }

    /// The job, unless it is for its submitter alone.
    fn told_of(&self, session: SessionId, job: JobId) -> Result<JobId, Fault> {
        let is_private = self.engine.view(|views| {
            let known = views.session(session).and_then(|view| view.job(job));
            known.is_some_and(|known| known.mode.is_private())
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
        .filter(|job| !job.mode.is_private())
        .map(wire::job)
        .collect()
}

fn named<'http>(http: &'http Request, name: &str) -> &'http str {
    http.param(name).unwrap_or_default()
}

fn job_id(http: &Request) -> Result<JobId, Fault> {
    let name = named(http, "job");
    number("job", name)
        .map(JobId)
        .inspect(|job| http.log_job(*job))
        .map_err(|_| Fault::JobNotFound(name.to_owned()))
}

fn most(asked: Option<u64>, otherwise: usize, most: usize) -> usize {
    asked.map_or(otherwise, |asked| {
        usize::try_from(asked).map_or(most, |asked| asked.min(most))
    })
}

pub(crate) fn ok(body: &Value) -> Response {
    json_answer(StatusCode::OK, body)
}

pub(crate) fn json_answer(status: StatusCode, body: &Value) -> Response {
    uncached(Response::new(status, JSON, body.to_string()))
}

fn uncached(answer: Response) -> Response {
    answer.header("cache-control", "no-store")
}

const JSON: &str = "application/json";
const EVENT_STREAM: &str = "text/event-stream";
