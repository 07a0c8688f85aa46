//! The handlers of the routes.

use crate::answer::{HandlerResult, JSON, json, ok, uncached};
use crate::error::Fault;
use crate::event_json::append_event;
use crate::limits::{EVENTS, LISTED_CONSUMERS, MAX_EVENTS, MAX_PAGE, MAX_WAIT, PAGE, READ_BYTES};
use crate::links::for_caller;
use crate::request::{
    Control, Create, Cursor, LeftoverProcesses, Query, Size, StateFilter, Submit, body, client,
    number,
};
use crate::stream::{EventReader, events, has_ended};
use crate::view_json;
use crate::{FRONTEND, Native};
use futures::future::{Either, select};
use rejoin_accounts::{Caller, Denied, Permission};
use rejoin_engine::{
    CommandError, ConsumerId, ConsumerView, Controller, EndedSessions, Engine, JobId, JobMode,
    JobOutput, JobSlot, NewJob, NewSession, ReadLimit, Record, Rejection, Selection, Sequence,
    SessionId, SessionNumber, SessionPager, SessionView, Visibility,
};
use rejoin_http::{Request, Response, StatusCode};
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

impl Native {
    pub(crate) async fn services(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::Read).await?;
        let all = self.engine.services().map(|name| &**name);
        let names: Vec<_> = all.filter(|name| caller.may_use(name)).collect();
        Ok(ok(&serde_json::json!({"services": names})))
    }

    pub(crate) async fn list(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::Read).await?;
        let query = Query::parse(
            http.url(),
            &["q", "user", "service", "state", "before", "limit"],
        )?;
        if let Some(words) = query.text("q").filter(|words| !words.trim().is_empty()) {
            return self.find(&caller, &query, words).await;
        }
        let limit = clamp_limit(query.number("limit")?, PAGE, MAX_PAGE);
        let (wanted, allowed) = (query.text("user"), caller.shown_user());
        let state = StateFilter::parse(query.text("state"))?;
        let before = query.number("before")?.unwrap_or(u64::MAX);
        // The first session has number 1.
        let numbers = 0..=before.saturating_sub(1);
        let select = |user, numbers| Selection {
            user,
            service: query.text("service"),
            busy: state.and_then(StateFilter::busy),
            numbers,
            ..Selection::default()
        };
        let ended = state.map_or(EndedSessions::Include, StateFilter::ended);
        // The sessions of nobody, whose name in lists is empty, are shown as the server's user's.
        let names = |wanted: &str| match wanted {
            "" => vec![],
            wanted if *wanted == **self.accounts.server_user() => {
                vec![wanted.to_owned(), "".into()]
            }
            wanted => vec![wanted.to_owned()],
        };
        let entered = self.accounts.entered(&caller);
        let names = wanted.map(names);
        let selections: Vec<Selection<'_>> = match (allowed, &names) {
            (None, None) => vec![select(None, numbers)],
            (Some(_), None) => vec![Selection {
                also: &entered,
                ..select(allowed, numbers)
            }],
            (Some(_), Some(_)) if wanted == allowed => vec![select(allowed, numbers)],
            (None, Some(names)) => {
                let names = names.iter().map(|name| Some(&**name));
                names.map(|name| select(name, numbers.clone())).collect()
            }
            // Of others, those that were entered.
            (Some(_), Some(names)) => {
                let entered = entered.iter().filter(|number| numbers.contains(number));
                let named = entered.flat_map(|number| {
                    let names = names.iter().map(|name| Some(&**name));
                    names.map(|name| select(name, *number..=*number))
                });
                named.collect()
            }
        };
        let mut sessions = BTreeMap::new();
        let mut has_more = false;
        for selection in selections {
            let pager = SessionPager::new(&self.engine, &selection);
            let show = |view: &SessionView| (Reverse(view.number.0), self.show_session(view));
            let (found, next) = pager.newest(limit, ended, show);
            has_more |= next.is_some();
            sessions.extend(found);
        }
        has_more |= sessions.len() > limit;
        let sessions: Vec<_> = sessions.into_iter().take(limit).collect();
        let last = sessions.last().filter(|_| has_more);
        let next = last.map(|(Reverse(number), _)| *number);
        let sessions: Vec<Value> = sessions.into_iter().map(|(_, shown)| shown).collect();
        Ok(ok(&serde_json::json!({"next": next, "sessions": sessions})))
    }

    pub(crate) async fn create(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::Create).await?;
        let Create { service, user } = body(http.body())?;
        let default = || self.engine.default_service();
        check_service(&caller, &service.clone().map_or_else(default, Into::into))?;
        let own = caller.name().cloned();
        let user = user.map(Into::into);
        if own.is_some() && user.is_some() && own != user {
            let reason = "with accounts, `user` must be the account's own name";
            return Err(Fault::Forbidden(reason.to_owned()));
        }
        let new = NewSession {
            service: service.map(Into::into),
            user: own.or(user),
            remote: http.address().map(|address| address.to_string().into()),
            reads: false,
        };
        let created = self.engine_for(&caller, http).create_session(new).await?;
        http.log_session(created.id());
        let shown = self.view(created.id(), |view| self.detail(view));
        // Another node may have created it, and this one may not know it yet.
        let shown = shown.or_else(|unknown| {
            let view = created.view_at_creation().ok_or(unknown)?;
            Ok::<_, Fault>(self.detail(&view))
        })?;
        let location = format!("/sessions/{}", created.id());
        Ok(json(StatusCode::CREATED, &shown).header("location", location))
    }

    pub(crate) async fn show(&self, http: &Request) -> HandlerResult {
        let (caller, session, _visit) = self.reader(http).await?;
        let mut shown = self.view(session, |view| self.detail(view))?;
        let directory = self.engine.working_directory(session);
        shown["directory"] = directory
            .map(|path| path.to_string_lossy().into_owned())
            .into();
        Ok(ok(&for_caller(&caller, shown)))
    }

    pub(crate) async fn close(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::CloseOwn).await?;
        let session = self.session(http, &caller).await?;
        let owner = self.engine.view(|views| {
            let view = views.session(session);
            view.map(|view| view.user.clone())
        });
        if let Some(owner) = owner
            && !caller.may_close(owner.as_deref())
        {
            let reason = "only its creator or an admin may close the session";
            return Err(Fault::Forbidden(reason.to_owned()));
        }
        self.engine_for(&caller, http)
            .close_session(session)
            .await?;
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }

    pub(crate) async fn join(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::Read).await?;
        let consumer = self
            .engine_for(&caller, http)
            .join_session(self.session(http, &caller).await?)
            .await?;
        let joined =
            serde_json::json!({"consumer": consumer.to_string(), "ordinal": consumer.ordinal});
        Ok(json(StatusCode::CREATED, &joined))
    }

    pub(crate) async fn leave(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::Read).await?;
        let session = self.session(http, &caller).await?;
        let consumer: ConsumerId = param(http, "consumer")
            .parse()
            .map_err(|_| Fault::RequestInvalid("invalid consumer ID".to_owned()))?;
        self.engine_for(&caller, http)
            .leave_session(session, consumer)
            .await?;
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }

    pub(crate) async fn submit(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::Run).await?;
        let session = self.session(http, &caller).await?;
        self.check_session(&caller, session)?;
        let submit: Submit = body(http.body())?;
        if submit.terminal.is_some() && submit.output.is_some() {
            let reason = "`output` is for jobs without a `terminal`";
            return Err(Fault::RequestInvalid(reason.to_owned()));
        }
        let statement = submit
            .statement()
            .map_err(|reason| Fault::RequestInvalid(reason.to_owned()))?;
        self.engine.touch(session);
        let slot = match submit.background {
            true => JobSlot::Background,
            false => JobSlot::Foreground,
        };
        let mode = JobMode {
            slot,
            visibility: Visibility::Session,
        };
        let output = match submit.terminal {
            Some(size) => JobOutput::Terminal(size.into()),
            None => submit.output.map(Into::into).unwrap_or_default(),
        };
        let controller = submit.client.as_deref();
        let leftovers = submit.leftover_processes;
        let new = NewJob {
            output,
            controller: controller
                .map(|client| controller_of(&caller, client))
                .transpose()?,
            request: submit.request.map(Into::into),
            input: submit.input,
            timeout: submit.timeout_millis.map(Duration::from_millis),
            output_limit: submit.output_limit,
            keeps_leftovers: leftovers.map(|it| it == LeftoverProcesses::Keep),
            ..NewJob::new(session, statement, mode)
        };
        let submitted = self.engine_for(&caller, http).submit_job(new).await?;
        http.log_job(submitted.job);
        let location = format!("/sessions/{session}/jobs/{}", submitted.job);
        let body = serde_json::json!({"job": submitted.job.0, "sequence": submitted.sequence.0});
        Ok(json(StatusCode::CREATED, &body).header("location", location))
    }

    pub(crate) async fn jobs(&self, http: &Request) -> HandlerResult {
        let (_, session, _visit) = self.reader(http).await?;
        let shown = self.view(session, |view| serde_json::json!({"jobs": jobs(view)}))?;
        Ok(ok(&shown))
    }

    pub(crate) async fn job(&self, http: &Request) -> HandlerResult {
        let (_, session, _visit) = self.reader(http).await?;
        let job = job_id(http)?;
        self.engine.know_job(session, job).await?;
        let shown = self.view(session, |view| {
            let known = view.job(job).filter(|job| !job.mode.is_private());
            known.map(view_json::job)
        })?;
        shown
            .map(|shown| ok(&shown))
            .ok_or_else(|| Fault::JobNotFound(job.to_string()))
    }

    pub(crate) async fn interrupt(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::Interrupt).await?;
        let session = self.session(http, &caller).await?;
        let job = match param(http, "job") {
            "" => None,
            _ => Some(self.visible_job(session, job_id(http)?).await?),
        };
        let interrupted = self
            .engine_for(&caller, http)
            .interrupt_job(session, job)
            .await?;
        let body =
            serde_json::json!({"job": interrupted.job.0, "sequence": interrupted.sequence.0});
        Ok(json(StatusCode::ACCEPTED, &body))
    }

    pub(crate) async fn write(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::Run).await?;
        let session = self.session(http, &caller).await?;
        self.check_session(&caller, session)?;
        let job = self.visible_job(session, job_id(http)?).await?;
        let query = Query::parse(http.url(), &["end", "client"])?;
        let end = query.flag("end")?;
        let client = client_of(&caller, &query)?;
        let bytes = http.body()[..].into();
        self.engine.touch(session);
        let written = self
            .engine_for(&caller, http)
            .write_input_as(client, session, job, bytes, end)
            .await;
        self.controlled(session, job, written)
    }

    pub(crate) async fn resize(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::Run).await?;
        let session = self.session(http, &caller).await?;
        self.check_session(&caller, session)?;
        let job = self.visible_job(session, job_id(http)?).await?;
        let client = client_of(&caller, &Query::parse(http.url(), &["client"])?)?;
        let size: Size = body(http.body())?;
        self.engine.touch(session);
        let resized = self
            .engine_for(&caller, http)
            .resize_terminal(client, session, job, size.into())
            .await;
        self.controlled(session, job, resized)
    }

    pub(crate) async fn screen(&self, http: &Request) -> HandlerResult {
        let (_, session, _visit) = self.reader(http).await?;
        let job = self.visible_job(session, job_id(http)?).await?;
        let query = Query::parse(http.url(), &["at"])?;
        let at = query.number("at")?.map(Sequence);
        let screen = self.engine.screen(session, job, at).await?;
        Ok(uncached(ok(&serde_json::json!({
            "after": screen.after.0,
            "columns": screen.size.columns,
            "rows": screen.size.rows,
            "content": screen.content,
        }))))
    }

    pub(crate) async fn take_control(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::Run).await?;
        let session = self.session(http, &caller).await?;
        self.check_session(&caller, session)?;
        let job = self.visible_job(session, job_id(http)?).await?;
        let Control { client } = body(http.body())?;
        let client = controller_of(&caller, &client)?;
        self.engine.touch(session);
        let taken = self
            .engine_for(&caller, http)
            .take_control(client, session, job)
            .await;
        self.controlled(session, job, taken)
    }

    pub(crate) async fn give_control(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::Run).await?;
        let session = self.session(http, &caller).await?;
        self.check_session(&caller, session)?;
        let job = self.visible_job(session, job_id(http)?).await?;
        let client = client_of(&caller, &Query::parse(http.url(), &["client"])?)?;
        let Some(client) = client else {
            let reason = "`client` is missing: who gives the control back?";
            return Err(Fault::RequestInvalid(reason.to_owned()));
        };
        let given = self
            .engine_for(&caller, http)
            .give_control(client, session, job)
            .await;
        self.controlled(session, job, given)
    }

    /// The answer to a request for which one has to control the terminal. If somebody else does, it says
    /// who.
    fn controlled(
        &self,
        session: SessionId,
        job: JobId,
        done: Result<(), CommandError>,
    ) -> HandlerResult {
        match done {
            Ok(()) => Ok(Response::empty(StatusCode::NO_CONTENT)),
            Err(CommandError::Rejected(Rejection::NotController(_))) => {
                let controller = self.engine.view(|views| {
                    let known = views.session(session).and_then(|view| view.job(job));
                    known.and_then(|known| known.controller.clone())
                });
                Err(Fault::NotController { job, controller })
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn events(&self, http: &Request) -> HandlerResult {
        let accept = http.header("accept").unwrap_or_default();
        if accept.contains(EVENT_STREAM) {
            return self.stream(http).await;
        }
        let (caller, session, _visit) = self.reader_to_the_end(http).await?;
        let query = Query::parse(http.url(), &["after", "limit", "wait"])?;
        let cursor = cursor_of(&query)?;
        let after = cursor.after;
        let limit = ReadLimit {
            records: clamp_limit(query.number("limit")?, EVENTS, MAX_EVENTS),
            bytes: READ_BYTES,
        };
        let wait = Duration::from_millis(query.number("wait")?.unwrap_or(0)).min(MAX_WAIT);
        if !wait.is_zero() {
            self.engine.touch(session);
        }
        self.check(session, cursor).await?;
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
        for (index, record) in records.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            append_event(&mut out, record);
        }
        out.extend_from_slice(b"]}");
        Ok(uncached(Response::new(StatusCode::OK, JSON, out)))
    }

    pub(crate) async fn stream(&self, http: &Request) -> HandlerResult {
        let (caller, session, visit) = self.reader_to_the_end(http).await?;
        let query = Query::parse(http.url(), &["after", "client"])?;
        let client = client_of(&caller, &query)?.map(|it| it.client.clone());
        // A browser that reconnects sends the last ID that it has got, to the URL of its first request.
        // An empty one is what a client has that has got none.
        let cursor = match http.header("last-event-id") {
            Some(last) if !last.is_empty() => Cursor::parse("Last-Event-ID", last)?,
            _ => cursor_of(&query)?,
        };
        let after = cursor.after;
        self.check(session, cursor).await?;
        let first = ReadLimit {
            records: 1,
            bytes: 1,
        };
        let read = self.engine.read(session, after, first, Duration::ZERO);
        if read.await?.is_empty() && has_ended(&self.engine, session, after, None) {
            // 204 makes an EventSource stop reconnecting.
            return Ok(Response::empty(StatusCode::NO_CONTENT));
        }
        let reader = EventReader {
            _watch: self.engine_for(&caller, http).watch_as(session, client),
            _visit: visit,
            engine: self.engine.clone(),
            accounts: self.accounts.clone(),
            caller,
            session,
            after,
            shutdown: http.shutdown(),
        };
        let response = Response::streaming(StatusCode::OK, EVENT_STREAM, events(reader));
        Ok(uncached(response).header("x-accel-buffering", "no"))
    }

    /// Who watches a session: by streams, and as consumers.
    pub(crate) async fn viewers(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::Read).await?;
        let session = self.session(http, &caller).await?;
        let consumers = self.view(session, |view| {
            let joined =
                |(consumer, view): (ConsumerId, ConsumerView)| (consumer.ordinal, view.joined);
            let count = view.consumers().count();
            let listed: Vec<_> = view
                .consumers()
                .map(joined)
                .take(LISTED_CONSUMERS)
                .collect();
            (count, listed)
        })?;
        let watching = self.engine.viewers(session);
        let mut viewers: Vec<_> = watching
            .listed
            .iter()
            .map(|viewer| view_json::viewer(viewer.actor.as_deref(), viewer.since, None))
            .collect();
        let (count, consumers) = consumers;
        for (ordinal, joined) in consumers {
            let record = self.record(session, joined).await?;
            // Its record may be lost.
            if let Some(record) = record {
                let actor = record.actor.as_deref();
                viewers.push(view_json::viewer(actor, record.at, Some(ordinal)));
            }
        }
        let shown = serde_json::json!({
            "count": watching.count + count,
            "viewers": viewers,
        });
        Ok(uncached(ok(&shown)))
    }

    /// The record with this sequence; none if it is lost.
    async fn record(
        &self,
        session: SessionId,
        sequence: Sequence,
    ) -> Result<Option<Arc<Record>>, Fault> {
        let limit = ReadLimit {
            records: 1,
            bytes: 1,
        };
        let before = Sequence(sequence.0.saturating_sub(1));
        let read = self.engine.read(session, before, limit, Duration::ZERO);
        let found = read.await?.into_iter().next();
        Ok(found.filter(|record| record.sequence == sequence))
    }

    /// Refuses a cursor with an instant that this log has never given. A sequence alone is checked when
    /// it is read after.
    async fn check(&self, session: SessionId, cursor: Cursor) -> Result<(), Fault> {
        if cursor.at.is_some() {
            let Cursor { after, at } = cursor;
            self.engine.check_cursor(session, after, at).await?;
        }
        Ok(())
    }

    pub(crate) async fn not_found(&self, http: &Request) -> HandlerResult {
        Err(Fault::PathNotFound(http.url().path().to_owned()))
    }

    /// Whether the caller may run commands in a session.
    fn check_session(&self, caller: &Caller, session: SessionId) -> Result<(), Fault> {
        let service = self.engine.view(|views| {
            let view = views.session(session);
            view.map(|view| view.service.clone())
        });
        service.map_or(Ok(()), |service| check_service(caller, &service))
    }

    /// The session that the path names: by its UUID, or by its number if the caller may see it.
    /// Numbers are not secret, so knowing one gives no access.
    ///
    /// # Errors
    ///
    /// Also if the session was removed: then who deleted it.
    pub(crate) async fn session(
        &self,
        http: &Request,
        caller: &Caller,
    ) -> Result<SessionId, Fault> {
        let session = self.named(http, caller).await?;
        self.check_removal(session, param(http, "session")).await?;
        Ok(session)
    }

    /// As [`Self::session`], but also of a session that was removed, whose last event says so.
    pub(crate) async fn named(&self, http: &Request, caller: &Caller) -> Result<SessionId, Fault> {
        let name = param(http, "session");
        let unknown = || Fault::SessionNotFound(name.to_owned());
        let session = match name.parse() {
            Ok(session) => {
                self.engine.know(session).await?;
                let owner = self.engine.view(|views| {
                    let view = views.session(session);
                    view.map(|view| (view.user.clone(), view.number.0))
                });
                if let Some((owner, number)) = owner {
                    self.accounts.note_entered(caller, owner.as_deref(), number);
                }
                session
            }
            Err(_) => {
                let number = SessionNumber(number("session", name).map_err(|_| unknown())?);
                self.engine.know_number(number).await?;
                let found = self.engine.view(|views| {
                    let view = views.numbered(number);
                    view.map(|view| (view.id, view.user.clone()))
                });
                let shown = found
                    .filter(|(_, owner)| self.accounts.shows(caller, owner.as_deref(), number.0));
                shown.ok_or_else(unknown)?.0
            }
        };
        http.log_session(session);
        Ok(session)
    }

    /// Refuses a session that was removed. `name` is what the request calls it.
    pub(crate) async fn check_removal(&self, session: SessionId, name: &str) -> Result<(), Fault> {
        // Of one that ended long ago the views know nothing, and the log may have all.
        if self.engine.view(|views| views.session(session).is_some()) {
            return Ok(());
        }
        match self.engine.removal(session).await {
            Some(removal) => Err(Fault::SessionGone {
                session: name.to_owned(),
                removal,
            }),
            None => Ok(()),
        }
    }

    /// The engine for commands of a caller: their records say who asked.
    pub(crate) fn engine_for(&self, caller: &Caller, http: &Request) -> Engine {
        self.engine
            .on_behalf_of(caller.actor(FRONTEND, http.address()))
    }

    /// The job, unless it is private to its submitter.
    async fn visible_job(&self, session: SessionId, job: JobId) -> Result<JobId, Fault> {
        self.engine.know_job(session, job).await?;
        let is_private = self.engine.view(|views| {
            let known = views.session(session).and_then(|view| view.job(job));
            known.is_some_and(|known| known.mode.is_private())
        });
        match is_private {
            true => Err(Fault::JobNotFound(job.to_string())),
            false => Ok(job),
        }
    }

    pub(crate) fn show_session(&self, view: &SessionView) -> Value {
        let mut shown = view_json::session(view, &self.accounts);
        if let Some(place) = self.engine.place(view.id) {
            shown["node"] = place.owner.as_deref().into();
            shown["homeNode"] = (*place.home).into();
        }
        shown
    }

    pub(crate) fn detail(&self, view: &SessionView) -> Value {
        let mut shown = self.show_session(view);
        shown["jobs"] = jobs(view);
        shown
    }

    pub(crate) fn view<T>(
        &self,
        session: SessionId,
        render: impl FnOnce(&SessionView) -> T,
    ) -> Result<T, Fault> {
        self.engine
            .view(|views| views.session(session).map(render))
            .ok_or_else(|| Fault::SessionNotFound(session.to_string()))
    }
}

