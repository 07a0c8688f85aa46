//! Statements that every session answers, whatever its service: `help version session jobs
//! history`.
//!
//! `help`, `version`, `session` and `history` are commands of Arthas, too. Their results have the
//! members that Arthas' clients know, with more beside them.

use crate::committed::Committed;
use crate::jobs::runner::{Exit, Runner, RunnerJob, encode_result};
use futures::future::BoxFuture;
use rejoin_core::{JobId, JobSlot, JobState, JobView, Server, SessionId, SessionView};
use serde_json::{Map, Value, json};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(crate) struct Builtin {
    committed: Arc<Committed>,
    server: Server,
}

impl Builtin {
    pub(crate) fn new(committed: Arc<Committed>, server: Server) -> Self {
        Self { committed, server }
    }

    /// Whether the whole statement is one of these. All others go to the service.
    pub(crate) fn knows(statement: &str) -> bool {
        STATEMENTS.iter().any(|(name, _)| *name == statement.trim())
    }

    /// The members of the result that answers the statement of the job `asking`.
    fn answer(
        &self,
        session: SessionId,
        asking: JobId,
        statement: &str,
    ) -> Option<Map<String, Value>> {
        let answer = match statement {
            "help" => help(),
            "version" => json!({ "version": &*self.server.version }),
            "session" => self.committed.session(session, |view| self.session(view))?,
            "jobs" => {
                let jobs = self.jobs(session, asking)?;
                let running = jobs.iter().filter(|job| !is_finished(job));
                json!({ "jobs": running.map(job_line).collect::<Vec<_>>() })
            }
            _ => history(&self.jobs(session, asking)?),
        };
        match answer {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The jobs that everybody may see, and the one that asks.
    fn jobs(&self, session: SessionId, asking: JobId) -> Option<Vec<JobView>> {
        let is_shown = |job: &&JobView| !job.mode.is_private() || job.job == asking;
        self.committed.session(session, |view| {
            view.all_jobs().filter(is_shown).cloned().collect()
        })
    }

    fn session(&self, view: &SessionView) -> Value {
        let mut session = json!({
            "consumers": view.consumers().count(),
            "createTime": view.created.at.as_millis(),
            "javaPid": self.server.process,
            "number": view.number.0,
            "pid": self.server.process,
            "service": &*view.service,
            "sessionId": view.id.to_string(),
            "tunnelConnected": false,
        });
        if let Some(user) = view.user.as_deref() {
            session["userId"] = user.into();
        }
        session
    }
}

impl Runner for Builtin {
    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit> {
        let builtin = self.clone();
        Box::pin(async move {
            let RunnerJob {
                session,
                job,
                statement,
                reporter,
                ..
            } = job;
            let statement = statement.trim();
            let Some(answer) = builtin.answer(session, job, statement) else {
                return Exit {
                    status: 1,
                    message: Some("the session has ended".into()),
                    ..Exit::default()
                };
            };
            let _ = reporter.started().await;
            let _ = reporter.result(encode_result(job, statement, answer)).await;
            Exit::default()
        })
    }
}

fn help() -> Value {
    let statements = STATEMENTS.iter().map(
        |(name, summary)| json!({"arguments": [], "name": name, "options": [], "summary": summary}),
    );
    json!({ "commands": statements.collect::<Vec<_>>() })
}

/// `history` are the lines as Arthas' clients would type them.
fn history(jobs: &[JobView]) -> Value {
    let line = |job: &JobView| match job.mode.slot {
        JobSlot::Foreground => job.statement.to_string(),
        JobSlot::Background => format!("{} &", job.statement),
    };
    json!({
        "history": jobs.iter().map(line).collect::<Vec<_>>(),
        "jobs": jobs.iter().map(job_line).collect::<Vec<_>>(),
    })
}

fn is_finished(job: &JobView) -> bool {
    matches!(job.state, JobState::Finished { .. })
}

fn job_line(job: &JobView) -> Value {
    let (state, status) = match job.state {
        JobState::Submitted => ("submitted", None),
        JobState::Running => ("running", None),
        JobState::Finished {
            outcome, status, ..
        } => (outcome.name(), Some(status)),
    };
    let line = json!({
        "id": job.job.0,
        "since": job.since.at.as_millis(),
        "state": state,
        "statement": &*job.statement,
    });
    match (line, status) {
        (Value::Object(mut members), Some(status)) => {
            members.insert("status".into(), status.into());
            Value::Object(members)
        }
        (line, _) => line,
    }
}

const STATEMENTS: [(&str, &str); 5] = [
    ("help", "list the statements that every session answers"),
    (
        "history",
        "list the session's last statements, and how they ended",
    ),
    (
        "jobs",
        "list the statements that are running in the session",
    ),
    ("session", "show the session's identity, user and readers"),
    ("version", "show the server's version"),
];
