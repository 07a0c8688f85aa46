//! What handlers give back, and what clients get.

use crate::harness::{Running, limits, usual_app};
use futures::StreamExt;
use rejoin_http::{Answer, Bytes, Methods, StatusCode};
use std::io;
use tide::Body;

async fn pair(_: tide::Request<()>) -> tide::Result<Answer> {
    Ok(Answer::new(StatusCode::OK, "text/plain", "12345"))
}

#[test]
fn an_answer_has_its_length_its_headers_in_order_and_no_server() {
    let mut app = usual_app();
    app.at("/session").get(|_| async {
        let answer = Answer::new(StatusCode::OK, "application/json; charset=utf-8", "{}");
        let answer = answer
            .close()
            .header("content-length", 0)
            .header("set-cookie", "a=b");
        Ok(answer.header("set-cookie", "c=d"))
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
    assert_eq!(headers[5].0, "date");
    assert_eq!(headers.len(), 6);
    assert!(client.receive_rest().unwrap().is_empty(), "it is closed");
}

#[test]
fn a_header_that_would_split_the_answer_is_left_out() {
    let mut app = usual_app();
    app.at("/split").get(|_| async {
        let answer = Answer::new(StatusCode::OK, "text/plain", "x");
        let answer = answer
            .header("location", "/\r\nset-cookie: evil=1")
            .header("b\u{e4}d", "1");
        Ok(answer.header("good", "1"))
    });
    let server = Running::start(app, limits());
    let answer = server.client().get("/split").unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("location"), None);
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(answer.header("good"), Some("1"));
}

#[test]
fn ordinary_responses_of_tide_arrive_as_well() {
    let mut app = usual_app();
    app.at("/built").get(|_| async {
        let response = tide::Response::builder(201)
            .body("made")
            .header("x-made", "yes");
        Ok(response.content_type("text/x-made").build())
    });
    app.at("/large")
        .get(|_| async { Ok("x".repeat(1_000_000)) });
    app.at("/reader").get(|_| async {
        let reader = futures::io::Cursor::new(b"0123456789".to_vec());
        Ok(tide::Response::builder(200)
            .body(Body::from_reader(reader, Some(4)))
            .build())
    });
    app.at("/moved").get(tide::Redirect::new("/built"));
    let server = Running::start(app, limits());
    let mut client = server.client();

    let answer = client.get("/built").unwrap();
    assert_eq!((answer.status, answer.text()), (201, "made"));
    assert_eq!(answer.header("x-made"), Some("yes"));
    assert_eq!(answer.header("content-type"), Some("text/x-made"));
    assert_eq!(answer.header("content-length"), Some("4"));

    assert_eq!(client.get("/large").unwrap().body.len(), 1_000_000);
    assert_eq!(client.get("/reader").unwrap().text(), "0123");
    let answer = client.get("/moved").unwrap();
    assert_eq!(
        (answer.status, answer.header("location")),
        (302, Some("/built"))
    );
}

#[test]
fn a_reader_that_breaks_its_promise_breaks_the_connection() {
    let mut app = usual_app();
    app.at("/short").get(|_| async {
        let reader = futures::io::Cursor::new(b"0123".to_vec());
        Ok(tide::Response::builder(200)
            .body(Body::from_reader(reader, Some(10)))
            .build())
    });
    let server = Running::start(app, limits());
    let error = server.client().get("/short").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert!(server.is_well());
}

#[test]
fn a_stream_is_sent_part_by_part_as_it_comes() {
    let (parts, source) = futures::channel::mpsc::unbounded();
    let source = std::sync::Mutex::new(Some(source));
    let mut app = usual_app();
    app.at("/events").get(move |_| {
        let source = source.lock().unwrap().take();
        async move {
            let source = source.ok_or_else(|| tide::Error::from_str(409, "taken"))?;
            Ok(Answer::streaming(
                StatusCode::OK,
                "text/event-stream",
                source.map(Ok),
            ))
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
fn a_reader_of_unknown_length_is_sent_in_chunks() {
    let mut app = usual_app();
    app.at("/reader").get(|_| async {
        let reader = futures::io::Cursor::new(vec![b'x'; 200_000]);
        Ok(tide::Response::builder(200)
            .body(Body::from_reader(reader, None))
            .build())
    });
    let server = Running::start(app, limits());
    let mut client = server.client();
    let answer = client.get("/reader").unwrap();
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert_eq!(answer.body.len(), 200_000);
    let answer = server.all_answers_to(b"GET /reader HTTP/1.0\r\n\r\n");
    assert!(!answer.contains("chunked") && answer.len() > 200_000);
}

#[test]
fn head_is_answered_like_get_without_the_body() {
    let mut app = usual_app();
    app.at("/pair").all(Methods::new().get(pair));
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
fn a_wrong_method_is_told_the_right_ones() {
    let mut app = usual_app();
    app.at("/pair").all(Methods::new().get(pair).delete(pair));
    app.at("/plain").get(pair);
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
    // tide's own routes can't say which; the status is right all the same.
    assert_eq!(
        client.request("POST", "/plain", &[], b"").unwrap().status,
        405
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
    app.at("/panic").get(|_| async {
        if true {
            panic!("a handler that panics");
        }
        Ok("never")
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
    app.at("/panic").get(|_| async {
        let parts = futures::stream::once(async { panic!("a stream that panics") });
        Ok(Answer::streaming(StatusCode::OK, "text/plain", parts))
    });
    let limits = rejoin_http::Limits {
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

#[test]
fn a_handlers_error_is_its_status() {
    let mut app = usual_app();
    app.at("/error")
        .get(|_| async { Err::<Answer, _>(tide::Error::from_str(418, "secret")) });
    let server = Running::start(app, limits());
    let answer = server.client().get("/error").unwrap();
    assert_eq!(answer.status, 418);
    assert!(!answer.text().contains("secret"));
}
