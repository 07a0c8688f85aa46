//! What each action does: one file for each group of them.

mod exec;
mod job;
mod pull;
mod session;

use crate::Arthas;
use crate::error::Fault;
use crate::login::forbidden;
use crate::request::{Action, Request};
use crate::wire::Answer;
use rejoin_accounts::{Caller, Permission};
use rejoin_core::{SessionId, Timestamp};
use std::net::SocketAddr;

impl Arthas {
    /// Answers a request of `caller` that came from `remote`, and that names the session `named`,
    /// unless what it names could be none.
    pub(crate) async fn handle(
        &self,
        request: &Request,
        named: Option<SessionId>,
        remote: Option<SocketAddr>,
        caller: &Caller,
    ) -> Result<Answer, Fault> {
        let action = match request.action.as_deref() {
            Some(name) if !name.trim().is_empty() => {
                Action::named(name).ok_or_else(|| Fault::ActionUnknown(name.into()))?
            }
            _ => return Err(Fault::ActionMissing),
        };
        permit(caller, action.permission())?;
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
        let session = named.ok_or_else(|| Fault::SessionNotFound(name.clone()))?;
        match self.act(action, request, session, caller).await {
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
        caller: &Caller,
    ) -> Result<Answer, Fault> {
        // A pull is a use of its session while it lasts.
        if action != Action::PullResults {
            self.engine.touch(session);
        }
        // An account's session stays its own. Who reads a log that may not change is not noted, and
        // reads all the same.
        if let Some(user) = &request.user
            && caller.name().is_none()
            && !self.engine.config().read_only
        {
            self.engine.set_user(session, user.as_str().into()).await?;
        }
        match action {
            Action::AsyncExec => self.async_exec(request, session).await,
            Action::CloseSession => {
                self.permit_closing(session, caller)?;
                self.close_session(session).await
            }
            Action::Exec => self.exec(request, session).await,
            // It is not done in a session.
            Action::InitSession => Err(Fault::Unprocessed),
            Action::InterruptJob => self.interrupt_job(session).await,
            Action::JoinSession => self.join_session(session).await,
            Action::PullResults => {
                let answer = self.pull_results(request, session).await;
                // One that finds nobody to read for is none.
                answer.inspect_err(|_| self.engine.touch(session))
            }
            Action::SessionInfo => self.session_info(session),
        }
    }

    /// A session is closed by its creator, and by who may close all.
    fn permit_closing(&self, session: SessionId, caller: &Caller) -> Result<(), Fault> {
        let owner = self.engine.view(|views| {
            let view = views.session(session);
            view.map(|view| view.user.clone())
        });
        match owner {
            Some(owner) if !caller.may_close(owner.as_deref()) => {
                permit(caller, Permission::CloseAny)
            }
            _ => Ok(()),
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

fn permit(caller: &Caller, wanted: Permission) -> Result<(), Fault> {
    forbidden(caller, wanted).map_or(Ok(()), |why| Err(Fault::Forbidden(why)))
}
