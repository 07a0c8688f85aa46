//! The errors of the protocol: JSON-RPC errors with the HTTP status that each is sent with.
//!
//! A tool that fails is not an error here: its result says so, so that the model can see it.

use rejoin_accounts::Denied;
use rejoin_http::{Response, StatusCode};
use serde_json::{Value, json};

/// Why a request has no result.
#[derive(Clone, Debug)]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    pub(crate) message: String,
    pub(crate) data: Option<Value>,
    pub(crate) status: StatusCode,
}

impl RpcError {
    /// The body is not JSON.
    pub(crate) fn parse(reason: &str) -> Self {
        Self::new(-32700, format!("invalid JSON: {reason}")).with_status(StatusCode::BAD_REQUEST)
    }

    /// The body is JSON, and not a message.
    pub(crate) fn invalid_request(reason: &str) -> Self {
        Self::new(-32600, format!("invalid request: {reason}")).with_status(StatusCode::BAD_REQUEST)
    }

    /// There is no such method.
    pub(crate) fn no_method(method: &str) -> Self {
        Self::new(-32601, format!("method not found: {method}"))
    }

    /// A parameter is missing or wrong.
    pub(crate) fn invalid_params(reason: impl Into<String>) -> Self {
        Self::new(-32602, reason)
    }

    /// Something failed that is not the client's fault.
    pub(crate) fn internal(reason: impl Into<String>) -> Self {
        Self::new(-32603, reason)
    }

    /// A header does not say what the body says.
    pub(crate) fn header_mismatch(reason: impl Into<String>) -> Self {
        Self::new(-32020, reason).with_status(StatusCode::BAD_REQUEST)
    }

    /// The client has not said that it knows tasks.
    pub(crate) fn tasks_undeclared() -> Self {
        let required = json!({"extensions": {crate::era::TASKS: {}}});
        Self {
            data: Some(json!({"requiredCapabilities": required})),
            ..Self::new(-32021, "missing required client capability: tasks")
        }
        .with_status(StatusCode::BAD_REQUEST)
    }

    /// The server does not speak this version.
    pub(crate) fn unsupported_version(requested: &str, supported: &[&str]) -> Self {
        Self {
            data: Some(json!({"requested": requested, "supported": supported})),
            ..Self::new(-32022, format!("unsupported protocol version: {requested}"))
        }
        .with_status(StatusCode::BAD_REQUEST)
    }

    /// The request is not authenticated.
    pub(crate) fn denied(denied: Denied) -> Self {
        let (status, message) = match denied {
            Denied::Later => (
                StatusCode::TOO_MANY_REQUESTS,
                "too many failed logins; try again later",
            ),
            Denied::Missing => (
                StatusCode::UNAUTHORIZED,
                "login required: send `Authorization: Bearer` with a token of `rejoin token add`",
            ),
            Denied::Malformed => (
                StatusCode::UNAUTHORIZED,
                "the Authorization header is neither Basic nor Bearer",
            ),
            Denied::Wrong => (StatusCode::UNAUTHORIZED, "wrong user name or password"),
            Denied::Link => (
                StatusCode::FORBIDDEN,
                "a link shows its session in the console, and nothing else",
            ),
            Denied::Expired | Denied::LinkEnded => (
                StatusCode::UNAUTHORIZED,
                "the token is unknown, was removed or has expired",
            ),
        };
        Self::new(-32001, message).with_status(status)
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
            status: StatusCode::OK,
        }
    }

    /// The member `error` of an answer.
    pub(crate) fn to_json(&self) -> Value {
        let mut error = json!({"code": self.code, "message": self.message});
        if let Some(data) = &self.data {
            error["data"] = data.clone();
        }
        error
    }

    /// The answer to the request with this ID; null if it could not be read.
    pub(crate) fn respond(&self, id: &Value) -> Response {
        let mut body = json!({"jsonrpc": "2.0", "error": self.to_json()});
        if !id.is_null() {
            body["id"] = id.clone();
        }
        let response = Response::new(self.status, crate::JSON, body.to_string())
            .header("cache-control", "no-store");
        match self.status {
            StatusCode::UNAUTHORIZED => {
                response.header("www-authenticate", r#"Bearer realm="rejoin""#)
            }
            StatusCode::TOO_MANY_REQUESTS => response.header("retry-after", "1"),
            _ => response,
        }
    }
}
