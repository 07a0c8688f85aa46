//! Rejoin's own HTTP API: sessions, jobs and their events, as JSON and Server-Sent Events.
//!
//! Clients read the log itself. Each event has a sequence, and a client asks for the events after the
//! last sequence that it has; the server keeps no state for it. `openapi.json` describes the paths.
//! Instants are in milliseconds since 1970, UTC.
//!
//! With accounts, every client has to log in, and a session belongs to its creator. Others need its
//! UUID to use it, and their role decides what they may do in it.
//!
//! A stream counts as use of its session, and so does a read that waits: a session with a viewer is
//! not closed as idle. Events of a job of Arthas' `exec` are for its submitter alone; viewers get only
//! their sequence and instant, with the type `private`.

mod answer;
mod audit;
mod cluster;
mod describe;
mod error;
pub mod event_json;
mod find;
mod handlers;
mod limits;
mod links;
mod login;
mod output;
pub mod record_json;
mod record_source;
mod recording;
mod records;
mod redact;
mod request;
mod stream;
mod tokens;
mod view_json;

use crate::error::Fault;
use crate::links::Visits;
use rejoin_accounts::Accounts;
use rejoin_engine::Engine;
use rejoin_http::{Bytes, Gate, Request, Response, Route, Router, StatusCode, route};
use std::sync::Arc;

/// This frontend's OpenAPI document (version 3.1). [`mount_openapi`] can merge it with others.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// Mounts the API on a router: sessions at `/sessions`, logins at `/login`, `/logout` and `/me`, and
/// access tokens at `/tokens`.
///
/// ```
/// use rejoin_accounts::Accounts;
/// use rejoin_engine::Engine;
/// use rejoin_http::{HostCheck, HttpLimits, HttpServer};
/// use rejoin_http::test_client::Client;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let engine = smol::block_on(Engine::in_memory().open())?;
/// let mut router = rejoin_http::Router::default();
/// rejoin_native::mount(&mut router, engine, Accounts::open()?);
/// let server = HttpServer::bind(([127, 0, 0, 1], 0).into(), router, HttpLimits::default(), HostCheck::local())?;
/// let (address, shutdown) = (server.local_addr(), server.shutdown());
/// let server = std::thread::spawn(move || smol::block_on(server.run(std::future::pending())));
/// let received = Client::connect(address)?.get("/sessions")?;
/// assert_eq!(received.text(), r#"{"next":null,"sessions":[]}"#);
/// shutdown.trigger();
/// server.join().map_err(|_| "panicked")??;
/// # Ok(())
/// # }
/// ```
pub fn mount(router: &mut Router, engine: Engine, accounts: Accounts) {
    let visits = Arc::default();
    let native = Arc::new(Native {
        engine,
        accounts,
        visits,
    });
    let gate = Gate::<Native> {
        admit: |native, http| Box::pin(native.admit(http)),
        refuse: |refused| Fault::Refused(refused.clone()).into(),
    };
    router.mount_gated(FRONTEND, native, ROUTES, gate);
}

/// Every method and path of the API. `openapi.json` describes the same, which a test checks.
pub const ROUTES: &[Route<Native>] = &[
    route!(POST "/login" => Native::login),
    route!(POST "/logout" => Native::logout),
    route!(GET "/me" => Native::me),
    route!(GET "/tokens" => Native::tokens),
    route!(POST "/tokens" => Native::add_token),
    route!(DELETE "/tokens/:token" => Native::remove_token),
    route!(GET "/audit" => Native::audit),
    route!(GET "/cluster" => Native::cluster),
    route!(POST "/cluster/nodes/:node/retire" => Native::retire),
    route!(GET "/services" => Native::services),
    route!(GET "/sessions" => Native::list),
    route!(POST "/sessions" => Native::create),
    route!(GET "/sessions/:session" => Native::show),
    route!(DELETE "/sessions/:session" => Native::close),
    route!(PATCH "/sessions/:session" => Native::describe_session),
    route!(POST "/sessions/:session/consumers" => Native::join),
    route!(DELETE "/sessions/:session/consumers/:consumer" => Native::leave),
    route!(GET "/sessions/:session/events" => Native::events),
    route!(GET "/sessions/:session/links" => Native::links),
    route!(POST "/sessions/:session/links" => Native::add_link),
    route!(DELETE "/sessions/:session/links/:link" => Native::remove_link),
    route!(GET "/sessions/:session/output" => Native::output),
    route!(GET "/sessions/:session/records" => Native::records),
    route!(GET "/sessions/:session/search" => Native::search),
    route!(GET "/sessions/:session/stream" => Native::stream),
    route!(GET "/sessions/:session/viewers" => Native::viewers),
    route!(DELETE "/sessions/:session/records" => Native::delete_records),
    route!(POST "/sessions/:session/redactions" => Native::redact),
    route!(POST "/sessions/:session/interrupt" => Native::interrupt),
    route!(GET "/sessions/:session/jobs" => Native::jobs),
    route!(POST "/sessions/:session/jobs" => Native::submit),
    route!(GET "/sessions/:session/jobs/:job" => Native::job),
    route!(POST "/sessions/:session/jobs/:job/interrupt" => Native::interrupt),
    route!(POST "/sessions/:session/jobs/:job/input" => Native::write),
    route!(GET "/sessions/:session/jobs/:job/screen" => Native::screen),
    route!(PUT "/sessions/:session/jobs/:job/size" => Native::resize),
    route!(PUT "/sessions/:session/jobs/:job/controller" => Native::take_control),
    route!(DELETE "/sessions/:session/jobs/:job/controller" => Native::give_control),
    route!(ANY "/sessions/" => Native::not_found),
    route!(ANY "/sessions/*" => Native::not_found),
];

