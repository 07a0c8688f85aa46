//! Decisions about terminals: who controls them, their size, and what they showed.

use super::{Decision, at_most};
use crate::limits::{CLIENT_NAME, TERMINAL_COLUMNS, TERMINAL_ROWS};
use crate::state::{Input, Job};
use crate::{
    Controller, Event, JobId, Limits, Rejection, Sequence, SessionId, State, TerminalSize,
};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

impl State {
    /// Refuses a client that does not control the terminal of the job. One that gives its name takes
    /// the control of a terminal that nobody controls. Everybody may write to a job without a terminal.
    pub(super) fn controlled(
        &self,
        session: SessionId,
        job: JobId,
        running: &Job,
        client: Option<Arc<Controller>>,
    ) -> Result<Vec<(SessionId, Event)>, Rejection> {
        if running.output.terminal().is_none() {
            return Ok(vec![]);
        }
        match (&running.controller, client) {
            (Some(controller), Some(client)) if *controller == client => Ok(vec![]),
            (Some(_), _) => Err(Rejection::NotController(job)),
            (None, None) => Ok(vec![]),
            (None, Some(client)) => {
                check_client(&client, &self.limits)?;
                Ok(vec![(session, changed(job, running, Some(client)))])
            }
        }
    }

    pub(super) fn hide_input(
        &self,
        session: SessionId,
        job: JobId,
        bytes: u64,
        client: Option<Arc<Controller>>,
    ) -> Decision {
        let running = self.terminal(session, job)?;
        let mut events = self.controlled(session, job, running, client)?;
        if running.input == Input::Ended {
            return Err(Rejection::InputEnded(job));
        }
        let length = usize::try_from(bytes).unwrap_or(usize::MAX);
        at_most("input", self.limits.input, length)?;
        if bytes > 0 {
            let mode = running.mode;
            events.push((session, Event::InputHidden { job, mode, bytes }));
        }
        Ok(events)
    }

    pub(super) fn resize_terminal(
        &self,
        session: SessionId,
        job: JobId,
        size: TerminalSize,
        client: Option<Arc<Controller>>,
    ) -> Decision {
        let running = self.terminal(session, job)?;
        check_size(size)?;
        let mut events = self.controlled(session, job, running, client)?;
        if running.output.terminal() != Some(size) {
            let mode = running.mode;
            events.push((session, Event::TerminalResized { job, mode, size }));
        }
        Ok(events)
    }

    pub(super) fn take_control(
        &self,
        session: SessionId,
        job: JobId,
        client: Arc<Controller>,
    ) -> Decision {
        let running = self.terminal(session, job)?;
        check_client(&client, &self.limits)?;
        if running.controller.as_ref() == Some(&client) {
            return Ok(vec![]);
        }
        Ok(vec![(session, changed(job, running, Some(client)))])
    }

    /// Does nothing if it has no controller.
    pub(super) fn give_control(
        &self,
        session: SessionId,
        job: JobId,
        client: &Arc<Controller>,
    ) -> Decision {
        let running = self.terminal(session, job)?;
        match &running.controller {
            None => Ok(vec![]),
            Some(controller) if controller == client => {
                Ok(vec![(session, changed(job, running, None))])
            }
            Some(_) => Err(Rejection::NotController(job)),
        }
    }

    /// A screen that is too long, or not newer than the one before it, is not logged: nothing depends
    /// on it.
    pub(super) fn report_screen(
        &self,
        session: SessionId,
        job: JobId,
        after: Sequence,
        size: TerminalSize,
        content: Arc<str>,
    ) -> Decision {
        let open = self.open(session)?;
        let running = self.terminal(session, job)?;
        let is_newer = running.screen.is_none_or(|last| last < after);
        if content.len() > self.limits.result || !is_newer || after > open.last_sequence {
            return Ok(vec![]);
        }
        let mode = running.mode;
        let captured = Event::ScreenCaptured {
            job,
            mode,
            after,
            size,
            content,
        };
        Ok(vec![(session, captured)])
    }

    fn terminal(&self, session: SessionId, job: JobId) -> Result<&Job, Rejection> {
        let running = self.open(session)?.job(job)?;
        match running.output.terminal() {
            Some(_) => Ok(running),
            None => Err(Rejection::NoTerminal(job)),
        }
    }
}

fn changed(job: JobId, running: &Job, controller: Option<Arc<Controller>>) -> Event {
    let mode = running.mode;
    Event::ControllerChanged {
        job,
        mode,
        controller,
    }
}

pub(super) fn check_size(size: TerminalSize) -> Result<(), Rejection> {
    let TerminalSize { columns, rows } = size;
    match (1..=TERMINAL_COLUMNS).contains(&columns) && (1..=TERMINAL_ROWS).contains(&rows) {
        true => Ok(()),
        false => Err(Rejection::InvalidSize(size)),
    }
}

pub(super) fn check_client(client: &Controller, limits: &Limits) -> Result<(), Rejection> {
    at_most("name of the client", CLIENT_NAME, client.client.len())?;
    let user = client.user.as_ref().map_or(0, |user| user.len());
    at_most("user", limits.name, user)
}
