//! Messages of JSON-RPC 2.0. Pure.

use crate::error::RpcError;
use serde_json::{Map, Value, json};

/// A message from a client.
#[derive(Debug)]
pub(crate) enum Message {
    /// Wants an answer.
    Request(Call),
    /// Wants none, and changes nothing here.
    Notification,
    /// Answers a request of the server, which never makes one.
    Response,
}

/// A request.
#[derive(Debug)]
pub(crate) struct Call {
    /// A string or a number, for the answer.
    pub(crate) id: Value,
    pub(crate) method: String,
    pub(crate) params: Map<String, Value>,
}

impl Message {
    /// Parses the body of a request. An error comes with the ID for its answer: null if the client's
    /// can't be read.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, (Value, RpcError)> {
        let parsed: Value = serde_json::from_slice(body)
            .map_err(|error| (Value::Null, RpcError::parse(&error.to_string())))?;
        let invalid = |reason: &str| (Value::Null, RpcError::invalid_request(reason));
        let mut message = match parsed {
            Value::Object(message) => message,
            Value::Array(_) => return Err(invalid("a batch is not supported: send one message")),
            _ => return Err(invalid("expected an object")),
        };
        if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(invalid("`jsonrpc` must be \"2.0\""));
        }
        let id = message.remove("id");
        let Some(method) = message.remove("method") else {
            let is_response = message.contains_key("result") || message.contains_key("error");
            return match is_response {
                true => Ok(Self::Response),
                false => Err(invalid("`method` is missing")),
            };
        };
        let Value::String(method) = method else {
            return Err(invalid("`method` must be a string"));
        };
        let id = match id {
            None => return Ok(Self::Notification),
            Some(id) if is_id(&id) => id,
            Some(_) => return Err(invalid("`id` must be a string or an integer")),
        };
        let params = match message.remove("params") {
            None => Map::new(),
            Some(Value::Object(params)) => params,
            Some(_) => {
                let reason = "`params` must be an object";
                return Err((id, RpcError::invalid_request(reason)));
            }
        };
        Ok(Self::Request(Call { id, method, params }))
    }
}

impl Call {
    /// A member of the parameters, if it is a string.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.params.get(name)?.as_str()
    }

    /// A member of the parameters' `_meta`.
    pub(crate) fn meta(&self, name: &str) -> Option<&Value> {
        self.params.get("_meta")?.get(name)
    }
}

/// The ID of the request in a body; null if there is none.
pub(crate) fn id_of(body: &[u8]) -> Value {
    let parsed = serde_json::from_slice(body).unwrap_or(Value::Null);
    let id = parsed.get("id").filter(|id| is_id(id));
    id.cloned().unwrap_or(Value::Null)
}

/// An answer with a result.
pub(crate) fn result(id: &Value, result: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string()
}

fn is_id(id: &Value) -> bool {
    id.is_string() || id.is_i64() || id.is_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_request_a_notification_or_a_response() {
        let request = Message::parse(
            br#"{"jsonrpc":"2.0","id":"a","method":"m","params":{"_meta":{"k":1},"n":"t"}}"#,
        );
        let Ok(Message::Request(call)) = request else {
            panic!("{request:?}");
        };
        assert_eq!((&call.id, call.method.as_str()), (&json!("a"), "m"));
        assert_eq!(
            (call.text("n"), call.meta("k")),
            (Some("t"), Some(&json!(1)))
        );
        for (body, is_response) in [
            (
                r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
                false,
            ),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, true),
            (
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#,
                true,
            ),
        ] {
            let parsed = Message::parse(body.as_bytes()).unwrap();
            assert_eq!(matches!(parsed, Message::Response), is_response, "{body}");
            assert_eq!(
                matches!(parsed, Message::Notification),
                !is_response,
                "{body}"
            );
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for (body, code) in [
            ("", -32700),
            ("{", -32700),
            ("[]", -32600),
            ("1", -32600),
            ("{}", -32600),
            (r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":1,"method":1}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"m"}"#, -32600),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[]}"#,
                -32600,
            ),
        ] {
            let (_, error) = Message::parse(body.as_bytes()).unwrap_err();
            assert_eq!(error.code, code, "{body}");
        }
    }
}
