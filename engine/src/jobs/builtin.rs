//! Statements that every session answers, whatever its service: `help version session jobs
//! history`.

use crate::committed::Committed;
use crate::jobs::runner::{Exit, Runner, RunnerJob, encode_result};
use futures::future::BoxFuture;
use rejoin_core::{JobState, JobView, Server, SessionId, SessionView};
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

    fn answer(&self, session: SessionId, statement: &str) -> Option<Map<String, Value>> {
        let answer = match statement {
            "help" => {
                let statements = STATEMENTS.iter();
                let list = statements.map(|(name, summary)| json!({"name": name, "summary": summary}));
                json!({ "commands": list.collect::<Vec<_>>() })
            }
            "version" => json!({ "version": &*self.server.version }),
            "session" => self.committed.session(session, |view| self.session(view))?,
            "jobs" => self.committed.session(session, |view| {
                json!({ "jobs": view.jobs().filter(|job| !is_finished(job)).map(job_line).collect::<Vec<_>>() })
            })?,
            _ => self.committed.session(session, |view| {
                json!({ "history": view.jobs().map(job_line).collect::<Vec<_>>() })
            })?,
        };
        match answer {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }

    fn session(&self, view: &SessionView) -> Value {
        json!({
            "consumers": view.consumers().count(),
            "createTime": view.created.as_millis(),
            "pid": self.server.process,
            "number": view.number.0,
            "service": &*view.service,
            "sessionId": view.id.to_string(),
            "userId": view.user.as_deref(),
        })
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
            let Some(answer) = builtin.answer(session, statement) else {
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
        "since": job.since.as_millis(),
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
