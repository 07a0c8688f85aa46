//! The resources of services and of the server.

use crate::context::RenderContext;
use crate::limits::RETAINED_STATEMENTS;
use serde_json::{Value, json};

pub(crate) fn service(context: &RenderContext, name: &str, connections: usize) -> Value {
    json!({
        "attributes": {
            "router": name,
            "state": "Started",
            "statistics": {"connections": connections},
        },
        "id": name,
        "links": context.link(&format!("services/{name}")),
        "type": "services",
    })
}

pub(crate) fn server(context: &RenderContext, version: &str) -> Value {
    json!({
        "attributes": {
            "parameters": {"retain_last_statements": RETAINED_STATEMENTS},
            "version": version,
        },
        "id": "maxscale",
        "links": context.link("maxscale/"),
        "type": "maxscale",
    })
}
