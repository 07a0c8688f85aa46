//! Every limit is enforced, and clients get a clear response where possible.

use crate::harness::{NEVER, PATIENCE, Running, get, limits, post, text, usual_app};
use rejoin_http::test_client::Client;
use rejoin_http::{
    Admission, Budget, Gate, HostCheck, HttpLimits, HttpServer, Request, Response, Route,
    StatusCode, route,
};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

#[test]
fn a_body_may_be_as_long_as_the_limit_and_no_longer() {
    let server = Running::start(
        usual_app(),
        HttpLimits {
            body_bytes: 1000,
            ..limits()
        },
    );
    for (length, status) in [(1000, 200), (1001, 413)] {
        let body = "x".repeat(length);
        assert_eq!(server.client().post("/echo", &body).unwrap().status, status);
        let chunks = format!(
            "{:x}\r\n{}\r\n1\r\n{}\r\n0\r\n\r\n",
            length - 1,
            &body[1..],
            &body[..1]
        );
        let headers = [("transfer-encoding", "chunked")];
        let answer = server
            .client()
            .request("POST", "/echo", &headers, chunks.as_bytes())
            .unwrap();
        assert_eq!(answer.status, status);
        if status == 413 {
            assert_eq!(answer.text(), "the body may have 1000 bytes");
            assert_eq!(answer.header("connection"), Some("close"));
        }
    }
}

#[test]
fn a_client_that_sends_everything_first_still_finds_its_413() {
    let server = Running::usual();
    // More than the kernel's buffers hold, sent before the answer is looked at.
    let body = vec![b'x'; 20 * 1024 * 1024];
    let answer = server
        .client()
        .request("POST", "/echo", &[], &body)
        .unwrap();
    assert_eq!(answer.status, 413);
}

#[test]
fn a_silent_connection_is_closed() {
    let server = Running::start(
        usual_app(),
        HttpLimits {
            idle: Duration::from_millis(30),
            ..limits()
        },
    );
    let mut never_spoke = server.client();
    assert!(never_spoke.receive_rest().unwrap().is_empty());
    let mut went_silent = server.client();
    assert_eq!(went_silent.get("/").unwrap().status, 200);
    assert!(went_silent.receive_rest().unwrap().is_empty());
}

#[test]
fn a_slow_head_is_closed_however_steadily_it_comes() {
    let server = Running::start(
        usual_app(),
        HttpLimits {
            idle: Duration::from_millis(100),
            ..limits()
        },
    );
    let mut client = server.client();
    client.set_patience(Duration::from_millis(20)).unwrap();
    client
        .send_raw(b"GET / HTTP/1.1\r\nhost: localhost\r\nx: ")
        .unwrap();
    for _ in 0..1000 {
        // Waits for 20 ms as long as the connection is open, and sends another byte.
        match client.receive_rest() {
            Ok(rest) => {
                assert!(rest.is_empty());
                return;
            }
            Err(_) if client.send_raw(b"x").is_ok() => (),
            Err(_) => return,
        }
    }
    panic!("a head may take for ever");
}

#[test]
fn a_handler_may_take_longer_than_a_silent_connection() {
    let (started, starting) = channel();
    let (release, released) = smol::channel::bounded::<()>(1);
    let mut app = usual_app();
    get(&mut app, "/slow", move |_| {
        let _ = started.send(());
        let released = released.clone();
        async move {
            let _ = released.recv().await;
            text("slow")
        }
    });
    let times = HttpLimits {
        idle: Duration::from_millis(30),
        body_read: Duration::from_millis(30),
        write: Duration::from_millis(30),
        ..limits()
    };
    let server = Running::start(app, times);
    let mut slow = server.client();
    slow.send_request("GET", "/slow", &[], b"").unwrap();
    starting.recv_timeout(PATIENCE).unwrap();
    // It connects when the handler runs, so its time is over later than any of the handler's.
    let mut silent = server.client();
    assert!(silent.receive_rest().unwrap().is_empty(), "it is closed");
    release.send_blocking(()).unwrap();
    assert_eq!(slow.receive().unwrap().text(), "slow");
    // From then on it is silent, too.
    assert!(slow.receive_rest().unwrap().is_empty(), "it is closed");
}

