//! What each action does: one file for each group of them.

mod exec;
mod job;
mod pull;
mod session;

use crate::Arthas;
use crate::error::Fault;
use crate::request::{Action, Request};
use crate::wire::Answer;
use rejoin_core::{SessionId, Timestamp};
use std::sync::Arc;

impl Arthas {
    /// Answers a request that came from `remote`.
    pub(crate) async fn handle(
        &self,
        request: &Request,
        remote: Option<Arc<str>>,
    ) -> Result<Answer, Fault> {
        let action = match request.action.as_deref() {
            Some(name) if !name.trim().is_empty() => {
                Action::named(name).ok_or_else(|| Fault::ActionUnknown(name.into()))?
            }
            _ => return Err(Fault::ActionMissing),
        };
        if action == Action::InitSession {
            return self.init_session(request, remote).await;
        }
        let Some(name) = &request.session else {
            return match action {
                Action::Exec => self.exec_once(request, remote).await,
                _ => Err(Fault::SessionMissing),
            };
        };
        // One that could not be a session's name is not the name of one.
        let session = name
            .parse()
            .map_err(|_| Fault::SessionNotFound(name.clone()))?;
        match self.act(action, request, session, remote).await {
            Err(Fault::SessionNotFound(name)) => Err(match self.engine.removed(session).await {
                Some(last) => Fault::SessionRemoved { session, last },
                None => Fault::SessionNotFound(name),
            }),
            answer => answer,
        }
    }

    /// Does something in a session.
    async fn act(
        &self,
        action: Action,
        request: &Request,
        session: SessionId,
        remote: Option<Arc<str>>,
    ) -> Result<Answer, Fault> {
        self.engine.touch(session);
        // Who reads a log that may not change is not noted, and reads all the same.
        if let Some(user) = &request.user
            && !self.engine.config().read_only
        {
            self.engine.set_user(session, user.as_str().into()).await?;
        }
        match action {
            Action::AsyncExec => self.async_exec(request, session).await,
            Action::CloseSession => self.close_session(session).await,
            Action::Exec => self.exec(request, session).await,
            Action::InitSession => self.init_session(request, remote).await,
            Action::InterruptJob => self.interrupt_job(session).await,
            Action::JoinSession => self.join_session(session).await,
            Action::PullResults => self.pull_results(request, session).await,
            Action::SessionInfo => self.session_info(session),
        }
    }

    /// When the session was created; only an open one was.
    fn open_since(&self, session: SessionId) -> Result<Timestamp, Fault> {
        self.engine
            .view(|views| {
                let open = views.session(session).filter(|view| view.closed.is_none());
                open.map(|view| view.created)
            })
            .ok_or_else(|| Fault::SessionNotFound(session.to_string()))
    }
}
