//! Requests, as handlers receive them.

use crate::harness::{Running, limits, post, usual_app};
use rejoin_http::{Response, StatusCode};

#[test]
fn a_connection_is_kept() {
    let server = Running::usual();
    let mut client = server.client();
    for number in 0..100 {
        let text = number.to_string();
        assert_eq!(client.post("/echo", &text).unwrap().text(), text);
    }
}

#[test]
fn a_connection_is_closed_when_the_client_asks_for_it() {
    let server = Running::usual();
    let answers =
        server.all_answers_to(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert!(answers.ends_with("Welcome!"), "{answers}");
}

#[test]
fn bodies_of_any_framing_arrive_whole() {
    let server = Running::usual();
    let mut client = server.client();
    let large = "x".repeat(3_000_000);
    assert_eq!(
        client.post("/echo", &large).unwrap().body.len(),
        large.len()
    );
    assert_eq!(client.post("/echo", "").unwrap().text(), "");
    let chunked = [("transfer-encoding", "Chunked")];
    let answer = client
        .request(
            "POST",
            "/echo",
            &chunked,
            b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        )
        .unwrap();
    assert_eq!(answer.text(), "abcde");
}

#[test]
fn a_client_that_expects_100_continue_gets_it() {
    let server = Running::usual();
    let mut client = server.client();
    let head = "POST /echo HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n";
    client.send_raw(head.as_bytes()).unwrap();
    assert_eq!(client.receive().unwrap().status, 100);
    client.send_raw(b"abc").unwrap();
    assert_eq!(client.receive().unwrap().text(), "abc");
}

#[test]
fn a_client_that_announces_too_long_a_body_does_not_get_100_continue() {
    let server = Running::usual();
    let mut client = server.client();
    let head = "POST /echo HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 30000000\r\n\r\n";
    client.send_raw(head.as_bytes()).unwrap();
    assert_eq!(client.receive().unwrap().status, 413);
}

#[test]
fn a_handler_reads_headers_peer_path_and_query() {
    let mut app = usual_app();
    post(&mut app, "/seen/:name", |request| async move {
        let text = format!(
            "{} {} {} {} {} {:?} {:?} {}",
            request.method(),
            request.url().path(),
            request.param("name").unwrap(),
            request.url().query().unwrap_or("-"),
            request.address().unwrap(),
            request.header("X-One"),
            request.header("x-two"),
            request.headers().get_all("x-one").iter().count(),
        );
        Response::new(StatusCode::OK, "text/plain", text)
    });
    let server = Running::start(app, limits());
    let mut client = server.client();
    let headers = [("x-one", "1"), ("x-one", "2")];
    for name in ["a", "b", "b"] {
        let path = format!("/seen/{name}?q={name}%20");
        let answer = client.request("POST", &path, &headers, b"x").unwrap();
        let peer = client.local_addr().unwrap();
        let expected = format!("POST /seen/{name} {name} q={name}%20 {peer} Some(\"1\") None 2");
        assert_eq!(answer.text(), expected);
    }
}
