//! Clients that break other servers, against the real binary: each gets a clear answer, or a closed
//! connection, within its limit; and nothing is left of them.

#![expect(
    clippy::disallowed_methods,
    reason = "how long a real process takes is a matter of real time"
)]

use crate::server::{Server, directory, said};
use crate::shell::wait_until;
use rejoin_http::test_client::Client;
use serde_json::json;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

/// The server's limits for slow clients, in seconds.
const LIMIT: Duration = Duration::from_secs(1);

/// Far more than a loaded machine needs beyond a limit.
const SLACK: Duration = Duration::from_secs(20);

/// What is sent, and the statuses of all the answers until the connection is closed.
type Case = (&'static str, Vec<u8>, &'static [&'static [u16]]);

/// Would begin a session, if it were taken for a request.
const HIDDEN: &str = "POST /api HTTP/1.1\r\nhost: localhost\r\ncontent-length: 25\r\n\r\n\
                      {\"action\":\"init_session\"}";

#[test]
fn hostile_clients_do_not_harm_the_server_and_are_cut_off_in_time() {
    let data = directory();
    let journal = data.path().join("stderr");
    let limits = [
        "--idle-timeout",
        "1s",
        "--body-timeout",
        "1s",
        "--write-timeout",
        "1s",
        "--max-connections",
        "400",
    ];
    let err = Stdio::from(File::create(&journal).unwrap());
    let server = Server::start_saying(data.path(), &limits, err);
    let (session, consumer) = server.create();
    // What is made once is made now: threads, caches, the log's spare.
    server.exec(&session, "true");
    attack(&server, &session, &consumer);
    wait_until("nobody is connected", || connections(&server) == 0);
    let before = held(&server);
    for _ in 0..2 {
        attack(&server, &session, &consumer);
    }
    wait_until("files and threads are what they were", || {
        held(&server) <= before
    });

    assert_eq!(
        said(&server.exec(&session, "echo well"), "stdout"),
        "well\n"
    );
    let mut client = server.client();
    let table = client.get("/rest/v1/session/all").unwrap();
    let table: serde_json::Value = table.json();
    assert_eq!(table["count"], 1, "a hidden request was answered");
    let journal = fs::read_to_string(journal).unwrap();
    assert!(!journal.to_lowercase().contains("panic"), "{journal}");
    assert!(!journal.contains("ERROR"), "{journal}");
}

#[test]
fn a_bare_quote_in_the_first_query_is_taken_and_any_other_refusal_says_why() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    server.create();
    let ask = |bytes: &[u8]| {
        let mut stream = connect(server.address);
        stream.write_all(bytes).unwrap();
        statuses(&mut stream)
    };

    let quoted = |service: &str| {
        let target = format!("/v1/sessions?filter=/relationships/services/data/0/id=\"{service}\"");
        get(&target, "")
    };
    let (found, text) = ask(&quoted("shell"));
    assert_eq!(found, [200], "{text}");
    assert!(text.contains("\"shell\""), "{text}");
    let (found, text) = ask(&quoted("another"));
    assert_eq!(found, [200], "{text}");
    assert!(!text.contains("\"shell\""), "{text}");

    // However it is split, and nothing else is touched: the body has the length that it says.
    let mut stream = connect(server.address);
    let body = r#"{"action":"init_session","x":"?\"<>"}"#;
    let head = format!(
        "POST /api?x=\"<>\" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    for byte in [head.as_bytes(), body.as_bytes()].concat() {
        stream.write_all(&[byte]).unwrap();
    }
    let (found, text) = statuses(&mut stream);
    assert_eq!(found, [200], "{text}");
    assert!(text.contains("SUCCEEDED"), "{text}");

    for (bytes, status, word) in [
        (get("/v1/sessions?a b", ""), 400, "percent-encoded"),
        (get("/v1/sessions", "x y: z\r\n"), 400, "malformed"),
        (
            get("/v1/sessions", &format!("x: {}\r\n", "x".repeat(20_000))),
            431,
            "16384 bytes (the server's --max-header)",
        ),
        (
            get("/v1/sessions", &"x: y\r\n".repeat(200)),
            431,
            "100 headers",
        ),
    ] {
        let (found, text) = ask(&bytes);
        assert_eq!(found, [status], "{text}");
        let (head, said) = text.split_once("\r\n\r\n").unwrap();
        assert!(said.contains(word), "{text}");
        for header in [
            format!("content-length: {}", said.len()),
            "content-type: text/plain; charset=utf-8".to_owned(),
            "connection: close".to_owned(),
        ] {
            assert!(head.lines().any(|line| line == header), "{text}");
        }
    }
}

/// Open sockets that are neither listened at nor the server's own.
fn connections(server: &Server) -> usize {
    let port = format!(":{:04X}", server.address.port());
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let established = table.lines().filter(|line| {
        let mut words = line.split_whitespace().skip(1);
        let is_own = words.next().is_some_and(|own| own.ends_with(&port));
        is_own && words.nth(1) == Some("01")
    });
    established.count()
}

/// File descriptors and threads.
fn held(server: &Server) -> (usize, usize) {
    let count = |what: &str| {
        let path = format!("/proc/{}/{what}", server.id());
        fs::read_dir(path).unwrap().count()
    };
    (count("fd"), count("task"))
}

/// Everything at once, so that it takes about one limit.
fn attack(server: &Server, session: &str, consumer: &str) {
    let address = server.address;
    thread::scope(|scope| {
        for case in cases() {
            scope.spawn(move || answered(address, case));
        }
        let slow: [(&str, &[u8], &[u16]); 6] = [
            ("a head that drips", b"GET /v1/sessions HTTP/1.1\r\nhost: localhost\r\nx:", &[]),
            ("silence", b"", &[]),
            ("half a line", b"GET /v1/ses", &[]),
            ("a body that drips", b"POST /api HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{", &[408]),
            ("chunks that drip", b"POST /api HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nff\r\n{", &[408]),
            ("a body that is expected", b"POST /api HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n", &[100, 408]),
        ];
        for (name, begin, expected) in slow {
            for drips in [true, false] {
                scope.spawn(move || slowly(address, name, begin, expected, drips));
            }
        }
        for _ in 0..20 {
            scope.spawn(move || disconnects(address, session, consumer));
        }
        scope.spawn(move || takes_no_answer(address));
        scope.spawn(move || sends_a_line_without_end(address));
        scope.spawn(move || sends_a_body_without_end(address));
    });
    holds_every_connection(address);
}

fn post(headers: &str, body: &str) -> Vec<u8> {
    format!("POST /api HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n{body}").into_bytes()
}

fn get(target: &str, headers: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n")
        .into_bytes()
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = vec![
        (
            "a value beyond ASCII",
            get("/v1/sessions", "x: grün\r\n"),
            &[&[200], &[400]],
        ),
        (
            "a tebibyte",
            post("content-length: 1099511627776\r\n", ""),
            &[&[413]],
        ),
        (
            "a length beyond all numbers",
            post("content-length: 99999999999999999999999\r\n", ""),
            &[&[400], &[413]],
        ),
        (
            "headers above the limit",
            get("/v1/sessions", &format!("x: {}\r\n", "x".repeat(20_000))),
            &[&[431]],
        ),
        (
            "too many headers",
            get("/v1/sessions", &"x: y\r\n".repeat(200)),
            &[&[431]],
        ),
        (
            "a target above the limit",
            get(&format!("/{}", "x".repeat(20_000)), ""),
            &[&[414], &[431]],
        ),
        (
            "two requests at once",
            [get("/v1/sessions", "").as_slice(), HIDDEN.as_bytes()].concat(),
            &[&[200]],
        ),
        ("one and then another", two(), &[&[200, 200]]),
        (
            "HTTP/1.0",
            b"GET /v1/sessions HTTP/1.0\r\n\r\n".to_vec(),
            &[&[200]],
        ),
        (
            "bare line feeds",
            b"GET /v1/sessions HTTP/1.1\nhost: localhost\nconnection: close\n\n".to_vec(),
            &[&[200]],
        ),
        (
            "an unknown method",
            b"BREW /api HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".to_vec(),
            &[&[501]],
        ),
        (
            "a tunnel",
            b"CONNECT localhost:22 HTTP/1.1\r\nhost: localhost:22\r\nconnection: close\r\n\r\n"
                .to_vec(),
            &[&[501]],
        ),
        (
            "no host",
            b"GET /v1/sessions HTTP/1.1\r\nconnection: close\r\n\r\n".to_vec(),
            &[&[400]],
        ),
        (
            "two hosts",
            get("/v1/sessions", "host: localhost\r\n"),
            &[&[400]],
        ),
        (
            "a page elsewhere",
            get("/v1/sessions", "origin: http://example.com\r\n"),
            &[&[403]],
        ),
        (
            "a bare quote",
            get("/v1/sessions?filter=attributes/user=\"ada\"", ""),
            &[&[200]],
        ),
        (
            "a quote as URLs have it",
            get("/v1/sessions?filter=attributes/user=%22ada%22", ""),
            &[&[200]],
        ),
        (
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            &[&[400]],
        ),
        (
            "HTTP/2",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            &[&[], &[400], &[505]],
        ),
        (
            "a name with a zero",
            b"GET / HTTP/1.1\r\nhost: localhost\r\nx\0: y\r\n\r\n".to_vec(),
            &[&[400]],
        ),
        (
            "a folded header",
            b"GET / HTTP/1.1\r\n host: localhost\r\n\r\n".to_vec(),
            &[&[400]],
        ),
        (
            "arrays in arrays",
            body(&"[".repeat(100_000)),
            &[&[200], &[400]],
        ),
        (
            "an action in arrays",
            body(&format!("{{\"action\":{}", "[".repeat(100_000))),
            &[&[200], &[400]],
        ),
        (
            "a filter in filters",
            get(
                &format!("/v1/sessions?filter=id={}", "not(".repeat(3_000)),
                "",
            ),
            &[&[400]],
        ),
        (
            "the last chunk",
            post(
                "connection: close\r\ntransfer-encoding: chunked\r\n",
                "2\r\n{}\r\n0\r\n\r\n",
            ),
            &[&[200]],
        ),
    ];
    for codings in [
        "gzip, chunked",
        "identity",
        "identity, chunked",
        "chunked, identity",
        "chunked, chunked",
        "chunked\r\ntransfer-encoding: identity",
        "xchunked",
        "\x0bchunked",
    ] {
        let headers = format!("transfer-encoding: {codings}\r\n");
        cases.push((
            "a coding",
            post(&headers, &format!("0\r\n\r\n{HIDDEN}")),
            &[&[400]],
        ));
    }
    for lengths in [
        "content-length: 0\r\ncontent-length: 6\r\n",
        "content-length: 0, 6\r\n",
        "content-length: +0\r\n",
        "content-length: -1\r\n",
        "content-length: 0x0\r\n",
        "content-length:\r\n",
    ] {
        cases.push(("a length", post(lengths, HIDDEN), &[&[400]]));
    }
    for lengths in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    ] {
        let hidden = format!("0\r\n\r\n{HIDDEN}");
        cases.push((
            "a length beside chunks",
            post(lengths, &hidden),
            &[&[200], &[400]],
        ));
    }
    for chunks in [
        "x\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcdef\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n",
    ] {
        let headers = "transfer-encoding: chunked\r\n";
        cases.push((
            "a bad chunk",
            post(headers, &format!("{chunks}{HIDDEN}")),
            &[&[400]],
        ));
    }
    cases
}

