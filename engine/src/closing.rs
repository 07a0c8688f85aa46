//! How an engine ends: what runs is told to, what was told is kept, and who waits is answered.

use crate::Engine;
use crate::error::Unavailable;
use futures::future::{pending, select};
use rejoin_core::{Command, Sequence};
use rejoin_log::ReadLimit;
use std::pin::pin;
use std::time::Duration;

impl Engine {
    /// Begins the end: open pulls are answered, and no job is accepted any more.
    pub fn begin_closing(&self) {
        self.puller.published.begin_closing();
    }

    /// Ends the engine: interrupts what runs, waits for it `patience` at most, logs how far the
    /// consumers have come, and closes the log. Jobs that did not end in time are found as lost
    /// when the log is opened again. Sessions stay.
    pub async fn shut_down(&self, patience: Duration) -> Unavailable {
        self.begin_closing();
        if self.command(Command::InterruptAll).await.is_ok() {
            let idle = pin!(self.wait_for_jobs());
            let _ = select(idle, self.runtime().timer(patience)).await;
        }
        let _ = self.end.try_send(());
        self.ended().await
    }

    /// Waits until the engine has ended, for whatever reason.
    pub async fn ended(&self) -> Unavailable {
        self.puller.published.wait_for_end().await
    }

    async fn wait_for_jobs(&self) {
        let sessions: Vec<_> = self.view(|views| views.open_sessions().map(|it| it.id).collect());
        for session in sessions {
            let mut after = Sequence::START;
            while let Some((last, true)) = self.puller.published.session(session, |view| {
                (view.last_sequence, view.is_busy() && view.closed.is_none())
            }) {
                // Its next record may be that its last job has finished.
                after = last.max(after);
                let limit = ReadLimit {
                    records: 1,
                    bytes: 1,
                };
                let next = self.puller.next(session, after, limit, pending::<()>());
                if next.await.is_err() {
                    break;
                }
            }
        }
    }
}
