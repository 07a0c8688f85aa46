//! `rejoin verify` on logs that the real server has written, sound, torn and damaged.

use crate::server::{Server, directory, is_status_of, outcome};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// What `rejoin verify` answers.
pub(crate) struct Verified {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn verify(directory: &Path, more: &[&str]) -> Verified {
    let mut arguments = vec!["verify", directory.to_str().unwrap()];
    arguments.extend(more);
    let (status, out, err) = outcome(&arguments);
    Verified {
        status: status.code(),
        out,
        err,
    }
}

pub(crate) fn verify_json(directory: &Path) -> (Option<i32>, Value) {
    let verified = verify(directory, &["--json"]);
    assert_eq!(verified.err, "", "progress is for terminals");
    (
        verified.status,
        serde_json::from_str(&verified.out).unwrap(),
    )
}

/// A server has run a job in each of two sessions, and has ended cleanly, or as a crash ends it.
pub(crate) fn log_of_two_sessions(data: &Path, crashed: bool) -> [String; 2] {
    let mut server = Server::start(data, &[]);
    let sessions = [server.create(), server.create()];
    for (session, consumer) in &sessions {
        let job = server.run(session, "for i in 1 2 3 4 5; do echo line $i of many; done");
        server.pull_until(session, consumer, is_status_of(job));
    }
    if crashed {
        server.kill();
    } else {
        assert_eq!(server.signal("-TERM").code(), Some(0));
    }
    sessions.map(|(session, _)| session)
}

/// The log's segments, by position. There is a second one when the spare was ready meanwhile.
fn segments(data: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(data.join("log")).unwrap();
    let mut segments: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    segments.retain(|path| {
        path.extension()
            .is_some_and(|it| it == "sealed" || it == "active")
    });
    segments.sort();
    segments
}

/// The segment that holds this text, its bytes, and the byte at which the text begins.
pub(crate) fn segment_with(data: &Path, text: &str) -> (PathBuf, Vec<u8>, usize) {
    segments(data)
        .into_iter()
        .find_map(|segment| {
            let bytes = fs::read(&segment).unwrap();
            let mut windows = bytes.windows(text.len());
            let place = windows.position(|window| window == text.as_bytes())?;
            Some((segment, bytes, place))
        })
        .unwrap()
}

/// The segment that was written to when the server was killed, and the last byte that was.
fn active_segment(data: &Path) -> Option<(PathBuf, Vec<u8>, usize)> {
    let segment = segments(data).pop()?;
    let bytes = fs::read(&segment).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0)?;
    // It may have been killed when there was nothing but the header.
    let is_begun = segment.extension()? == "active" && last > 48;
    is_begun.then_some((segment, bytes, last))
}

#[test]
fn an_intact_log_is_reported_intact_from_either_directory() {
    let data = directory();
    log_of_two_sessions(data.path(), false);
    for path in [data.path().to_owned(), data.path().join("log")] {
        let (status, report) = verify_json(&path);
        assert_eq!(status, Some(0), "{report}");
        assert_eq!(report["sound"], true);
        assert_eq!(report["sessions"], 2);
        assert_eq!(report["transitionsChecked"], report["records"]);
        assert_eq!(report["damaged"], json!([]));
        assert_eq!(report["torn"], Value::Null);
    }
    let verified = verify(data.path(), &[]);
    assert_eq!(verified.status, Some(0));
    assert!(verified.out.contains(" is intact.\n"), "{}", verified.out);
    // It changed nothing: the server goes on.
    Server::start(data.path(), &[]).create();
}

