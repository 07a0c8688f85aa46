//! `rejoin mcp`: passes the messages of an agent on standard input to a server, and the answers back.
//!
//! Invariant: nothing but messages of the protocol is written to standard output, and what must not
//! happen twice is not sent twice.

use crate::args::McpArgs;
use crate::client::ClientError;
use crate::client::api::Api;
use crate::client::limits::{
    FIRST_PAUSE, LONGEST_PAUSE, MCP_CALLS, MCP_END, MCP_MESSAGE_BYTES, MCP_SILENCE,
};
use crate::settings::Wait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rejoin_engine::{Runtime, SmolRuntime};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Passes messages on until standard input ends.
pub(crate) fn run(args: &McpArgs) -> Result<(), ClientError> {
    let Wait(patience) = args.reconnect_for;
    let bridge = Arc::new(Bridge {
        api: Api::with_silence(&args.server, MCP_SILENCE)?,
        patience,
        calls: Mutex::default(),
        changed: Condvar::new(),
    });
    let mut input = io::stdin().lock();
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut input).take(MCP_MESSAGE_BYTES);
        let read = limited.read_until(b'\n', &mut line);
        let read = read.map_err(|error| ClientError::Local("cannot read standard input", error))?;
        if read == 0 {
            break;
        }
        if read as u64 == MCP_MESSAGE_BYTES && !line.ends_with(b"\n") {
            let reason = format!("a message is longer than {MCP_MESSAGE_BYTES} bytes");
            return Err(ClientError::Lost(reason));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(message) => bridge.accept(message)?,
            Err(error) => {
                let error = json!({"code": -32700, "message": format!("invalid JSON: {error}")});
                print(&json!({"jsonrpc": "2.0", "id": null, "error": error}))?;
            }
        }
    }
    bridge.wait_for_calls();
    Ok(())
}

struct Bridge {
    api: Api,
    patience: Duration,
    /// The calls that are under way, and whether each was cancelled.
    calls: Mutex<BTreeMap<String, bool>>,
    changed: Condvar,
}

impl Bridge {
    fn accept(self: &Arc<Self>, mut message: Value) -> Result<(), ClientError> {
        let id = message["id"].clone();
        if !id.is_string() && !id.is_number() {
            // The server does nothing on a notification. A cancelled call is not answered.
            if message["method"] == "notifications/cancelled" {
                let cancelled = message["params"]["requestId"].to_string();
                if let Some(call) = self.calls().get_mut(&cancelled) {
                    *call = true;
                }
            }
            return Ok(());
        }
        name_run(&mut message);
        let mut calls = self.calls();
        while calls.len() >= MCP_CALLS {
            let waited = self.changed.wait(calls);
            calls = waited.unwrap_or_else(PoisonError::into_inner);
        }
        calls.insert(id.to_string(), false);
        drop(calls);
        let bridge = self.clone();
        let spawned = std::thread::Builder::new().spawn(move || {
            let mut answer = bridge.answer(&message);
            answer["id"] = id.clone();
            let is_cancelled = bridge.calls().get(&id.to_string()).copied();
            let printed = match is_cancelled {
                Some(true) => Ok(()),
                _ => print(&answer),
            };
            bridge.calls().remove(&id.to_string());
            bridge.changed.notify_all();
            // The agent is gone: no answer can reach it.
            let _ = printed;
        });
        let spawned = spawned.map_err(|error| ClientError::Local("cannot start a thread", error));
        spawned.map(drop)
    }

    /// The server's answer, or an error in its place.
    fn answer(&self, message: &Value) -> Value {
        let headers = headers(message);
        let body = message.to_string();
        let mut pause = FIRST_PAUSE;
        let mut waited = Duration::ZERO;
        loop {
            let failed = match self.api.post_message(&headers, body.as_bytes()) {
                Ok(answer) if answer.is_object() => return answer,
                Ok(_) => "the server's answer is empty".to_owned(),
                Err(error) => {
                    // Nothing was sent to a closed port.
                    let is_safe =
                        is_repeatable(message) || matches!(error, ClientError::NoServer(_));
                    if is_safe && error.is_retryable() && waited < self.patience {
                        std::thread::sleep(pause);
                        waited += pause;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                        continue;
                    }
                    error.to_string()
                }
            };
            return json!({"jsonrpc": "2.0", "error": {"code": -32000, "message": failed}});
        }
    }

