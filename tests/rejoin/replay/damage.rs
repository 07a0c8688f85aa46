//! A log that is damaged: what is readable is shown, and what is missing is said.

use super::{KILLED, shown};
use crate::server::{outcome, rejoin};
use std::fs;

/// Writes another byte over a result that says this, and answers the copy that it did so in.
fn damaged(words: &str) -> tempfile::TempDir {
    let own = KILLED.own_copy();
    let log = own.path().join("log");
    // There is a second segment when the spare was ready meanwhile.
    for found in log.read_dir().unwrap() {
        let file = found.unwrap().path();
        let mut bytes = fs::read(&file).unwrap();
        let mut windows = bytes.windows(words.len());
        if let Some(place) = windows.position(|window| window == words.as_bytes()) {
            bytes[place] ^= 1;
            fs::write(file, bytes).unwrap();
            return own;
        }
    }
    panic!("no segment says {words}")
}

#[test]
fn the_readable_part_is_shown_and_the_missing_part_is_named() {
    let own = damaged(r#""content":"one\ntwo"#);
    let path = own.path().to_str().unwrap();
    let done = rejoin(&["replay", path, "1"]).output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
    assert_eq!(done.status.code(), Some(1), "{err}");
    assert!(
        !out.contains("one\ntwo") && out.contains("ready\n"),
        "{out}"
    );
    assert!(out.contains("[job 2 completed]"), "{out}");
    let missing = out
        .lines()
        .find(|line| line.ends_with(" are missing]"))
        .unwrap_or_else(|| panic!("{out}"));
    let sequences = missing.trim_matches(['[', ']']);
    let said = format!("session {}: {sequences}", KILLED.session);
    assert!(err.contains(&said), "{said} in {err}");
    assert!(err.contains("rejoin verify"), "{err}");

    for arguments in [
        &["export", path, "1", "--format", "jsonl"][..],
        &["log", path],
    ] {
        let (status, out, err) = outcome(arguments);
        assert_eq!(status.code(), Some(1), "{err}");
        assert!(out.contains("ready") && err.contains(&said), "{err}");
    }
    let (status, out, err) = outcome(&["serve", "--read-only", path, "--listen", "127.0.0.1:0"]);
    assert_eq!((status.code(), out.as_str()), (Some(1), ""));
    assert!(err.contains("rejoin verify"), "{err}");
}

#[test]
fn a_torn_end_is_left_out_and_reported_but_not_cut() {
    let own = KILLED.own_copy();
    let path = own.path().to_str().unwrap();
    let whole = shown(&["replay", path, "1"]);
    let log = own.path().join("log");
    let active = log
        .read_dir()
        .unwrap()
        .map(|it| it.unwrap().path())
        .find(|it| it.extension().is_some_and(|it| it == "active"))
        .unwrap();
    let mut bytes = fs::read(&active).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    // The last append, cut short by a few bytes.
    bytes.truncate(end - 3);
    fs::write(&active, &bytes).unwrap();

    let done = rejoin(&["replay", path, "1"]).output().unwrap();
    let err = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{err}");
    assert!(err.contains("incomplete last write"), "{err}");
    assert!(whole.starts_with(&done.stdout));
    assert_eq!(fs::read(&active).unwrap(), bytes);
}
