//! Arbitrary requests to the Arthas frontend, on a real engine with a log in memory and in virtual
//! time.
//!
//! Ids are counted instead of random, so that a request can name a session or consumer that an
//! earlier one has created: an id is the counter in hexadecimal.

use crate::harness::Harness;
use arbitrary::{Arbitrary, Unstructured};
use rejoin_accounts::Caller;
use rejoin_arthas::{Arthas, Settings};
use rejoin_engine::Unavailable;
use serde_json::Value;
use std::fmt;
use std::net::SocketAddr;

/// Request bodies, sent one after the other to a new server.
#[derive(Clone)]
pub struct Conversation<'a>(Vec<&'a [u8]>);

impl Conversation<'_> {
    /// Sends every request and checks the response.
    ///
    /// # Panics
    ///
    /// When a response is not one compact JSON object with the members in alphabetical order at
    /// every level, without nulls, and with the request's id; when a record breaks an invariant of
    /// the log; when the engine ends for another reason than the shutdown.
    pub fn check(&self) {
        let mut harness = Harness::start();
        let frontend = Arthas::new(harness.engine.clone(), Settings::default());
        for body in &self.0 {
            let (frontend, sent) = (frontend.clone(), body.to_vec());
            let answer = harness.run(async move {
                let remote = Some(SocketAddr::from(([127, 0, 0, 1], 1)).into());
                frontend
                    .answer(&sent, remote, &Caller::local(), |_| ())
                    .await
            });
            // None: it took too long, and the client has left.
            if let Some(answer) = answer {
                check_answer(body, &answer);
            }
        }
        let end = harness.end();
        assert!(
            matches!(end, Unavailable::ShuttingDown),
            "the engine ended for another reason: {end}"
        );
    }
}

fn check_answer(body: &[u8], answer: &[u8]) {
    let shown = String::from_utf8_lossy(answer);
    let value: Value = serde_json::from_slice(answer)
        .unwrap_or_else(|error| panic!("not valid JSON: {error}: {shown}"));
    // `Value` sorts the members and keeps one of each name.
    assert_eq!(
        value.to_string(),
        shown,
        "compact, sorted, no repeated members"
    );
    assert!(!has_null(&value), "a null: {shown}");
    let state = value["state"].as_str();
    assert!(
        state.is_some_and(|state| STATES.contains(&state)),
        "no known state: {shown}"
    );
    let is_understood = !value["message"]
        .as_str()
        .is_some_and(|message| message.starts_with("Process request error: "));
    if is_understood
        && let Ok(request) = serde_json::from_slice::<Value>(body)
        && let Some(id) = request["requestId"].as_str()
    {
        assert_eq!(value["requestId"], id, "the id of another request: {shown}");
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

const STATES: [&str; 5] = ["FAILED", "INTERRUPTED", "REFUSED", "SCHEDULED", "SUCCEEDED"];

/// Requests are separated by an empty line.
impl<'a> Arbitrary<'a> for Conversation<'a> {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let count = bytes.len();
        let mut rest = bytes.bytes(count)?;
        let mut bodies = Vec::new();
        while let Some(end) = rest.windows(2).position(|pair| pair == b"\n\n") {
            let (body, following) = rest.split_at(end);
            bodies.push(body);
            rest = following.get(2..).unwrap_or_default();
        }
        bodies.push(rest);
        Ok(Self(bodies))
    }
}

/// As a user would type them.
impl fmt::Debug for Conversation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = &mut self.0.iter();
        lines.try_for_each(|body| writeln!(f, "{}", String::from_utf8_lossy(body)))
    }
}
