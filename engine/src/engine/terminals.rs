//! The terminals of jobs: who controls them, their sizes, what they show, and input that they hide.

use super::Engine;
use crate::error::{CommandError, ScreenError};
use crate::jobs::runner::TerminalMode;
use crate::screens::TerminalScreen;
use futures::channel::oneshot;
use rejoin_core::{Command, Controller, JobId, JobState, Sequence, SessionId, TerminalSize};
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
        self.gate.check_write()?;
        // An end alone takes no room, and a job may wait for nothing else.
        if !bytes.is_empty() && self.inputs.is_full(job) {
            return Err(CommandError::InputFull);
        }
        if let Some(mode) = self.terminal_mode(session, job).await {
            if !self.inputs.fits_line(job, mode, &bytes) {
                return Err(CommandError::LineTooLong);
            }
            if mode.hides() && !bytes.is_empty() && !end {
                return self.write_hidden(client, session, job, bytes).await;
            }
        }
        self.command(Command::WriteInput {
            session,
            job,
            bytes,
            end,
            client,
        })
        .await
        .map(drop)
    }

    /// Gives the bytes to the job once it is durable that some were written, also if the caller is
    /// dropped meanwhile.
    async fn write_hidden(
        &self,
        client: Option<Arc<Controller>>,
        session: SessionId,
        job: JobId,
        bytes: Arc<[u8]>,
    ) -> Result<(), CommandError> {
        let hidden = self
            .send(Command::HideInput {
                session,
                job,
                bytes: bytes.len() as u64,
                client,
            })
            .await?;
        let (answer, answered) = oneshot::channel();
        let inputs = self.inputs.clone();
        self.runtime.spawn(Box::pin(async move {
            let hidden = hidden.await;
            if let Ok(Ok(_)) = hidden {
                inputs.write_hidden(job, bytes);
            }
            let _ = answer.send(hidden);
        }));
        match answered.await {
            Ok(Ok(answer)) => answer.map(drop),
            Ok(Err(oneshot::Canceled)) | Err(oneshot::Canceled) => Err(self.unavailable().await),
        }
    }

    /// How the terminal of a job takes input now. None if it has no terminal.
    async fn terminal_mode(&self, session: SessionId, job: JobId) -> Option<TerminalMode> {
        let service = self.committed.session(session, |view| {
            let job = view.job(job)?;
            let has_ended = matches!(job.state, JobState::Finished { .. });
            (job.output.terminal().is_some() && !has_ended).then(|| view.service.clone())
        })??;
        self.services.get(&service)?.terminal_mode(job).await
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
        self.change(Command::ResizeTerminal {
            session,
            job,
            size,
            client,
        })
        .await
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
        self.change(Command::TakeControl {
            session,
            job,
            client,
        })
        .await
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
        self.change(Command::GiveControl {
            session,
            job,
            client,
        })
        .await
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
        self.screens.show(session, job, at).await
    }
}
