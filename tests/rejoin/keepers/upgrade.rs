//! A new server under the jobs of an old one: it takes them over from keepers of every version that
//! there was.

use super::post;
use crate::server::{Server, directory, is_status_of, said, text};
use crate::shell::{wait_until, wait_until_none_run};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::{self, JoinHandle};
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
    let recorded = include_str!("version-1.conversation");
    let [keeper] = old_keepers(recorded, data.path(), &session);

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

#[test]
fn a_server_goes_on_with_keepers_of_version_2() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let session = text(&post(&server, "/sessions", &json!({}))["id"]);
    let jobs = format!("/sessions/{session}/jobs");
    let statement = "echo ready; while read line; do echo got $line; done";
    let run = json!({"statement": statement, "input": true});
    assert_eq!(post(&server, &jobs, &run)["job"], 1);
    // As many bytes of output, of which the last are the echo, and of input as in the recorded one.
    let run = json!({
        "statement": "echo secret:has 4; exec sleep 1000",
        "input": true,
        "background": true,
        "terminal": {"columns": 80, "rows": 24},
    });
    assert_eq!(post(&server, &jobs, &run)["job"], 2);
    let viewer = server.join(&session);
    let write = |server: &Server, job: u64, words: &[u8], answer: &str| {
        let path = format!("{jobs}/{job}/input");
        let written = server.client().request("POST", &path, &[], words);
        assert_eq!(written.unwrap().status, 204);
        until_said(server, &session, &viewer, job, answer);
    };
    until_said(&server, &session, &viewer, 1, "ready\n");
    write(&server, 1, b"typed\n", "got typed\n");
    let late = server.join(&session);
    until_said(&server, &session, &late, 2, "secret:has 4\r\n");
    write(&server, 2, b"pass\n", "pass\r\n");
    server.kill();
    wait_until_none_run("its jobs have ended, too", &session);
    let recorded = include_str!("version-2.conversation");
    let keepers: [_; 2] = old_keepers(recorded, data.path(), &session);

    let server = Server::start(data.path(), &["--keeper-wait", "1d"]);
    write(&server, 1, b"out\n", "got out\nerr\n");
    let late = server.join(&session);
    server.pull_until(&session, &late, is_status_of(1));
    assert_eq!(status(&server, &jobs, 1), 3);
    let path = format!("{jobs}/2/size");
    let size = json!({"columns": 100, "rows": 30}).to_string();
    let resized = server.client().request("PUT", &path, &[], size.as_bytes());
    assert!(resized.unwrap().status < 300);
    let path = format!("/sessions/{session}");
    let closed = server.client().request("DELETE", &path, &[], b"");
    assert_eq!(closed.unwrap().status, 204);
    for keeper in keepers {
        keeper.join().unwrap();
    }
    wait_until("the job with the terminal has its end", || {
        status(&server, &jobs, 2) == 129
    });
}

/// Waits until a job has said all of these words to this viewer, in as many results as it takes.
fn until_said(server: &Server, session: &str, viewer: &str, job: u64, words: &str) {
    let heard = RefCell::new(String::new());
    server.pull_until(session, viewer, |result| {
        let mut heard = heard.borrow_mut();
        if result["jobId"] == job {
            heard.push_str(result["content"].as_str().unwrap_or_default());
        }
        heard.contains(words)
    });
}

/// Keepers that say what was recorded, in the places of those that there were, which have ended.
fn old_keepers<const COUNT: usize>(
    recorded: &str,
    data: &Path,
    session: &str,
) -> [JoinHandle<()>; COUNT] {
    let directory = data.join("shell/keepers");
    for socket in std::fs::read_dir(&directory).unwrap() {
        std::fs::remove_file(socket.unwrap().path()).unwrap();
    }
    let parts: Vec<_> = recorded.split("\n= ").collect();
    // What comes before the first such line is about all of them.
    let parts = &parts[parts.len() - COUNT..];
    let keepers = parts.iter().enumerate().map(|(number, part)| {
        let part = match COUNT {
            1 => part,
            _ => part.split_once('\n').unwrap().1,
        };
        let conversation = Conversation::read(part, data, session);
        let listener = UnixListener::bind(directory.join(format!("old {number}"))).unwrap();
        thread::spawn(move || conversation.speak_as_keeper(&listener))
    });
    let keepers: Vec<_> = keepers.collect();
    keepers.try_into().unwrap()
}

fn status(server: &Server, jobs: &str, job: u64) -> Value {
    let shown = server.client().get(&format!("{jobs}/{job}")).unwrap();
    let shown: Value = shown.json();
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
    fn read(text: &str, data: &Path, session: &str) -> Self {
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
                    // Output may be settled in several steps, and input ends with the session. Kinds that
                    // there were not in version 1 are ignored.
                    let may_come = [SETTLED, END_INPUT].contains(&came[0]);
                    let is_known = (1..=10).contains(&came[0]) && !may_come;
                    assert!(!is_known, "{came:02x?} came instead of {begin:02x?}");
                },
            }
        }
    }
}

const HELLO: u8 = 1;
const END_INPUT: u8 = 5;
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
