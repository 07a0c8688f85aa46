//! Which revision of the protocol a request speaks, and whether its headers say what its body says.
//! Pure.
//!
//! A request of the modern era names its version in `_meta`, and repeats in its headers what proxies
//! may want to know. All others are of the era that begins with `initialize`. Each request is judged
//! alone, so both eras are served side by side and the server remembers no client.

use crate::error::RpcError;
use crate::message::Call;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rejoin_http::HeaderMap;
use serde_json::Value;

/// The revision without `initialize`.
pub(crate) const MODERN: &str = "2026-07-28";

/// The revisions that begin with `initialize`, the newest first.
pub(crate) const LEGACY: [&str; 2] = ["2025-11-25", "2025-06-18"];

/// All revisions that are spoken.
pub(crate) const SUPPORTED: [&str; 3] = [MODERN, LEGACY[0], LEGACY[1]];

/// The extension for tasks.
pub(crate) const TASKS: &str = "io.modelcontextprotocol/tasks";

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    /// 2025-11-25 and before.
    Legacy,
    /// 2026-07-28.
    Modern {
        /// Whether the client knows tasks.
        tasks: bool,
    },
}

impl Era {
    /// Judges a request.
    ///
    /// # Errors
    ///
    /// When the version is unknown, or a header of the modern era is missing or contradicts the body.
    pub(crate) fn of(call: &Call, headers: &HeaderMap) -> Result<Self, RpcError> {
        let sent = header(headers, VERSION_HEADER)?;
        let Some(version) = call.meta(VERSION_META) else {
            return match sent.as_deref() {
                None => Ok(Self::Legacy),
                Some(version) if LEGACY.contains(&version) => Ok(Self::Legacy),
                Some(MODERN) => Err(RpcError::invalid_params(format!(
                    "`_meta` has no `{VERSION_META}`, which {MODERN} requires"
                ))
                .with_status(rejoin_http::StatusCode::BAD_REQUEST)),
                Some(other) => Err(RpcError::unsupported_version(other, &SUPPORTED)),
            };
        };
        let Some(version) = version.as_str() else {
            let reason = format!("`{VERSION_META}` must be a string");
            return Err(
                RpcError::invalid_params(reason).with_status(rejoin_http::StatusCode::BAD_REQUEST)
            );
        };
        equal(VERSION_HEADER, sent, version)?;
        if version != MODERN {
            return Err(RpcError::unsupported_version(version, &SUPPORTED));
        }
        let capabilities = call.meta(CAPABILITIES_META).and_then(Value::as_object);
        let Some(capabilities) = capabilities else {
            let reason = format!("`_meta` has no object `{CAPABILITIES_META}`");
            return Err(
                RpcError::invalid_params(reason).with_status(rejoin_http::StatusCode::BAD_REQUEST)
            );
        };
        equal("Mcp-Method", header(headers, "Mcp-Method")?, &call.method)?;
        if let Some(name) = name(call) {
            let sent = header(headers, "Mcp-Name")?;
            equal("Mcp-Name", sent.map(decoded).transpose()?, name)?;
        }
        let extensions = capabilities.get("extensions").and_then(Value::as_object);
        let tasks = extensions.is_some_and(|extensions| extensions.contains_key(TASKS));
        Ok(Self::Modern { tasks })
    }

    pub(crate) fn is_modern(self) -> bool {
        matches!(self, Self::Modern { .. })
    }

    /// Whether the client knows tasks.
    pub(crate) fn knows_tasks(self) -> bool {
        self == Self::Modern { tasks: true }
    }
}

/// The parameter that `Mcp-Name` repeats.
fn name(call: &Call) -> Option<&str> {
    call.text(match call.method.as_str() {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return None,
    })
}

