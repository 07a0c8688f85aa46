//! The tools: what an agent can do. A tool that fails says so in its result, so that the model sees
//! why.

mod arguments;
mod run;
mod search;

use crate::agent::Agent;
use crate::dispatch::{Context, millis};
use crate::error::RpcError;
use crate::job::{JobFacts, Unknown, wait_for_end};
use crate::limits::{INTERRUPT_WAIT, JOBS, MAX_PAGE, OUTPUT, PAGE};
use crate::message::Call;
use crate::output::{Gap, OutputReader, OutputStream, Position, Show};
use crate::report::{self, OutputPart, failure};
use crate::tasks::instant;
use arguments::{Name, output_bytes, parse, position, wait};
use rejoin_accounts::Permission;
use rejoin_engine::{
    CommandError, EndedSessions, Engine, JobId, JobSlot, JobState, JobView, PullError, Rejection,
    ScreenError, Selection, SessionId, SessionPager, SessionView, TerminalSize,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::time::Duration;

/// The tools that an agent may use, as `tools/list` shows them.
pub(crate) fn list(agent: &Agent<'_>) -> Vec<&'static Value> {
    let all = TOOLS.iter();
    all.filter(|tool| {
        let needed = tool["name"].as_str().and_then(permission);
        needed.is_some_and(|needed| agent.may(needed))
    })
    .collect()
}

/// Calls a tool. An error is one of the protocol, for example an unknown tool.
pub(crate) async fn call(context: &Context<'_>, call: &Call) -> Result<Value, RpcError> {
    let name = call.text("name");
    let name = name.ok_or_else(|| RpcError::invalid_params("`name` is missing"))?;
    let needed = permission(name);
    let needed = needed.ok_or_else(|| RpcError::invalid_params(format!("unknown tool: {name}")))?;
    let arguments = match call.params.get("arguments") {
        None => json!({}),
        Some(arguments) => arguments.clone(),
    };
    if !context.agent.may(needed) {
        let role = context.agent.role();
        let what = match needed {
            Permission::Run => "run commands",
            Permission::Interrupt => "interrupt jobs",
            _ => "read sessions",
        };
        return Ok(failure(&format!("the role {role} may not {what}")));
    }
    let done = match name {
        "run" => run::run(context, arguments).await,
        "read" => read(context, arguments).await,
        "write" => write(context, arguments).await,
        "interrupt" => interrupt(context, arguments).await,
        "search" => search::search(context, arguments).await,
        "screen" => screen(context, arguments).await,
        _ => show_list(context, arguments).await,
    };
    Ok(done.unwrap_or_else(|failed| failure(&failed.0)))
}

fn permission(tool: &str) -> Option<Permission> {
    Some(match tool {
        "run" | "write" => Permission::Run,
        "interrupt" => Permission::Interrupt,
        "read" | "list" | "search" | "screen" => Permission::Read,
        _ => return None,
    })
}

/// Why a tool could not do it, for the model.
#[derive(Debug)]
struct Failed(String);

type ToolResult = Result<Value, Failed>;

impl From<CommandError> for Failed {
    fn from(error: CommandError) -> Self {
        let advice = match &error {
            CommandError::Rejected(Rejection::JobRunning(_)) => {
                ": wait for it with `read`, use another session, or set `background`"
            }
            CommandError::Rejected(Rejection::NoInput(_)) => ": start it with `input`",
            CommandError::Rejected(Rejection::NotController(_)) => {
                ": a person is at this terminal, so look at it with `screen` and wait"
            }
            CommandError::Rejected(Rejection::RequestTaken(_)) => {
                ": this key belongs to another command"
            }
            CommandError::Rejected(Rejection::SessionNotFound(_)) => {
                ": it does not exist, or has ended"
            }
            CommandError::InputFull | CommandError::Overloaded => ": try again in a moment",
            _ => "",
        };
        Self(format!("{error}{advice}"))
    }
}

impl From<ScreenError> for Failed {
    fn from(error: ScreenError) -> Self {
        let advice = match error {
            ScreenError::NoTerminal(_) => ": start it with `terminal`",
            _ => "",
        };
        Self(format!("{error}{advice}"))
    }
}

impl From<PullError> for Failed {
    fn from(error: PullError) -> Self {
        Self(match error {
            PullError::SessionNotFound => "session not found".to_owned(),
            error => error.to_string(),
        })
    }
}

impl From<Unknown> for Failed {
    fn from(unknown: Unknown) -> Self {
        match unknown {
            Unknown::Job => Self("the session has no such job: `list` shows its jobs".to_owned()),
            Unknown::Session => Self("session not found: `list` shows the sessions".to_owned()),
            Unknown::TooFar => Self(TOO_FAR.to_owned()),
            Unknown::Read(error) => error.into(),
        }
    }
}

/// A job that the engine has forgotten, in a session with very much output.
pub(crate) const TOO_FAR: &str =
    "the job is too far back to be found: `read` the session without `job`, from an `after` of it";

/// The session of this name, if the agent may use it.
async fn session(context: &Context<'_>, name: &Name) -> Result<SessionId, Failed> {
    let found = context.agent.session(context.engine(), &name.0).await;
    let found = found.map_err(PullError::Unavailable)?;
    let session = found.ok_or_else(|| Failed(format!("session not found: {}", name.0)))?;
    context.http.log_session(session);
    Ok(session)
}

async fn facts(context: &Context<'_>, session: SessionId, job: u64) -> Result<JobFacts, Failed> {
    context.http.log_job(job);
    Ok(JobFacts::find(context.engine(), session, JobId(job)).await?)
}

/// What is known of a job later. Once it has finished, nothing changes.
async fn facts_after(
    context: &Context<'_>,
    session: SessionId,
    before: &JobFacts,
) -> Result<JobFacts, Failed> {
    match before.finish {
        Some(_) => Ok(before.clone()),
        None => facts(context, session, before.job.0).await,
    }
}

/// The output of a job if it is short enough, or else its beginning and its end.
pub(crate) async fn ends_of_output(
    engine: &Engine,
    session: SessionId,
    facts: &JobFacts,
    most: usize,
) -> Result<OutputPart, PullError> {
    let reader = OutputReader {
        engine,
        session,
        show: Show::Output(facts.job, None),
    };
    let begin = Position::after(facts.submitted);
    let head = reader.forward(begin, most).await?;
    let (head, tail) = match head.end {
        crate::output::PieceEnd::Full => {
            let head = reader.forward(begin, most / 3).await?;
            let last = engine.view(|views| views.session(session).map(|view| view.last_sequence));
            let last = facts.finish.as_ref().map(|finish| finish.sequence).or(last);
            let last = last.unwrap_or(head.next.after);
            let tail = reader.tail(head.next, last, most - most / 3).await?;
            (head, Some(tail))
        }
        _ => (head, None),
    };
    Ok(OutputPart {
        head,
        tail,
        is_base64: false,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    session: Name,
    job: Option<u64>,
    after: Option<Name>,
    wait_ms: Option<u64>,
    max_bytes: Option<u64>,
    stream: Option<OutputStream>,
    #[serde(default)]
    encoding: Encoding,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Text,
    Base64,
}

async fn read(context: &Context<'_>, arguments: Value) -> ToolResult {
    let read: Read = parse(arguments)?;
    let session = session(context, &read.session).await?;
    let wait = wait(read.wait_ms, Duration::ZERO);
    let most = output_bytes(read.max_bytes, OUTPUT);
    let after = read.after.as_ref().map(position).transpose()?;
    if !wait.is_zero() {
        context.engine().touch(session);
    }
    let Some(job) = read.job else {
        return transcript(
            context,
            session,
            after.unwrap_or(Position::START),
            most,
            wait,
        )
        .await;
    };
    let before = facts(context, session, job).await?;
    let is_base64 = read.encoding == Encoding::Base64;
    // The beginning and the end, or what follows a place.
    let part = if let (None, None, false) = (after, read.stream, is_base64) {
        if before.finish.is_none() && !wait.is_zero() {
            let patience = context.patience(wait);
            wait_for_end(context.engine(), session, JobId(job), patience).await?;
        }
        let now = facts_after(context, session, &before).await?;
        ends_of_output(context.engine(), session, &now, most).await?
    } else {
        let reader = OutputReader {
            engine: context.engine(),
            session,
            show: Show::Output(JobId(job), read.stream),
        };
        let from = after.filter(|from| from.after >= before.submitted);
        let from = from.unwrap_or_else(|| Position::after(before.submitted));
        OutputPart {
            head: reader.follow(from, most, context.patience(wait)).await?,
            tail: None,
            is_base64,
        }
    };
    let now = facts_after(context, session, &before).await?;
    let mut structured = report::job(context.engine(), session, &now, &part);
    // Reading succeeded, whatever became of the job.
    structured["isError"] = false.into();
    Ok(structured)
}

async fn transcript(
    context: &Context<'_>,
    session: SessionId,
    from: Position,
    most: usize,
    wait: Duration,
) -> ToolResult {
    let reader = OutputReader {
        engine: context.engine(),
        session,
        show: Show::Transcript,
    };
    let piece = reader.follow(from, most, context.patience(wait)).await?;
    let more = piece.end == crate::output::PieceEnd::Full;
    let next = piece.next;
    let gaps: Vec<Value> = piece.gaps.iter().map(Gap::json).collect();
    let ended = piece.gaps.iter().any(|gap| gap.is_removal)
        || context.engine().view(|views| {
            let view = views.session(session);
            view.is_none_or(|view| view.closed.is_some())
        });
    let output = piece.text();
    let mut text = output.clone();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text += &match (more, ended) {
        (true, _) => {
            format!("[there is more: `read` with session \"{session}\", after \"{next}\"]\n")
        }
        (false, true) => "[that is all: the session has ended]\n".to_owned(),
        (false, false) => {
            format!("[what comes next: `read` with session \"{session}\", after \"{next}\"]\n")
        }
    };
    let structured = json!({
        "session": session.to_string(),
        "job": null,
        "command": null,
        "state": if ended { "ended" } else { "open" },
        "outcome": null,
        "exit_status": null,
        "message": null,
        "duration_ms": null,
        "output": output,
        "encoding": "text",
        "exact": false,
        "after": next.to_string(),
        "more": more,
        "left_out": null,
        "gaps": gaps,
    });
    Ok(report::result(text, structured, false))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Write {
    session: Name,
    job: u64,
    #[serde(default)]
    text: String,
    #[serde(default)]
    end: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScreenOf {
    session: Name,
    job: u64,
}

async fn screen(context: &Context<'_>, arguments: Value) -> ToolResult {
    let asked: ScreenOf = parse(arguments)?;
    let session = session(context, &asked.session).await?;
    let job = facts(context, session, asked.job).await?.job;
    let screen = context.engine().screen(session, job, None).await?;
    let TerminalSize { columns, rows } = screen.size;
    let mut text = screen.text.trim_end().to_owned();
    text.push('\n');
    let structured = json!({
        "session": session.to_string(),
        "job": job.0,
        "columns": columns,
        "rows": rows,
        "screen": screen.text,
    });
    Ok(report::result(text, structured, false))
}

async fn write(context: &Context<'_>, arguments: Value) -> ToolResult {
    let write: Write = parse(arguments)?;
    let session = session(context, &write.session).await?;
    let job = facts(context, session, write.job).await?.job;
    if write.text.is_empty() && !write.end {
        return Err(Failed(
            "there is nothing to write: give `text`, or set `end`".to_owned(),
        ));
    }
    let bytes = write.text.as_bytes();
    context.engine().touch(session);
    let written = context
        .engine()
        .write_input(session, job, bytes.into(), write.end);
    written.await?;
    let (count, end) = (bytes.len(), write.end);
    let text = format!(
        "[wrote {count} bytes to job {job}{}]\n",
        if end { ", and ended its input" } else { "" }
    );
    let structured =
        json!({"session": session.to_string(), "job": job.0, "bytes": count, "end": end});
    Ok(report::result(text, structured, false))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Interrupt {
    session: Name,
    job: Option<u64>,
    wait_ms: Option<u64>,
}

async fn interrupt(context: &Context<'_>, arguments: Value) -> ToolResult {
    let interrupt: Interrupt = parse(arguments)?;
    let session = session(context, &interrupt.session).await?;
    let job = match interrupt.job {
        // A private job is not found.
        Some(job) => Some(facts(context, session, job).await?.job),
        None => None,
    };
    let interrupted = context.engine().interrupt_job(session, job).await?;
    let patience = context.patience(wait(interrupt.wait_ms, INTERRUPT_WAIT));
    wait_for_end(context.engine(), session, interrupted.job, patience).await?;
    let facts = facts(context, session, interrupted.job.0).await?;
    let part = ends_of_output(context.engine(), session, &facts, OUTPUT).await?;
    let mut structured = report::job(context.engine(), session, &facts, &part);
    // Ending it was the wish.
    structured["isError"] = false.into();
    Ok(structured)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    session: Option<Name>,
    state: Option<State>,
    before: Option<u64>,
    limit: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Running,
    Idle,
    Ended,
}

async fn show_list(context: &Context<'_>, arguments: Value) -> ToolResult {
    let list: List = parse(arguments)?;
    if let Some(name) = &list.session {
        let id = session(context, name).await?;
        let shown = context.engine().view(|views| {
            let view = views.session(id)?;
            let visible = view.jobs().rev().filter(|job| !job.mode.is_private());
            let jobs: Vec<_> = visible.take(JOBS).map(job_json).collect();
            Some((session_json(view), jobs))
        });
        let Some((shown, jobs)) = shown else {
            let reason = "the session ended too long ago to list its jobs: `read` still shows it";
            return Err(Failed(reason.to_owned()));
        };
        let lines = jobs
            .iter()
            .map(|job| line(job, &["job", "state", "outcome", "exit_status", "command"]));
        let text = format!(
            "[session {id}: its jobs, newest first]\n{}",
            lines.collect::<String>()
        );
        let structured = json!({"sessions": [shown], "jobs": jobs, "before": null});
        return Ok(report::result(text, structured, false));
    }
    let (sessions, next) = sessions(context, &list);
    let lines = sessions.iter().map(|shown| {
        line(
            shown,
            &["session", "number", "state", "service", "user", "command"],
        )
    });
    let mut text = format!("[sessions, newest first]\n{}", lines.collect::<String>());
    if let Some(next) = next {
        text += &format!("[there are more: `list` with before {next}]\n");
    }
    let structured = json!({"sessions": sessions, "jobs": [], "before": next});
    Ok(report::result(text, structured, false))
}

/// A page of the sessions that the agent finds, and where the next one begins.
fn sessions(context: &Context<'_>, list: &List) -> (Vec<Value>, Option<u64>) {
    let limit = list.limit.map_or(PAGE, |limit| {
        usize::try_from(limit).map_or(MAX_PAGE, |limit| limit.clamp(1, MAX_PAGE))
    });
    let selection = Selection {
        user: context.agent.shown_user(),
        busy: match list.state {
            Some(State::Running) => Some(true),
            Some(State::Idle) => Some(false),
            Some(State::Ended) | None => None,
        },
        numbers: 0..=list.before.unwrap_or(u64::MAX).saturating_sub(1),
        ..Selection::default()
    };
    let ended = match list.state {
        None => EndedSessions::Include,
        Some(State::Ended) => EndedSessions::Only,
        Some(State::Running | State::Idle) => EndedSessions::Exclude,
    };
    let pager = SessionPager::new(context.engine(), &selection);
    let (page, next) = pager.newest(limit, ended, |view| {
        let may_use = context.agent.may_use(&view.service);
        may_use.then(|| session_json(view))
    });
    (page.into_iter().flatten().collect(), next)
}

fn session_json(view: &SessionView) -> Value {
    let state = match (view.closed, view.is_busy()) {
        (Some(_), _) => "ended",
        (None, true) => "running",
        (None, false) => "idle",
    };
    let last = view.jobs().rfind(|job| !job.mode.is_private());
    json!({
        "session": view.id.to_string(),
        "number": view.number.0,
        "state": state,
        "service": &*view.service,
        "user": view.user.as_deref(),
        "created": instant(view.created.at),
        "job": last.map(|job| job.job.0),
        "command": last.map(|job| &*job.statement),
    })
}

fn job_json(view: &JobView) -> Value {
    let (state, outcome, status, duration) = match view.state {
        JobState::Submitted | JobState::Running => ("running", None, None, None),
        JobState::Finished {
            outcome,
            status,
            at,
        } => {
            let is_known = outcome != rejoin_engine::Outcome::Lost;
            let duration = millis(at.since(view.since));
            (
                "finished",
                Some(outcome.name()),
                is_known.then_some(status),
                Some(duration),
            )
        }
    };
    json!({
        "job": view.job.0,
        "command": &*view.statement,
        "state": state,
        "outcome": outcome,
        "exit_status": status,
        "background": view.mode.slot == JobSlot::Background,
        "submitted": instant(view.since.at),
        "duration_ms": duration,
    })
}

/// A line of a list, for the model.
fn line(shown: &Value, members: &[&str]) -> String {
    let cell = |name: &&str| match &shown[*name] {
        Value::Null => None,
        Value::String(text) => Some(text.replace('\n', " ")),
        other => Some(format!("{name} {other}")),
    };
    let cells: Vec<_> = members.iter().filter_map(cell).collect();
    format!("{}\n", cells.join(" · "))
}

/// The definitions of the tools.
static TOOLS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    #[expect(
        clippy::expect_used,
        reason = "a part of the program, which a test parses"
    )]
    serde_json::from_str(include_str!("tools.json")).expect("the tools are JSON")
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_described_and_says_truly_whether_it_only_reads() {
        let names: Vec<_> = TOOLS
            .iter()
            .map(|tool| tool["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "run",
                "read",
                "write",
                "interrupt",
                "list",
                "search",
                "screen"
            ]
        );
        for tool in TOOLS.iter() {
            let name = tool["name"].as_str().unwrap();
            let needed = permission(name).unwrap();
            let hints = &tool["annotations"];
            assert_eq!(hints["readOnlyHint"], needed == Permission::Read, "{name}");
            for schema in ["inputSchema", "outputSchema"] {
                let schema = &tool[schema];
                assert_eq!(schema["type"], "object", "{name}");
                let properties = schema["properties"].as_object().unwrap();
                for required in schema["required"].as_array().into_iter().flatten() {
                    assert!(
                        properties.contains_key(required.as_str().unwrap()),
                        "{name}"
                    );
                }
            }
        }
    }
}
