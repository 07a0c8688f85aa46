//! Responses in JSON.

use crate::error::Fault;
use rejoin_http::{Response, StatusCode};
use serde_json::Value;

/// What a handler returns. A fault becomes a problem document.
pub(crate) type HandlerResult = Result<Response, Fault>;

pub(crate) fn ok(body: &Value) -> Response {
    json(StatusCode::OK, body)
}

pub(crate) fn json(status: StatusCode, body: &Value) -> Response {
    uncached(Response::new(status, JSON, body.to_string()))
}

pub(crate) fn uncached(response: Response) -> Response {
    response.header("cache-control", "no-store")
}

pub(crate) const JSON: &str = "application/json";