#[test]
fn a_log_is_intact_after_a_crash_and_its_torn_end_is_reported() {
    let (data, (segment, mut bytes, last)) = (0..5)
        .find_map(|_| {
            let data = directory();
            log_of_two_sessions(data.path(), true);
            let active = active_segment(data.path())?;
            Some((data, active))
        })
        .expect("the server writes to a segment");
    let (status, report) = verify_json(data.path());
    assert_eq!(
        (status, &report["torn"]),
        (Some(0), &Value::Null),
        "{report}"
    );
    // The last append did not reach the disk as a whole.
    bytes[last] = 0;
    fs::write(&segment, &bytes).unwrap();
    let (status, torn) = verify_json(data.path());
    assert_eq!(status, Some(0), "{torn}");
    assert_eq!(torn["sound"], true);
    assert!(torn["records"].as_u64() < report["records"].as_u64());
    assert!(torn["torn"]["records"].as_u64() > Some(0), "{torn}");
    let verified = verify(data.path(), &[]);
    assert!(
        verified
            .out
            .contains("The last write is incomplete after a crash: "),
        "{}",
        verified.out
    );
    assert_eq!(fs::read(&segment).unwrap(), bytes, "it was changed");
}

#[test]
fn a_flipped_bit_is_reported_with_its_position_and_loses_only_its_batch() {
    let data = directory();
    let [first, second] = log_of_two_sessions(data.path(), false);
    let (_, sound) = verify_json(data.path());
    let (segment, mut bytes, place) = segment_with(data.path(), "line 1 of many");
    bytes[place] ^= 1;
    fs::write(&segment, &bytes).unwrap();

    let (status, report) = verify_json(data.path());
    assert_eq!(status, Some(1), "{report}");
    let [damaged] = &report["damaged"].as_array().unwrap()[..] else {
        panic!("{report}");
    };
    assert_eq!(damaged["file"], segment.to_str().unwrap());
    assert!(
        damaged["firstByte"].as_u64() <= Some(place as u64),
        "{damaged}"
    );
    assert!(
        damaged["endByte"].as_u64() > Some(place as u64),
        "{damaged}"
    );
    let [missing] = &report["missing"].as_array().unwrap()[..] else {
        panic!("{report}");
    };
    assert_eq!(missing["session"], first);
    assert_eq!(missing["firstSequence"], missing["lastSequence"]);
    assert_eq!(missing["places"], json!([0]));
    let readable = sound["records"].as_u64().unwrap() - 1;
    assert_eq!(report["records"], readable);
    assert_eq!(report["lostRecords"], 1);
    // What stands behind the gap is checked for its order, and the other session as before.
    assert!(report["orderChecked"].as_u64() > Some(0));
    assert_eq!(report["violations"], json!([]));

    let verified = verify(data.path(), &[]);
    assert_eq!((verified.status, verified.err.as_str()), (Some(1), ""));
    let sequence = &missing["firstSequence"];
    for words in [
        " is damaged.\n",
        "the record's checksum is wrong; 1 record lost.",
        &format!("Session {first}: missing sequence {sequence}."),
        "Still readable",
    ] {
        assert!(verified.out.contains(words), "{words}: {}", verified.out);
    }
    assert!(!verified.out.contains(&second), "{}", verified.out);

    // The server names the place and serves nothing.
    let path = data.path().to_str().unwrap();
    let (status, out, err) = outcome(&["serve", "--listen", "127.0.0.1:0", "--data", path]);
    assert_eq!((status.code(), out.as_str()), (Some(1), ""));
    assert!(
        err.contains("the log is damaged") && err.contains(&first),
        "{err}"
    );
    assert!(err.contains("rejoin verify"), "{err}");
}

#[test]
fn a_log_in_use_or_a_missing_log_cannot_be_verified() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    server.create();
    let verified = verify(data.path(), &[]);
    assert_eq!((verified.status, verified.out.as_str()), (Some(2), ""));
    assert!(verified.err.contains("running server"), "{}", verified.err);

    let empty = directory();
    let nowhere = empty.path().join("nowhere");
    for (path, word) in [(empty.path(), "no log in"), (&nowhere, "nowhere")] {
        let verified = verify(path, &[]);
        assert_eq!(verified.status, Some(2));
        assert!(verified.err.contains(word), "{}", verified.err);
    }
    assert!(!nowhere.exists());
    assert_eq!(verify(data.path(), &["--nonsense"]).status, Some(2));

    let (status, help, _) = outcome(&["verify", "--help"]);
    assert!(status.success());
    for words in ["incomplete last write", "Exit status:", "--json"] {
        assert!(help.contains(words), "{words} is missing in:\n{help}");
    }
}
