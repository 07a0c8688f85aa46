//! `POST /sessions/{session}/redactions` and `DELETE /sessions/{session}/records`: what is redacted or
//! deleted before its time.

use crate::Native;
use crate::answer::{HandlerResult, json};
use crate::error::Fault;
use crate::limits::REDACTED;
use crate::request::body;
use rejoin_accounts::{Caller, Permission};
use rejoin_engine::{Sequence, SessionId};
use rejoin_http::{Request, Response, StatusCode};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Redact {
    /// Their sequences.
    records: Vec<u64>,
}

impl Native {
    pub(crate) async fn redact(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::CloseOwn).await?;
        let session = self.session(http, &caller).await?;
        self.check_owner(&caller, session)?;
        let Redact { records } = body(http.body())?;
        if records.len() > REDACTED {
            let reason = format!("one request redacts at most {REDACTED} records");
            return Err(Fault::RequestInvalid(reason));
        }
        let records = records.into_iter().map(Sequence).collect();
        let engine = self.engine_for(&caller, http);
        let sequence = engine.redact(session, records).await?;
        let redacted = serde_json::json!({"sequence": sequence.0});
        Ok(json(StatusCode::CREATED, &redacted))
    }

    pub(crate) async fn delete_records(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::CloseOwn).await?;
        let session = self.session(http, &caller).await?;
        self.check_owner(&caller, session)?;
        self.engine_for(&caller, http)
            .remove_session(session)
            .await?;
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }

    /// Whether the caller may remove what is in a session: its creator and admins may. Of a session that
    /// ended so long ago that the lists have forgotten it, only admins.
    fn check_owner(&self, caller: &Caller, session: SessionId) -> Result<(), Fault> {
        let owner = self.engine.view(|views| {
            let view = views.session(session);
            view.and_then(|view| view.user.clone())
        });
        match caller.may_close(owner.as_deref()) {
            true => Ok(()),
            false => {
                let reason =
                    "only its creator or an admin may delete or redact what is in the session";
                Err(Fault::Forbidden(reason.to_owned()))
            }
        }
    }
}
