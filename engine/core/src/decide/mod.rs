//! Decisions: a command and the state at an instant lead to events or a rejection.
//!
//! Pure: nothing is changed here. `step` applies the events.

mod consumer;
mod expire;
mod job;
mod remove;
mod session;
mod terminal;

use crate::state::Session;
use crate::{Command, Event, Instant, Rejection, SessionId, State};
use alloc::vec::Vec;

/// The events of a decision in order, each with its session.
pub type Decision = Result<Vec<(SessionId, Event)>, Rejection>;

impl State {
    /// Decides `command` at `now`. The list is empty if there is nothing to do.
    ///
    /// # Errors
    ///
    /// Why the command is rejected. The same state, instant and command always lead to the same
    /// decision.
    pub fn decide(&self, now: impl Into<Instant>, command: Command) -> Decision {
        let now = now.into();
        match command {
            Command::CreateSession(create) => self.create_session(create),
            Command::CloseSession { session, cause } => self.close_session(session, cause),
            Command::SetUser { session, user } => self.set_user(session, user),
            Command::NoteLink {
                session,
                link,
                change,
            } => self.note_link(session, link, change),
            Command::DescribeSession(describe) => self.describe_session(describe),
            Command::TouchSession { session, seen } => self.touch_session(session, seen),
            Command::JoinSession {
                session,
                token,
                timeout,
            } => self.join_session(session, token, timeout),
            Command::LeaveSession { session, consumer } => self.leave_session(session, consumer),
            Command::AdvanceCursor {
                session,
                consumer,
                to,
                seen,
            } => self.advance_cursor(session, consumer, to, seen),
            Command::SubmitJob(submit) => self.submit_job(submit),
            Command::WriteInput {
                session,
                job,
                bytes,
                end,
                client,
            } => self.write_input(session, job, bytes, end, client),
            Command::HideInput {
                session,
                job,
                bytes,
                client,
            } => self.hide_input(session, job, bytes, client),
            Command::ResizeTerminal {
                session,
                job,
                size,
                client,
            } => self.resize_terminal(session, job, size, client),
            Command::TakeControl {
                session,
                job,
                client,
            } => self.take_control(session, job, client),
            Command::GiveControl {
                session,
                job,
                client,
            } => self.give_control(session, job, &client),
            Command::RefuseStatement {
                session,
                statement,
                reason,
            } => self.refuse_statement(session, statement, reason),
            Command::InterruptJob { session, job } => self.interrupt_job(session, job),
            Command::ReportStarted { session, job } => self.report_started(session, job),
            Command::ReportResult {
                session,
                job,
                result,
                position,
            } => self.report_result(session, job, result, position),
            Command::ReportScreen {
                session,
                job,
                after,
                size,
                content,
            } => self.report_screen(session, job, after, size, content),
            Command::ReportFinished {
                session,
                job,
                status,
                message,
                lost,
            } => self.report_finished(now, session, job, status, message, lost),
            Command::RedactRecords { session, records } => self.redact_records(session, records),
            Command::RemoveSession { session } => self.remove_session(session),
            Command::Expire => Ok(self.expire(now)),
            Command::ExpireConsumers => Ok(self.expire_consumers(now)),
            Command::Resume { kept, lost, by } => Ok(self.resume(&kept, &lost, by.as_ref())),
            Command::InterruptAll => Ok(self.interrupt_all()),
        }
    }

    fn open(&self, session: SessionId) -> Result<&Session, Rejection> {
        self.session(session)
            .ok_or(Rejection::SessionNotFound(session))
    }
}

pub(crate) fn at_most(what: &'static str, limit: usize, bytes: usize) -> Result<(), Rejection> {
    if bytes > limit {
        Err(Rejection::TooLong { what, limit })
    } else {
        Ok(())
    }
}

fn fewer_than(what: &'static str, limit: usize, count: usize) -> Result<(), Rejection> {
    if count >= limit {
        Err(Rejection::TooMany { what, limit })
    } else {
        Ok(())
    }
}