/// The `after` of a query; without one, the beginning.
fn check_service(caller: &Caller, service: &str) -> Result<(), Fault> {
    match caller.may_use(service) {
        true => Ok(()),
        false => Err(Fault::Forbidden(format!(
            "this account may not run commands on the service {service}"
        ))),
    }
}

/// A client with the name that it has chosen, and its account.
fn controller_of(caller: &Caller, name: &str) -> Result<Arc<Controller>, Fault> {
    Ok(Arc::new(Controller {
        client: client(name)?,
        user: caller.name().cloned(),
    }))
}

/// The client that a query names, if it does.
fn client_of(caller: &Caller, query: &Query) -> Result<Option<Arc<Controller>>, Fault> {
    let client = query.text("client");
    client.map(|name| controller_of(caller, name)).transpose()
}

fn cursor_of(query: &Query) -> Result<Cursor, Fault> {
    match query.text("after") {
        Some(after) => Cursor::parse("after", after),
        None => Ok(Cursor::default()),
    }
}

fn jobs(view: &SessionView) -> Value {
    view.jobs().map(view_json::job).collect()
}

fn param<'http>(http: &'http Request, name: &str) -> &'http str {
    http.param(name).unwrap_or_default()
}

fn job_id(http: &Request) -> Result<JobId, Fault> {
    let name = param(http, "job");
    number("job", name)
        .map(JobId)
        .inspect(|job| http.log_job(*job))
        .map_err(|_| Fault::JobNotFound(name.to_owned()))
}

/// The `limit` of a request: the default if it has none, and from 1 to `max`.
pub(crate) fn clamp_limit(limit: Option<u64>, default: usize, max: usize) -> usize {
    limit.map_or(default, |limit| {
        usize::try_from(limit).map_or(max, |limit| limit.clamp(1, max))
    })
}

const EVENT_STREAM: &str = "text/event-stream";