const FRONTEND: &str = "native";

/// Mounts `/openapi.json`, which merges the documents of several frontends.
///
/// # Panics
///
/// If one is not JSON: they are part of the program.
pub fn mount_openapi(router: &mut Router, documents: &[&str]) {
    let document = Arc::new(Document(merged(documents).into()));
    let routes = [route!(GET "/openapi.json" => Document::show)];
    router.mount_gated(FRONTEND, document, &routes, Gate::SMALL);
}

struct Document(Bytes);

impl Document {
    async fn show(&self, http: &Request) -> Response {
        let document = match http.prefix() {
            "" => self.0.clone(),
            prefix => self.served_at(prefix),
        };
        Response::new(StatusCode::OK, "application/json", document)
    }

    /// The document of a server that clients have at a path.
    fn served_at(&self, prefix: &str) -> Bytes {
        let servers = serde_json::json!([{"url": prefix}]);
        let rest = self.0.strip_prefix(b"{").unwrap_or_default();
        [format!("{{\"servers\":{servers},").as_bytes(), rest]
            .concat()
            .into()
    }
}

/// The API of an engine.
#[derive(Clone, Debug)]
pub struct Native {
    engine: Engine,
    accounts: Accounts,
    visits: Arc<Visits>,
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

/// Merges objects, at every level. Of other values with the same name, the first stays.
fn merge(whole: &mut serde_json::Value, part: serde_json::Value) {
    if let (Some(whole), serde_json::Value::Object(part)) = (whole.as_object_mut(), part) {
        for (name, value) in part {
            match whole.get_mut(&name) {
                Some(existing) => merge(existing, value),
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
    use rejoin_http::test_openapi::assert_documented;
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn document() -> Value {
        serde_json::from_str(OPENAPI).unwrap()
    }

    #[test]
    fn the_document_describes_every_route_and_no_other() {
        assert_documented(OPENAPI, ROUTES);
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_path_has_its_parameters() {
        let document = document();
        let text = document.to_string();
        let references = text.split(r##""$ref":"#"##).skip(1);
        for reference in references.map(|rest| rest.split('"').next().unwrap()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let parameters = operation["parameters"].as_array();
                let parameters = parameters.into_iter().flatten();
                let named: BTreeSet<_> = parameters
                    .filter(|parameter| parameter["in"] == "path")
                    .map(|parameter| format!("{{{}}}", parameter["name"].as_str().unwrap()))
                    .collect();
                let wanted = path.split('/').filter(|part| part.starts_with('{'));
                let wanted: BTreeSet<_> = wanted.map(str::to_owned).collect();
                assert_eq!(named, wanted, "{method} {path}");
            }
        }
    }

    #[test]
    fn merging_documents_keeps_the_first_of_two_values() {
        let merged = merged(&[r#"{"a":{"b":1},"c":[1]}"#, r#"{"a":{"b":2,"d":3},"c":[2]}"#]);
        assert_eq!(merged, r#"{"a":{"b":1,"d":3},"c":[1]}"#);
    }
}
