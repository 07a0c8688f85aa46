//! The terminals of jobs: who controls them, their sizes, what they show, and input that they hide.

use super::{Asked, Engine};
use crate::error::{CommandError, ScreenError, Unavailable};
use crate::jobs::runner::TerminalMode;
use crate::logs::{LogRole, OwnedLog};
use crate::peers::{PeerReply, PeerRequest};
use crate::screens::{ScreenLog, TerminalScreen};
use futures::channel::oneshot;
use rejoin_core::{
    Command, Controller, JobId, JobState, Rejection, Sequence, SessionId, TerminalSize,
};
use std::sync::Arc;

impl Engine {
    /// As [`write_input`](Self::write_input), by a client that may control the job's terminal. It takes
    /// the control if nobody has it.
    ///
    /// What is written while the terminal shows nothing of it, as for passwords, is given to the job and
    /// not logged: a record says how many bytes.
    ///
    /// # Errors
    ///
    /// Also when somebody else controls the terminal, or it would cut a line because it is too long.
    pub async fn write_input_as(
        &self,
        client: Option<Arc<Controller>>,
        session: SessionId,
        job: JobId,
        bytes: Arc<[u8]>,
        end: bool,
    ) -> Result<(), CommandError> {
        self.node.gate.check_write()?;
        let log = self.node.logs.number_of(session);
        loop {
            if let Some(LogRole::Owned(log)) = self.node.logs.role(log) {
                let write = self.write_owned(&log, client, session, job, bytes, end);
                return write.await;
            }
            let request = PeerRequest::WriteInput {
                session,
                job,
                bytes: bytes.clone(),
                end,
                client: client.clone(),
                actor: self.actor.clone(),
            };
            let asked = self.ask(log, request).await;
            match asked.map_err(CommandError::Unavailable)? {
                Asked::Owned => {}
                Asked::Answered(PeerReply::Done(answer), _) => return answer,
                Asked::Answered(..) => {
                    return Err(CommandError::Unavailable(Unavailable::Unanswered));
                }
                Asked::NoLog => {
                    return Err(CommandError::Rejected(Rejection::SessionNotFound(session)));
                }
            }
        }
    }

    /// As [`write_input_as`](Self::write_input_as), to a job of a log that this engine writes.
    pub(super) async fn write_owned(
        &self,
        log: &OwnedLog,
        client: Option<Arc<Controller>>,
        session: SessionId,
        job: JobId,
        bytes: Arc<[u8]>,
        end: bool,
    ) -> Result<(), CommandError> {
        // An end alone takes no room, and a job may wait for nothing else.
        if !bytes.is_empty() && log.inputs.is_full(job) {
            return Err(CommandError::InputFull);
        }
        if let Some(mode) = self.terminal_mode(session, job).await {
            if !log.inputs.fits_line(job, mode, &bytes) {
                return Err(CommandError::LineTooLong);
            }
            if mode.hides() && !bytes.is_empty() && !end {
                return self.write_hidden(log, client, session, job, bytes).await;
            }
        }
        let command = Command::WriteInput {
            session,
            job,
            bytes,
            end,
            client,
        };
        log.command(command, self.actor.clone()).await.map(drop)
    }

    /// Gives the bytes to the job once it is durable that some were written, also if the caller is
    /// dropped meanwhile.
    async fn write_hidden(
        &self,
        log: &OwnedLog,
        client: Option<Arc<Controller>>,
        session: SessionId,
        job: JobId,
        bytes: Arc<[u8]>,
    ) -> Result<(), CommandError> {
        let command = Command::HideInput {
            session,
            job,
            bytes: bytes.len() as u64,
            client,
        };
        let hidden = log.send(Some(command), self.actor.clone()).await?;
        let (answer, answered) = oneshot::channel();
        let inputs = log.inputs.clone();
        self.node.runtime.spawn(Box::pin(async move {
            let hidden = hidden.await;
            if let Ok(Ok(_)) = hidden {
                inputs.write_hidden(job, bytes);
            }
            let _ = answer.send(hidden);
        }));
        match answered.await {
            Ok(Ok(answer)) => answer.map(drop),
            Ok(Err(oneshot::Canceled)) | Err(oneshot::Canceled) => Err(log.unavailable().await),
        }
    }

