//! What a webhook is told of an event: its ID, and the body of the request. Pure.

use crate::settings::{Webhook, WebhookEvent};
use rejoin_core::{Event, JobState, Outcome, Record, SessionView, Timestamp};
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
    /// When it happened.
    pub(super) at: Timestamp,
    pub(super) body: String,
    /// While it waits.
    pub(super) waiting: Option<Arc<GaugeGuard>>,
}

/// What kind of event a record is, if a webhook can be told of it.
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

/// What a webhook is told of a record; none if it is not to be told. `session` is that of the record.
pub(super) fn message(
    record: &Record,
    session: &SessionView,
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
    let number = session.number.0;
    let labels = description.map(|it| &it.labels);
    let labels: serde_json::Map<_, _> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.to_string(), Value::from(&**value)))
        .collect();
    let console = webhook.console.as_ref();
    let mut data = json!({
        "session": number,
        "title": description.and_then(|it| it.title.as_deref()),
        "labels": labels,
        "service": &*session.service,
        "user": session.user.as_deref(),
        "console": console.map(|url| format!("{url}/#session={number}&at={}", record.sequence)),
    });
    match &record.event {
        Event::JobFinished {
            job,
            outcome,
            status,
            message,
            ..
        } => {
            let view = session.job(*job);
            let took = view.map(|view| match view.state {
                JobState::Finished { at, .. } => at.since(view.since),
                _ => record.moment().since(view.since),
            });
            if took.is_some_and(|took| took < webhook.longer_than) {
                return None;
            }
            data["job"] = job.0.into();
            data["outcome"] = outcome.name().into();
            data["status"] = (*status).into();
            data["message"] = message.as_deref().into();
            data["submitted"] = view.map(|view| view.since.at.as_millis()).into();
            data["finished"] = record.at.as_millis().into();
            let millis = took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
            data["durationMillis"] = millis.into();
            if webhook.has_statement {
                data["statement"] = view.map(|view| &*view.statement).into();
            }
        }
        Event::SessionClosed { cause } => {
            data["cause"] = cause.name().into();
            data["closed"] = record.at.as_millis().into();
        }
        _ => return None,
    }
    let id = id(record);
    let body = json!({
        "type": kind.name(),
        "id": id,
        "timestamp": record.at.as_millis(),
        "data": data,
    });
    Some(Message {
        id,
        kind,
        at: record.at,
        body: body.to_string(),
        waiting: None,
    })
}