fn body(body: &str) -> Vec<u8> {
    post(
        &format!("connection: close\r\ncontent-length: {}\r\n", body.len()),
        body,
    )
}

fn two() -> Vec<u8> {
    let first = b"GET /v1/sessions HTTP/1.1\r\nhost: localhost\r\n\r\n";
    [&first[..], &get("/rest/v1/session", "")].concat()
}

/// All that comes until the server closes the connection: the statuses, in order. A reset is an end
/// too: some of what was sent was never read.
fn statuses(stream: &mut TcpStream) -> (Vec<u16>, String) {
    let mut received = Vec::new();
    stream.set_read_timeout(Some(LIMIT + SLACK)).unwrap();
    let mut part = [0; 65_536];
    loop {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(count) => received.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("the connection stays open: {error}"),
        }
    }
    let text = String::from_utf8_lossy(&received).into_owned();
    let found = text.match_indices("HTTP/1.");
    let statuses = found.filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok());
    (statuses.collect(), text)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_write_timeout(Some(LIMIT + SLACK)).unwrap();
    stream
}

fn answered(address: SocketAddr, (name, bytes, expected): Case) {
    let began = Instant::now();
    let mut stream = connect(address);
    // It may have been refused before it was sent.
    let _ = stream.write_all(&bytes);
    let (found, text) = statuses(&mut stream);
    assert!(expected.contains(&&*found), "{name}: {found:?}: {text}");
    assert!(began.elapsed() < LIMIT + SLACK, "{name} took too long");
}

