//! Webhooks: tells other programs when a job has ended or a session was closed.
//!
//! The log is the queue: a file beside it says up to where each webhook has been told. After a restart,
//! what the log has behind that is told. So each event is told at least once, with the same ID, until it
//! was told or was given up.

mod addresses;
mod feed;
mod message;
mod position;
mod sender;

use super::OpenedEngine;
use crate::settings::Webhook;
use feed::Feed;
use message::Message;
use position::Position;
use rejoin_admin::WebhookMetrics;
use rejoin_engine::{Runtime, SmolRuntime};
use sender::Sender;
use smol::channel::{Receiver, bounded};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Messages that wait for a webhook. Further ones are dropped, which the metrics and the log say.
const WAITING: usize = 1_000;

/// Starts to tell the webhooks of the settings. They are told until the program ends.
pub(super) fn start(webhooks: Vec<Webhook>, opened: &OpenedEngine) -> io::Result<()> {
    if webhooks.is_empty() || opened.is_read_only {
        return Ok(());
    }
    let metrics = opened.webhooks.clone();
    let mut feed = Feed::new(opened.engine.clone(), metrics.clone());
    for webhook in webhooks {
        let path = opened.data.join(format!("notify-{}.json", webhook.name));
        let now = opened.engine.now().at;
        let position = Position::open(path, now)?;
        let (sender, waiting) = bounded(WAITING);
        let webhook = Arc::new(webhook);
        feed.add(webhook.clone(), position.clone(), sender);
        let teller = Teller {
            sender: Sender::new(&webhook).map_err(io::Error::other)?,
            webhook,
            position,
            metrics: metrics.clone(),
        };
        smol::spawn(teller.run(waiting)).detach();
    }
    smol::spawn(feed.run()).detach();
    Ok(())
}

/// Tells one webhook, one message after the other.
struct Teller {
    webhook: Arc<Webhook>,
    sender: Sender,
    position: Position,
    metrics: Arc<WebhookMetrics>,
}

impl Teller {
    async fn run(self, waiting: Receiver<Message>) {
        while let Ok(message) = waiting.recv().await {
            let name = &self.webhook.name;
            let (event, kind) = (message.id.clone(), message.kind.name());
            match self.tell(&message).await {
                Ok(()) => {
                    self.metrics.delivered.inc();
                    tracing::debug!(webhook = %name, %event, kind, "told a webhook");
                }
                Err(error) => {
                    self.metrics.given_up.inc();
                    let attempts = self.webhook.attempts;
                    tracing::error!(webhook = %name, %event, kind, attempts, %error, "gave up telling a webhook");
                }
            }
            if let Err(error) = self.position.told(&message).await {
                // Then a restart tells it again, which is allowed.
                tracing::error!(webhook = %self.webhook.name, %error, "cannot write what a webhook was told");
            }
        }
    }

    /// Sends a message until it has arrived or all attempts have failed.
    async fn tell(&self, message: &Message) -> Result<(), String> {
        let mut attempt = 1;
        loop {
            let error = match self.sender.send(message).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            self.metrics.failed.inc();
            if attempt >= self.webhook.attempts {
                return Err(error);
            }
            if attempt == 1 {
                let (name, event) = (&self.webhook.name, &message.id);
                tracing::warn!(webhook = %name, %event, %error, "cannot tell a webhook; trying again");
            }
            SmolRuntime.timer(self.pause(attempt)).await;
            attempt += 1;
        }
    }

    /// The pause after the attempt with this number.
    fn pause(&self, attempt: u32) -> Duration {
        let factor = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let pause = self.webhook.first_pause.saturating_mul(factor);
        pause.min(self.webhook.longest_pause)
    }
}
