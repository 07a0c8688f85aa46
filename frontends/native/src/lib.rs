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
pub mod words;

use crate::error::Fault;
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
///
/// ```
/// use rejoin_accounts::Accounts;
/// use rejoin_engine::{Config, Engine, RecoveredState, Services, SmolRuntime};
/// use rejoin_http::{HostCheck, Limits, Server};
/// use rejoin_http::test_client::Client;
/// use rejoin_log::MemoryLog;
/// use std::sync::Arc;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config::default();
/// let replayed = RecoveredState::new(&config);
/// let log = Box::new(MemoryLog::new());
/// let engine = Engine::start(config, Arc::new(SmolRuntime), log, replayed, Services::new())?;
/// let mut app = rejoin_http::app();
/// rejoin_native::mount(&mut app, engine, Accounts::open()?);
/// let server = Server::bind(([127, 0, 0, 1], 0).into(), app, Limits::default(), HostCheck::local())?;
/// let (address, closing) = (server.local_addr(), server.closing());
/// let server = std::thread::spawn(move || smol::block_on(server.run(std::future::pending())));
/// let received = Client::connect(address)?.get("/sessions")?;
/// assert_eq!(received.text(), r#"{"next":null,"sessions":[]}"#);
/// closing.begin();
/// server.join().map_err(|_| "panicked")??;
/// # Ok(())
/// # }
/// ```
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
    app.at("/login").all(methods().post(on!(login)));
    app.at("/logout").all(methods().post(on!(logout)));
    app.at("/me").all(methods().get(on!(me)));
    app.at("/sessions")
        .all(methods().get(on!(list)).post(on!(create)));
    app.at("/sessions/:session")
        .all(methods().get(on!(show)).delete(on!(close)));
    app.at("/sessions/:session/consumers")
        .all(methods().post(on!(join)));
    app.at("/sessions/:session/consumers/:consumer")
        .all(methods().delete(on!(leave)));
    app.at("/sessions/:session/events")
        .all(methods().get(on!(events)));
    app.at("/sessions/:session/stream")
        .all(methods().get(on!(stream)));
    app.at("/sessions/:session/interrupt")
        .all(methods().post(on!(interrupt)));
    app.at("/sessions/:session/jobs")
        .all(methods().get(on!(jobs)).post(on!(submit)));
    app.at("/sessions/:session/jobs/:job")
        .all(methods().get(on!(job)));
    app.at("/sessions/:session/jobs/:job/interrupt")
        .all(methods().post(on!(interrupt)));
    app.at("/sessions/:session/jobs/:job/input")
        .all(methods().post(on!(write)));
    app.at("/sessions/*").all(|http: Http| async move {
        let fault = Fault::PathNotFound(http.url().path().to_owned());
        Ok(Answer::from(fault))
    });
}

/// What a path answers to, and other methods with a fault.
fn methods() -> Methods {
    Methods::new().refuse(|method| Fault::MethodNotAllowed(method).into())
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn document() -> Value {
        serde_json::from_str(OPENAPI).unwrap()
    }

    /// What `mount` says, read from its text: a route that is added is seen here.
    fn mounted() -> BTreeSet<(String, String)> {
        let text = include_str!("lib.rs");
        let begin = text.find("app.at(\"").unwrap();
        let end = text.find("/// Mounts `/openapi.json`").unwrap();
        let routes = text[begin..end].split("app.at(\"").skip(1);
        routes
            .flat_map(|route| {
                let (path, methods) = route.split_once('"').unwrap();
                let path: Vec<_> = path
                    .split('/')
                    .map(|part| match part.strip_prefix(':') {
                        Some(name) => format!("{{{name}}}"),
                        None => part.to_owned(),
                    })
                    .collect();
                let path = path.join("/");
                ["get", "post", "put", "delete", "patch"]
                    .into_iter()
                    .filter(|method| methods.contains(&format!(".{method}(on!(")))
                    .map(|method| (path.clone(), method.to_owned()))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn the_document_describes_every_route_and_no_other() {
        let document = document();
        let paths = document["paths"].as_object().unwrap().iter();
        let described: BTreeSet<_> = paths
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().unwrap().keys();
                methods.map(move |method| (path.clone(), method.clone()))
            })
            .collect();
        assert_eq!(described, mounted());
        assert!(described.len() >= 14);
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_path_has_its_parameters() {
        let document = document();
        let text = document.to_string();
        let references = text.split(r##""$ref":"#"##).skip(1);
        for reference in references.map(|it| it.split('"').next().unwrap()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let parameters = operation["parameters"].as_array();
                let parameters = parameters.into_iter().flatten();
                let named: BTreeSet<_> = parameters
                    .filter(|it| it["in"] == "path")
                    .map(|it| format!("{{{}}}", it["name"].as_str().unwrap()))
                    .collect();
                let wanted = path.split('/').filter(|part| part.starts_with('{'));
                let wanted: BTreeSet<_> = wanted.map(str::to_owned).collect();
                assert_eq!(named, wanted, "{method} {path}");
            }
        }
    }

    #[test]
    fn documents_are_put_together_and_the_first_word_counts() {
        let merged = merged(&[r#"{"a":{"b":1},"c":[1]}"#, r#"{"a":{"b":2,"d":3},"c":[2]}"#]);
        assert_eq!(merged, r#"{"a":{"b":1,"d":3},"c":[1]}"#);
    }
}