/// Sends a byte now and then, or none, and is let go when its time is over.
fn slowly(address: SocketAddr, name: &str, begin: &[u8], expected: &[u16], drips: bool) {
    let began = Instant::now();
    let mut stream = connect(address);
    stream.write_all(begin).unwrap();
    stream.set_read_timeout(Some(LIMIT / 20)).unwrap();
    while drips && began.elapsed() < LIMIT + SLACK {
        let is_over = match stream.peek(&mut [0; 64]) {
            // Only that its body is welcome has been said.
            Ok(25) => false,
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        };
        if is_over || stream.write_all(b"x").is_err() {
            break;
        }
        thread::sleep(LIMIT / 20);
    }
    let (found, text) = statuses(&mut stream);
    // Whatever is a byte too much for a body that was expected is another request's beginning.
    assert!(found == expected || drips, "{name}: {found:?}: {text}");
    let took = began.elapsed();
    assert!(took < LIMIT + SLACK, "{name} took {took:?}");
    assert!(
        drips || took >= LIMIT.mul_f32(0.9),
        "{name} was cut after {took:?}"
    );
}

/// Leaves in the middle: of a head, a body, a chunk, a pull.
fn disconnects(address: SocketAddr, session: &str, consumer: &str) {
    let pull = json!({"action": "pull_results", "sessionId": session, "consumerId": consumer});
    for bytes in [
        b"POST /api HT".to_vec(),
        post("content-length: 1000\r\n", "{\"action\":"),
        post("transfer-encoding: chunked\r\n", "ff\r\nabc"),
        body(&pull.to_string()),
    ] {
        let mut stream = connect(address);
        stream.write_all(&bytes).unwrap();
    }
    // One that says goodbye is answered nonetheless, or not.
    let mut stream = connect(address);
    stream
        .write_all(&post("content-length: 10\r\n", "{"))
        .unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let (found, text) = statuses(&mut stream);
    assert!(found.is_empty() || found == [400], "{found:?}: {text}");
}

