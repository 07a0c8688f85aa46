//! Webhooks: send events to other programs when a job has ended or a session was closed.
//!
//! The log is the queue: a file beside it says up to where each webhook has its events. What the log has
//! behind that is delivered, also after a restart. So each event is delivered at least once, with the same ID, or
//! given up.
//!
//! Where several nodes run, each has all records, and sends the events of those that it wrote.

mod addresses;
mod message;
mod position;
mod queue;
mod sender;
mod writers;

use super::OpenedEngine;
use crate::settings::Webhook;
use futures::future::{Either, select};
use message::Message;
use position::Position;
use queue::Queue;
use rejoin_admin::WebhookMetrics;
use rejoin_engine::{
    Engine, Event, ReadLimit, Runtime, Sequence, SessionId, SmolRuntime, Timestamp,
};
use sender::Sender;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// Messages that are held in memory for a webhook. What follows is read from the log once these were delivered.
const WAITING: usize = 1_000;

/// Starts to deliver events to the webhooks of the settings, until the program ends.
pub(super) fn start(webhooks: Vec<Webhook>, opened: &OpenedEngine) -> io::Result<()> {
    if webhooks.is_empty() || opened.is_read_only {
        return Ok(());
    }
    let metrics = opened.webhooks.clone();
    for webhook in webhooks {
        let path = opened.data.join(format!("notify-{}.json", webhook.name));
        let engine = opened.engine.clone();
        let now = match engine.config().server.node {
            None => engine.now().at,
            // Its log's clock may be ahead, as another node may have written that.
            Some(_) => engine.now().at.min(engine.runtime().now()),
        };
        let position = Position::open(path, now)?;
        let sender = Sender::new(&webhook).map_err(io::Error::other)?;
        let webhook = Arc::new(webhook);
        let courier = Courier::new(engine, webhook, sender, position, metrics.clone());
        smol::spawn(courier.run(WAITING)).detach();
    }
    Ok(())
}

/// Delivers to one webhook, one message after the other.
struct Courier {
    engine: Engine,
    webhook: Arc<Webhook>,
    sender: Sender,
    position: Position,
    metrics: Arc<WebhookMetrics>,
}

impl Courier {
    fn new(
        engine: Engine,
        webhook: Arc<Webhook>,
        sender: Sender,
        position: Position,
        metrics: Arc<WebhookMetrics>,
    ) -> Self {
        Self {
            engine,
            webhook,
            sender,
            position,
            metrics,
        }
    }

    /// Runs until the engine has ended. Holds so many messages in memory.
    async fn run(self, room: usize) {
        let mut queue = Queue::new(
            self.engine.clone(),
            self.webhook.clone(),
            self.position.clone(),
            self.metrics.clone(),
            room,
        );
        while let Some(message) = queue.next().await {
            let name = &self.webhook.name;
            let (event, kind) = (message.id.clone(), message.kind.name());
            let delivered = match select(pin!(self.deliver(&message)), pin!(queue.keep_up())).await
            {
                Either::Left((delivered, _)) => delivered,
                Either::Right((never, _)) => match never {},
            };
            match delivered {
                Ok(()) => {
                    self.metrics.delivered.inc();
                    tracing::debug!(webhook = %name, %event, kind, "delivered to a webhook");
                }
                Err(error) => {
                    self.metrics.given_up.inc();
                    let attempts = self.webhook.attempts;
                    tracing::error!(webhook = %name, %event, kind, attempts, %error, "gave up delivering to a webhook");
                }
            }
            if let Err(error) = self.position.delivered(&message, self.now(&message)).await {
                // Then a restart delivers it again, which is allowed.
                tracing::error!(webhook = %self.webhook.name, %error, "cannot write what was delivered to a webhook");
            }
        }
    }

    /// What no record is earlier than that this server writes from now on.
    fn now(&self, message: &Message) -> Timestamp {
        match self.engine.config().server.node {
            // One log, in which instants never go back.
            None => message.record.at,
            Some(_) => self.engine.runtime().now(),
        }
    }

    /// Sends a message until it has arrived or all attempts have failed.
    async fn deliver(&self, message: &Message) -> Result<(), String> {
        let mut attempt = 1;
        loop {
            let error = match self.sender.send(message, self.body(message).await).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            self.metrics.failed.inc();
            if attempt >= self.webhook.attempts {
                return Err(error);
            }
            if attempt == 1 {
                let (name, event) = (&self.webhook.name, &message.id);
                tracing::warn!(webhook = %name, %event, %error, "cannot deliver to a webhook; trying again");
            }
            SmolRuntime.timer(self.pause(attempt)).await;
            attempt += 1;
        }
    }

    /// What a message says now: nothing of what was deleted, redacted or renamed since it was made.
    async fn body(&self, message: &Message) -> String {
        let session = message.record.session;
        let now = self.engine.view(|views| {
            let session = views.session(session)?;
            Some(message.body_of(session, &self.webhook))
        });
        match now {
            Some(body) => body,
            // It may be forgotten only.
            None if self.is_kept(session).await => message.body.clone(),
            None => message.body_of_removed.clone(),
        }
    }

    /// Whether the log has the records of a session. Not if that can't be read.
    async fn is_kept(&self, session: SessionId) -> bool {
        let first = ReadLimit {
            records: 1,
            bytes: 1,
        };
        let read = self
            .engine
            .read(session, Sequence::START, first, Duration::ZERO);
        let first = read.await.unwrap_or_default().into_iter().next();
        first.is_some_and(|first| matches!(first.event, Event::SessionCreated { .. }))
    }

    /// The pause after the attempt with this number.
    fn pause(&self, attempt: u32) -> Duration {
        let factor = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let pause = self.webhook.first_pause.saturating_mul(factor);
        pause.min(self.webhook.longest_pause)
    }
}