#[test]
fn a_client_that_does_not_read_is_sent_little_and_cut() {
    let (left, gone) = channel();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let mut app = usual_app();
    get(&mut app, "/endless", move |_| {
        let (left, asked) = (Leaving(left.clone()), asked.clone());
        async move {
            let parts = futures::stream::repeat_with(move || {
                let _held = &left;
                asked.fetch_add(1, Ordering::Relaxed);
                Ok(vec![b'x'; 100_000].into())
            });
            Response::streaming(StatusCode::OK, "text/plain", parts)
        }
    });
    let write = Duration::from_millis(50);
    let server = Running::start(app, HttpLimits { write, ..limits() });
    let mut client = server.client();
    client.send_request("GET", "/endless", &[], b"").unwrap();
    gone.recv_timeout(PATIENCE).unwrap();
    let asked = count.load(Ordering::Relaxed);
    assert!(asked < 500, "asked for {asked} parts that nobody took");
    assert!(server.is_well());
}

#[test]
fn a_connection_above_the_limit_is_answered_and_closed() {
    let (waits, waiting) = channel();
    let mut app = usual_app();
    get(&mut app, "/waits", move |_| {
        let _ = waits.send(());
        async {
            async_io::Timer::after(NEVER).await;
            text("never")
        }
    });
    let server = Running::start(
        app,
        HttpLimits {
            connections: 3,
            ..limits()
        },
    );
    let mut taken: Vec<Client> = (0..3).map(|_| server.client()).collect();
    for client in &mut taken {
        client.send_request("GET", "/waits", &[], b"").unwrap();
        waiting.recv_timeout(PATIENCE).unwrap();
    }
    for _ in 0..5 {
        let mut refused = server.client();
        let answer = refused.get("/").unwrap();
        assert_eq!(answer.status, 503);
        assert_eq!(answer.text(), "Too many connections.");
        assert!(refused.receive_rest().unwrap().is_empty());
    }
    // One leaves; its place is free once the server has noticed.
    drop(taken.pop());
    for _ in 0..1000 {
        if server.client().get("/").unwrap().status == 200 {
            return;
        }
        std::thread::yield_now();
    }
    panic!("a place never becomes free");
}

#[test]
fn a_new_connection_takes_the_place_of_the_one_that_has_been_silent_the_longest() {
    let limits = HttpLimits {
        connections: 3,
        threads: NonZeroUsize::MIN,
        ..limits()
    };
    let server = Running::start(usual_app(), limits);
    let mut never_spoke = server.client();
    let mut half_a_head = server.client();
    half_a_head.send_raw(b"GET / HTTP/1.1\r\n").unwrap();
    let mut spoke = server.client();
    assert_eq!(spoke.get("/").unwrap().status, 200);
    let mut new = server.client();
    assert_eq!(new.get("/").unwrap().status, 200);
    assert!(never_spoke.receive_rest().unwrap().is_empty());
    let mut newer = server.client();
    assert_eq!(newer.get("/").unwrap().status, 200);
    // Closed with half a head unread or read: the end may be a reset.
    assert!(half_a_head.receive_rest().is_ok_and(|rest| rest.is_empty()));
    for client in [&mut spoke, &mut new, &mut newer] {
        assert_eq!(client.get("/").unwrap().status, 200, "it was not silent");
    }
    // However many come, each is served.
    let mut flood: Vec<Client> = Vec::new();
    for number in 0..200 {
        flood.push(server.client());
        let served = server.client().get("/").unwrap();
        assert_eq!(served.status, 200, "after {number}");
    }
}

