//! The document at `/openapi.json` is true: the server is driven by it, path by path and method by
//! method, with the examples that it gives, and answers with what it says.

mod schema;

use crate::server::{Server, directory};
use rejoin_http::test_client::{Client, Received};
use schema::{judge, resolve};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::BufRead;
use std::net::SocketAddr;

/// What the examples call a session and a consumer of it, whom they could not know.
const EXAMPLE_SESSION: &str = "5f4dcc3b-5aa7-45d6-9d83-27deb882cf99";
const EXAMPLE_CONSUMER: &str = "0123456789abcdef0123456789abcdef_1";

/// Frontends whose every example is there, and is to succeed. Access tokens are not among them: they are
/// of accounts, and this server has none.
const WITH_EXAMPLES: [&str; 4] = ["Arthas", "MaxScale", "Doris", "Rejoin"];

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

#[test]
fn every_documented_request_gets_a_documented_response() {
    let document = document(Server::start(directory().path(), &[]).address);
    let mut operations = vec![];
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            if let Some(operation) = methods.get(method) {
                operations.push((path, method, operation));
            }
        }
    }
    assert!(operations.len() >= 30, "so little is documented");
    // Most of it is waiting, so that a few are driven at once.
    let document = &document;
    std::thread::scope(|scope| {
        for part in operations.chunks(operations.len().div_ceil(4)) {
            scope.spawn(move || {
                for (path, method, operation) in part {
                    let drive = Drive::begin(document, path, method, operation);
                    drive.succeed();
                    drive.name_nobody();
                }
            });
        }
    });
}

#[test]
fn undocumented_requests_are_rejected_as_documented() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    server.create();
    let document = document(server.address);
    for (path, methods) in document["paths"].as_object().unwrap() {
        let target = path
            .split('/')
            .map(|part| if part.starts_with('{') { "1" } else { part });
        let target = target.collect::<Vec<_>>().join("/");
        for method in METHODS
            .iter()
            .filter(|method| methods.get(**method).is_none())
        {
            let answer = ask(&server, method, &target, &[], None);
            let refusal = methods.get("x-other-methods").cloned();
            let refusal = refusal.unwrap_or_else(|| json!({"status": "405"}));
            let asked = format!("{method} {target}: {answer:?}");
            assert_eq!(answer.status.to_string(), refusal["status"], "{asked}");
            if let Some(schema) = refusal.get("schema") {
                let body = answer.json();
                judge(&body, schema, &document).unwrap_or_else(|wrong| panic!("{asked}: {wrong}"));
            }
        }
    }
}

/// A client may leave out any attribute, and ask for more than there is on a page.
#[test]
fn whatever_is_left_out_or_out_of_range_the_answer_is_as_documented() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let (session, _) = server.create();
    server.exec(&session, "echo hello");
    let document = document(server.address);
    let mut targets = vec![];
    for (path, documented, kind) in [
        ("/v1/sessions", "/v1/sessions", "sessions"),
        ("/v1/sessions/1", "/v1/sessions/{id}", "sessions"),
        ("/v1/services", "/v1/services", "services"),
        ("/v1/services/shell", "/v1/services/{id}", "services"),
        ("/v1/maxscale", "/v1/maxscale", "maxscale"),
    ] {
        for fields in [
            "",
            ",",
            "nothing",
            "user",
            "services/links/related",
            "parameters/log_info",
            "statistics/x",
        ] {
            targets.push((format!("{path}?fields[{kind}]={fields}"), documented));
        }
    }
    for limit in ["0", "1001", "18446744073709551615"] {
        targets.push((format!("/sessions?limit={limit}"), "/sessions"));
        let events = "/sessions/{session}/events";
        targets.push((format!("/sessions/1/events?limit={limit}"), events));
    }
    for (target, path) in targets {
        let answer = ask(&server, "get", &target, &[], None);
        assert_eq!(answer.status, 200, "{target}");
        let schema = &document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
            ["schema"];
        let body = answer.json();
        judge(&body, schema, &document).unwrap_or_else(|wrong| panic!("{target}: {wrong}"));
        // What the server clamps, the document does not forbid.
        let parameters = &document["paths"][path]["get"]["parameters"];
        let limit = parameters.as_array().unwrap().iter();
        let limit = limit
            .map(|it| resolve(it, &document))
            .find(|it| it["name"] == "limit");
        assert!(limit.is_none_or(|limit| limit["schema"].get("maximum").is_none()));
    }
}

