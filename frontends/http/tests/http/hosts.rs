//! The checks of hosts and origins: no web page in a user's browser may run commands.

use crate::harness::{Running, limits, usual_app};
use rejoin_http::HostCheck;

#[test]
fn a_missing_doubled_or_malformed_host_is_malformed() {
    for check in [HostCheck::local(), HostCheck::none()] {
        let server = Running::checked(usual_app(), limits(), check);
        for host in [
            "",
            "host:\r\n",
            "host: localhost\r\nhost: localhost\r\n",
            "host: a b\r\n",
            "host: user@localhost\r\n",
            "host: localhost/\r\n",
        ] {
            let answer = server.answer_to(format!("GET / HTTP/1.1\r\n{host}\r\n").as_bytes());
            assert_eq!(answer.status, 400, "{host:?}");
            assert_eq!(
                answer.header("content-type"),
                Some("text/plain; charset=utf-8")
            );
        }
    }
}

#[test]
fn a_foreign_host_is_refused_with_a_clear_text() {
    let server = Running::usual();
    let mut client = server.client();
    let answer = client
        .request("GET", "/", &[("host", "rebound.example:8563")], b"")
        .unwrap();
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.text(),
        "Host \"rebound.example\" isn't allowed; start the server with --allow-host rebound.example"
    );
    // The refusal had no body to skip, so the connection stays.
    assert_eq!(
        client
            .request("GET", "/", &[("host", "localhost:1")], b"")
            .unwrap()
            .status,
        200
    );
}

#[test]
fn a_foreign_or_null_origin_is_refused_and_its_body_never_reaches_a_handler() {
    let server = Running::usual();
    for origin in [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
    ] {
        let mut client = server.client();
        let headers = [("origin", origin), ("content-type", "text/plain")];
        let answer = client
            .request("POST", "/echo", &headers, b"command")
            .unwrap();
        assert_eq!(answer.status, 403, "{origin}");
        assert!(
            answer.text().contains("another origin"),
            "{}",
            answer.text()
        );
    }
}

#[test]
fn only_the_servers_own_origin_passes() {
    let server = Running::usual();
    let own = format!("http://{}", server.address);
    for (origin, status) in [
        (own.as_str(), 200),
        // Such a page may be a forwarded port, which is another machine's.
        ("http://localhost:3000", 403),
        ("http://localhost", 403),
        ("http://[::1]", 403),
    ] {
        let host = server.address.to_string();
        let headers = [("host", &*host), ("origin", origin)];
        let answer = server
            .client()
            .request("POST", "/echo", &headers, b"x")
            .unwrap();
        assert_eq!(answer.status, status, "{origin}");
    }
}

#[test]
fn what_another_sites_page_loads_is_refused_and_a_link_is_followed() {
    let server = Running::usual();
    // The first request passes and stays in the connection's memory.
    let mut client = server.client();
    assert_eq!(client.get("/").unwrap().status, 200);
    let loads = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "no-cors"),
    ];
    assert_eq!(client.request("GET", "/", &loads, b"").unwrap().status, 403);
    let follows = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    assert_eq!(
        client.request("GET", "/", &follows, b"").unwrap().status,
        200
    );
    let posts = client.request("POST", "/echo", &follows, b"x").unwrap();
    assert_eq!(posts.status, 403);
}

#[test]
fn a_page_of_an_allowed_origin_may_send_requests_and_read_responses() {
    let check = HostCheck::local().allow_origin("https://ui.example");
    let server = Running::checked(usual_app(), limits(), check);
    let page = ("origin", "https://ui.example");
    let asks = [page, ("access-control-request-method", "POST")];
    let mut client = server.client();
    let preflight = client.request("OPTIONS", "/echo", &asks, b"").unwrap();
    assert_eq!(preflight.status, 204);
    let allowed = preflight.header("access-control-allow-headers").unwrap();
    assert!(allowed.contains("authorization"), "{allowed}");
    let sends = client.request("POST", "/echo", &[page], b"x").unwrap();
    for received in [&preflight, &sends] {
        let origin = received.header("access-control-allow-origin");
        assert_eq!(origin, Some("https://ui.example"));
        assert_eq!(received.header("access-control-allow-credentials"), None);
    }
    let other = client.get("/").unwrap();
    assert_eq!(other.header("access-control-allow-origin"), None);
    assert_eq!(other.header("vary"), Some("origin"));
    let asks = [("origin", "https://other.example"), asks[1]];
    let refused = client.request("OPTIONS", "/echo", &asks, b"").unwrap();
    assert_eq!(refused.status, 403);
}

#[test]
fn one_bad_origin_among_several_is_enough() {
    let server = Running::usual();
    let own = format!("http://{}", server.address);
    let host = server.address.to_string();
    let headers = [
        ("host", &*host),
        ("origin", &*own),
        ("origin", "http://evil.example"),
    ];
    let answer = server.client().request("GET", "/", &headers, b"").unwrap();
    assert_eq!(answer.status, 403);
}

#[test]
fn allowed_hosts_and_origins_pass() {
    let check = HostCheck::local()
        .allow_host("rejoin.example")
        .allow_origin("https://ui.example");
    let server = Running::checked(usual_app(), limits(), check);
    let headers = [
        ("host", "Rejoin.Example:80"),
        ("origin", "https://ui.example"),
    ];
    let answer = server.client().request("GET", "/", &headers, b"").unwrap();
    assert_eq!(answer.status, 200);
}

#[test]
fn with_accounts_any_host_passes_and_only_its_own_origin() {
    let server = Running::checked(usual_app(), limits(), HostCheck::same_origin());
    let ask = |origin| {
        let headers = [("host", "rejoin.example"), ("origin", origin)];
        server
            .client()
            .request("GET", "/", &headers, b"")
            .unwrap()
            .status
    };
    assert_eq!(ask("https://rejoin.example"), 200);
    assert_eq!(ask("http://localhost"), 403);
}

#[test]
fn http_1_0_without_a_host_is_none_of_a_web_page() {
    let server = Running::usual();
    assert_eq!(server.answer_to(b"GET / HTTP/1.0\r\n\r\n").status, 200);
    assert_eq!(
        server
            .answer_to(b"GET / HTTP/1.0\r\nhost: evil.example\r\n\r\n")
            .status,
        403
    );
}

#[test]
fn a_target_with_a_foreign_host_is_refused() {
    let server = Running::usual();
    let answer = server.answer_to(b"GET http://evil.example/ HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(answer.status, 403);
}