    /// How the terminal of a job takes input now. None if it has no terminal.
    async fn terminal_mode(&self, session: SessionId, job: JobId) -> Option<TerminalMode> {
        let service = self.node.committed.session(session, |view| {
            let job = view.job(job)?;
            let has_ended = matches!(job.state, JobState::Finished { .. });
            (job.output.terminal().is_some() && !has_ended).then(|| view.service.clone())
        })??;
        self.node.services.get(&service)?.terminal_mode(job).await
    }

    /// Changes the size of a job's terminal. Waits until that is durable. A client that gives its name
    /// takes the control of a terminal that nobody controls.
    ///
    /// # Errors
    ///
    /// When no such job runs, it has no terminal, somebody else controls it, no terminal has this size,
    /// or as every command.
    pub async fn resize_terminal(
        &self,
        client: Option<Arc<Controller>>,
        session: SessionId,
        job: JobId,
        size: TerminalSize,
    ) -> Result<(), CommandError> {
        self.node.gate.check_write()?;
        self.command(
            session,
            Command::ResizeTerminal {
                session,
                job,
                size,
                client,
            },
        )
        .await
        .map(drop)
    }

    /// Takes the control of a job's terminal from its controller, if it has one. Waits until that is durable.
    ///
    /// # Errors
    ///
    /// When no such job runs, it has no terminal, or as every command.
    pub async fn take_control(
        &self,
        client: Arc<Controller>,
        session: SessionId,
        job: JobId,
    ) -> Result<(), CommandError> {
        self.node.gate.check_write()?;
        self.command(
            session,
            Command::TakeControl {
                session,
                job,
                client,
            },
        )
        .await
        .map(drop)
    }

    /// Gives back the control of a job's terminal. Waits until that is durable.
    ///
    /// # Errors
    ///
    /// When no such job runs, it has no terminal, somebody else controls it, or as every command.
    pub async fn give_control(
        &self,
        client: Arc<Controller>,
        session: SessionId,
        job: JobId,
    ) -> Result<(), CommandError> {
        self.node.gate.check_write()?;
        self.command(
            session,
            Command::GiveControl {
                session,
                job,
                client,
            },
        )
        .await
        .map(drop)
    }

    /// What the terminal of a job shows, now or after the record `at`. It is the same for everybody, also
    /// when the job has ended. Takes milliseconds for the newest screen. One in the past takes what the emulator
    /// takes for the output since the logged screen before it: for [`CAPTURE_BYTES`](crate::limits::CAPTURE_BYTES),
    /// and for more at the end of a job that wrote faster than its screen was computed, because screens are
    /// logged of running jobs only.
    ///
    /// # Errors
    ///
    /// When there is no such job, it has no terminal, `at` is before its beginning, the log can't be read,
    /// or too many ask at once.
    pub async fn screen(
        &self,
        session: SessionId,
        job: JobId,
        at: Option<Sequence>,
    ) -> Result<TerminalScreen, ScreenError> {
        let shown = self.show_screen(session, job, at).await;
        let is_missing = matches!(
            shown,
            Err(ScreenError::SessionNotFound | ScreenError::JobNotFound(_))
        );
        if !is_missing || self.node.peers.is_none() {
            return shown;
        }
        let caught_up = self.catch_up(session).await;
        caught_up.map_err(ScreenError::Unavailable)?;
        self.show_screen(session, job, at).await
    }

    async fn show_screen(
        &self,
        session: SessionId,
        job: JobId,
        at: Option<Sequence>,
    ) -> Result<TerminalScreen, ScreenError> {
        let log = match self.node.logs.of(session) {
            Some(LogRole::Owned(log)) => log.screen_log(),
            // The node that writes the log also logs its screens.
            Some(LogRole::Followed(log)) => ScreenLog {
                reader: log.reader.clone(),
                reports: None,
            },
            None => return Err(ScreenError::SessionNotFound),
        };
        self.node.screens.show(log, session, job, at).await
    }
}
