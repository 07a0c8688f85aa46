//! A new server under the jobs of an old one: it takes them over from keepers of every version that
//! there was.

use super::post;
use crate::server::{Server, directory, is_status_of, said, text};
use crate::shell::wait_until_none_run;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

#[test]
fn a_server_goes_on_with_a_keeper_of_version_1() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let session = text(&post(&server, "/sessions", &json!({}))["id"]);
    let jobs = format!("/sessions/{session}/jobs");
    let statement = "echo ready; while read line; do echo got $line; done";
    // It knows jobs with separate streams only; others get a keeper of today.
    let run = json!({"statement": statement, "input": true, "output": "separate"});
    assert_eq!(post(&server, &jobs, &run)["job"], 1);
    let viewer = server.join(&session);
    server.pull_until(&session, &viewer, |result| result["content"] == "ready\n");
    // An old keeper takes the place of its keeper.
    server.kill();
    wait_until_none_run("its job has ended, too", &session);
    let keepers = data.path().join("shell/keepers");
    for socket in std::fs::read_dir(&keepers).unwrap() {
        std::fs::remove_file(socket.unwrap().path()).unwrap();
    }
    let listener = UnixListener::bind(keepers.join("old")).unwrap();
    let conversation = Conversation::read(data.path(), &session);
    let keeper = thread::spawn(move || conversation.speak_as_keeper(&listener));

    let server = Server::start(data.path(), &[]);
    let mut client = server.client();
    let written = client.request("POST", &format!("{jobs}/1/input"), &[], b"typed\n");
    assert_eq!(written.unwrap().status, 204);
    let viewer = server.join(&session);
    let typed = server.pull_until(&session, &viewer, |result| {
        result["content"] == "got typed\n"
    });
    assert_eq!(said(&typed, "stdout"), "ready\ngot typed\n");
    server.api(&json!({"action": "interrupt_job", "sessionId": session}));
    let ended = server.pull_until(&session, &viewer, is_status_of(1));
    assert_eq!(said(&ended, "stderr"), "caught\n");
    assert_eq!(status(&server, &jobs, 1), 3);
    let run = json!({"statement": "echo next; exit 4", "output": "separate"});
    let next = post(&server, &jobs, &run)["job"].as_u64().unwrap();
    let ended = server.pull_until(&session, &viewer, is_status_of(next));
    assert_eq!(said(&ended, "stdout"), "next\n");
    assert_eq!(status(&server, &jobs, next), 4);
    keeper.join().unwrap();
}

fn status(server: &Server, jobs: &str, job: u64) -> Value {
    let shown = server.client().get(&format!("{jobs}/{job}")).unwrap();
    let shown: Value = serde_json::from_slice(&shown.body).unwrap();
    shown["status"].clone()
}

/// What was recorded, for another session and another directory.
struct Conversation(Vec<Frame>);

enum Frame {
    /// From the server: the bytes behind the length with which it begins.
    Expected(Vec<u8>),
    /// From the keeper.
    Said(Vec<u8>),
}

impl Conversation {
    fn read(data: &Path, session: &str) -> Self {
        let text = include_str!("version-1.conversation");
        let mark = std::fs::read_to_string(data.join("shell/mark")).unwrap();
        let mark = mark.lines().next().unwrap().strip_prefix("mark ").unwrap();
        let frames = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let bytes = |words: &[&str]| -> Vec<u8> {
            let of = |word: &&str| match *word {
                "SESSION" => hex(&session.replace('-', "")),
                "OWNER" => mark.as_bytes().to_vec(),
                digits => hex(digits),
            };
            words.iter().flat_map(of).collect()
        };
        let frames = frames.map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            match &words[..] {
                // The first word is the length.
                [">", _, rest @ ..] => Frame::Expected(bytes(rest)),
                ["<", all @ ..] => Frame::Said(bytes(all)),
                _ => panic!("{line}"),
            }
        });
        Self(frames.collect())
    }

    fn speak_as_keeper(&self, listener: &UnixListener) {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        for frame in &self.0 {
            match frame {
                Frame::Said(bytes) => stream.write_all(bytes).unwrap(),
                Frame::Expected(begin) => loop {
                    let came = next_frame(&mut stream);
                    // A keeper of version 1 did not look at the version of its server.
                    let is_hello = came[0] == HELLO && begin[0] == HELLO;
                    let from = if is_hello { 5 } else { 0 };
                    if came[from..].starts_with(&begin[from..]) {
                        break;
                    }
                    // Output may be settled in several steps. Kinds that there were not are ignored.
                    let is_known = (1..=10).contains(&came[0]) && came[0] != SETTLED;
                    assert!(!is_known, "{came:02x?} came instead of {begin:02x?}");
                },
            }
        }
    }
}

const HELLO: u8 = 1;
const SETTLED: u8 = 7;

/// The next frame without its length.
fn next_frame(stream: &mut UnixStream) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut frame = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut frame).unwrap();
    frame
}

fn hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    let pairs = pairs.map(|pair| std::str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}
