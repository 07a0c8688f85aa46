//! Views become resources: pure, so that what this product shows is tested without a server.

use crate::limits::RETAINED_STATEMENTS;
use crate::session::{Services, Session};
use jiff::tz::TimeZone;
use rejoin_core::{SessionView, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;

/// The state of every open session, as documented.
pub(crate) const STATE: &str = "Session ready for routing";

/// From where and when resources are looked at.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    /// What links begin with: `http://localhost:8989/v1/`.
    pub(crate) base: String,
    pub(crate) now: Timestamp,
    pub(crate) zone: TimeZone,
}

impl Scene {
    /// A resource of that name.
    pub(crate) fn link(&self, path: &str) -> Value {
        json!({"self": format!("{}{path}", self.base)})
    }

    pub(crate) fn session<'view>(&self, view: &'view SessionView) -> Session<'view> {
        Session::new(self, view)
    }

    /// The service of a session, as its relationship.
    pub(crate) fn services_of<'view>(&self, view: &'view SessionView) -> Services<'view> {
        Services::new(self, view)
    }

    pub(crate) fn service(&self, name: &Arc<str>, connections: usize) -> Value {
        json!({
            "attributes": {
                "router": name.as_ref(),
                "state": "Started",
                "statistics": {"connections": connections},
            },
            "id": name.as_ref(),
            "links": self.link(&format!("services/{name}")),
            "type": "services",
        })
    }

    pub(crate) fn maxscale(&self, version: &str) -> Value {
        json!({
            "attributes": {
                "parameters": {"retain_last_statements": RETAINED_STATEMENTS},
                "version": version,
            },
            "id": "maxscale",
            "links": self.link("maxscale/"),
            "type": "maxscale",
        })
    }
}