/// The value of a header, without the spaces around it. Repeated with other values, it is an error.
fn header(headers: &HeaderMap, name: &str) -> Result<Option<String>, RpcError> {
    let mut found: Option<String> = None;
    for value in headers.get_all(name) {
        let value = value.to_str().map_err(|_| {
            RpcError::header_mismatch(format!("the header {name} has invalid characters"))
        })?;
        let value = value.trim();
        if found.as_deref().is_some_and(|found| found != value) {
            let reason = format!("the header {name} has two values");
            return Err(RpcError::header_mismatch(reason));
        }
        found = Some(value.to_owned());
    }
    Ok(found)
}

/// The text of a value that may be encoded as Base64.
fn decoded(value: String) -> Result<String, RpcError> {
    let encoded = value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="));
    let Some(encoded) = encoded else {
        return Ok(value);
    };
    let bytes = STANDARD.decode(encoded).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| RpcError::header_mismatch("the header Mcp-Name is not valid Base64"))
}

fn equal(name: &str, sent: Option<String>, wanted: &str) -> Result<(), RpcError> {
    match sent {
        Some(sent) if sent == wanted => Ok(()),
        Some(_) => Err(RpcError::header_mismatch(format!(
            "the header {name} does not say what the body says"
        ))),
        None => Err(RpcError::header_mismatch(format!(
            "the header {name} is missing"
        ))),
    }
}

const VERSION_HEADER: &str = "MCP-Protocol-Version";
const VERSION_META: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES_META: &str = "io.modelcontextprotocol/clientCapabilities";

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_http::HeaderValue;
    use serde_json::json;

    fn call(method: &str, params: &Value) -> Call {
        Call {
            id: json!(1),
            method: method.to_owned(),
            params: params.as_object().unwrap().clone(),
        }
    }

    fn era(call: &Call, headers: &[(&'static str, &'static str)]) -> Result<Era, i64> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        Era::of(call, &map).map_err(|error| error.code)
    }

    fn modern(version: &str, more: &Value) -> Call {
        let mut params = more.clone();
        params["_meta"] =
            json!({VERSION_META: version, CAPABILITIES_META: {"extensions": {TASKS: {}}}});
        call("tools/call", &params)
    }

    #[test]
    fn without_a_version_in_the_body_a_request_is_of_the_old_era() {
        let list = call("tools/list", &json!({}));
        let version = "mcp-protocol-version";
        assert_eq!(era(&list, &[]), Ok(Era::Legacy));
        assert_eq!(era(&list, &[(version, "2025-11-25")]), Ok(Era::Legacy));
        assert_eq!(era(&list, &[(version, "2026-07-28")]), Err(-32602));
        assert_eq!(era(&list, &[(version, "1900-01-01")]), Err(-32022));
    }

    #[test]
    fn headers_of_the_modern_era_must_say_what_the_body_says() {
        let run = modern(MODERN, &json!({"name": "run"}));
        let version = ("mcp-protocol-version", MODERN);
        let (method, name) = (("mcp-method", "tools/call"), ("mcp-name", "run"));
        assert_eq!(
            era(&run, &[version, method, name]),
            Ok(Era::Modern { tasks: true })
        );
        let encoded = ("mcp-name", "=?base64?cnVu?=");
        assert!(era(&run, &[version, method, encoded]).is_ok());
        for headers in [
            &[][..],
            &[method, name],
            &[version, name],
            &[version, method],
            &[version, ("mcp-method", "TOOLS/CALL"), name],
            &[version, method, ("mcp-name", "read")],
            &[version, method, ("mcp-name", "=?base64?!?=")],
            &[version, method, name, ("mcp-name", "read")],
            &[("mcp-protocol-version", "2025-11-25"), method, name],
        ] {
            assert_eq!(era(&run, headers), Err(-32020), "{headers:?}");
        }
        let future = modern("2099-01-01", &json!({}));
        assert_eq!(
            era(&future, &[("mcp-protocol-version", "2099-01-01")]),
            Err(-32022)
        );
    }
}
