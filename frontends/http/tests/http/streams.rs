//! Streamed responses, and clients that leave or stop reading them.

use crate::harness::{NEVER, PATIENCE, Running, get, limits, usual_app};
use rejoin_http::test_client::Client;
use rejoin_http::{Bytes, HttpLimits, Response, StatusCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// What a stream holds: says when it is dropped.
struct Held(Sender<()>);

impl Drop for Held {
    fn drop(&mut self) {
        // The test may not care.
        let _ = self.0.send(());
    }
}

/// An application with `/busy`, which always has more to say, `/silent`, which says one thing and
/// then nothing, and `/calm`, which says something every now and then.
struct Streams {
    server: Running,
    dropped: Receiver<()>,
    parts: Arc<AtomicUsize>,
}

impl Streams {
    fn start(limits: HttpLimits) -> Self {
        let (drops, dropped) = channel();
        let parts = Arc::new(AtomicUsize::new(0));
        let mut app = usual_app();
        for (path, pause) in [
            ("/busy", Duration::ZERO),
            ("/silent", NEVER),
            ("/calm", Duration::from_millis(20)),
        ] {
            let (drops, parts) = (drops.clone(), parts.clone());
            get(&mut app, path, move |_| {
                let held = Held(drops.clone());
                let parts = parts.clone();
                async move {
                    let begin = (held, Duration::ZERO);
                    let stream = futures::stream::unfold(begin, move |(held, wait)| {
                        parts.fetch_add(1, Ordering::SeqCst);
                        async move {
                            if !wait.is_zero() {
                                async_io::Timer::after(wait).await;
                            }
                            Some((Ok(PART.clone()), (held, pause)))
                        }
                    });
                    Response::streaming(StatusCode::OK, "text/event-stream", stream)
                }
            });
        }
        Self {
            server: Running::start(app, limits),
            dropped,
            parts,
        }
    }

    /// A client that has taken the first part.
    fn open(&self, path: &str) -> Client {
        let mut client = self.server.client();
        client.send_request("GET", path, &[], b"").unwrap();
        assert_eq!(client.receive_head().unwrap().status, 200);
        assert_eq!(client.receive_chunk().unwrap().unwrap(), *PART);
        client
    }

    fn is_dropped(&self) -> bool {
        self.dropped.recv_timeout(PATIENCE).is_ok()
    }
}

/// Not less than what a socket takes at once, in a few of them.
static PART: std::sync::LazyLock<Bytes> =
    std::sync::LazyLock::new(|| Bytes::from(vec![b'x'; 64 * 1024]));

#[test]
fn a_client_that_leaves_takes_its_stream_with_it() {
    let streams = Streams::start(limits());
    for path in ["/busy", "/silent", "/calm"] {
        let other = streams.open("/busy");
        drop(streams.open(path));
        assert!(streams.is_dropped(), "{path} goes on for nobody");
        drop(other);
        assert!(streams.is_dropped());
    }
    assert!(streams.server.is_well());
    // Nothing is left to be waited for.
    assert_eq!(streams.server.stop().aborted, 0);
}

#[test]
fn a_client_that_stops_reading_is_disconnected_and_little_is_produced_for_it() {
    let limits = HttpLimits {
        write: Duration::from_millis(50),
        ..limits()
    };
    let streams = Streams::start(limits);
    let mut stuck = streams.open("/busy");
    assert!(
        streams.is_dropped(),
        "a client that takes nothing is waited for"
    );
    // What the sockets between the two take, and no more than a few parts beside.
    let made = streams.parts.load(Ordering::SeqCst);
    assert!(made < 512, "{made} parts were made for nobody");
    // It finds out when it comes back, and comes again.
    while let Ok(Some(_)) = stuck.receive_chunk() {}
    drop(streams.open("/busy"));
}

#[test]
fn a_silent_stream_is_not_cut_as_an_idle_connection() {
    let limits = HttpLimits {
        idle: Duration::from_millis(30),
        ..limits()
    };
    let streams = Streams::start(limits);
    // Another one of the same age, which has nothing under way, says when the time is over.
    let mut watching = streams.open("/silent");
    let mut idle = streams.server.client();
    assert!(idle.receive_rest().unwrap().is_empty());
    watching.set_patience(Duration::from_millis(100)).unwrap();
    let silence = watching.receive_chunk().unwrap_err();
    let is_silence = matches!(
        silence.kind(),
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
    );
    assert!(is_silence, "{silence}");
}

#[test]
fn streams_count_towards_the_limit_of_connections() {
    let limits = HttpLimits {
        connections: 3,
        ..limits()
    };
    let streams = Streams::start(limits);
    let mut open: Vec<_> = (0..3).map(|_| streams.open("/silent")).collect();
    let mut more = streams.server.client();
    more.send_request("GET", "/silent", &[], b"").unwrap();
    assert_eq!(more.receive().unwrap().status, 503);
    // Until it has gone, or was waited for, who is refused takes a place too.
    drop(more);
    drop(open.pop());
    assert!(streams.is_dropped());
    // Its place is free as soon as its connection is gone, a moment after its stream.
    let has_room = (0..100_000).any(|_| {
        let mut client = streams.server.client();
        let sent = client.send_request("GET", "/silent", &[], b"");
        sent.is_ok() && client.receive_head().is_ok_and(|head| head.status == 200)
    });
    assert!(has_room);
}
