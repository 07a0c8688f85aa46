//! Who calls, and what it may do: what its account may, within the settings for agents.

use crate::Settings;
use rejoin_accounts::{
    Accounts, Caller, Cookie, Permission, Role, SameSite, Scheme, Source, Tokens,
};
use rejoin_engine::{Engine, SessionId, SessionNumber, SessionView, Unavailable};
use rejoin_http::Request;

/// The caller of one request.
#[derive(Clone, Debug)]
pub(crate) struct Agent<'a> {
    pub(crate) caller: Caller,
    settings: &'a Settings,
}

impl<'a> Agent<'a> {
    /// Authenticates a request.
    pub(crate) async fn of(
        http: &Request,
        accounts: &Accounts,
        settings: &'a Settings,
    ) -> Result<Self, rejoin_accounts::Denied> {
        let caller = accounts.authenticate(http, &SCHEME).await?.caller;
        Ok(Self::new(caller, settings))
    }

    pub(crate) fn new(caller: Caller, settings: &'a Settings) -> Self {
        Self { caller, settings }
    }

    /// What it may do at most.
    pub(crate) fn role(&self) -> Role {
        self.caller.role().min(self.settings.role)
    }

    pub(crate) fn may(&self, permission: Permission) -> bool {
        self.role().may(permission)
    }

    /// Whether it may use sessions of this service.
    pub(crate) fn may_use(&self, service: &str) -> bool {
        let services = &self.settings.services;
        let is_for_agents = services.is_empty() || services.iter().any(|known| **known == *service);
        is_for_agents && self.caller.may_use_as(self.role(), service)
    }

    /// Whose sessions it finds in lists; none means all. Without accounts, sessions are everybody's.
    pub(crate) fn shown_user(&self) -> Option<&str> {
        match self.may(Permission::SeeAll) {
            true => None,
            false => self.caller.name().map(|name| &**name),
        }
    }

    /// The session of this name: its UUID, which is a secret, or its number if the agent finds it in
    /// lists.
    ///
    /// # Errors
    ///
    /// If another node would have to be asked, and can't be.
    pub(crate) async fn session(
        &self,
        engine: &Engine,
        name: &str,
    ) -> Result<Option<SessionId>, Unavailable> {
        let is_shown = |view: &SessionView| {
            self.may_use(&view.service)
                && self
                    .shown_user()
                    .is_none_or(|user| view.user.as_deref() == Some(user))
        };
        if let Ok(id) = name.parse::<SessionId>() {
            engine.know(id).await?;
            let service = engine.view(|views| views.session(id).map(|view| view.service.clone()));
            // A session that the views have forgotten can still be read, unless its service matters.
            let is_usable = service.map_or(self.settings.services.is_empty(), |service| {
                self.may_use(&service)
            });
            return Ok(is_usable.then_some(id));
        }
        let Ok(number) = name.parse().map(SessionNumber) else {
            return Ok(None);
        };
        engine.know_number(number).await?;
        Ok(engine.view(|views| {
            let view = views.numbered(number).filter(|view| is_shown(view));
            view.map(|view| view.id)
        }))
    }
}

/// An agent sends an access token, or a password; never a cookie, which a browser would add by itself.
pub(crate) const SCHEME: Scheme = Scheme {
    sources: &[Source::AccessToken, Source::Basic],
    // No login issues one.
    tokens: Tokens::Signed,
    cookie: Cookie {
        name: "",
        same_site: SameSite::Strict,
        max_age: None,
    },
    sends_cookie: false,
};
