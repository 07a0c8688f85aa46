//! Malformed and hostile input.

use crate::harness::{Running, limits, usual_app};
use rejoin_http::HttpLimits;
use std::time::Duration;

#[test]
fn a_header_value_beyond_ascii_breaks_nothing() {
    let server = Running::usual();
    let answer =
        server.answer_to("GET / HTTP/1.1\r\nhost: localhost\r\nx: gr\u{fc}n\r\n\r\n".as_bytes());
    assert!(answer.status == 200 || answer.status == 400, "{answer:?}");
    assert!(server.is_well());
}

#[test]
fn a_host_beyond_ascii_is_malformed() {
    let server = Running::usual();
    let answer = server.answer_to("GET / HTTP/1.1\r\nhost: gr\u{fc}n\r\n\r\n".as_bytes());
    assert_eq!(answer.status, 400);
}

#[test]
fn a_content_length_of_a_tebibyte_is_refused_unread() {
    let server = Running::usual();
    let answer = server.answer_to(
        b"POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1099511627776\r\n\r\n",
    );
    assert_eq!(answer.status, 413);
    assert_eq!(answer.text(), "the body may have 10485760 bytes");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(server.is_well());
}

#[test]
fn a_header_line_that_never_ends_is_cut_at_the_limit() {
    let server = Running::usual();
    let mut client = server.client();
    client
        .send_raw(b"GET / HTTP/1.1\r\nhost: localhost\r\nx: ")
        .unwrap();
    let line = vec![b'x'; 64 * 1024];
    let mut sent = 0;
    // The server stops reading, so at some time nothing more can be sent, or it is reset.
    while sent < 80 * 1024 * 1024 && client.send_raw(&line).is_ok() {
        sent += line.len();
    }
    let rest = client.receive_rest().unwrap();
    assert!(
        rest.is_empty() || rest.starts_with(b"HTTP/1.1 431 "),
        "{}",
        String::from_utf8_lossy(&rest)
    );
    assert!(server.is_well());
}

#[test]
fn headers_above_the_limit_are_refused() {
    let server = Running::usual();
    let head = format!(
        "GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    let answer = server.answer_to(head.as_bytes());
    assert_eq!(answer.status, 431);
    assert_eq!(answer.header("connection"), Some("close"));
}

#[test]
fn more_headers_than_the_limit_are_refused() {
    for headers in [100, 7] {
        let server = Running::start(
            usual_app(),
            HttpLimits {
                headers,
                ..limits()
            },
        );
        let head = |count| {
            format!(
                "GET / HTTP/1.1\r\nhost: localhost\r\n{}\r\n",
                "x: y\r\n".repeat(count - 1)
            )
        };
        assert_eq!(server.answer_to(head(headers).as_bytes()).status, 200);
        assert_eq!(server.answer_to(head(headers + 1).as_bytes()).status, 431);
    }
}

#[test]
fn a_target_that_is_too_long_is_refused() {
    let limits = HttpLimits {
        header_bytes: 200_000,
        ..limits()
    };
    let server = Running::start(usual_app(), limits);
    let head = format!(
        "GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "x".repeat(70_000)
    );
    assert_eq!(server.answer_to(head.as_bytes()).status, 414);
}

#[test]
fn a_slow_body_times_out() {
    let limits = HttpLimits {
        body_read: Duration::from_millis(30),
        ..limits()
    };
    let server = Running::start(usual_app(), limits);
    for request in [
        "POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let answer = server.answer_to(request.as_bytes());
        assert_eq!(answer.status, 408);
        assert_eq!(answer.header("connection"), Some("close"));
    }
}

#[test]
fn no_second_request_hides_behind_a_transfer_coding() {
    let server = Running::usual();
    let hidden = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for codings in [
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: identity, chunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: \x0bchunked\r\n",
        "transfer-encoding : chunked\r\n",
        "transfer-encoding:\r\n chunked\r\n",
    ] {
        let request =
            format!("POST /echo HTTP/1.1\r\nhost: localhost\r\n{codings}\r\n0\r\n\r\n{hidden}");
        let answers = server.all_answers_to(request.as_bytes());
        assert!(
            answers.starts_with("HTTP/1.1 400 "),
            "{codings:?}: {answers}"
        );
        assert_eq!(
            answers.matches("HTTP/1.1").count(),
            1,
            "{codings:?}: {answers}"
        );
    }
}

#[test]
fn a_length_beside_chunks_does_not_count_and_ends_the_connection() {
    let server = Running::usual();
    let hidden = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for lengths in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    ] {
        let request =
            format!("POST /echo HTTP/1.1\r\nhost: localhost\r\n{lengths}\r\n0\r\n\r\n{hidden}");
        let answers = server.all_answers_to(request.as_bytes());
        assert_eq!(
            answers.matches("HTTP/1.1").count(),
            1,
            "{lengths:?}: {answers}"
        );
    }
}

