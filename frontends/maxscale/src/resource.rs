//! Views become resources: pure, so that what this product shows is tested without a server.

use crate::limits::RETAINED_STATEMENTS;
use crate::wire;
use jiff::tz::TimeZone;
use rejoin_core::{JobState, JobView, SessionView, Timestamp};
use serde_json::{Value, json};
use std::net::SocketAddr;
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

    pub(crate) fn session(&self, view: &SessionView) -> Value {
        let id = view.number.to_string();
        let queries = self.queries(view);
        let statements: usize = shown(view).map(|job| job.statement.len()).sum();
        let busy = view.is_busy();
        let idle = if busy {
            0
        } else {
            self.now.since(view.since).as_millis() / 100
        };
        let mut attributes = json!({
            "client": {"cipher": "", "connection_attributes": {}},
            "connected": wire::connected(view.created),
            "connections": [],
            "idle": idle as f64 / 10.0,
            "io_activity": 0,
            "log": [],
            "memory": {
                "connection_buffers": {
                    "backends": {},
                    "client": {"misc": 0, "readq": 0, "total": 0, "writeq": 0},
                    "total": 0,
                },
                "last_queries": statements,
                "total": statements,
                "variables": 0,
            },
            "parameters": {
                "log_error": false,
                "log_info": false,
                "log_notice": false,
                "log_warning": false,
            },
            "queries": queries,
            "seconds_alive": wire::seconds(view.created, self.now),
            "state": STATE,
            "thread": 0,
        });
        // Who is not known is not named.
        if let Some(user) = &view.user {
            attributes["user"] = user.as_ref().into();
        }
        if let Some(remote) = &view.remote {
            match remote.parse::<SocketAddr>() {
                Ok(address) => {
                    attributes["port"] = address.port().into();
                    attributes["remote"] = address.ip().to_string().into();
                }
                Err(_) => attributes["remote"] = remote.as_ref().into(),
            }
        }
        json!({
            "attributes": attributes,
            "id": id,
            "links": self.link(&format!("sessions/{id}")),
            "relationships": {"services": self.services_of(view)},
            "type": "sessions",
        })
    }

    /// The service of a session, as its relationship.
    pub(crate) fn services_of(&self, view: &SessionView) -> Value {
        let services = format!("{}services/", self.base);
        json!({
            "data": [{"id": view.service.as_ref(), "type": "services"}],
            "links": {"related": services, "self": services},
        })
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

    fn queries(&self, view: &SessionView) -> Vec<Value> {
        let query = |job: &JobView| {
            let mut query = json!({
                "command": "COM_QUERY",
                "received": wire::received(job.since, &self.zone),
                "responses": [],
                "statement": job.statement.as_ref(),
            });
            if let JobState::Finished { at, .. } = job.state {
                let millis = u64::try_from(at.since(job.since).as_millis()).unwrap_or(u64::MAX);
                query["completed"] = wire::received(at, &self.zone).into();
                query["responses"] = json!([{"duration": millis, "server": view.service.as_ref()}]);
            }
            query
        };
        shown(view).map(query).collect()
    }
}

/// The statements that are shown of a session: those that run, then the last ones that finished,
/// the oldest of each first.
fn shown(view: &SessionView) -> impl Iterator<Item = &JobView> {
    let is_finished = |job: &&JobView| matches!(job.state, JobState::Finished { .. });
    let last = view
        .jobs()
        .rev()
        .filter(is_finished)
        .take(RETAINED_STATEMENTS);
    let mut last: Vec<_> = last.collect();
    last.reverse();
    view.unfinished_jobs().chain(last)
}
