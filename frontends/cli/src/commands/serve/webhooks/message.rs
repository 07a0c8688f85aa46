//! What is sent to a webhook of an event: its ID, and the body of the request. Pure.

use crate::settings::{Webhook, WebhookEvent};
use rejoin_core::limits::SHOWN_STATEMENT;
use rejoin_core::{Event, Moment, Outcome, Record, SessionView};
use rejoin_metrics::GaugeGuard;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// A message for one webhook.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// The same for every attempt, also after a restart.
    pub(super) id: String,
    pub(super) kind: WebhookEvent,
    /// The event that it reports.
    pub(super) record: Arc<Record>,
    /// Which job it was, unless that is unknown.
    job: Option<Submitted>,
    /// As long as nothing was removed or changed.
    pub(super) body: String,
    /// Once the session was removed: what happened, and nothing that somebody has written.
    pub(super) body_of_removed: String,
    /// While it waits.
    pub(super) waiting: Option<Arc<GaugeGuard>>,
}

impl Message {
    /// The body as the session is now.
    pub(super) fn body_of(&self, session: &SessionView, webhook: &Webhook) -> String {
        body(&self.record, self.kind, session, self.job.as_ref(), webhook)
    }
}

/// How a job was submitted.
#[derive(Clone, Debug)]
pub(super) struct Submitted {
    statement: Arc<str>,
    since: Moment,
}

impl Submitted {
    /// The statement is cut as in the views.
    pub(super) fn new(statement: &Arc<str>, since: Moment) -> Self {
        let end = statement.char_indices().nth(SHOWN_STATEMENT);
        let shown = end.and_then(|(end, _)| statement.get(..end));
        Self {
            statement: shown.map_or_else(|| statement.clone(), Into::into),
            since,
        }
    }

    /// As the view of the session has it, if it remembers the job.
    fn remembered(record: &Record, session: &SessionView) -> Option<Self> {
        let Event::JobFinished { job, .. } = record.event else {
            return None;
        };
        let view = session.job(job)?;
        Some(Self {
            statement: view.statement.clone(),
            since: view.since,
        })
    }
}

/// What kind of event a record is, if webhooks can be sent it.
pub(super) fn kind(record: &Record) -> Option<WebhookEvent> {
    match &record.event {
        // For its submitter alone.
        Event::JobFinished { mode, .. } if mode.is_private() => None,
        Event::JobFinished { outcome, .. } => Some(match outcome {
            Outcome::Completed | Outcome::Interrupted => WebhookEvent::JobFinished,
            Outcome::Failed | Outcome::TimedOut => WebhookEvent::JobFailed,
            Outcome::Lost => WebhookEvent::JobLost,
        }),
        Event::SessionClosed { .. } => Some(WebhookEvent::SessionClosed),
        _ => None,
    }
}

/// The ID of an event. It does not show the session's UUID, which is a secret.
pub(super) fn id(record: &Record) -> String {
    let mut digest = Sha256::new();
    digest.update(record.session.to_string());
    digest.update(record.sequence.0.to_be_bytes());
    let digest = digest.finalize();
    let digits: String = digest[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("evt_{digits}")
}

/// The message to a webhook about a record; none if the webhook does not want it. `session` is that of the record, and
/// `job` how its job was submitted, if the view may have forgotten that.
pub(super) fn message(
    record: &Arc<Record>,
    session: &SessionView,
    job: Option<&Submitted>,
    webhook: &Webhook,
) -> Option<Message> {
    let kind = kind(record)?;
    let description = session.description.as_deref();
    let label = |key: &str| {
        description
            .and_then(|it| it.labels.get(key))
            .map(|it| &**it)
    };
    let services = webhook.services.as_ref();
    let is_wanted = webhook.events.contains(&kind)
        && services.is_none_or(|names| names.iter().any(|name| **name == *session.service))
        && webhook
            .labels
            .iter()
            .all(|(key, value)| label(key) == Some(value));
    if !is_wanted {
        return None;
    }
    let job = Submitted::remembered(record, session).or_else(|| job.cloned());
    let took = job.as_ref().map(|job| record.moment().since(job.since));
    if took.is_some_and(|took| took < webhook.longer_than) {
        return None;
    }
    Some(Message {
        id: id(record),
        kind,
        body: body(record, kind, session, job.as_ref(), webhook),
        body_of_removed: body_of_removed(record, kind, session, webhook),
        record: record.clone(),
        job,
        waiting: None,
    })
}

fn body(
    record: &Record,
    kind: WebhookEvent,
    session: &SessionView,
    job: Option<&Submitted>,
    webhook: &Webhook,
) -> String {
    let remembered = Submitted::remembered(record, session);
    let job = remembered.as_ref().or(job);
    let number = session.number.0;
    let description = session.description.as_deref();
    let labels = description.map(|it| &it.labels);
    let labels: serde_json::Map<_, _> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.to_string(), Value::from(&**value)))
        .collect();
    let console = webhook.console.as_ref();
    let mut data = ended(record, session);
    data["title"] = description.and_then(|it| it.title.as_deref()).into();
    data["labels"] = labels.into();
    data["user"] = session.user.as_deref().into();
    let link = |url| format!("{url}/#session={number}&at={}", record.sequence);
    data["console"] = console.map(link).into();
    if let Event::JobFinished { message, .. } = &record.event {
        data["message"] = message.as_deref().into();
        data["submitted"] = job.map(|job| job.since.at.as_millis()).into();
        let took = job.map(|job| record.moment().since(job.since).as_millis());
        let millis = took.map(|took| u64::try_from(took).unwrap_or(u64::MAX));
        data["durationMillis"] = millis.into();
        if webhook.has_statement {
            data["statement"] = job.map(|job| &*job.statement).into();
        }
    }
    whole(record, kind, &data)
}

/// Has every member that [`body`] has.
fn body_of_removed(
    record: &Record,
    kind: WebhookEvent,
    session: &SessionView,
    webhook: &Webhook,
) -> String {
    let mut data = ended(record, session);
    data["removed"] = true.into();
    data["labels"] = json!({});
    let mut empty = vec!["title", "user", "console"];
    if let Event::JobFinished { .. } = record.event {
        empty.extend(["message", "submitted", "durationMillis"]);
        if webhook.has_statement {
            empty.push("statement");
        }
    }
    for name in empty {
        data[name] = Value::Null;
    }
    whole(record, kind, &data)
}

/// What has ended, and how.
fn ended(record: &Record, session: &SessionView) -> Value {
    let mut data = json!({"session": session.number.0, "service": &*session.service});
    match &record.event {
        Event::JobFinished {
            job,
            outcome,
            status,
            ..
        } => {
            data["job"] = job.0.into();
            data["outcome"] = outcome.name().into();
            data["status"] = (*status).into();
            data["finished"] = record.at.as_millis().into();
        }
        Event::SessionClosed { cause } => {
            data["cause"] = cause.name().into();
            data["closed"] = record.at.as_millis().into();
        }
        _ => {}
    }
    data
}

fn whole(record: &Record, kind: WebhookEvent, data: &Value) -> String {
    let body = json!({
        "type": kind.name(),
        "id": id(record),
        "timestamp": record.at.as_millis(),
        "data": data,
    });
    body.to_string()
}
