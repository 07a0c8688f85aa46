//! Requests of Arthas clients, whatever they hold: the real frontend on the real engine, on a log
//! in memory and in virtual time.
//!
//! Identities are counted, not drawn, so that a request can name what an earlier one has made: the
//! identities of a session and of a consumer are the numbers of their drawing in hexadecimal.

use crate::world::World;
use arbitrary::{Arbitrary, Unstructured};
use rejoin_accounts::Caller;
use rejoin_arthas::{Arthas, Settings};
use rejoin_engine::Unavailable;
use serde_json::Value;
use std::fmt;

/// Bodies of requests, sent one after the other to a server that has just been started.
#[derive(Clone)]
pub struct Conversation<'a>(Vec<&'a [u8]>);

impl Conversation<'_> {
    /// Sends every request and looks at its answer.
    ///
    /// # Panics
    ///
    /// When an answer is not one JSON object: compact, its members in alphabetical order at every
    /// level, without nulls, and with the request's own identity. When a record breaks a promise,
    /// or the engine ends by itself.
    pub fn check(&self) {
        let mut world = World::start();
        let frontend = Arthas::new(world.engine.clone(), Settings::default());
        for body in &self.0 {
            let (frontend, sent) = (frontend.clone(), body.to_vec());
            let answer = world.run(async move {
                let remote = Some(([127, 0, 0, 1], 1).into());
                frontend
                    .answer(&sent, remote, &Caller::local(), |_| ())
                    .await
            });
            // A client that has waited for too long leaves.
            if let Some(answer) = answer {
                check_answer(body, &answer);
            }
        }
        let end = world.end();
        assert!(
            matches!(end, Unavailable::ShuttingDown),
            "the engine ended by itself: {end}"
        );
    }
}

fn check_answer(body: &[u8], answer: &[u8]) {
    let shown = String::from_utf8_lossy(answer);
    let value: Value = serde_json::from_slice(answer)
        .unwrap_or_else(|error| panic!("not valid JSON: {error}: {shown}"));
    // `Value` keeps members in alphabetical order, and says each of them once.
    assert_eq!(value.to_string(), shown, "there is one way to write this");
    assert!(!has_null(&value), "a null: {shown}");
    let state = value["state"].as_str();
    assert!(
        state.is_some_and(|state| STATES.contains(&state)),
        "not an answer: {shown}"
    );
    let is_understood = !value["message"]
        .as_str()
        .is_some_and(|message| message.starts_with("Process request error: "));
    if is_understood
        && let Ok(request) = serde_json::from_slice::<Value>(body)
        && let Some(id) = request["requestId"].as_str()
    {
        assert_eq!(value["requestId"], id, "another request's: {shown}");
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

/// An empty line stands between two requests.
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

/// The requests as they would be typed.
impl fmt::Debug for Conversation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = &mut self.0.iter();
        lines.try_for_each(|body| writeln!(f, "{}", String::from_utf8_lossy(body)))
    }
}
