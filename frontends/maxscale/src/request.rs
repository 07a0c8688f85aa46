//! Methods and bodies of requests.

use crate::error::Fault;
use rejoin_http::Method;
use serde_json::Value;

/// The method of this name, which is case-sensitive.
pub(crate) fn known_method(name: &str) -> Option<Method> {
    Some(match name {
        "DELETE" => Method::DELETE,
        "GET" => Method::GET,
        "HEAD" => Method::HEAD,
        "OPTIONS" => Method::OPTIONS,
        "PATCH" => Method::PATCH,
        "POST" => Method::POST,
        "PUT" => Method::PUT,
        _ => return None,
    })
}

/// Parses a body, which has to be an object or an array.
pub(crate) fn parse_body(bytes: &[u8]) -> Result<Value, Fault> {
    let body: Value =
        serde_json::from_slice(bytes).map_err(|error| Fault::BodyInvalid(error.to_string()))?;
    if body.is_object() || body.is_array() {
        return Ok(body);
    }
    let shown = body.to_string().chars().take(20).collect::<String>();
    let reason = format!("'[' or '{{' expected near '{shown}'");
    Err(Fault::BodyInvalid(reason))
}

/// Checks the filters that a session is to have. There are none, so any name is an error.
pub(crate) fn check_filters(filters: Option<&Value>) -> Result<(), Fault> {
    let filters = filters
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    match filters.first().map(|filter| &filter["id"]) {
        None => Ok(()),
        Some(Value::String(name)) => Err(Fault::NotAFilter(name.clone())),
        Some(other) => Err(Fault::NotAString(match other {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "real",
            Value::Number(_) => "integer",
            Value::Array(_) => "array",
            Value::Object(_) | Value::String(_) => "object",
        })),
    }
}

/// Checks the log levels that a session is to have. It has no log of its own, so that turning one on
/// is an error, and turning one off changes nothing. As in the product, unknown members and values
/// that are no booleans are ignored.
pub(crate) fn check_log_levels(parameters: Option<&Value>) -> Result<(), Fault> {
    let wanted = |level: &str| {
        let value = parameters.and_then(|parameters| parameters.get(level));
        value == Some(&Value::Bool(true))
    };
    match LOG_LEVELS.iter().find(|level| wanted(level)) {
        Some(level) => Err(Fault::NoSessionLog(level)),
        None => Ok(()),
    }
}

const LOG_LEVELS: [&str; 5] = [
    "log_debug",
    "log_error",
    "log_info",
    "log_notice",
    "log_warning",
];
