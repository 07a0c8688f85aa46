//! Arbitrary requests to the Model Context Protocol, on a real engine with a log in memory and in
//! virtual time.

use crate::http_request::{HttpRequest, value_of};
use crate::seeded_harness::SeededHarness;
use arbitrary::{Arbitrary, Unstructured};
use rejoin_accounts::Accounts;
use rejoin_http::Router;
use rejoin_http::test_call::Called;
use serde_json::Value;
use std::cell::RefCell;
use std::fmt;

/// A request, sent to a server with some sessions.
#[derive(Clone)]
pub struct McpRequest<'a>(Option<HttpRequest<'a>>);

thread_local! {
    static SERVER: RefCell<Option<SeededHarness>> = const { RefCell::new(None) };
}

impl McpRequest<'_> {
    /// Sends the request and checks the response.
    ///
    /// # Panics
    ///
    /// When the status is 5xx, or the body is no answer of JSON-RPC; when a job that did not succeed
    /// is reported as a success, or a tool gives an answer of another shape than it says.
    pub fn check(&self) {
        let Some(request) = self.0 else { return };
        let before = SERVER.take();
        let mut server = before.unwrap_or_else(|| SeededHarness::start(mount));
        let answered = server.send(request);
        // The router's own 404 is no answer of the protocol.
        if let Some(called) = answered.filter(|called| called.body != b"Not found") {
            check(&called);
        }
        SERVER.set(server.unless_changed());
    }
}

fn check(called: &Called) {
    let answer = value_of(called);
    if answer.is_null() {
        assert!(matches!(called.status, 202 | 204), "{}", called.status);
        return;
    }
    assert_eq!(answer["jsonrpc"], "2.0", "{answer}");
    let (result, error) = (&answer["result"], &answer["error"]);
    assert_ne!(result.is_object(), error.is_object(), "{answer}");
    if error.is_object() {
        assert!(
            error["code"].is_i64() && error["message"].is_string(),
            "{answer}"
        );
        return;
    }
    assert_eq!(called.status, 200, "{answer}");
    let is_modern = !result["resultType"].is_null();
    assert_eq!(is_modern, !result["_meta"].is_null(), "{answer}");
    if result["content"].is_array() {
        check_tool(result);
    }
    for lists in ["tools", "resources", "resourceTemplates", "contents"] {
        let is_cached = !result[lists].is_array() || !is_modern || result["ttlMs"].is_u64();
        assert!(is_cached, "{answer}");
    }
}

fn check_tool(result: &Value) {
    assert!(result["content"][0]["text"].is_string(), "{result}");
    let structured = &result["structuredContent"];
    if structured.is_null() {
        assert_eq!(result["isError"], true, "{result}");
        return;
    }
    if structured["job"].is_null() {
        return;
    }
    if let Some(state) = structured["state"].as_str() {
        let has_succeeded = structured["exit_status"] == 0;
        let is_completed = structured["outcome"] == "completed" && state == "finished";
        assert_eq!(has_succeeded, is_completed, "{result}");
        assert!(
            structured["after"].is_string() && structured["more"].is_boolean(),
            "{result}"
        );
    }
}

fn mount(router: &mut Router, engine: rejoin_engine::Engine) {
    let open = Accounts::open().expect("random numbers");
    rejoin_mcp::mount(router, engine, open, rejoin_mcp::Settings::default());
}

impl<'a> Arbitrary<'a> for McpRequest<'a> {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let count = bytes.len();
        Ok(Self(HttpRequest::parse(bytes.bytes(count)?)))
    }
}

/// As a client would send it.
impl fmt::Debug for McpRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(request) => write!(f, "{request:?}"),
            None => f.write_str("no request"),
        }
    }
}
