//! What resources are rendered with, apart from the views.

use jiff::tz::TimeZone;
use rejoin_accounts::Accounts;
use rejoin_engine::LogClocks;
use serde_json::{Value, json};

#[derive(Clone, Debug)]
pub(crate) struct RenderContext {
    /// What links begin with: `http://localhost:8989/v1/`.
    pub(crate) base: String,
    pub(crate) now: LogClocks,
    /// The server's zone, which all times of a resource are in.
    pub(crate) zone: TimeZone,
    pub(crate) accounts: Accounts,
}

impl RenderContext {
    /// The links of the resource at this path.
    pub(crate) fn link(&self, path: &str) -> Value {
        json!({"self": format!("{}{path}", self.base)})
    }
}

/// The documented `state` of a session. All open sessions have it.
pub(crate) const STATE: &str = "Session ready for routing";
