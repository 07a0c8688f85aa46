//! The access tokens of the account that is logged in: listing, adding and removing them.

use crate::Native;
use crate::answer::{HandlerResult, json, ok, uncached};
use crate::error::Fault;
use crate::request::{body, lifetime};
use rejoin_accounts::{OwnToken, Permission, Role};
use rejoin_http::{Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

/// The body of `POST /tokens`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    name: String,
    role: Option<Role>,
    expires: Option<String>,
}

impl Native {
    pub(crate) async fn tokens(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::Read).await?;
        let own = self.accounts.own_tokens(&caller)?;
        let tokens: Vec<Value> = own.iter().map(shown).collect();
        Ok(uncached(ok(&serde_json::json!({"tokens": tokens}))))
    }

    pub(crate) async fn add_token(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::Read).await?;
        let NewToken {
            name,
            role,
            expires,
        } = body(http.body())?;
        let expires = expires.map(|text| lifetime("expires", &text)).transpose()?;
        let added = self
            .accounts
            .add_own_token(&caller, &name, role, expires)
            .await;
        let (token, text) = added?;
        let mut shown = shown(&token);
        shown["token"] = text.into();
        Ok(uncached(json(StatusCode::CREATED, &shown)))
    }

    pub(crate) async fn remove_token(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::Read).await?;
        let name = http.param("token").unwrap_or_default();
        self.accounts.remove_own_token(&caller, name).await?;
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }
}

fn shown(token: &OwnToken) -> Value {
    let millis = |at: std::time::Duration| u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
    serde_json::json!({
        "name": &*token.name,
        "role": token.role.as_str(),
        "expires": token.expires.map(millis),
    })
}

impl From<rejoin_accounts::OwnTokenError> for Fault {
    fn from(error: rejoin_accounts::OwnTokenError) -> Self {
        Self::Token(error.into())
    }
}
