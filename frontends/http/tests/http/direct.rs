//! A path past tide differs from one of tide's in nothing that a client, or who watches, can see.

use crate::harness::{PATIENCE, Running, limits, usual_app};
use crate::limits::Leaving;
use rejoin_http::{
    Answer, App, Arrival, CLASSES, HostCheck, Limits, Numbers, Server, StatusCode, Watch,
};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

/// What both handlers make of a request.
fn echo(method: &str, query: Option<&str>, told: Option<&str>, body: &[u8]) -> Answer {
    assert_ne!(body, b"panic", "as it was told to");
    let mut shown = format!("{method} {query:?} {told:?} ").into_bytes();
    shown.extend_from_slice(body);
    Answer::new(StatusCode::OK, "text/plain", shown).header("content-length", 3)
}

/// `/tide` by tide, `/past` past it.
fn both() -> App {
    let mut app = usual_app();
    app.at("/tide").all(|http: tide::Request<()>| async move {
        let told = rejoin_http::header(&http, "x-told");
        let body = rejoin_http::body(&http);
        Ok(echo(
            http.method().as_ref(),
            http.url().query(),
            told,
            &body,
        ))
    });
    app.direct("/past", |arrival: Arrival| async move {
        let told = arrival.headers().get("x-told");
        let told = told.and_then(|told| told.to_str().ok());
        let url = arrival.url().unwrap();
        echo(arrival.method().as_str(), url.query(), told, arrival.body())
    });
    app
}

/// Requests to `PATH`, sound and not.
const REQUESTS: [&str; 24] = [
    "GET PATH HTTP/1.1\r\nhost: localhost\r\nx-told: a\r\n",
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
fn past_tide_every_request_is_answered_and_counted_as_by_tide() {
    let limits = Limits {
        body_bytes: 1000,
        body_read: Duration::from_millis(50),
        idle: Duration::from_millis(50),
        ..limits()
    };
    let numbers = Arc::new(Numbers::new(&["tide", "past"]));
    let watch = Watch {
        numbers: numbers.clone(),
        frontend: |path| match path {
            "/tide" => "tide",
            _ => "past",
        },
        ..Watch::default()
    };
    let any_port = ([127, 0, 0, 1], 0).into();
    let server = Server::bind(any_port, both(), limits, HostCheck::local()).unwrap();
    let server = Running::of(server.watched(watch));
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
    let [tide, past] = numbers.frontends() else {
        panic!("two frontends");
    };
    for class in CLASSES {
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
fn a_path_spelled_otherwise_leads_to_the_same_handler_as_far_as_tide_takes_it_for_the_same() {
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
fn who_leaves_ends_a_handler_past_tide() {
    let ((begins, begun), (goes, gone)) = (channel(), channel());
    let mut app = usual_app();
    app.direct("/wait", move |_| {
        let gone = Leaving(goes.clone());
        begins.send(()).unwrap();
        async move {
            let _gone = gone;
            std::future::pending().await
        }
    });
    let server = Running::start(app, limits());
    let mut client = server.client();
    client.send_raw(WAIT).unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    drop(client);
    gone.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_handler_past_tide_hears_that_the_server_stops() {
    let (begins, begun) = channel();
    let mut app = usual_app();
    app.direct("/wait", move |arrival: Arrival| {
        let begins = begins.clone();
        async move {
            begins.send(()).unwrap();
            arrival.closing().begun().await;
            Answer::new(StatusCode::OK, "text/plain", "closing")
        }
    });
    let server = Running::start(app, limits());
    let mut client = server.client();
    client.send_raw(WAIT).unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    assert_eq!(server.stop().cut, 0);
    let answer = client.receive().unwrap();
    assert_eq!(answer.text(), "closing");
    assert_eq!(answer.header("connection"), Some("close"));
}

const WAIT: &[u8] = b"GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n";
