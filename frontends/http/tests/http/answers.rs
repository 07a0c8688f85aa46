//! Responses of handlers, as clients receive them.

use crate::harness::{Closure, mount};
use crate::harness::{Running, get, limits, text, usual_app};
use futures::StreamExt;
use rejoin_http::{Bytes, Method, Response, StatusCode};

async fn pair() -> Response {
    Response::new(StatusCode::OK, "text/plain", "12345")
}

#[test]
fn a_response_has_its_length_its_headers_in_order_and_no_server() {
    let mut app = usual_app();
    get(&mut app, "/session", |_| async {
        let answer = Response::new(StatusCode::OK, "application/json; charset=utf-8", "{}");
        let answer = answer
            .close()
            .header("content-length", 0)
            .header("set-cookie", "a=b");
        answer.header("set-cookie", "c=d")
    });
    let server = Running::start(app, limits());
    let mut client = server.client();
    let answer = client.get("/session").unwrap();
    let headers: Vec<_> = answer
        .headers
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(
        headers[..5],
        [
            ("content-type", "application/json; charset=utf-8"),
            ("connection", "close"),
            ("content-length", "2"),
            ("set-cookie", "a=b"),
            ("set-cookie", "c=d"),
        ]
    );
    assert_eq!(headers[5], ("x-content-type-options", "nosniff"));
    assert_eq!(headers[6], ("cache-control", "no-store"));
    assert_eq!(headers[7].0, "date");
    assert_eq!(headers.len(), 8);
    assert!(client.receive_rest().unwrap().is_empty(), "it is closed");
}

#[test]
fn a_header_that_would_split_the_answer_is_left_out() {
    let mut app = usual_app();
    get(&mut app, "/split", |_| async {
        let answer = Response::new(StatusCode::OK, "text/plain", "x");
        let answer = answer
            .header("location", "/\r\nset-cookie: evil=1")
            .header("b\u{e4}d", "1");
        answer.header("good", "1")
    });
    let server = Running::start(app, limits());
    let answer = server.client().get("/split").unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("location"), None);
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(answer.header("good"), Some("1"));
}

#[test]
fn a_stream_is_sent_part_by_part_as_it_comes() {
    let (parts, source) = futures::channel::mpsc::unbounded();
    let source = std::sync::Mutex::new(Some(source));
    let mut app = usual_app();
    get(&mut app, "/events", move |_| {
        let source = source.lock().unwrap().take();
        async move {
            let source = source.expect("asked once");
            Response::streaming(StatusCode::OK, "text/event-stream", source.map(Ok))
        }
    });
    let server = Running::start(app, limits());
    let mut client = server.client();
    client.send_request("GET", "/events", &[], b"").unwrap();
    let head = client.receive_head().unwrap();
    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    assert_eq!(head.header("content-length"), None);
    for part in ["data: 1\n\n", "data: 2\n\n"] {
        parts.unbounded_send(Bytes::from(part)).unwrap();
        assert_eq!(client.receive_chunk().unwrap().unwrap(), part.as_bytes());
    }
    drop(parts);
    assert_eq!(client.receive_chunk().unwrap(), None);
    assert_eq!(client.get("/").unwrap().status, 200);
}

#[test]
fn head_is_answered_like_get_without_the_body() {
    let mut app = usual_app();
    get(&mut app, "/pair", |_| pair());
    let server = Running::start(app, limits());
    let mut client = server.client();
    for path in ["/", "/pair", "/nowhere"] {
        let get = client.get(path).unwrap();
        let head = client.request("HEAD", path, &[], b"").unwrap();
        assert_eq!(head.status, get.status);
        assert_eq!(
            head.header("content-length"),
            get.header("content-length"),
            "{path}"
        );
        assert_eq!(
            head.header("content-type"),
            get.header("content-type"),
            "{path}"
        );
        assert!(head.body.is_empty());
    }
}

#[test]
fn an_unknown_path_is_not_found() {
    let server = Running::usual();
    let mut client = server.client();
    for path in ["/nowhere", "/echo/", "/Echo"] {
        for method in ["GET", "POST", "OPTIONS", "DELETE"] {
            let answer = client.request(method, path, &[], b"").unwrap();
            assert_eq!((answer.status, answer.text()), (404, "Not found"));
            assert_eq!(
                answer.header("content-type"),
                Some("text/html; charset=utf-8")
            );
        }
    }
}

#[test]
fn a_wrong_method_gets_the_allowed_ones() {
    let mut app = usual_app();
    let rows = [
        Closure::row(Some(Method::GET), "/pair"),
        Closure::row(Some(Method::DELETE), "/pair"),
    ];
    mount(&mut app, "test", &rows, |_| pair());
    let server = Running::start(app, limits());
    let mut client = server.client();
    let answer = client.request("POST", "/pair", &[], b"x").unwrap();
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("allow"), Some("GET, HEAD, DELETE, OPTIONS"));
    let answer = client.request("OPTIONS", "/pair", &[], b"").unwrap();
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("allow"), Some("GET, HEAD, DELETE, OPTIONS"));
    let answer = client.get("/echo").unwrap();
    assert_eq!(
        (answer.status, answer.header("allow")),
        (405, Some("POST, OPTIONS"))
    );
}

#[test]
fn options_about_the_server_itself_is_answered() {
    let server = Running::usual();
    let answer = server.answer_to(b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(answer.status, 204);
}

#[test]
fn a_panic_is_answered_and_the_connection_lives() {
    let mut app = usual_app();
    get(&mut app, "/panic", |_| async {
        if true {
            panic!("a handler that panics");
        }
        text("never")
    });
    let server = Running::start(app, limits());
    let mut client = server.client();
    for _ in 0..3 {
        let answer = client.get("/panic").unwrap();
        assert_eq!(
            (answer.status, answer.text()),
            (500, "Internal server error")
        );
        assert_eq!(client.get("/").unwrap().status, 200);
    }
}

#[test]
fn a_stream_that_panics_ends_its_connection_only() {
    let mut app = usual_app();
    get(&mut app, "/panic", |_| async {
        let parts = futures::stream::once(async { panic!("a stream that panics") });
        Response::streaming(StatusCode::OK, "text/plain", parts)
    });
    let limits = rejoin_http::HttpLimits {
        threads: std::num::NonZeroUsize::MIN,
        ..limits()
    };
    let server = Running::start(app, limits);
    let mut other = server.client();
    assert_eq!(other.get("/").unwrap().status, 200);
    for _ in 0..3 {
        assert!(server.client().get("/panic").is_err());
    }
    assert_eq!(other.get("/").unwrap().status, 200);
}
