//! A server that stops completes open requests, up to its deadline.

use crate::harness::{NEVER, PATIENCE, Running, get, limits, post, text, usual_app};
use futures::future::{Either, select};
use rejoin_http::test_client::Client;
use rejoin_http::{Bytes, HttpLimits, Response, Router, StatusCode};
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// An application with a pull that waits for the end, and tells when it has begun to.
fn pulling_app(started: Sender<()>) -> Router {
    let mut app = usual_app();
    post(&mut app, "/pull", move |request| {
        let started = started.clone();
        async move {
            let closing = request.shutdown();
            let _ = started.send(());
            let never = pin!(async_io::Timer::after(NEVER));
            match select(never, pin!(closing.wait())).await {
                Either::Left(_) => text("never"),
                Either::Right(_) => text("closing"),
            }
        }
    });
    app
}

fn pull(server: &Running, started: &Receiver<()>) -> Client {
    let mut client = server.client();
    client.send_request("POST", "/pull", &[], b"{}").unwrap();
    started.recv_timeout(PATIENCE).unwrap();
    client
}

#[test]
fn fifty_open_pulls_are_all_answered() {
    let (started, starting) = channel();
    let server = Running::start(pulling_app(started), limits());
    let address = server.address;
    let mut pulls: Vec<Client> = (0..50).map(|_| pull(&server, &starting)).collect();
    let stopped = server.stop();
    assert_eq!(stopped.aborted, 0);
    for client in &mut pulls {
        let answer = client.receive().unwrap();
        assert_eq!((answer.status, answer.text()), (200, "closing"));
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(client.receive_rest().unwrap().is_empty());
    }
    assert!(Client::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn silent_connections_are_closed_at_once() {
    let server = Running::usual();
    let mut spoken = server.client();
    assert_eq!(spoken.get("/").unwrap().status, 200);
    let mut never_spoke = server.client();
    assert!(server.is_well());
    assert_eq!(server.stop().aborted, 0);
    assert!(spoken.receive_rest().unwrap().is_empty());
    assert!(never_spoke.receive_rest().unwrap().is_empty());
}

#[test]
fn no_connection_is_taken_while_the_last_requests_finish() {
    let (started, starting) = channel();
    let (finish, finishing) = smol::channel::bounded::<()>(1);
    let mut app = usual_app();
    get(&mut app, "/slow", move |_| {
        let (started, finishing) = (started.clone(), finishing.clone());
        async move {
            let _ = started.send(());
            let _ = finishing.recv().await;
            text("done")
        }
    });
    let server = Running::start(app, limits());
    let mut slow = server.client();
    let mut silent = server.client();
    slow.send_request("GET", "/slow", &[], b"").unwrap();
    starting.recv_timeout(PATIENCE).unwrap();
    server.shutdown.trigger();
    // The listener is closed before the silent connections are.
    assert!(silent.receive_rest().unwrap().is_empty());
    let refused = (0..1000).any(|_| Client::connect(server.address).is_err());
    assert!(refused, "a stopping server takes new connections");
    finish.send_blocking(()).unwrap();
    assert_eq!(slow.receive().unwrap().text(), "done");
    assert_eq!(server.stop().aborted, 0);
}

#[test]
fn unfinished_requests_are_dropped_at_the_deadline() {
    let (started, starting) = channel();
    let mut app = usual_app();
    get(&mut app, "/deaf", move |_| {
        let started = started.clone();
        async move {
            let _ = started.send(());
            async_io::Timer::after(NEVER).await;
            text("never")
        }
    });
    let limits = HttpLimits {
        shutdown: Duration::from_millis(50),
        ..limits()
    };
    let server = Running::start(app, limits);
    let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send_request("GET", "/deaf", &[], b"").unwrap();
        starting.recv_timeout(PATIENCE).unwrap();
    }
    assert_eq!(server.stop().aborted, 3);
    for client in &mut clients {
        assert!(client.receive_rest().unwrap().is_empty());
    }
}

#[test]
fn a_stream_that_ends_on_the_signal_is_finished() {
    let mut app = usual_app();
    get(&mut app, "/events", |request| async move {
        let closing = request.shutdown();
        let first = futures::stream::once(async { Ok(Bytes::from("data: 1\n\n")) });
        let last = futures::stream::once(async move {
            closing.wait().await;
            Ok(Bytes::from("data: bye\n\n"))
        });
        let parts = futures::StreamExt::chain(first, last);
        Response::streaming(StatusCode::OK, "text/event-stream", parts)
    });
    let server = Running::start(app, limits());
    let mut client = server.client();
    client.send_request("GET", "/events", &[], b"").unwrap();
    client.receive_head().unwrap();
    assert_eq!(client.receive_chunk().unwrap().unwrap(), b"data: 1\n\n");
    assert_eq!(server.stop().aborted, 0);
    assert_eq!(client.receive_chunk().unwrap().unwrap(), b"data: bye\n\n");
    assert_eq!(client.receive_chunk().unwrap(), None);
}

#[test]
fn a_handler_that_blocks_its_thread_does_not_keep_the_server() {
    let (started, starting) = channel();
    let (release, held) = channel::<()>();
    let held = std::sync::Mutex::new(Some(held));
    let mut app = usual_app();
    get(&mut app, "/block", move |_| {
        let held = held.lock().unwrap().take();
        let _ = started.send(());
        if let Some(held) = held {
            let _ = held.recv_timeout(PATIENCE);
        }
        async { text("late") }
    });
    let limits = HttpLimits {
        shutdown: Duration::from_millis(20),
        ..limits()
    };
    let server = Running::start(app, limits);
    let mut client = server.client();
    client.send_request("GET", "/block", &[], b"").unwrap();
    starting.recv_timeout(PATIENCE).unwrap();
    assert_eq!(server.stop().aborted, 1);
    drop(release);
}

#[test]
fn a_server_that_is_dropped_drops_its_connections() {
    let app = usual_app();
    let address = ([127, 0, 0, 1], 0).into();
    let server =
        rejoin_http::HttpServer::bind(address, app, limits(), rejoin_http::HostCheck::local())
            .unwrap();
    let address = server.local_addr();
    let (stop, stopping) = smol::channel::bounded::<()>(1);
    let running = std::thread::spawn(move || {
        smol::block_on(async {
            let running = pin!(server.run(std::future::pending()));
            select(running, pin!(stopping.recv())).await;
        });
    });
    let mut client = Client::connect(address).unwrap();
    assert_eq!(client.get("/").unwrap().status, 200);
    stop.send_blocking(()).unwrap();
    assert!(client.receive_rest().unwrap().is_empty());
    running.join().unwrap();
}
