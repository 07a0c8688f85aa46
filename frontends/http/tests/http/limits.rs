//! Every limit is enforced, and clients get a clear response where possible.

use crate::harness::{NEVER, PATIENCE, Running, get, limits, post, text, usual_app};
use rejoin_http::test_client::Client;
use rejoin_http::{HostCheck, HttpLimits, HttpServer, Response, StatusCode};
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
            assert_eq!(answer.header("content-length"), Some("0"));
            assert!(answer.body.is_empty());
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
    let server = Running::start(
        usual_app(),
        HttpLimits {
            connections: 3,
            ..limits()
        },
    );
    let mut taken: Vec<Client> = (0..3).map(|_| server.client()).collect();
    for client in &mut taken {
        assert_eq!(client.get("/").unwrap().status, 200);
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
    assert_eq!(error.address(), server.address);
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
