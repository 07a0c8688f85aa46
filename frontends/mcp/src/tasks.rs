//! Tasks (the extension of 2026-07-28): jobs under one name, the session and the job. They exist since
//! their job is durable, and as long as its records.

use crate::dispatch::{Context, millis};
use crate::error::RpcError;
use crate::job::{JobFacts, Unknown};
use crate::limits::{POLL, TASK_OUTPUT};
use crate::message::Call;
use crate::output::ended;
use crate::report::{self, parse_task_id, task_id};
use crate::tools;
use rejoin_accounts::Permission;
use rejoin_engine::{CommandError, Outcome, Rejection, SessionId, Timestamp};
use serde_json::{Value, json};

/// The answer to a call that goes on as a task.
pub(crate) fn created(session: SessionId, facts: &JobFacts) -> Value {
    let mut created = task(session, facts, "working");
    created["statusMessage"] = format!("job {} is running", facts.job).into();
    created["resultType"] = "task".into();
    created
}

pub(crate) async fn get(context: &Context<'_>, call: &Call) -> Result<Value, RpcError> {
    let (session, facts) = find(context, call).await?;
    let Some(finish) = &facts.finish else {
        let mut working = task(session, &facts, "working");
        working["statusMessage"] = format!("job {} is running", facts.job).into();
        return Ok(working);
    };
    let message = format!("job {} {}", facts.job, ended(finish.outcome, finish.status));
    let mut structured = match finish.outcome {
        Outcome::Interrupted => task(session, &facts, "cancelled"),
        Outcome::Lost => {
            let mut failed = task(session, &facts, "failed");
            let output =
                json!({"session": session.to_string(), "job": facts.job.0, "outcome": "lost"});
            failed["error"] = json!({
                "code": -32603,
                "message": format!("{message}; `read` gives its output"),
                "data": output,
            });
            failed
        }
        Outcome::Completed | Outcome::Failed | Outcome::TimedOut => {
            let part = tools::ends_of_output(context.engine(), session, &facts, TASK_OUTPUT);
            let part = part
                .await
                .map_err(|error| RpcError::internal(error.to_string()))?;
            let mut completed = task(session, &facts, "completed");
            completed["result"] = report::job(context.engine(), session, &facts, &part);
            completed["result"]["resultType"] = "complete".into();
            completed
        }
    };
    structured["statusMessage"] = message.into();
    Ok(structured)
}

/// No job asks its client for anything, so there is nothing to update.
pub(crate) async fn update(context: &Context<'_>, call: &Call) -> Result<Value, RpcError> {
    find(context, call).await?;
    Ok(json!({}))
}

pub(crate) async fn cancel(context: &Context<'_>, call: &Call) -> Result<Value, RpcError> {
    let (session, facts) = find(context, call).await?;
    if !context.agent.may(Permission::Interrupt) {
        let role = context.agent.role();
        let reason = format!("the role {role} may not interrupt jobs");
        return Err(RpcError::invalid_params(reason));
    }
    if facts.finish.is_some() {
        return Ok(json!({}));
    }
    let interrupted = context.engine().interrupt_job(session, Some(facts.job));
    match interrupted.await {
        Ok(_)
        // It has finished meanwhile.
        | Err(CommandError::Rejected(
            Rejection::JobNotFound(_) | Rejection::SessionNotFound(_),
        )) => Ok(json!({})),
        Err(error) => Err(RpcError::internal(error.to_string())),
    }
}

async fn find(context: &Context<'_>, call: &Call) -> Result<(SessionId, JobFacts), RpcError> {
    if !context.era.knows_tasks() {
        return Err(RpcError::tasks_undeclared());
    }
    let unknown = || RpcError::invalid_params("task not found");
    let id = call.text("taskId").ok_or_else(unknown)?;
    let (session, job) = parse_task_id(id).ok_or_else(unknown)?;
    if !context.agent.may(Permission::Read) {
        return Err(unknown());
    }
    let session = context
        .agent
        .session(context.engine(), &session.to_string())
        .await
        .map_err(|error| RpcError::internal(error.to_string()))?;
    let session = session.ok_or_else(unknown)?;
    context.http.log_session(session);
    context.http.log_job(job);
    match JobFacts::find(context.engine(), session, job).await {
        Ok(facts) => Ok((session, facts)),
        Err(Unknown::Job | Unknown::Session) => Err(unknown()),
        Err(Unknown::TooFar) => Err(RpcError::internal(tools::TOO_FAR)),
        Err(Unknown::Read(error)) => Err(RpcError::internal(error.to_string())),
    }
}

fn task(session: SessionId, facts: &JobFacts, status: &str) -> Value {
    let updated = facts
        .finish
        .as_ref()
        .map_or(facts.since, |finish| finish.at);
    json!({
        "taskId": task_id(session, facts.job),
        "status": status,
        "createdAt": instant(facts.since.at),
        "lastUpdatedAt": instant(updated.at),
        "ttlMs": null,
        "pollIntervalMs": millis(POLL),
    })
}

/// As in RFC 3339.
pub(crate) fn instant(at: Timestamp) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .unwrap_or_default()
        .to_string()
}
