//! The part of the engine's handle that takes out of the log what is in it.

use super::Engine;
use crate::error::{CommandError, RedactError};
use crate::limits;
use rejoin_core::{Command, Event, JobState, Record, Sequence, SessionId};
use rejoin_log::ReadLimit;
use std::sync::Arc;
use std::time::Duration;

impl Engine {
    /// Removes a session with all of its records, which retention would remove later. If it is open, it
    /// is closed first. Its readers get the record of the removal, which says who asked for it. Waits until
    /// that is durable; the space comes back as the log is compacted.
    ///
    /// ```
    /// use rejoin_engine::testing::Hold;
    /// use rejoin_engine::{Engine, Sequence};
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// let session = engine.create_session("shell").await?;
    /// engine.remove_session(session.id()).await?;
    /// assert_eq!(engine.removed(session.id()).await, Some(Sequence(2)));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// When there is no such session, or as every command.
    pub async fn remove_session(&self, session: SessionId) -> Result<(), CommandError> {
        self.node.gate.check_write()?;
        self.command(session, Command::RemoveSession { session })
            .await
            .map(drop)
    }

    /// The record that says that a session was removed: by retention, or at somebody's request, whom it then
    /// names. None: there was no such session, it has not been removed, so many were removed after it that the
    /// log has forgotten it, or the log cannot be read.
    pub async fn removal(&self, session: SessionId) -> Option<Arc<Record>> {
        let first = ReadLimit {
            records: 1,
            bytes: 1,
        };
        let read = self.read(session, Sequence::START, first, Duration::ZERO);
        let first = read.await.ok()?.into_iter().next();
        first.filter(|record| record.is_removal())
    }

    /// Sessions of which the log has records, in the order of their identities: the first `limit` after
    /// `after`, or the first of all. Also those that the views have forgotten, and those that were removed,
    /// for as long as the log remembers that. Takes time for every session of the log.
    pub fn logged_sessions(&self, after: Option<SessionId>, limit: usize) -> Vec<SessionId> {
        self.node.logs.sessions(after, limit)
    }

    /// Redacts results and inputs of a session, open or ended: other bytes of the same length stand for
    /// theirs from now on. Screens of the session that may show them are redacted, too. Waits until that
    /// is durable, and returns the sequence of the record that says so. From then on no reader gets what
    /// was redacted. Right after that, the log is rewritten where it has it; a start finishes what a crash
    /// has interrupted.
    ///
    /// ```
    /// use rejoin_engine::testing::Hold;
    /// use rejoin_engine::{Engine, RedactError, Sequence};
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// let session = engine.create_session("shell").await?;
    /// let first = Sequence(1);
    /// let redacted = engine.redact(session.id(), vec![first]).await;
    /// let is_refused = matches!(redacted, Err(RedactError::NotRedactable(it)) if it == first);
    /// assert!(is_refused, "it is no result, but the session's creation");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// When a record is not there, is neither a result nor an input, or is one of a running job that has a
    /// terminal or takes input; when too many redactions wait; or as every command.
    pub async fn redact(
        &self,
        session: SessionId,
        records: Vec<Sequence>,
    ) -> Result<Sequence, RedactError> {
        self.node.gate.check_write().map_err(RedactError::Command)?;
        if self.node.logs.pending_redactions() >= limits::PENDING_REDACTIONS {
            return Err(RedactError::TooManyPending);
        }
        let highest = records.iter().max().copied();
        let known = self
            .node
            .committed
            .session(session, |view| view.last_sequence);
        if known < highest {
            let caught_up = self.catch_up(session).await;
            caught_up.map_err(|why| RedactError::Command(CommandError::Unavailable(why)))?;
        }
        for sequence in &records {
            self.check_redactable(session, *sequence).await?;
        }
        let command = Command::RedactRecords { session, records };
        let logged = self
            .command(session, command)
            .await
            .map_err(RedactError::Command)?;
        let last = logged.last().map(|record| record.sequence);
        last.ok_or(RedactError::NoRecords)
    }

    async fn check_redactable(
        &self,
        session: SessionId,
        sequence: Sequence,
    ) -> Result<(), RedactError> {
        let last = self
            .node
            .committed
            .session(session, |view| view.last_sequence);
        let read = self.node.record_at(session, sequence, last).await;
        let record = read.map_err(RedactError::Read)?;
        let record = record.filter(|record| record.sequence == sequence);
        let record = record.ok_or(RedactError::NotFound(sequence))?;
        let job = match &record.event {
            Event::ResultEmitted { job, .. } | Event::InputWritten { job, .. } => *job,
            _ => return Err(RedactError::NotRedactable(sequence)),
        };
        // The screen of a running terminal shows it, and input may not have been read yet.
        let is_in_use = self.node.committed.session(session, |view| {
            let running = view.job(job);
            running.is_some_and(|job| {
                let is_over = matches!(job.state, JobState::Finished { .. });
                let is_input = matches!(record.event, Event::InputWritten { .. });
                !is_over && (is_input || job.output.terminal().is_some())
            })
        });
        match is_in_use {
            Some(true) => Err(RedactError::JobRunning(job)),
            _ => Ok(()),
        }
    }
}
