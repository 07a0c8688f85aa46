//! What stands between the client and the server: answers that get lost, and programs that are no server.

use super::{client, err, json};
use crate::server::{Server, directory, rejoin};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Passes connections on to the server, but cuts the one on which the first submitted job is
/// answered, in the place of the answer.
fn losing_one_answer(server: SocketAddr) -> (SocketAddr, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let is_lost = Arc::new(AtomicBool::new(false));
    let lost = is_lost.clone();
    thread::spawn(move || {
        for near in listener.incoming() {
            let near = near.unwrap();
            let far = TcpStream::connect(server).unwrap();
            let is_submitted = Arc::new(AtomicBool::new(false));
            let submitted = is_submitted.clone();
            pass(&near, &far, move |part| {
                if part.starts_with(b"POST /sessions/") {
                    submitted.store(true, Ordering::SeqCst);
                }
                true
            });
            let lost = lost.clone();
            pass(&far, &near, move |_| {
                !is_submitted.load(Ordering::SeqCst) || lost.swap(true, Ordering::SeqCst)
            });
        }
    });
    (address, is_lost)
}

/// Passes on what comes, as long as it may, on a thread of its own.
fn pass(
    from: &TcpStream,
    to: &TcpStream,
    mut may_pass: impl FnMut(&[u8]) -> bool + Send + 'static,
) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    thread::spawn(move || {
        let mut part = vec![0; 65536];
        while let Ok(count @ 1..) = from.read(&mut part) {
            if !may_pass(&part[..count]) || to.write_all(&part[..count]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}

#[test]
fn a_job_runs_once_even_if_the_response_is_lost() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let (between, is_lost) = losing_one_answer(server.address);
    let mut command = client(&server, &["run", "echo once >> said; cat said; rm said"]);
    command.env("REJOIN_SERVER", format!("http://{between}"));
    let ran = command.output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{}", err(&ran));
    assert_eq!(ran.stdout, b"once\n");
    assert!(is_lost.load(Ordering::SeqCst), "an answer got lost");
    let shown = json(&server, &["show", "1", "--json"]);
    assert_eq!(shown["jobs"].as_array().unwrap().len(), 1);
}

/// Answers one request with this, and gives what was asked.
fn answering(answer: &'static str) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0, "{head}");
        }
        stream.write_all(answer.as_bytes()).unwrap();
        head
    });
    (url, asked)
}

#[test]
fn another_kind_of_server_is_recognized() {
    let (url, asked) = answering("HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno");
    let strange = rejoin(&["sessions", "--server", &url]).output().unwrap();
    asked.join().unwrap();
    assert_eq!(strange.status.code(), Some(2));
    let words = err(&strange);
    assert!(words.contains("is not a Rejoin server"), "{words}");
}

#[test]
fn credentials_are_sent_as_basic_and_never_follow_a_redirect() {
    let login = |url: &str| {
        let mut command = rejoin(&["sessions", "--server", url, "--login", "anna"]);
        command.env("REJOIN_PASSWORD", "secret").output().unwrap()
    };
    let (url, asked) = answering("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n");
    let refused = login(&url);
    let head = asked.join().unwrap().to_lowercase();
    assert!(
        head.contains("authorization: basic yw5uytpzzwnyzxq=\r\n"),
        "{head}"
    );
    let words = err(&refused);
    assert!(
        words.contains("wrong user name, password or token"),
        "{words}"
    );
    let (url, asked) = answering("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n");
    let nobody = rejoin(&["sessions", "--server", &url]).output().unwrap();
    asked.join().unwrap();
    let words = err(&nobody);
    assert!(words.contains("login required"), "{words}");
    let (url, asked) = answering(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    );
    let moved = login(&url);
    asked.join().unwrap();
    assert!(
        err(&moved).contains("is not a Rejoin server"),
        "{}",
        err(&moved)
    );
}