/// Asks and asks, and reads no answer, until it is cut.
fn takes_no_answer(address: SocketAddr) {
    let began = Instant::now();
    let mut stream = connect(address);
    let question = "GET /v1/sessions HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(100);
    let mut asked = 0;
    while stream.write_all(question.as_bytes()).is_ok() {
        asked += 100;
        assert!(
            began.elapsed() < LIMIT + 2 * SLACK,
            "{asked} answers are kept for it"
        );
    }
    assert!(
        began.elapsed() >= LIMIT.mul_f32(0.9),
        "cut at once, after {asked}"
    );
}

fn sends_a_line_without_end(address: SocketAddr) {
    let mut stream = connect(address);
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nx: ")
        .unwrap();
    let mut sent = 0;
    while sent < 80 << 20 && stream.write_all(&[b'x'; 65_536]).is_ok() {
        sent += 65_536;
    }
    let (found, text) = statuses(&mut stream);
    assert!(found.is_empty() || found == [431], "{found:?}: {text}");
}

fn sends_a_body_without_end(address: SocketAddr) {
    let mut stream = connect(address);
    stream
        .write_all(&post("transfer-encoding: chunked\r\n", ""))
        .unwrap();
    let chunk = [b"10000\r\n", &[b' '; 65_536][..], b"\r\n"].concat();
    let mut sent = 0;
    while sent < 100 << 20 && stream.write_all(&chunk).is_ok() {
        sent += 65_536;
    }
    let (found, text) = statuses(&mut stream);
    assert!(found.is_empty() || found == [413], "{found:?}: {text}");
}

/// Takes all connections that there are, and says nothing: one more takes the place of the oldest.
fn holds_every_connection(address: SocketAddr) {
    let mut held: Vec<_> = (0..420).map(|_| connect(address)).collect();
    let mut last = held.pop().unwrap();
    let _ = last.write_all(&get("/v1/sessions", ""));
    let (found, text) = statuses(&mut last);
    assert_eq!(found, [200], "{text}");
    drop(held);
    wait_until("there is room again", || {
        let mut client = Client::connect(address).unwrap();
        client.get("/v1/sessions").is_ok_and(|it| it.status == 200)
    });
}