#[test]
fn a_separate_address_has_its_own_document() {
    let data = directory();
    let any = "127.0.0.1:0";
    let mut server = Server::start(
        data.path(),
        &["--maxscale-listen", any, "--doris-listen", any],
    );
    let mut found = || -> SocketAddr {
        let mut line = String::new();
        server.out.read_line(&mut line).unwrap();
        let (_, address) = line.trim_end().split_once("://").unwrap();
        address.parse().unwrap()
    };
    let (maxscale, doris) = (found(), found());
    for (address, has) in [
        (server.address, "/sessions"),
        (server.address, "/api"),
        (maxscale, "/v1/sessions"),
        (doris, "/rest/v1/session"),
    ] {
        let paths = document(address)["paths"].clone();
        assert!(paths.get(has).is_some(), "{has} at {address}");
        let elsewhere = ["/api", "/v1/sessions", "/rest/v1/session"];
        let all = elsewhere.iter().filter(|it| paths.get(**it).is_some());
        assert_eq!(all.count(), 1, "{paths}");
    }
}

/// One operation, on a server that has one session, with one consumer, one finished job and one
/// that reads its input.
struct Drive<'a> {
    document: &'a Value,
    path: &'a str,
    method: &'a str,
    operation: &'a Value,
    server: Server,
    session: String,
    consumer: String,
    _data: tempfile::TempDir,
}

/// Whether it is about a job with a terminal.
fn needs_terminal(path: &str) -> bool {
    ["/size", "/controller", "/screen"]
        .iter()
        .any(|end| path.ends_with(end))
}

impl<'a> Drive<'a> {
    fn begin(document: &'a Value, path: &'a str, method: &'a str, operation: &'a Value) -> Self {
        let data = directory();
        let server = Server::start(data.path(), &["--log-level", "warn", "--pull-wait", "10ms"]);
        let (session, consumer) = server.create();
        server.exec(&session, "echo hello");
        if needs_terminal(path)
            || method == "post" && (path.contains("{job}") || path.ends_with("/interrupt"))
        {
            let mut cat = json!({"statement": "cat", "input": true});
            if needs_terminal(path) {
                cat["terminal"] = json!({"columns": 80, "rows": 24});
            }
            let target = format!("/sessions/{session}/jobs");
            let answer = ask(&server, "post", &target, &[], Some(&cat));
            assert_eq!(answer.status, 201, "{answer:?}");
        }
        Self {
            document,
            path,
            method,
            operation,
            server,
            session,
            consumer,
            _data: data,
        }
    }

    /// Asks with every example: first without what may be left out, then with each of that.
    fn succeed(&self) {
        let has_examples = self.operation["tags"]
            .as_array()
            .unwrap()
            .iter()
            .any(|tag| WITH_EXAMPLES.contains(&tag.as_str().unwrap()));
        let needed = self.needed();
        for body in self.bodies() {
            let answer = self.ask(&needed, body.as_ref(), |name, example| {
                self.stand_in(name, example)
            });
            let asked = format!("{} {} {body:?}: {answer:?}", self.method, self.path);
            assert!(!has_examples || answer.status < 400, "{asked}");
        }
        let body = self.bodies().into_iter().next().flatten();
        for parameter in self.parameters() {
            if parameter["in"] != "path" && !parameter["example"].is_null() {
                let mut given = needed.clone();
                given.retain(|it| it["name"] != parameter["name"]);
                given.push(parameter);
                let answer = self.ask(&given, body.as_ref(), |name, example| {
                    self.stand_in(name, example)
                });
                // A DELETE before has left nothing to delete.
                let asked = format!("{} {} {parameter}: {answer:?}", self.method, self.path);
                assert!(answer.status < 400 || self.method == "delete", "{asked}");
            }
        }
    }

