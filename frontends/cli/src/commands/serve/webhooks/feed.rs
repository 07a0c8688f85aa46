//! Gives each webhook the events that it is to be told of: first those that the log has behind its
//! position, then those that happen.

use super::message::{Message, id, kind, message};
use super::position::Position;
use crate::settings::Webhook;
use rejoin_admin::WebhookMetrics;
use rejoin_engine::{Endings, Engine, ReadLimit, Record, Sequence, SessionId, Timestamp};
use smol::channel::{Sender, TrySendError};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of the records that are read at once where the log is read again.
const PART_BYTES: usize = 256 * 1024;

/// Where the events of a webhook go.
struct Target {
    webhook: Arc<Webhook>,
    position: Position,
    waiting: Sender<Message>,
    /// Whether the last message was dropped, so that this is logged once.
    is_full: bool,
}

/// The source of all webhooks' messages.
pub(super) struct Feed {
    engine: Engine,
    endings: Endings,
    targets: Vec<Target>,
    metrics: Arc<WebhookMetrics>,
}

impl Feed {
    pub(super) fn new(engine: Engine, metrics: Arc<WebhookMetrics>) -> Self {
        Self {
            // Before the log is read, so that nothing falls between the two.
            endings: engine.endings(),
            engine,
            targets: vec![],
            metrics,
        }
    }

    pub(super) fn add(
        &mut self,
        webhook: Arc<Webhook>,
        position: Position,
        waiting: Sender<Message>,
    ) {
        self.targets.push(Target {
            webhook,
            position,
            waiting,
            is_full: false,
        });
    }

    /// Runs until the engine has ended.
    pub(super) async fn run(mut self) {
        let from = self.targets.iter().map(|it| it.position.from()).min();
        let mut read = BTreeSet::new();
        if let Some(from) = from {
            for record in past(&self.engine, from).await {
                read.insert(id(&record));
                for target in &mut self.targets {
                    let is_new = record.at >= target.position.from()
                        && !target.position.has_told(&id(&record));
                    if is_new {
                        target.give(&self.engine, &record, &self.metrics);
                    }
                }
            }
        }
        // What was committed while the log was read may have come both ways.
        let mut both = self.endings.waiting();
        while let Some(record) = self.endings.next().await {
            if both > 0 {
                both -= 1;
                if read.contains(&id(&record)) {
                    continue;
                }
            } else if !read.is_empty() {
                read.clear();
            }
            for target in &mut self.targets {
                target.give(&self.engine, &record, &self.metrics);
            }
            let missed = self.endings.take_missed();
            if missed > 0 {
                self.metrics.dropped.add(missed);
                tracing::error!(
                    events = missed,
                    "too much ended at once: webhooks are not told of it"
                );
            }
        }
    }
}

impl Target {
    fn give(&mut self, engine: &Engine, record: &Record, metrics: &WebhookMetrics) {
        let message = engine.view(|views| {
            let session = views.session(record.session)?;
            message(record, session, &self.webhook)
        });
        let Some(mut message) = message else {
            return;
        };
        message.waiting = Some(Arc::new(metrics.waiting.enter()));
        match self.waiting.try_send(message) {
            Ok(()) => self.is_full = false,
            Err(TrySendError::Full(message)) => {
                metrics.dropped.inc();
                if !self.is_full {
                    let (name, event) = (&self.webhook.name, &message.id);
                    tracing::error!(webhook = %name, %event, "too much waits for a webhook: it is not told of this and what follows");
                }
                self.is_full = true;
            }
            Err(TrySendError::Closed(_)) => {}
        }
    }
}

/// What ended from an instant on, in the order in which it happened, as far as the log has it.
async fn past(engine: &Engine, from: Timestamp) -> Vec<Arc<Record>> {
    let changed = engine.view(|views| {
        let all = views.open_sessions().chain(views.ended_sessions());
        let changed = all.filter(|view| view.changed >= from);
        changed
            .map(|view| (view.id, view.last_sequence))
            .collect::<Vec<_>>()
    });
    let mut found = vec![];
    for (session, last) in changed {
        let mut after = before(engine, session, last, from).await;
        while let Some(records) = part(engine, session, after, usize::MAX).await {
            after = records.last().map_or(last, |last| last.sequence);
            let ended = records
                .into_iter()
                .filter(|record| record.at >= from && kind(record).is_some());
            found.extend(ended);
        }
    }
    found.sort_by_key(|record| record.at);
    found
}

/// The sequence before the first record of a session from an instant on. Instants never go back.
async fn before(engine: &Engine, session: SessionId, last: Sequence, from: Timestamp) -> Sequence {
    let (mut low, mut high) = (0, last.0);
    while low < high {
        let middle = low + (high - low) / 2;
        match part(engine, session, Sequence(middle), 1).await.as_deref() {
            Some([record, ..]) if record.at < from => low = record.sequence.0.max(middle + 1),
            _ => high = middle,
        }
    }
    Sequence(low)
}

/// Records after a sequence; none if there are no more, or they can't be read.
async fn part(
    engine: &Engine,
    session: SessionId,
    after: Sequence,
    records: usize,
) -> Option<Vec<Arc<Record>>> {
    let limit = ReadLimit {
        records,
        bytes: PART_BYTES,
    };
    let read = engine.read(session, after, limit, Duration::ZERO).await;
    match read {
        Ok(records) if records.is_empty() => None,
        Ok(records) => Some(records),
        Err(error) => {
            tracing::warn!(%session, %error, "cannot read what webhooks are to be told of");
            None
        }
    }
}
