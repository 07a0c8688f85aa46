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
fn a_local_origin_passes() {
    let server = Running::usual();
    let own = format!("http://{}", server.address);
    for origin in [own.as_str(), "http://localhost:3000", "http://[::1]"] {
        let answer = server
            .client()
            .request("POST", "/echo", &[("origin", origin)], b"x")
            .unwrap();
        assert_eq!(answer.status, 200, "{origin}");
    }
}

#[test]
fn one_bad_origin_among_several_is_enough() {
    let server = Running::usual();
    let headers = [
        ("origin", "http://localhost"),
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
