//! Dispatches a request to the handler of its action. The handlers are in the modules below.

mod exec;
mod job;
pub(crate) mod logged_results;
mod pull;
mod session;

use crate::Arthas;
use crate::error::Fault;
use crate::login::forbidden;
use crate::request::{Action, Request};
use crate::wire::Answer;
use rejoin_accounts::{Caller, Permission};
use rejoin_engine::{CommandError, SessionId, SessionView, Timestamp};
use rejoin_http::ClientAddress;

impl Arthas {
    /// Carries out a request. `named` is the session that it names, if that is a valid session ID.
    pub(crate) async fn dispatch(
        &self,
        request: &Request,
        named: Option<SessionId>,
        remote: Option<ClientAddress>,
        caller: &Caller,
    ) -> Result<Answer, Fault> {
        let action = match request.action.as_deref() {
            Some(name) if !name.trim().is_empty() => {
                Action::named(name).ok_or_else(|| Fault::ActionUnknown(name.into()))?
            }
            _ => return Err(Fault::ActionMissing),
        };
        permit(caller, action.permission())?;
        if let Some(session) = named {
            self.engine
                .know(session)
                .await
                .map_err(CommandError::Unavailable)?;
        }
        self.check_service(action, named, caller)?;
        if !action.is_command() {
            return self.carry_out(action, request, named, remote, caller).await;
        }
        self.on_behalf_of(caller, remote)
            .carry_out(action, request, named, remote, caller)
            .await
    }

    async fn carry_out(
        &self,
        action: Action,
        request: &Request,
        named: Option<SessionId>,
        remote: Option<ClientAddress>,
        caller: &Caller,
    ) -> Result<Answer, Fault> {
        let session = match (action, &request.session) {
            (Action::InitSession, _) => return self.init_session(request, remote).await,
            (Action::Exec, None) => return self.exec_once(request, remote).await,
            (_, None) => return Err(Fault::SessionMissing),
            (_, Some(name)) => named.ok_or_else(|| Fault::SessionNotFound(name.clone()))?,
        };
        // A pull keeps its session in use by itself, for as long as it waits.
        if action != Action::PullResults {
            self.engine.touch(session);
        }
        // With accounts, a session's user never changes. A log that is open read-only cannot record
        // the user, but it can still be read.
        if let Some(user) = &request.user
            && caller.name().is_none()
            && !self.engine.config().read_only
            && !self.is_user(session, user)
        {
            self.on_behalf_of(caller, remote)
                .engine
                .set_user(session, user.as_str().into())
                .await?;
        }
        match action {
            Action::AsyncExec => self.async_exec(request, session).await,
            Action::CloseSession => {
                self.permit_closing(session, caller)?;
                self.close_session(session).await
            }
            Action::Exec => self.exec(request, session).await,
            // Returned above.
            Action::InitSession => Err(Fault::Unprocessed),
            Action::InterruptJob => self.interrupt_job(session).await,
            Action::JoinSession => self.join_session(session).await,
            Action::PullResults => {
                let answer = self.pull_results(request, session).await;
                // A failed pull does not count as use of the session, so touch it here.
                answer.inspect_err(|_| self.engine.touch(session))
            }
            Action::SessionInfo => self.session_info(session),
        }
    }

    /// Whether the caller may run commands on the service of the session, or on that of a new one.
    fn check_service(
        &self,
        action: Action,
        session: Option<SessionId>,
        caller: &Caller,
    ) -> Result<(), Fault> {
        if !caller.is_limited() {
            return Ok(());
        }
        let of_session = |session| {
            let service = |view: &SessionView| view.service.clone();
            self.engine
                .view(|views| views.session(session).map(service))
        };
        let of_new = || {
            let configured = self.settings.service.clone();
            configured.unwrap_or_else(|| self.engine.default_service())
        };
        let service = match (action, session) {
            (Action::InitSession, _) | (Action::Exec, None) => Some(of_new()),
            (Action::Exec | Action::AsyncExec, Some(session)) => of_session(session),
            _ => None,
        };
        match service.filter(|service| !caller.may_use(service)) {
            None => Ok(()),
            Some(service) => Err(Fault::Forbidden(format!(
                "this account may not run commands on the service {service}"
            ))),
        }
    }

    /// Whether the session has this user already. Clients repeat it in every request, and a command
    /// that changes nothing would wait for the batches of others.
    fn is_user(&self, session: SessionId, user: &str) -> bool {
        self.engine.view(|views| {
            let view = views.session(session);
            view.is_some_and(|view| view.user.as_deref() == Some(user))
        })
    }

    /// Replaces "session not found" by what is known of a session that retention removed.
    pub(crate) async fn or_removed(&self, fault: Fault, named: Option<SessionId>) -> Fault {
        match (fault, named) {
            (Fault::SessionNotFound(name), Some(session)) => {
                match self.engine.removal(session).await {
                    Some(removal) => Fault::SessionRemoved { session, removal },
                    None => Fault::SessionNotFound(name),
                }
            }
            (fault, _) => fault,
        }
    }

    /// A session can be closed by its creator and by roles that may close any session.
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

    /// When the session was created. A session that has ended is not found.
    fn open_since(&self, session: SessionId) -> Result<Timestamp, Fault> {
        self.engine
            .view(|views| {
                let open = views.session(session).filter(|view| view.closed.is_none());
                open.map(|view| view.created.at)
            })
            .ok_or_else(|| Fault::SessionNotFound(session.to_string()))
    }
}

fn permit(caller: &Caller, wanted: Permission) -> Result<(), Fault> {
    forbidden(caller, wanted).map_or(Ok(()), |reason| Err(Fault::Forbidden(reason)))
}