#[test]
fn the_head_decides_whether_a_body_is_taken() {
    struct Guarded;
    impl Guarded {
        async fn take(&self, request: &Request) -> Response {
            text(request.body().len().to_string())
        }
        async fn admit(&self, request: &Request) -> Admission {
            assert!(request.body().is_empty());
            match request.header("authorization") {
                Some("panic") => panic!("a gate panics"),
                Some(_) => Admission::Any,
                None if request.url().path() == "/login" => Admission::Small,
                None => Admission::Refused(Response::empty(StatusCode::UNAUTHORIZED)),
            }
        }
    }
    const ROUTES: &[Route<Guarded>] = &[
        route!(POST "/login" => Guarded::take),
        route!(POST "/take/:anything" => Guarded::take),
        route!(POST "/direct" => Guarded::take).direct(),
    ];
    let mut app = usual_app();
    let gate = Gate::<Guarded> {
        admit: |guarded, request| Box::pin(guarded.admit(request)),
        refuse: |refused| Response::new(refused.status(), "text/plain", format!("own: {refused}")),
    };
    app.mount_gated("guarded", Arc::new(Guarded), ROUTES, gate);
    let server = Running::start(app, limits());
    let ask = |target: &str, method: &str, authorization: &str, length: usize| {
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: localhost\r\n{authorization}content-length: {length}\r\n\r\n"
        );
        // Nothing of the body is sent.
        let mut client = server.client();
        client.send_raw(head.as_bytes()).unwrap();
        client.receive().unwrap()
    };
    let known = "authorization: known\r\n";
    for (target, method, authorization, length, status) in [
        ("/nosuch", "POST", "", 10_000_000, 404),
        ("/take/", "POST", known, 10_000_000, 404),
        ("/take/1", "PUT", "", 10_000_000, 405),
        ("/take/1", "OPTIONS", "", 10_000_000, 204),
        ("/take/1", "POST", "", 10_000_000, 401),
        ("/./take/../take/1", "POST", "", 10_000_000, 401),
        ("/direct", "POST", "", 10_000_000, 401),
        ("/direct", "GET", known, 10_000_000, 405),
        ("/take/1", "POST", known, 11_000_000, 413),
        ("/direct", "POST", known, 11_000_000, 413),
        ("/login", "POST", "", 16_385, 413),
        (
            "/take/1",
            "POST",
            "authorization: panic\r\n",
            10_000_000,
            500,
        ),
    ] {
        let answer = ask(target, method, authorization, length);
        assert_eq!(answer.status, status, "{method} {target} {authorization}");
        assert_eq!(answer.header("connection"), Some("close"), "{target}");
        if status == 413 {
            assert!(answer.text().starts_with("own: "), "{}", answer.text());
        }
    }
    // A short body is skipped, and the connection is used again.
    let mut client = server.client();
    for (target, status) in [("/take/1", 401), ("/nosuch", 404), ("/login", 200)] {
        assert_eq!(
            client.post(target, "short").unwrap().status,
            status,
            "{target}"
        );
    }
    let headers = [("authorization", "known")];
    for target in ["/take/1", "/direct"] {
        let taken = client
            .request("POST", target, &headers, &[b'x'; 100_000])
            .unwrap();
        assert_eq!(taken.text(), "100000");
    }
}

