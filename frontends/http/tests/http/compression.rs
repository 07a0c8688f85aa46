//! Responses that are compressed for clients that ask for it.

use crate::harness::{Running, get, limits, text, usual_app};
use flate2::read::MultiGzDecoder;
use futures::{SinkExt, StreamExt};
use rejoin_http::test_client::Received;
use rejoin_http::{Bytes, HttpLimits, Response, StatusCode};
use std::io::Read;
use std::sync::{Arc, Mutex};

const GZIP: &[(&str, &str)] = &[("accept-encoding", "gzip, br")];

fn unzipped(received: &Received) -> Vec<u8> {
    assert_eq!(received.header("content-encoding"), Some("gzip"));
    let mut bytes = vec![];
    MultiGzDecoder::new(&*received.body)
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

/// Text that compresses to about a third.
fn long() -> Vec<u8> {
    let lines =
        (0..40_000_u32).map(|line| format!("{} of {}\n", line.wrapping_mul(2_654_435_761), line));
    lines.collect::<String>().into_bytes()
}

#[test]
fn a_long_text_is_compressed_for_those_who_ask_and_for_nobody_else() {
    let mut app = usual_app();
    get(&mut app, "/long", |_| async {
        text(long()).header("etag", "\"a\"")
    });
    get(&mut app, "/image", |_| async {
        Response::new(StatusCode::OK, "image/png", long())
    });
    get(&mut app, "/cookie", |_| async {
        text(long()).header("set-cookie", "token=secret")
    });
    let server = Running::start(app, limits());
    let mut client = server.client();
    let mut ask =
        |path: &str, headers: &[(&str, &str)]| client.request("GET", path, headers, b"").unwrap();

    let plain = ask("/long", &[]);
    assert_eq!(plain.body, long());
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(plain.header("etag"), Some("\"a\""));
    let zipped = ask("/long", GZIP);
    assert_eq!(unzipped(&zipped), long());
    assert!(
        zipped.body.len() < long().len() / 2,
        "{}",
        zipped.body.len()
    );
    assert_eq!(zipped.header("etag"), Some("W/\"a\""));
    assert_eq!(zipped.header("vary"), Some("accept-encoding"));
    assert_eq!(zipped.header("content-length"), None);
    for (path, headers) in [
        ("/", GZIP),
        ("/image", GZIP),
        ("/cookie", GZIP),
        ("/long", &[("accept-encoding", "br, gzip;q=0")]),
    ] {
        assert_eq!(
            ask(path, headers).header("content-encoding"),
            None,
            "{path}"
        );
    }
    let head = client.request("HEAD", "/long", GZIP, b"").unwrap();
    assert_eq!(
        head.header("content-length"),
        Some(&*long().len().to_string())
    );
}

#[test]
fn a_stream_is_compressed_and_each_part_arrives_at_once() {
    let (mut sender, parts) = futures::channel::mpsc::channel::<Bytes>(1);
    let parts = Arc::new(Mutex::new(Some(parts)));
    let mut app = usual_app();
    get(&mut app, "/events", move |_| {
        let parts = parts.lock().unwrap().take().unwrap();
        async move { Response::streaming(StatusCode::OK, "text/event-stream", parts.map(Ok)) }
    });
    let server = Running::start(app, limits());
    let mut client = server.client();
    client.send_request("GET", "/events", GZIP, b"").unwrap();
    let head = client.receive_head().unwrap();
    assert_eq!(head.header("content-encoding"), Some("gzip"));
    let mut decoder = flate2::write::MultiGzDecoder::new(vec![]);
    let mut expected = vec![];
    for event in 0..50 {
        let part = format!("id: {event}\ndata: something\n\n");
        smol::block_on(sender.send(part.clone().into())).unwrap();
        expected.extend_from_slice(part.as_bytes());
        // All of this part, before there is another.
        while *decoder.get_ref() != expected {
            let chunk = client.receive_chunk().unwrap().expect("the stream goes on");
            std::io::Write::write_all(&mut decoder, &chunk).unwrap();
            std::io::Write::flush(&mut decoder).unwrap();
        }
    }
    drop(sender);
    while let Some(chunk) = client.receive_chunk().unwrap() {
        std::io::Write::write_all(&mut decoder, &chunk).unwrap();
    }
    assert_eq!(decoder.finish().unwrap(), expected);
}

#[test]
fn beyond_the_limit_responses_are_sent_as_they_are() {
    let endless = || futures::stream::pending::<std::io::Result<Bytes>>();
    let mut app = usual_app();
    get(&mut app, "/endless", move |_| async move {
        Response::streaming(StatusCode::OK, "text/event-stream", endless())
    });
    let bound = HttpLimits {
        compressed: 2,
        ..limits()
    };
    let server = Running::start(app, bound);
    let encodings: Vec<_> = (0..3)
        .map(|_| {
            let mut client = server.client();
            client.send_request("GET", "/endless", GZIP, b"").unwrap();
            let head = client.receive_head().unwrap();
            (head.header("content-encoding").map(str::to_owned), client)
        })
        .collect();
    let zipped = encodings.iter().filter(|(encoding, _)| encoding.is_some());
    assert_eq!(zipped.count(), 2);
}
