//! One step: decide a command, number its events and apply them, completely, before the next one.

use crate::decide::at_most;
use crate::{Actor, Command, Effect, Event, Moment, Record, Rejection, SessionId, State};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A record and its effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The record, already applied to the state.
    pub record: Record,
    /// What to do once the record is durable.
    pub effect: Option<Effect>,
}

impl State {
    /// Decides `command` at `now` and applies the resulting records. Append them to the log in this
    /// order, as one batch, and make nothing of them visible before they are durable.
    ///
    /// A [`Timestamp`](crate::Timestamp) as `now` stands for a wall clock that is never set.
    ///
    /// ```
    /// use rejoin_core::{Command, CreateSession, Limits, Server, SessionId, State, Timestamp};
    /// use std::time::Duration;
    ///
    /// // An engine by hand: a state, a log, a clock.
    /// let mut state = State::new(Limits::default());
    /// let mut log = vec![];
    /// let mut run = |millis, command| {
    ///     let steps = state.step(Timestamp::from_millis(millis), command)?;
    ///     log.extend(steps.into_iter().map(|step| step.record));
    ///     Ok::<_, rejoin_core::Rejection>(())
    /// };
    ///
    /// let session = SessionId::from_bytes([1; 16]);
    /// run(1_000, Command::CreateSession(CreateSession {
    ///     session,
    ///     service: "shell".into(),
    ///     user: None,
    ///     remote: None,
    ///     server: Server { process: 1, version: "0.1.0".into(), node: None },
    ///     timeout: Duration::from_secs(60),
    ///     consumer: None,
    /// }))?;
    /// run(61_000, Command::Expire)?;
    ///
    /// // The session was closed after a minute without use. Replaying the log gives the same state.
    /// let mut replayed = State::new(Limits::default());
    /// log.iter().for_each(|record| replayed.apply(record));
    /// assert_eq!(log.len(), 2);
    /// assert_eq!(replayed, state);
    /// assert!(state.session(session).is_none());
    /// # Ok::<_, rejoin_core::Rejection>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Why the command is refused. The state is unchanged then.
    pub fn step(
        &mut self,
        now: impl Into<Moment>,
        command: Command,
    ) -> Result<Vec<Step>, Rejection> {
        self.step_for(None, now, command)
    }

    /// As [`step`](Self::step), for a command that somebody asked for: all records say who.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step), and when a text of the actor is longer than
    /// [`Limits::name`](crate::Limits).
    pub fn step_for(
        &mut self,
        actor: Option<&Arc<Actor>>,
        now: impl Into<Moment>,
        command: Command,
    ) -> Result<Vec<Step>, Rejection> {
        for (what, text) in actor.iter().flat_map(|actor| actor.texts()) {
            at_most(what, self.limits.name, text.len())?;
        }
        let now = now.into().not_before(self.last);
        let events = self.decide(now.clock, command)?;
        let mut steps = Vec::with_capacity(events.len());
        for (session, event) in events {
            let record = self.number(now, session, actor, event);
            let effect = Effect::of(self, &record);
            self.apply(&record);
            steps.push(Step { record, effect });
        }
        Ok(steps)
    }

    fn number(
        &self,
        now: Moment,
        session: SessionId,
        actor: Option<&Arc<Actor>>,
        event: Event,
    ) -> Record {
        Record {
            session,
            sequence: self.last_sequence(session).next(),
            at: now.at,
            clock: now.clock,
            actor: actor.cloned(),
            redacted: None,
            event,
        }
    }
}