#[test]
fn a_length_that_is_no_number_or_two_is_malformed() {
    let server = Running::usual();
    for lengths in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5, 6\r\n",
        "content-length: +5\r\n",
        "content-length: -5\r\n",
        "content-length: 0x5\r\n",
        "content-length: 5 5\r\n",
        "content-length:\r\n",
    ] {
        let request = format!("POST /echo HTTP/1.1\r\nhost: localhost\r\n{lengths}\r\nhello");
        let answers = server.all_answers_to(request.as_bytes());
        assert!(
            answers.starts_with("HTTP/1.1 400 "),
            "{lengths:?}: {answers}"
        );
    }
}

#[test]
fn a_malformed_chunk_is_malformed() {
    let server = Running::usual();
    for chunks in [
        "x\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcdef\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n",
    ] {
        let request = format!(
            "POST /echo HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"
        );
        let answers = server.all_answers_to(request.as_bytes());
        assert!(
            answers.starts_with("HTTP/1.1 400 "),
            "{chunks:?}: {answers}"
        );
    }
    assert!(server.is_well());
}

#[test]
fn a_last_chunk_may_come_in_two_segments() {
    let server = Running::usual();
    let mut client = server.client();
    client
        .send_raw(b"POST /echo HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r")
        .unwrap();
    // The first segment has surely been read when another connection has been served meanwhile.
    assert!(server.is_well());
    client.send_raw(b"\n").unwrap();
    assert_eq!(client.receive().unwrap().text(), "abc");
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = Running::usual();
    let mut client = server.client();
    for byte in b"POST /echo HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0\r\ntrailer: z\r\n\r\n" {
        client.send_raw(&[*byte]).unwrap();
    }
    assert_eq!(client.receive().unwrap().text(), "abcd");
    assert_eq!(client.get("/").unwrap().status, 200);
}

#[test]
fn pipelined_requests_are_all_answered_in_order() {
    let server = Running::usual();
    let mut client = server.client();
    let one = "POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\none";
    let two = "POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\ntwo";
    client.send_raw([one, two].concat().as_bytes()).unwrap();
    assert_eq!(client.receive().unwrap().text(), "one");
    assert_eq!(client.receive().unwrap().text(), "two");
}

#[test]
fn http_1_0_is_answered_and_closed_unless_asked_to_stay() {
    let server = Running::usual();
    let answers = server.all_answers_to(b"GET / HTTP/1.0\r\n\r\n");
    assert!(answers.starts_with("HTTP/1.0 200 OK\r\n"), "{answers}");
    let mut client = server.client();
    for _ in 0..2 {
        client
            .send_raw(b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
            .unwrap();
        assert_eq!(client.receive().unwrap().text(), "Welcome!");
    }
}

#[test]
fn lines_may_end_in_a_bare_line_feed() {
    let server = Running::usual();
    assert_eq!(
        server
            .answer_to(b"GET / HTTP/1.1\nhost: localhost\n\n")
            .status,
        200
    );
}

#[test]
fn an_unknown_method_is_not_implemented() {
    let server = Running::usual();
    for method in ["BREW", "get", "CONNECT"] {
        let answer =
            server.answer_to(format!("{method} / HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes());
        assert!(
            answer.status == 501 || (method == "CONNECT" && answer.status == 400),
            "{method}: {answer:?}"
        );
    }
    let answer = server.answer_to(b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost:80\r\n\r\n");
    assert_eq!(answer.status, 501);
}

#[test]
fn input_that_is_not_http_is_malformed() {
    let server = Running::usual();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET / HTTP/1.1\r\nhost localhost\r\n\r\n",
        b"GET / HTTP/9.9\r\nhost: localhost\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: localhost\r\nx\0: y\r\n\r\n",
        b"GET / HTTP/1.1\r\n host: localhost\r\n\r\n",
    ] {
        let answers = server.all_answers_to(bytes);
        assert!(answers.starts_with("HTTP/1.1 400 "), "{bytes:?}: {answers}");
    }
    let mut client = server.client();
    client
        .send_raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    client.receive_rest().unwrap();
    assert!(server.is_well());
}

#[test]
fn odd_targets_are_answered_and_break_nothing() {
    let server = Running::usual();
    for (target, status) in [
        ("//", 404),
        ("///echo", 404),
        ("/%zz", 404),
        ("/%", 404),
        ("/%ff%fe", 404),
        ("/%00", 404),
        ("/..%2f..%2fetc/passwd", 404),
        ("/../../etc/passwd", 404),
        ("/?%zz&%ff=%&&&", 200),
        ("/?", 200),
        ("http://localhost/", 200),
        ("http://localhost", 200),
        ("http://localhost:1/?a=b", 200),
        ("http:/", 400),
        ("*", 400),
        ("localhost:80", 400),
        ("echo", 400),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        assert_eq!(
            server.answer_to(request.as_bytes()).status,
            status,
            "{target}"
        );
    }
    for target in [&b"/\xff\xfe"[..], b"/\xc3\xbc", b"/\\..\\", b"/{}|^`\"<>"] {
        let request = [b"GET ", target, b" HTTP/1.1\r\nhost: localhost\r\n\r\n"].concat();
        let status = server.answer_to(&request).status;
        assert!(status == 404 || status == 400, "{target:?}: {status}");
    }
    assert!(server.is_well());
}
