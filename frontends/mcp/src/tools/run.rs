//! `run`: runs a command, and waits a while for its end.

use super::arguments::{Name, output_bytes, parse, wait};
use super::{Failed, ToolResult, ends_of_output, facts, session};
use crate::KeyedCalls;
use crate::dispatch::Context;
use crate::job::wait_for_end;
use crate::limits::{
    FIRST_RECORDS, KEY_BYTES, KEYED_CALLS, KEYED_SESSIONS, OUTPUT, RUN_WAIT, TERMINAL,
};
use crate::{report, tasks};
use futures::channel::oneshot;
use rejoin_accounts::Permission;
use rejoin_engine::{
    CommandError, EndedSessions, Engine, Event, JobId, JobMode, JobOutput, JobSlot, NewJob,
    NewSession, PullError, ReadLimit, Selection, Sequence, SessionId, SessionPager, Visibility,
};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    #[serde(default)]
    command: String,
    #[serde(default)]
    terminal: bool,
    #[serde(default)]
    separate: bool,
    session: Option<Name>,
    service: Option<String>,
    key: Option<String>,
    #[serde(default)]
    background: bool,
    #[serde(default)]
    input: bool,
    wait_ms: Option<u64>,
    timeout_ms: Option<u64>,
    max_bytes: Option<u64>,
}

pub(super) async fn run(context: &Context<'_>, arguments: Value) -> ToolResult {
    let run: Run = parse(arguments)?;
    check(&run)?;
    let default = if run.background {
        Duration::ZERO
    } else {
        RUN_WAIT
    };
    let wait = wait(run.wait_ms, default);
    let most = output_bytes(run.max_bytes, OUTPUT);
    let (session, job) = submit(context, &run).await?;
    context.http.log_session(session);
    let engine = context.engine();
    wait_for_end(engine, session, job, context.patience(wait)).await?;
    let facts = facts(context, session, job.0).await?;
    // A background job is there to go on while the agent does something else.
    if facts.finish.is_none() && context.era.knows_tasks() && !run.background {
        return Ok(tasks::created(session, &facts));
    }
    let part = ends_of_output(engine, session, &facts, most).await?;
    Ok(report::job(engine, session, &facts, &part))
}

fn check(run: &Run) -> Result<(), Failed> {
    let wrong = |reason: &str| Err(Failed(reason.to_owned()));
    if run.command.trim().is_empty() && !run.terminal {
        return wrong("the command is empty");
    }
    if run.command.contains('\0') {
        return wrong("a command cannot contain a NUL character");
    }
    if run.session.is_some() && run.service.is_some() {
        return wrong("`service` is for a new session: leave out `session` or `service`");
    }
    if run.terminal && run.separate {
        return wrong("a terminal has one stream: leave out `terminal` or `separate`");
    }
    match &run.key {
        Some(key) if key.is_empty() || key.len() > KEY_BYTES => {
            Err(Failed(format!("`key` must have 1 to {KEY_BYTES} bytes")))
        }
        _ => Ok(()),
    }
}

/// Submits the job, or finds the one that this key led to before.
async fn submit(context: &Context<'_>, run: &Run) -> Result<(SessionId, JobId), Failed> {
    let engine = context.engine();
    let slot = match run.background {
        true => JobSlot::Background,
        false => JobSlot::Foreground,
    };
    let mode = JobMode {
        slot,
        visibility: Visibility::Session,
    };
    let key = match &run.key {
        Some(key) => key.clone(),
        // Unique, so that it names an agent's job and finds no other.
        None => engine
            .runtime()
            .random()
            .map(|byte| format!("{byte:02x}"))
            .concat(),
    };
    let new_job = |session| NewJob {
        request: Some(format!("{AGENT}{key}").into()),
        input: run.input,
        output: match (run.terminal, run.separate) {
            (true, _) => JobOutput::Terminal(TERMINAL),
            (false, true) => JobOutput::Separate,
            (false, false) => JobOutput::Merged,
        },
        timeout: run.timeout_ms.map(Duration::from_millis),
        ..NewJob::new(session, run.command.as_str(), mode)
    };
    if let Some(name) = &run.session {
        let session = session(context, name).await?;
        engine.touch(session);
        let submitted = engine.submit_job(new_job(session)).await?;
        return Ok((session, submitted.job));
    }
    if !context.agent.may(Permission::Create) {
        let role = context.agent.role();
        return Err(Failed(format!("the role {role} may not create sessions")));
    }
    let new_session = new_session(context, run)?;
    let new_job = new_job(SessionId::from_bytes([0; 16]));
    let turn = match &run.key {
        Some(_) => Some(KeyedTurn::begin(&context.mcp.keyed)?),
        None => None,
    };
    let (reply, answer) = oneshot::channel();
    let engine = engine.clone();
    // To its end, even if the client leaves: the next call with this key must find the job.
    context.engine().runtime().spawn(Box::pin(async move {
        let submitted = match turn {
            Some(turn) => submit_keyed(&engine, &turn, new_session, new_job).await,
            None => submit_new(&engine, new_session, new_job).await,
        };
        // The client may have left.
        let _ = reply.send(submitted);
    }));
    let gone = || Failed("the server is shutting down".to_owned());
    answer.await.map_err(|_| gone())?
}

