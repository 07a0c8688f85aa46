//! Clients and metrics see no difference between a direct row and one that tide routes.

use crate::harness::{Closure, PATIENCE, Running, limits, mount, text, usual_app};
use crate::limits::Leaving;
use rejoin_http::{
    HostCheck, HttpLimits, HttpMetrics, HttpServer, Observer, Request, Response, Router,
    STATUS_CLASSES,
};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

async fn echo(request: Request) -> Response {
    let body = request.body();
    assert_ne!(&body[..], b"panic", "as the test asks for");
    let (query, header) = (request.url().query(), request.header("x-said"));
    let mut shown = format!("{} {query:?} {header:?} ", request.method()).into_bytes();
    shown.extend_from_slice(body);
    text(shown).header("content-length", 3)
}

/// The same handler twice: `/tide` is routed by tide, `/past` is a direct row.
fn both() -> Router {
    let mut app = usual_app();
    mount(&mut app, "tide", &[Closure::row(None, "/tide")], echo);
    mount(
        &mut app,
        "past",
        &[Closure::row(None, "/past").direct()],
        echo,
    );
    app
}

/// Requests to `PATH`, valid and invalid.
const REQUESTS: [&str; 24] = [
    "GET PATH HTTP/1.1\r\nhost: localhost\r\nx-said: a\r\n",
    "GET PATH?a=b%20c&%zz HTTP/1.1\r\nhost: 127.0.0.1\r\n",
    "GET PATH# HTTP/1.1\r\nhost: localhost\r\n",
    "GET http://localhostPATH HTTP/1.1\r\nhost: localhost\r\n",
    "GET http://elsewhere.examplePATH HTTP/1.1\r\nhost: localhost\r\n",
    "HEAD PATH HTTP/1.1\r\nhost: localhost\r\n",
    "OPTIONS PATH HTTP/1.1\r\nhost: localhost\r\n",
    "TRACE PATH HTTP/1.1\r\nhost: localhost\r\n",
    "PROPFIND PATH HTTP/1.1\r\nhost: localhost\r\n",
    "get PATH HTTP/1.1\r\nhost: localhost\r\n",
    "NONSENSE PATH HTTP/1.1\r\nhost: localhost\r\n",
    "CONNECT PATH HTTP/1.1\r\nhost: localhost\r\n",
    "GET PATH HTTP/1.0\r\n",
    "GET PATH HTTP/1.1\r\n",
    "GET PATH HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n",
    "GET PATH HTTP/1.1\r\nhost: elsewhere.example\r\n",
    "GET PATH HTTP/1.1\r\nhost: localhost\r\norigin: http://elsewhere.example\r\n",
    "POST PATH HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nhello",
    "POST PATH HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\npanic",
    "POST PATH HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1001\r\n",
    "POST PATH HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nslow",
    "POST PATH HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
    "POST PATH HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n",
    "POST PATH HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nz\r\n",
];

#[test]
fn a_direct_row_answers_and_counts_every_request_like_tide() {
    let limits = HttpLimits {
        body_bytes: 1000,
        body_read: Duration::from_millis(50),
        idle: Duration::from_millis(50),
        ..limits()
    };
    let metrics = Arc::new(HttpMetrics::new(&["tide", "past", "other"]));
    let observer = Observer {
        metrics: metrics.clone(),
        ..Observer::default()
    };
    let any_port = ([127, 0, 0, 1], 0).into();
    let server = HttpServer::bind(any_port, both(), limits, HostCheck::local()).unwrap();
    let server = Running::of(server.observed(observer));
    for request in REQUESTS {
        let answer_of = |path| {
            let request = request.replace("PATH", path) + "\r\n";
            let answer = server.all_answers_to(request.as_bytes());
            let lines = answer.lines().filter(|line| !line.starts_with("date: "));
            lines.collect::<Vec<_>>().join("\n")
        };
        assert_eq!(answer_of("/past"), answer_of("/tide"), "{request}");
    }
    server.stop();
    let [tide, past, _] = metrics.frontends() else {
        panic!("three frontends");
    };
    for class in STATUS_CLASSES {
        assert_eq!(past.requests(class), tide.requests(class), "{class}");
    }
    assert_eq!(
        past.requests("5xx"),
        Some(4),
        "a panic, and three methods that are not implemented"
    );
    assert_eq!(past.bytes.get(), tide.bytes.get());
}

#[test]
fn another_spelling_of_a_direct_path_reaches_its_handler_through_tide() {
    let server = Running::start(both(), limits());
    for path in ["/past", "/./past", "/a/../past", "/%2e/past"] {
        let answer = server.client().get(path).unwrap();
        assert_eq!(answer.text(), "GET None None ", "{path}");
    }
    for path in ["/Past", "/past/more", "/%70ast", "//past"] {
        assert_eq!(server.client().get(path).unwrap().status, 404, "{path}");
    }
}

#[test]
fn a_client_that_leaves_cancels_a_direct_handler() {
    let ((begins, begun), (goes, gone)) = (channel(), channel());
    let mut app = usual_app();
    mount(
        &mut app,
        "test",
        &[Closure::row(None, "/wait").direct()],
        move |_| {
            let gone = Leaving(goes.clone());
            begins.send(()).unwrap();
            async move {
                let _gone = gone;
                std::future::pending().await
            }
        },
    );
    let server = Running::start(app, limits());
    let mut client = server.client();
    client.send_raw(WAIT).unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    drop(client);
    gone.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_direct_handler_gets_the_shutdown_signal() {
    let (begins, begun) = channel();
    let mut app = usual_app();
    mount(
        &mut app,
        "test",
        &[Closure::row(None, "/wait").direct()],
        move |request| {
            let begins = begins.clone();
            async move {
                begins.send(()).unwrap();
                request.shutdown().wait().await;
                text("closing")
            }
        },
    );
    let server = Running::start(app, limits());
    let mut client = server.client();
    client.send_raw(WAIT).unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    assert_eq!(server.stop().aborted, 0);
    let answer = client.receive().unwrap();
    assert_eq!(answer.text(), "closing");
    assert_eq!(answer.header("connection"), Some("close"));
}

const WAIT: &[u8] = b"GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n";
