//! The actions `init_session`, `join_session`, `close_session` and `session_info`.

use crate::Arthas;
use crate::error::Fault;
use crate::request::Request;
use crate::wire::{Answer, Object, State};
use rejoin_engine::{NewSession, Session, SessionId};
use rejoin_http::ClientAddress;

impl Arthas {
    pub(super) async fn init_session(
        &self,
        request: &Request,
        remote: Option<ClientAddress>,
    ) -> Result<Answer, Fault> {
        let created = self
            .create_session(request.user.as_deref(), remote, true)
            .await?;
        Ok(Answer::new(State::Succeeded)
            .consumer(created.consumer())
            .session(created.id()))
    }

    /// Creates a session of the configured service; `reads` makes its creator a consumer.
    pub(super) async fn create_session(
        &self,
        user: Option<&str>,
        remote: Option<ClientAddress>,
        reads: bool,
    ) -> Result<Session, Fault> {
        let new = NewSession {
            service: self.settings.service.clone(),
            user: user.map(Into::into),
            remote: remote.map(|address| address.to_string().into()),
            reads,
        };
        Ok(self.engine.create_session(new).await?)
    }

    pub(super) async fn join_session(&self, session: SessionId) -> Result<Answer, Fault> {
        let consumer = self.engine.join_session(session).await?;
        Ok(Answer::new(State::Succeeded)
            .consumer(Some(consumer))
            .session(session))
    }

    pub(super) async fn close_session(&self, session: SessionId) -> Result<Answer, Fault> {
        self.engine.close_session(session).await?;
        Ok(Answer::new(State::Succeeded))
    }

    pub(super) fn session_info(&self, session: SessionId) -> Result<Answer, Fault> {
        let created = self.open_since(session)?;
        // This request is the last use of the session.
        let last_access = self.engine.runtime().now().max(created);
        let body = Object::of(|body| {
            body.value("createTime", created.as_millis());
            body.value("lastAccessTime", last_access.as_millis());
            body.value("pid", self.engine.config().server.process);
        });
        Ok(Answer::new(State::Succeeded).body(body).session(session))
    }
}