fn new_session(context: &Context<'_>, run: &Run) -> Result<NewSession, Failed> {
    let services = context.engine().services();
    let mut usable = services.filter(|service| context.agent.may_use(service));
    let service = match &run.service {
        Some(wanted) => {
            let found = usable.find(|known| known.as_ref() == wanted.as_str());
            let found = found.cloned();
            found.ok_or_else(|| Failed(format!("there is no service {wanted:?} for agents")))?
        }
        // The usual one, if agents may use it.
        None => {
            let usable: Vec<_> = usable.collect();
            let shell = usable.iter().find(|service| service.as_ref() == "shell");
            let found = shell
                .or_else(|| usable.first())
                .map(|service| (*service).clone());
            found.ok_or_else(|| Failed("there is no service that agents may use".to_owned()))?
        }
    };
    Ok(NewSession {
        service: Some(service),
        user: context.agent.caller.name().cloned(),
        remote: context
            .http
            .address()
            .map(|address| address.to_string().into()),
        ..NewSession::default()
    })
}

async fn submit_new(
    engine: &Engine,
    new_session: NewSession,
    new_job: NewJob,
) -> Result<(SessionId, JobId), Failed> {
    let session = engine.create_session(new_session).await?.id();
    let submitted = engine.submit_job(NewJob { session, ..new_job }).await?;
    Ok((session, submitted.job))
}

/// Finds the session that this key created before, among the user's newest ones, or else submits the
/// job in a new one. One at a time, so that two calls with one key lead to one job.
async fn submit_keyed(
    engine: &Engine,
    turn: &KeyedTurn,
    new_session: NewSession,
    new_job: NewJob,
) -> Result<(SessionId, JobId), Failed> {
    let _one_at_a_time = turn.0.one_at_a_time.lock().await;
    let selection = Selection {
        user: new_session.user.as_deref(),
        ..Selection::default()
    };
    let pager = SessionPager::new(engine, &selection);
    let (newest, _) = pager.newest(KEYED_SESSIONS, EndedSessions::Include, |view| {
        (view.user == new_session.user).then_some(view.id)
    });
    for session in newest.into_iter().flatten() {
        if let Some((job, statement)) = keyed_job(engine, session, &new_job.request).await? {
            return match statement == new_job.statement {
                true => Ok((session, job)),
                false => {
                    Err(CommandError::Rejected(rejoin_engine::Rejection::RequestTaken(job)).into())
                }
            };
        }
    }
    submit_new(engine, new_session, new_job).await
}

/// A call with a key that is under way.
struct KeyedTurn(Arc<KeyedCalls>);

impl KeyedTurn {
    fn begin(calls: &Arc<KeyedCalls>) -> Result<Self, Failed> {
        let turn = Self(calls.clone());
        match turn.0.under_way.fetch_add(1, Ordering::SeqCst) < KEYED_CALLS {
            true => Ok(turn),
            false => Err(CommandError::Overloaded.into()),
        }
    }
}

impl Drop for KeyedTurn {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The first job of a session, if it has this request name.
async fn keyed_job(
    engine: &Engine,
    session: SessionId,
    wanted: &Option<Arc<str>>,
) -> Result<Option<(JobId, Arc<str>)>, PullError> {
    let first = ReadLimit {
        records: FIRST_RECORDS,
        bytes: usize::MAX,
    };
    let read = engine.read(session, Sequence::START, first, Duration::ZERO);
    let records = match read.await {
        // Removed meanwhile.
        Err(PullError::SessionNotFound) => return Ok(None),
        read => read?,
    };
    Ok(records.iter().find_map(|record| match &record.event {
        Event::JobSubmitted {
            job,
            statement,
            request,
            ..
        } if request == wanted => Some((*job, statement.clone())),
        _ => None,
    }))
}

/// The request names of agents' jobs begin so: the record says whose they are.
const AGENT: &str = "mcp:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_keyed_calls_at_once_are_refused_and_leave_no_trace() {
        let calls = Arc::new(KeyedCalls::default());
        let begin = || KeyedTurn::begin(&calls);
        let all: Vec<_> = (0..KEYED_CALLS).map(|_| begin().ok()).collect();
        let refused = begin().err().map(|failed| failed.0).unwrap_or_default();
        assert!(refused.contains("try again"), "{refused}");
        drop(all);
        assert!(begin().is_ok());
        assert_eq!(calls.under_way.load(Ordering::SeqCst), 0);
    }
}