    /// The parameters beside the path that may not be left out.
    fn needed(&self) -> Vec<&'a Value> {
        let all = self.parameters().into_iter();
        all.filter(|it| it["in"] != "path" && it["required"] == true)
            .collect()
    }

    /// Asks for what isn't there.
    fn name_nobody(&self) {
        if self.path.contains('{') {
            let body = self.bodies().into_iter().next().flatten();
            let answer = self.ask(&self.needed(), body.as_ref(), |_, _| "9999".into());
            let asked = format!("{} {}: {answer:?}", self.method, self.path);
            assert!(answer.status >= 400, "{asked}");
        }
    }

    fn parameters(&self) -> Vec<&'a Value> {
        let parameters = self.operation.get("parameters").and_then(Value::as_array);
        let all = parameters.into_iter().flatten();
        all.map(|it| resolve(it, self.document)).collect()
    }

    /// What stands in a path for what an example could not know.
    fn stand_in(&self, name: &str, example: &Value) -> String {
        match (name, example.as_str()) {
            ("consumer", _) => self.consumer.clone(),
            // What runs is the second job.
            ("job", _) if self.method == "post" || needs_terminal(self.path) => "2".into(),
            (_, None) => "1".into(),
            (_, Some(example)) => example.into(),
        }
    }

    fn bodies(&self) -> Vec<Option<Value>> {
        let content = self
            .operation
            .pointer("/requestBody/content/application~1json");
        let Some(content) = content else {
            return vec![None];
        };
        let several = content.get("examples").and_then(Value::as_object);
        let several = several.into_iter().flatten().map(|(_, it)| &it["value"]);
        let mut all: Vec<_> = several.chain(content.get("example")).collect();
        // What closes the session is asked for last.
        all.sort_by_key(|it| it["action"] == "close_session");
        for example in &all {
            judge(example, &content["schema"], self.document).unwrap();
        }
        let known = |example: &Value| {
            let text = example.to_string();
            let text = text.replace(EXAMPLE_SESSION, &self.session);
            let text = text.replace(EXAMPLE_CONSUMER, &self.consumer);
            Some(serde_json::from_str(&text).unwrap())
        };
        match all.is_empty() {
            true => vec![Some(json!({}))],
            false => all.into_iter().map(known).collect(),
        }
    }

    /// Asks, and judges the answer by the document.
    fn ask(
        &self,
        given: &[&Value],
        body: Option<&Value>,
        stand_in: impl Fn(&str, &Value) -> String,
    ) -> Received {
        let mut target = self.path.to_owned();
        for parameter in self.parameters() {
            let name = parameter["name"].as_str().unwrap();
            if parameter["in"] == "path" {
                let place = format!("{{{name}}}");
                assert!(target.contains(&place), "{target} has no {place}");
                target = target.replace(&place, &stand_in(name, &parameter["example"]));
            }
        }
        assert!(!target.contains('{'), "{target}: a parameter is missing");
        let mut headers = vec![];
        let mut start = '?';
        for parameter in given {
            let name = parameter["name"].as_str().unwrap();
            let example = match &parameter["example"] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            match parameter["in"].as_str().unwrap() {
                "header" => headers.push((name, example)),
                _ => {
                    target.push(start);
                    start = '&';
                    target += &format!("{}={}", quoted(name), quoted(&example));
                }
            }
        }
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, it)| (*name, it.as_str()))
            .collect();
        let answer = ask(&self.server, self.method, &target, &headers, body);
        let asked = format!("{} {target} {body:?}: {answer:?}", self.method);
        self.judge(&answer)
            .unwrap_or_else(|wrong| panic!("{asked}: {wrong}"));
        answer
    }

    fn judge(&self, answer: &Received) -> Result<(), String> {
        let responses = &self.operation["responses"];
        let status = answer.status.to_string();
        let documented = responses.get(&status).or_else(|| responses.get("default"));
        let documented = documented.ok_or("the status is not documented")?;
        let content = resolve(documented, self.document).get("content");
        let (Some(given), Some(content)) = (answer.header("content-type"), content) else {
            // Nothing is said, whether or not something could be.
            return match answer.body.is_empty() && answer.header("content-type").is_none() {
                true => Ok(()),
                false => Err("the body is not documented".into()),
            };
        };
        let documented = content
            .get(given)
            .ok_or("the content type is not documented")?;
        if given == "application/json" || given == "application/problem+json" {
            let body = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
            judge(&body, &documented["schema"], self.document)?;
        }
        Ok(())
    }
}

/// One request. Of a stream of events only the head is waited for.
fn ask(
    server: &Server,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Received {
    let method = method.to_uppercase();
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut client = server.client();
    if target.contains("/stream") {
        client.send_request(&method, target, headers, b"").unwrap();
        let head = client.receive_head().unwrap();
        if head.header("content-type") == Some("text/event-stream") {
            return head;
        }
        // It is refused, and is refused again.
        client = server.client();
    }
    client
        .request(&method, target, headers, body.as_bytes())
        .unwrap()
}

fn document(address: SocketAddr) -> Value {
    let answer = Client::connect(address)
        .unwrap()
        .get("/openapi.json")
        .unwrap();
    assert_eq!(answer.status, 200);
    answer.json()
}

/// A name or a value as it stands in a query.
fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() {
            true => quoted.push(char::from(byte)),
            false => write!(quoted, "%{byte:02X}").unwrap(),
        }
    }
    quoted
}
