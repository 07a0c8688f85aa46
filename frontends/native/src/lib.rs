//! Rejoin's own HTTP API: sessions, jobs and their events, as JSON and Server-Sent Events.
//!
//! What is read is the log: each event has its sequence, a reader names the one that it has seen
//! last, and nothing on the server waits for it or remembers it. `openapi.json` describes the
//! paths. Instants are milliseconds since 1970 in UTC.
//!
//! With accounts everybody logs in, and a session is its creator's: others find it by its UUID alone,
//! and do in it what their role may.
//!
//! A stream counts as use of its session, and so does a read that waits: a session that somebody
//! watches is not closed as idle. What a job of Arthas' `exec` says is for its submitter alone; of
//! such events only the sequence and the instant are told (`private`).

mod error;
mod handlers;
mod limits;
mod list;
mod login;
mod request;
mod stream;
mod translate;
mod wire;

use crate::handlers::{Answered, Http};
use rejoin_accounts::Accounts;
use rejoin_engine::Engine;
use rejoin_http::{Answer, Methods};
use std::sync::Arc;

/// This frontend's part of the server's OpenAPI document: a whole document of version 3.1, whose
/// `paths` and `components` can be merged into another.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// Mounts the API on an application, at `/sessions`, and its logins at `/login`, `/logout` and
/// `/me`.
pub fn mount(app: &mut tide::Server<()>, engine: Engine, accounts: Accounts) {
    let native = Native { engine, accounts };
    macro_rules! on {
        ($handler:ident) => {{
            let native = native.clone();
            move |http: Http| {
                let native = native.clone();
                async move { Ok(respond(native.$handler(&http).await)) }
            }
        }};
    }
    app.at("/login").all(Methods::new().post(on!(login)));
    app.at("/logout").all(Methods::new().post(on!(logout)));
    app.at("/me").all(Methods::new().get(on!(me)));
    app.at("/sessions")
        .all(Methods::new().get(on!(list)).post(on!(create)));
    app.at("/sessions/:session")
        .all(Methods::new().get(on!(show)).delete(on!(close)));
    app.at("/sessions/:session/consumers")
        .all(Methods::new().post(on!(join)));
    app.at("/sessions/:session/consumers/:consumer")
        .all(Methods::new().delete(on!(leave)));
    app.at("/sessions/:session/events")
        .all(Methods::new().get(on!(events)));
    app.at("/sessions/:session/stream")
        .all(Methods::new().get(on!(stream)));
    app.at("/sessions/:session/interrupt")
        .all(Methods::new().post(on!(interrupt)));
    app.at("/sessions/:session/jobs")
        .all(Methods::new().get(on!(jobs)).post(on!(submit)));
    app.at("/sessions/:session/jobs/:job")
        .all(Methods::new().get(on!(job)));
    app.at("/sessions/:session/jobs/:job/interrupt")
        .all(Methods::new().post(on!(interrupt)));
    app.at("/sessions/:session/jobs/:job/input")
        .all(Methods::new().post(on!(write)));
}

/// Mounts `/openapi.json`: the documents of all frontends that have one, merged.
///
/// # Panics
///
/// When one is not a JSON object: they are part of the program.
pub fn mount_openapi(app: &mut tide::Server<()>, documents: &[&str]) {
    let document: Arc<str> = merged(documents).into();
    app.at("/openapi.json")
        .all(Methods::new().get(move |_: Http| {
            let document = document.clone();
            async move {
                let status = rejoin_http::StatusCode::OK;
                Ok(Answer::new(
                    status,
                    "application/json",
                    document.to_string(),
                ))
            }
        }));
}

/// What there is to answer with. Nothing of it changes.
#[derive(Clone, Debug)]
struct Native {
    engine: Engine,
    accounts: Accounts,
}

fn respond(answered: Answered) -> Answer {
    answered.unwrap_or_else(Answer::from)
}

fn merged(documents: &[&str]) -> String {
    let parsed = documents
        .iter()
        .map(|document| serde_json::from_str(document).expect("a JSON document"));
    let whole = parsed.reduce(|mut whole, part| {
        merge(&mut whole, part);
        whole
    });
    whole.unwrap_or_default().to_string()
}

/// Objects are put together; of anything else the first stays.
fn merge(whole: &mut serde_json::Value, part: serde_json::Value) {
    if let (Some(whole), serde_json::Value::Object(part)) = (whole.as_object_mut(), part) {
        for (name, value) in part {
            match whole.get_mut(&name) {
                Some(known) => merge(known, value),
                None => {
                    whole.insert(name, value);
                }
            }
        }
    }
}
