//! What all requests have in common: paths, methods, headers, bodies; and the first requests of
//! clients.

use crate::support::Server;
use serde_json::{Value, json};

#[test]
fn links_repeat_the_host_and_the_version_of_the_request() {
    let server = Server::with_sessions(1);
    for (path, host, own) in [
        (
            "/v1/sessions/1",
            "localhost:8989",
            "http://localhost:8989/v1/sessions/1",
        ),
        (
            "/sessions/1/",
            "maxscale.localhost",
            "http://maxscale.localhost/sessions/1",
        ),
    ] {
        let received = server.request("GET", path, &[("host", host)], "");
        let shown: Value = serde_json::from_slice(&received.body).unwrap();
        assert_eq!(shown["links"]["self"], own);
        assert_eq!(shown["data"]["links"]["self"], own);
    }
}

#[test]
fn every_link_resolves_to_a_resource_with_that_self_link() {
    let server = Server::with_sessions(1);
    let base = format!("http://{}", server.http.address());
    let mut left = vec!["/v1/sessions".to_owned(), "/v1/maxscale".into()];
    let mut seen = vec![];
    while let Some(path) = left.pop() {
        let shown = server.json(&path);
        let mut links = vec![];
        collect_links(&shown, &mut links);
        let own = shown["links"]["self"].as_str().unwrap();
        let path = own.strip_prefix(&base).unwrap();
        assert_eq!(server.json(path)["links"]["self"], own);
        seen.push(path.to_owned());
        for link in links {
            let path = link.strip_prefix(&base).unwrap().to_owned();
            if !seen.contains(&path) && !left.contains(&path) {
                left.push(path);
            }
        }
    }
    assert!(seen.contains(&"/v1/services/shell".into()), "{seen:?}");
}

fn collect_links(value: &Value, links: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| match member {
            Value::String(link) if matches!(&**name, "self" | "related") => {
                links.push(link.clone());
            }
            member => collect_links(member, links),
        }),
        Value::Array(elements) => elements.iter().for_each(|it| collect_links(it, links)),
        _ => {}
    }
}

#[test]
fn the_first_requests_of_clients_succeed() {
    let server = Server::with_sessions(1);
    for path in ["/", "/v1", "/v1/"] {
        let there = server.get(path);
        assert_eq!((there.status, there.body.len()), (200, 0), "{path}");
    }
    let maxscale = server.json("/v1/maxscale");
    assert_eq!(
        maxscale["data"]["attributes"]["parameters"]["retain_last_statements"],
        10
    );
    let version = server.json("/maxscale?fields[maxscale]=version");
    assert_eq!(
        version["data"]["attributes"],
        json!({"version": env!("CARGO_PKG_VERSION")})
    );
    let services = server.json("/v1/sessions/1/relationships/services");
    assert_eq!(
        services["data"],
        json!([{"id": "shell", "type": "services"}])
    );
    let names: Vec<_> = server.json("/v1/services")["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            (
                it["id"].clone(),
                it["attributes"]["statistics"]["connections"].clone(),
            )
        })
        .collect();
    assert_eq!(
        names,
        [(json!("shell"), json!(1)), (json!("sql"), json!(0))]
    );
    let (status, detail) = server.fault("GET", "/v1/services/x", "");
    assert_eq!((status, &*detail), (404, "x is not a service"));
}

#[test]
fn an_unknown_path_is_an_empty_404_for_every_method() {
    let server = Server::with_sessions(1);
    for (method, path) in [
        ("GET", "/v1/servers"),
        ("GET", "/v1/sessions/1/x"),
        ("DELETE", "/v1/sessions"),
        ("POST", "/v1/sessions"),
        ("PUT", "/v1/sessions"),
        ("PUT", "/v1/sessions/1"),
        ("GET", "/v1/sessions/1/restart"),
        ("OPTIONS", "/v1/servers"),
        ("GET", "/servers"),
        ("POST", "/"),
        ("GET", "/index.html"),
    ] {
        assert_eq!(
            server.fault(method, path, ""),
            (404, String::new()),
            "{method} {path}"
        );
    }
}

#[test]
fn options_lists_the_methods() {
    let server = Server::with_sessions(1);
    for (path, accept, allow) in [
        ("/v1/sessions", "GET", "GET, HEAD, OPTIONS"),
        (
            "/v1/sessions/1",
            "GET, DELETE",
            "GET, PATCH, DELETE, HEAD, OPTIONS",
        ),
        ("/v1/sessions/1/restart", "POST", "POST, OPTIONS"),
    ] {
        let received = server.request("OPTIONS", path, &[], "");
        assert_eq!((received.status, received.body.len()), (200, 0));
        assert_eq!(received.header("accept"), Some(accept));
        assert_eq!(received.header("allow"), Some(allow));
    }
}

