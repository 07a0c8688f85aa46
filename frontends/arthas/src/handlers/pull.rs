//! The action `pull_results`: the long poll with which clients read a session.

use crate::Arthas;
use crate::error::Fault;
use crate::limits::{GATHERED_RECORDS, PULL};
use crate::request::Request;
use crate::translate::{ConsumerView, frees_foreground, is_visible};
use crate::wire::{Answer, Object, State};
use rejoin_engine::{ConsumerId, Gather, Pull, PullError, SessionId};

impl Arthas {
    pub(super) async fn pull_results(
        &self,
        request: &Request,
        session: SessionId,
    ) -> Result<Answer, Fault> {
        let consumer = match request.consumer.as_deref().map(str::parse) {
            Some(Ok(consumer)) => consumer,
            name => {
                self.open_since(session)?;
                return Err(match (name, &request.consumer) {
                    (Some(Err(_)), Some(name)) => Fault::ConsumerNotFound(name.clone()),
                    _ => Fault::ConsumerMissing,
                });
            }
        };
        let results = self.pull(session, consumer).await?;
        let body = Object::with_capacity(results.len(), |body| {
            body.json("results", &results);
        });
        Ok(Answer::new(State::Succeeded)
            .body(body)
            .consumer(Some(consumer))
            .session(session))
    }

    /// Waits until there is something to show. If a record wakes the pull but shows nothing to this
    /// consumer, the pull goes on waiting for the rest of its time.
    async fn pull(&self, session: SessionId, consumer: ConsumerId) -> Result<Vec<u8>, Fault> {
        let runtime = self.engine.runtime();
        let deadline = runtime.elapsed().saturating_add(self.settings.pull_wait);
        let quiet = self.settings.pull_gather;
        let gather = (!quiet.is_zero()).then_some(Gather {
            quiet,
            records: GATHERED_RECORDS,
            until: frees_foreground,
        });
        let mut is_first = true;
        loop {
            let pull = Pull {
                session,
                consumer,
                wait: deadline.saturating_sub(runtime.elapsed()),
                limit: PULL,
                select: is_visible,
                gather,
            };
            let pulled = match self.engine.pull(pull).await {
                Ok(pulled) => pulled,
                // The session or consumer was removed while this pull waited: not the client's error.
                Err(PullError::SessionNotFound | PullError::ConsumerNotFound) if !is_first => {
                    return Ok(NO_RESULTS.into());
                }
                Err(error) => return Err(Fault::of_pull(error, session, consumer)),
            };
            let view = ConsumerView {
                consumer,
                joined: pulled.joined,
                zone: &self.zone,
            };
            let results = view.results(pulled.after, &pulled.records);
            if !results.is_empty() || pulled.records.is_empty() {
                return Ok(results.finish());
            }
            is_first = false;
        }
    }
}

const NO_RESULTS: &[u8] = b"[]";