#[test]
fn the_bodies_of_all_requests_together_are_bounded_and_small_ones_always_pass() {
    let limits = HttpLimits {
        body_bytes: 1_000_000,
        all_body_bytes: 2_000_000,
        ..limits()
    };
    let bodies = Budget::new(limits.all_body_bytes);
    let server = HttpServer::bind(
        ([127, 0, 0, 1], 0).into(),
        usual_app(),
        limits,
        HostCheck::local(),
    );
    let server = Running::of(server.unwrap().with_bodies(bodies.clone()));
    // Others send most of theirs, and wait.
    let mut others: Vec<Client> = (0..5).map(|_| server.client()).collect();
    for client in &mut others {
        let head = "POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n";
        client.send_raw(head.as_bytes()).unwrap();
        // The server may refuse it at any time.
        let _ = client.send_raw(&[b'x'; 999_999]);
    }
    let mut refused = 0;
    let mut first = None;
    for mut client in others {
        client.set_patience(Duration::from_millis(500)).unwrap();
        match client.receive() {
            Ok(answer) => {
                assert_eq!(answer.status, 503);
                assert_eq!(answer.header("retry-after"), Some("1"));
                refused += 1;
            }
            Err(_) => first = Some(client),
        }
        assert!(bodies.used() <= bodies.limit());
    }
    assert!(refused >= 2, "{refused} were refused");
    assert!(bodies.refused() >= 2);
    let small = server.client().post("/echo", &"x".repeat(16_000)).unwrap();
    assert_eq!(small.status, 200);
    // Who has begun goes on.
    let mut first = first.expect("one is waited for");
    first.set_patience(PATIENCE).unwrap();
    first.send_raw(b"x").unwrap();
    assert_eq!(first.receive().unwrap().body.len(), 1_000_000);
    drop(first);
    for _ in 0..1000 {
        if bodies.used() == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{} bytes are never given back", bodies.used());
}

#[test]
fn a_client_that_leaves_cancels_its_handler() {
    let (started, starting) = channel();
    let (left, gone) = channel();
    let mut app = usual_app();
    post(&mut app, "/pull", move |_| {
        let (started, left) = (started.clone(), Leaving(left.clone()));
        async move {
            let _left = left;
            let _ = started.send(());
            async_io::Timer::after(NEVER).await;
            text("never")
        }
    });
    let server = Running::start(app, limits());
    let mut client = server.client();
    client.send_request("POST", "/pull", &[], b"{}").unwrap();
    starting.recv_timeout(PATIENCE).unwrap();
    assert!(
        gone.try_recv().is_err(),
        "the handler runs as long as the client is there"
    );
    drop(client);
    gone.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_client_that_leaves_drops_its_stream() {
    let (left, gone) = channel();
    let mut app = usual_app();
    get(&mut app, "/events", move |_| {
        let left = Leaving(left.clone());
        async move {
            let first = futures::stream::once(async { Ok("data: 1\n\n".into()) });
            let silence = futures::stream::poll_fn(move |_| {
                let _held = &left;
                std::task::Poll::Pending
            });
            let parts = futures::StreamExt::chain(first, silence);
            Response::streaming(StatusCode::OK, "text/event-stream", parts)
        }
    });
    let server = Running::start(app, limits());
    let mut client = server.client();
    client.send_request("GET", "/events", &[], b"").unwrap();
    client.receive_head().unwrap();
    assert!(client.receive_chunk().unwrap().is_some());
    drop(client);
    gone.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn many_connections_are_served_at_once() {
    let server = Running::usual();
    let mut clients: Vec<Client> = (0..300).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send_request("POST", "/echo", &[], b"x").unwrap();
    }
    for client in &mut clients {
        assert_eq!(client.receive().unwrap().text(), "x");
    }
}

#[test]
fn an_address_in_use_is_a_clear_error() {
    let server = Running::usual();
    let again = HttpServer::bind(server.address, usual_app(), limits(), HostCheck::local());
    let Err(error) = again else {
        panic!("two servers at one address");
    };
    let address = rejoin_http::ListenAddress::Tcp(server.address);
    assert_eq!(error.address(), &address);
    let text = error.to_string();
    assert!(
        text.ends_with("another server listens there already"),
        "{text}"
    );
    assert!(std::error::Error::source(&error).is_some());
}

/// Says so when it is dropped.
pub(crate) struct Leaving(pub(crate) Sender<()>);

impl Drop for Leaving {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}