#[test]
fn head_has_the_headers_of_get() {
    let server = Server::with_sessions(1);
    for path in ["/v1/sessions", "/v1/sessions/1"] {
        let (head, get) = (server.request("HEAD", path, &[], ""), server.get(path));
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.header("etag"), get.header("etag"));
        assert!(
            head.header("content-length")
                .unwrap()
                .parse::<usize>()
                .unwrap()
                > 100
        );
    }
    assert_eq!(
        server.request("HEAD", "/v1/sessions/9", &[], "").status,
        404
    );
}

#[test]
fn a_header_can_override_the_method() {
    let server = Server::with_sessions(2);
    let override_with = |method| [("X-HTTP-Method-Override", method)];
    let path = "/v1/sessions/1";
    assert_eq!(
        server
            .request("GET", path, &override_with("delete"), "")
            .status,
        405
    );
    assert_eq!(
        server
            .request("GET", path, &override_with("NONSENSE"), "")
            .status,
        405
    );
    assert_eq!(
        server
            .request("GET", path, &override_with("PUT"), "")
            .status,
        404
    );
    assert_eq!(
        server
            .request("POST", path, &override_with("DELETE"), "")
            .status,
        200
    );
    assert_eq!(server.ids("/v1/sessions"), [2]);
}

#[test]
fn bodies_are_indented_by_four_with_sorted_keys_unless_pretty_is_false() {
    let server = Server::with_sessions(1);
    let path = "/v1/sessions?fields[sessions]=user";
    let own = format!("http://{}/v1/sessions", server.http.address());
    let links = format!(r#"{{"self":"{own}/1"}}"#);
    let one =
        format!(r#"{{"attributes":{{"user":"ada"}},"id":"1","links":{links},"type":"sessions"}}"#);
    let compact = format!(r#"{{"data":[{one}],"links":{{"self":"{own}/"}}}}"#);
    for off in ["false", "off", "no", "0"] {
        assert_eq!(server.get(&format!("{path}&pretty={off}")).text(), compact);
    }
    let value: Value = serde_json::from_str(&compact).unwrap();
    let two_blanks = serde_json::to_string_pretty(&value).unwrap();
    let pretty: String = two_blanks
        .split_inclusive('\n')
        .map(|line| {
            let text = line.trim_start_matches(' ');
            " ".repeat(2 * (line.len() - text.len())) + text
        })
        .collect();
    for on in ["", "&pretty=true", "&pretty"] {
        assert_eq!(server.get(&format!("{path}{on}")).text(), pretty);
    }
}

#[test]
fn every_answer_has_the_known_headers() {
    let server = Server::with_sessions(1);
    for path in [
        "/v1/sessions",
        "/v1/sessions/1",
        "/v1/sessions/9",
        "/v1/nothing",
    ] {
        let received = server.get(path);
        assert_eq!(received.header("x-frame-options"), Some("Deny"));
        assert_eq!(received.header("x-xss-protection"), Some("1"));
        assert_eq!(received.header("referrer-policy"), Some("same-origin"));
        assert_eq!(received.header("cache-control"), Some("no-cache, no-store"));
        assert!(received.header("date").unwrap().ends_with("GMT"));
        let kind = (!received.body.is_empty()).then_some("application/json");
        assert_eq!(received.header("content-type"), kind, "{path}");
    }
    let basic = [("authorization", "Basic YWRtaW46bWFyaWFkYg==")];
    assert_eq!(
        server.request("GET", "/v1/sessions", &basic, "").status,
        200
    );
}

#[test]
fn a_body_that_is_not_json_is_refused() {
    let server = Server::with_sessions(1);
    for body in ["nope", "7", "\"text\"", "{", "[1,", &"[".repeat(100_000)] {
        for (method, path) in [("PATCH", "/v1/sessions/1"), ("GET", "/v1/sessions")] {
            let (status, detail) = server.fault(method, path, body);
            assert_eq!(status, 400, "{method} {body}");
            assert!(detail.starts_with("Invalid JSON in request: "), "{detail}");
        }
    }
    let (_, detail) = server.fault("PATCH", "/v1/sessions/1", "7");
    assert!(detail.ends_with("'[' or '{' expected near '7'"), "{detail}");
}
