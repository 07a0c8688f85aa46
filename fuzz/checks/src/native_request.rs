//! Arbitrary requests to Rejoin's own API, on a real engine with a log in memory and in virtual
//! time.

use crate::http_request::HttpRequest;
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
pub struct NativeRequest<'a>(Option<HttpRequest<'a>>);

thread_local! {
    static SERVER: RefCell<Option<SeededHarness>> = const { RefCell::new(None) };
}

impl NativeRequest<'_> {
    /// Sends the request and checks the response.
    ///
    /// # Panics
    ///
    /// When the status is 5xx, or the body has none of the API's shapes; when a page of sessions is
    /// not in order, or the sequences of events have a gap.
    pub fn check(&self) {
        let Some(request) = self.0 else { return };
        let before = SERVER.take();
        let mut server = before.unwrap_or_else(|| SeededHarness::start(mount));
        // The router's own 404 and 405 are not JSON.
        let answered = server.send(request);
        if let Some(called) =
            answered.filter(|called| called.body != b"Not found" && called.status != 405)
        {
            check(&called);
        }
        SERVER.set(server.unless_changed());
    }
}

fn check(called: &Called) {
    let shown = String::from_utf8_lossy(&called.body);
    assert!(called.status < 500, "{}: {shown}", called.status);
    if called.body.is_empty() {
        assert!(matches!(called.status, 200 | 204), "{}", called.status);
        return;
    }
    let kind = called.headers.get("content-type");
    match kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default() {
        "application/json" => check_success(called.status, &parse(&shown)),
        "application/problem+json" => check_problem(called.status, &parse(&shown)),
        "text/event-stream" => check_stream(&shown),
        other => panic!("{other}: {shown}"),
    }
}

fn check_success(status: u16, value: &Value) {
    assert!(matches!(status, 200..=202), "{status}: {value}");
    assert!(value.is_object(), "{value}");
    if let Some(sessions) = value["sessions"].as_array() {
        let numbers: Option<Vec<_>> = sessions
            .iter()
            .map(|session| session["number"].as_u64())
            .collect();
        let numbers = numbers.unwrap_or_else(|| panic!("not sessions: {value}"));
        assert!(numbers.is_sorted_by(|one, next| one > next), "{numbers:?}");
        let next = &value["next"];
        assert!(next.is_null() || next.as_u64() == numbers.last().copied());
    }
    if let Some(events) = value["events"].as_array() {
        let last = check_events(events.clone());
        assert!(last.is_none() || last == value["after"].as_u64(), "{value}");
    }
}

fn check_problem(status: u16, value: &Value) {
    assert!((400..500).contains(&status), "{status}: {value}");
    assert_eq!(value["status"], status, "{value}");
    assert!(value["code"].is_string() && value["detail"].is_string());
}

fn check_stream(text: &str) {
    let blocks = text
        .split("\n\n")
        .filter_map(|block| block.strip_prefix("id: "));
    let events = blocks.map(|block| {
        let (id, data) = block.split_once("\ndata: ").expect("data follow the id");
        let event = parse(data);
        assert_eq!(event["sequence"].to_string(), id);
        event
    });
    check_events(events.collect());
}

/// Checks that the sequences have no gap, and returns the last one.
fn check_events(events: Vec<Value>) -> Option<u64> {
    let mut last = None;
    for event in events {
        let sequence = event["sequence"].as_u64().expect("a sequence");
        assert!(event["at"].is_u64() && event["type"].is_string(), "{event}");
        assert!(
            last.is_none_or(|last| last + 1 == sequence),
            "{last:?}: {event}"
        );
        last = Some(sequence);
    }
    last
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not valid JSON: {error}: {text}"))
}

fn mount(router: &mut Router, engine: rejoin_engine::Engine) {
    let open = Accounts::open().expect("random numbers");
    rejoin_native::mount(router, engine, open);
}

impl<'a> Arbitrary<'a> for NativeRequest<'a> {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let count = bytes.len();
        Ok(Self(HttpRequest::parse(bytes.bytes(count)?)))
    }
}

/// As a user would type it.
impl fmt::Debug for NativeRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(request) => write!(f, "{request:?}"),
            None => f.write_str("no request"),
        }
    }
}
