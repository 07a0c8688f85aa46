//! `rejoin verify --salvage` on logs that the real server has written: the new log is served, and
//! its readers learn what is missing.

use crate::server::{Server, directory, is_status_of, outcome, rejoin, said};
use crate::verify::{log_of_two_sessions, segment_with, verify, verify_json};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

/// Damages the result that says this, wherever in the log it is first said.
fn damage(data: &Path, text: &str) {
    let (segment, mut bytes, place) = segment_with(data, text);
    bytes[place] ^= 1;
    fs::write(segment, bytes).unwrap();
}

/// A server has run three jobs in each of two sessions, and has ended; the sessions, and the last
/// jobs of each.
fn log_of_six_jobs(data: &Path) -> [(String, u64); 2] {
    let mut server = Server::start(data, &[]);
    let sessions = [server.create(), server.create()].map(|(session, consumer)| {
        let jobs = [1, 2, 3].map(|line| {
            let job = server.run(&session, &format!("echo line {line} of {session}"));
            server.pull_until(&session, &consumer, is_status_of(job));
            job
        });
        (session, jobs[2])
    });
    assert_eq!(server.signal("-TERM").code(), Some(0));
    sessions
}

fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(directory).unwrap();
    let mut files: Vec<_> = files
        .map(|file| {
            let path = file.unwrap().path();
            (path.display().to_string(), fs::read(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_damaged_log_is_salvaged_and_served_with_its_gaps_shown() {
    let data = directory();
    let sessions = log_of_six_jobs(data.path());
    let first = &sessions[0].0;
    // The statement says `echo` before it, the result does not.
    damage(data.path(), &format!("\"line 2 of {first}"));
    let path = data.path().to_str().unwrap();
    let (refused, _, _) = outcome(&["serve", "--listen", "127.0.0.1:0", "--data", path]);
    assert_eq!(refused.code(), Some(1));
    let before = files(&data.path().join("log"));

    let place = directory();
    let out = place.path().join("salvaged");
    let out_path = out.to_str().unwrap();
    let salvaged = verify(data.path(), &["--salvage", out_path]);
    assert_eq!((salvaged.status, salvaged.err.as_str()), (Some(1), ""));
    for words in [
        " is damaged.\n",
        &format!(" to {out_path}."),
        "The new log records 1 gap:",
        &format!("Start a server on it with `rejoin serve --data {out_path}`."),
    ] {
        assert!(salvaged.out.contains(words), "{words}: {}", salvaged.out);
    }
    assert_eq!(files(&data.path().join("log")), before, "it was changed");

    // The new log is sound, and says what is missing.
    let (status, report) = verify_json(&out);
    assert_eq!(status, Some(0), "{report}");
    assert_eq!(report["sound"], true);
    let [gap] = &report["declared"].as_array().unwrap()[..] else {
        panic!("{report}");
    };
    assert_eq!(
        (&gap["session"], &gap["cause"]),
        (&json!(first), &json!("damage"))
    );
    let verified = verify(&out, &[]);
    let words = "The log was salvaged before and records 1 gap:";
    assert!(verified.out.contains(words), "{}", verified.out);

    let server = Server::start(&out, &[]);
    let lost = format!(
        "records {0} to {0} of this session are missing: they were damaged in the log.",
        gap["firstSequence"]
    );
    let is_lost = |result: &Value| result["message"] == lost.as_str();
    for (session, last) in &sessions {
        let is_whole = session != first;
        let consumer = server.join(session);
        let results = server.pull_until(session, &consumer, is_status_of(*last));
        let lines: Vec<_> = (1..=3)
            .filter(|line| is_whole || *line != 2)
            .map(|line| format!("line {line} of {session}\n"))
            .collect();
        assert_eq!(said(&results, "stdout"), lines.concat());
        assert_eq!(results.iter().any(is_lost), !is_whole, "{results:?}");
        // The gap is shown where the record would have been: between the job's beginning and end.
        if let Some(place) = results.iter().position(is_lost) {
            assert_eq!(results[place - 1]["type"], "command");
            assert_eq!(results[place + 1]["type"], "status");
        }
        // The session goes on.
        assert_eq!(said(&server.exec(session, "echo on"), "stdout"), "on\n");
    }
}

#[test]
fn an_intact_log_is_salvaged_completely() {
    let data = directory();
    log_of_two_sessions(data.path(), false);
    let place = directory();
    let out = place.path().to_str().unwrap();
    let (_, before) = verify_json(data.path());
    let salvaged = verify(data.path(), &["--json", "--salvage", out]);
    assert_eq!((salvaged.status, salvaged.err.as_str()), (Some(0), ""));
    let report: Value = serde_json::from_str(&salvaged.out).unwrap();
    assert_eq!(report["salvage"]["records"], before["records"]);
    assert_eq!(report["salvage"]["gaps"], json!([]));
    let (status, after) = verify_json(place.path());
    assert_eq!(status, Some(0));
    assert_eq!(after["records"], before["records"]);
    assert_ne!(after["log"], before["log"], "it is another log");
}

#[test]
fn salvage_refuses_a_directory_that_is_not_empty() {
    let data = directory();
    log_of_two_sessions(data.path(), false);
    let taken = directory();
    fs::write(taken.path().join("note"), "mine").unwrap();
    let inside = data.path().join("log").join("new");
    for (out, word) in [
        (taken.path(), "is not empty"),
        (data.path(), "is not empty"),
        (inside.as_path(), "is inside the directory of the log"),
    ] {
        let refused = verify(data.path(), &["--salvage", out.to_str().unwrap()]);
        assert_eq!((refused.status, refused.out.as_str()), (Some(2), ""));
        assert!(refused.err.contains(word), "{}", refused.err);
    }
    assert!(!inside.exists());
    assert_eq!(fs::read_dir(taken.path()).unwrap().count(), 1);

    // Where there is nothing to salvage, nothing is left behind.
    let (empty, place) = (directory(), directory());
    let out = place.path().join("salvaged");
    let none = verify(empty.path(), &["--salvage", out.to_str().unwrap()]);
    assert_eq!(none.status, Some(2));
    assert!(none.err.contains("no log in"), "{}", none.err);
    assert!(!out.exists());
}

/// The signal that a process is killed with when it writes beyond the largest file that it may have.
const SIGXFSZ: i32 = 25;

#[test]
fn a_salvage_that_is_killed_leaves_nothing_that_can_be_taken_for_a_log() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let (session, consumer) = server.create();
    // More than salvaging writes at once.
    for _ in 0..2 {
        let job = server.run(&session, "head -c 5000000 /dev/zero | tr '\\0' x");
        server.pull_until(&session, &consumer, is_status_of(job));
    }
    assert_eq!(server.signal("-TERM").code(), Some(0));

    let place = directory();
    let out = place.path().join("salvaged");
    let [from, to] = [data.path(), &out].map(|path| path.to_str().unwrap());
    let salvage = rejoin(&["verify", from, "--salvage", to]);
    // It is killed in the middle: the first part of the log is written, the second is too much.
    let killed = Command::new("sh")
        .args(["-c", "ulimit -c 0; ulimit -f 12000; exec \"$@\"", "sh"])
        .arg(salvage.get_program())
        .args(salvage.get_args())
        .output()
        .unwrap();
    assert_eq!(killed.status.signal(), Some(SIGXFSZ), "{killed:?}");
    let names = files_in(&out);
    assert_eq!(names, ["log.unfinished"]);

    let left = out.join("log.unfinished");
    let left = left.to_str().unwrap();
    let words = format!("{left} is a log that `rejoin verify --salvage` was writing");
    for (arguments, status) in [
        (vec!["verify", to], 2),
        (vec!["verify", left], 2),
        (vec!["verify", from, "--salvage", to], 2),
        (vec!["verify", left, "--salvage", from], 2),
        (vec!["log", to], 2),
        (vec!["serve", "--listen", "127.0.0.1:0", "--data", to], 1),
        (
            vec!["serve", "--listen", "127.0.0.1:0", "--read-only", left],
            1,
        ),
    ] {
        let (refused, said, err) = outcome(&arguments);
        assert_eq!(
            (refused.code(), said.as_str()),
            (Some(status), ""),
            "{arguments:?}"
        );
        assert!(err.contains(&words), "{arguments:?}: {err}");
    }
    assert_eq!(files_in(&out), names, "it is left as it was");

    // What was written is sound as far as it goes: without its name, nothing would show what it is.
    let renamed = place.path().join("renamed");
    fs::rename(left, &renamed).unwrap();
    let (status, part) = verify_json(&renamed);
    assert_eq!((status, &part["sound"]), (Some(0), &json!(true)), "{part}");
    let salvaged = verify(data.path(), &["--json", "--salvage", to]);
    assert_eq!(salvaged.status, Some(0), "{}", salvaged.err);
    let (_, whole) = verify_json(&out);
    assert!(
        part["records"].as_u64() < whole["records"].as_u64(),
        "{part}"
    );
    assert_eq!(files_in(&out), ["log"]);
}

fn files_in(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap();
    let names = names.map(|it| it.unwrap().file_name().into_string().unwrap());
    names.collect()
}