    /// Waits a moment for the calls that are under way. Their commands go on in any case.
    fn wait_for_calls(&self) {
        let calls = self.calls();
        let _ = self
            .changed
            .wait_timeout_while(calls, MCP_END, |calls| !calls.is_empty());
    }

    fn calls(&self) -> MutexGuard<'_, BTreeMap<String, bool>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a call of `run` a key if it has none, so that it is safe to send again.
fn name_run(message: &mut Value) {
    if message["method"] != "tools/call" || message["params"]["name"] != "run" {
        return;
    }
    let arguments = message["params"]["arguments"].as_object_mut();
    if let Some(arguments) = arguments.filter(|arguments| !arguments.contains_key("key")) {
        let key = SmolRuntime
            .random()
            .map(|byte| format!("{byte:02x}"))
            .concat();
        arguments.insert("key".to_owned(), key.into());
    }
}

/// Whether sending a message twice does the same as sending it once.
fn is_repeatable(message: &Value) -> bool {
    let is_write = ["write", "interrupt"]
        .iter()
        .any(|tool| message["params"]["name"] == *tool);
    match message["method"].as_str() {
        Some("tools/call") => !is_write,
        Some("tasks/cancel") => false,
        _ => true,
    }
}

/// The headers that repeat what a message of 2026-07-28 or later says.
fn headers(message: &Value) -> Vec<(&'static str, String)> {
    let params = &message["params"];
    let version = params["_meta"]["io.modelcontextprotocol/protocolVersion"].as_str();
    let (Some(version), Some(method)) = (version, message["method"].as_str()) else {
        return vec![];
    };
    let mut headers = vec![
        ("mcp-protocol-version", encoded(version)),
        ("mcp-method", encoded(method)),
    ];
    let name = match method {
        "tools/call" | "prompts/get" => params["name"].as_str(),
        "resources/read" => params["uri"].as_str(),
        "tasks/get" | "tasks/update" | "tasks/cancel" => params["taskId"].as_str(),
        _ => None,
    };
    headers.extend(name.map(|name| ("mcp-name", encoded(name))));
    headers
}

/// A text as the value of a header: as it is, or encoded if a header cannot have it.
fn encoded(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && text.trim() == text
        && !(text.starts_with("=?base64?") && text.ends_with("?="));
    match is_plain {
        true => text.to_owned(),
        false => format!("=?base64?{}?=", STANDARD.encode(text)),
    }
}

/// Writes a message on a line of its own.
fn print(message: &Value) -> Result<(), ClientError> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{message}").and_then(|()| out.flush());
    written.map_err(|error| ClientError::Local("cannot write standard output", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_repeat_what_the_message_says() {
        let mut message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "run", "arguments": {"command": "true"},
        }});
        assert_eq!(headers(&message), []);
        let version = "io.modelcontextprotocol/protocolVersion";
        message["params"]["_meta"] = json!({version: "2026-07-28"});
        let headers = |message: &Value| {
            let headers = headers(message);
            headers
                .iter()
                .map(|(name, value)| format!("{name}: {value}"))
                .collect::<Vec<_>>()
        };
        let of_run = [
            "mcp-protocol-version: 2026-07-28",
            "mcp-method: tools/call",
            "mcp-name: run",
        ];
        assert_eq!(headers(&message), of_run);
        message["params"]["name"] = "ü".into();
        assert_eq!(headers(&message)[2], "mcp-name: =?base64?w7w=?=");
    }

    #[test]
    fn a_run_is_made_safe_to_repeat_and_a_write_is_not_repeated() {
        let call = |name: &str| json!({"id": 1, "method": "tools/call", "params": {"name": name, "arguments": {}}});
        let mut run = call("run");
        name_run(&mut run);
        let key = run["params"]["arguments"]["key"].clone();
        assert_eq!(key.as_str().map(str::len), Some(32));
        name_run(&mut run);
        assert_eq!(run["params"]["arguments"]["key"], key);
        assert!(is_repeatable(&run) && is_repeatable(&call("read")));
        assert!(!is_repeatable(&call("write")) && !is_repeatable(&call("interrupt")));
    }
}
