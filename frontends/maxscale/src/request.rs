//! Verbs and bodies, read and checked: pure.

use crate::error::Fault;
use crate::route::Route;
use rejoin_http::Method;
use serde_json::Value;

/// The verbs, which are known in capitals only.
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

/// Filters that are to be given to a session: there are none that could be.
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

/// `Accept` as the product has it, and `Allow` as everybody else.
pub(crate) fn options(route: &Route) -> (String, String) {
    let methods = route.methods();
    let names = methods.iter().filter(|it| **it != Method::PATCH);
    let accept: Vec<&str> = names.map(Method::as_str).collect();
    let mut allow: Vec<&str> = methods.iter().map(Method::as_str).collect();
    if methods.contains(&Method::GET) {
        allow.push("HEAD");
    }
    allow.push("OPTIONS");
    (accept.join(", "), allow.join(", "))
}
