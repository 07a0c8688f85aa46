//! Closed sessions leave the log when their time is over, and requests that name one are answered so.

use crate::server::{Server, directory, is_status_of, text};
use crate::verify::verify_json;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Stdio;

#[test]
fn a_closed_session_is_removed_and_its_late_reader_learns_it() {
    let data = directory();
    let retain = ["--retain-age", "50ms"];
    let mut server = Server::start(data.path(), &retain);
    let (session, consumer) = server.create();
    let (kept, _) = server.create();
    server.exec(&session, "echo gone");
    let closed = server.api(&json!({"action": "close_session", "sessionId": session}));
    assert_eq!(closed["state"], "SUCCEEDED");

    let pull = json!({
        "action": "pull_results", "sessionId": session, "consumerId": consumer
    });
    let expected = format!("session not found: {session}: records 1 to ");
    let says_removed = |server: &Server| {
        let answer = server.api(&pull);
        assert_eq!(answer["state"], "FAILED");
        answer["message"].as_str().unwrap().starts_with(&expected)
    };
    // Over the network each time: that takes far longer than a timer is late.
    let attempts = (0..50_000).find(|_| says_removed(&server));
    assert!(attempts.is_some(), "it is never removed");
    assert_eq!(server.signal("-TERM").code(), Some(0));

    let (status, report) = verify_json(data.path());
    assert_eq!(status, Some(0), "{report}");
    let [removed] = &report["declared"].as_array().unwrap()[..] else {
        panic!("{report}");
    };
    assert_eq!(removed["session"], session);
    assert_eq!(removed["cause"], "retention");
    assert_eq!(removed["firstSequence"], 1);

    // A restart remembers it, and has the other session.
    let server = Server::start(data.path(), &retain);
    assert!(says_removed(&server));
    let info = server.api(&json!({"action": "session_info", "sessionId": kept}));
    assert_eq!(info["state"], "SUCCEEDED");
}

/// The bytes that the log's files take but the one that is written to and the zeros ahead of it.
fn settled(data: &Path) -> u64 {
    let files = fs::read_dir(data.join("log")).unwrap();
    let is_settled = |name: &str| name.ends_with(".sealed") || name.ends_with(".history");
    let bytes = files.filter_map(|file| {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        // It may be gone by now.
        is_settled(&name).then(|| file.metadata().map_or(0, |it| it.len()))
    });
    bytes.sum()
}

/// Bytes that each session prints; fewer than a job may.
const OUTPUT: u64 = 5_000_000;

#[test]
fn the_space_of_closed_sessions_is_freed_while_the_server_runs() {
    let data = directory();
    let said = data.path().join("said");
    let retain = ["--retain-bytes", "1000"];
    let err = || Stdio::from(fs::File::create(&said).unwrap());
    let mut server = Server::start_saying(data.path(), &retain, err());
    let (kept, _) = server.create();
    let mut gone = vec![];
    let mut most = 0;
    for _ in 0..8 {
        let (session, consumer) = server.create();
        let job = server.run(
            &session,
            &format!("head -c {OUTPUT} /dev/zero | tr '\\0' x"),
        );
        server.pull_until(&session, &consumer, is_status_of(job));
        let closed = server.api(&json!({"action": "close_session", "sessionId": session}));
        assert_eq!(closed["state"], "SUCCEEDED");
        gone.push(session);
        // Its reader goes on.
        server.exec(&kept, "echo on");
        most = most.max(settled(data.path()));
    }
    assert!(most > 2 * OUTPUT, "{most} bytes were ended");
    let has_removed = || {
        let said = fs::read_to_string(&said).unwrap();
        let mut rounds = said.lines().filter(|it| it.contains("compacted the log"));
        rounds.any(|round| !round.contains(" removed=0 "))
    };
    let has_fallen = |server: &Server| {
        server.exec(&kept, "true");
        has_removed() && settled(data.path()) < 6 * OUTPUT
    };
    let fallen = (0..2_000).find(|_| has_fallen(&server));
    assert!(fallen.is_some(), "{} bytes", settled(data.path()));

    // A late reader learns it, by each frontend in its own words.
    let path = format!("/sessions/{}/events", gone[0]);
    let page = server.client().get(&path).unwrap();
    let page: Value = page.json();
    let lost = &page["events"][0];
    assert_eq!(lost["type"], "records-lost", "{page}");
    assert_eq!(
        (&lost["cause"], &lost["first"]),
        (&json!("retention"), &json!(1))
    );
    let join = json!({"action": "join_session", "sessionId": gone[0]});
    let joined = server.api(&join);
    let words = format!("records 1 to {} of this session were removed", lost["last"]);
    assert!(text(&joined["message"]).contains(&words), "{joined}");

    // A restart goes on from a snapshot.
    assert_eq!(server.signal("-TERM").code(), Some(0));
    let mut server = Server::start_saying(data.path(), &retain, err());
    let said = fs::read_to_string(&said).unwrap();
    let line = said.lines().find(|line| line.contains("opened the log"));
    let line = line.unwrap_or_else(|| panic!("{said}"));
    let number_before = |word: &str| -> u64 {
        let before = line.split_once(word).unwrap().0;
        let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next();
        digits.unwrap().parse().unwrap()
    };
    assert!(
        number_before(" replayed") < number_before(" records"),
        "{line}"
    );
    server.exec(&kept, "echo on");
    assert_eq!(server.api(&join)["message"], joined["message"]);
    assert_eq!(server.signal("-TERM").code(), Some(0));
    let (status, report) = verify_json(data.path());
    assert_eq!(
        (status, &report["sound"]),
        (Some(0), &json!(true)),
        "{report}"
    );
}
