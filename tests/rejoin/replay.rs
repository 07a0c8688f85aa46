//! What a killed server has left, without a server: `rejoin replay`, `export` and `log`; and served
//! by one that only reads. Nothing of it changes.

mod damage;
mod killed;
mod read_only;

use crate::server::{outcome, rejoin, under};
use killed::{Killed, all_of, bytes_of};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::Command;
use std::sync::LazyLock;

/// One killed server's directory for all tests: none of them changes it.
static KILLED: LazyLock<Killed> = LazyLock::new(Killed::new);

/// The bytes that the binary writes to standard output, which must be all that it says.
fn shown(arguments: &[&str]) -> Vec<u8> {
    let done = rejoin(arguments).output().unwrap();
    let err = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{arguments:?}: {err}");
    assert_eq!(err, "", "{arguments:?}");
    done.stdout
}

fn shown_lines(arguments: &[&str]) -> Vec<Value> {
    let shown = String::from_utf8(shown(arguments)).unwrap();
    let lines = shown.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What was pulled, as a terminal shows it: without how jobs ended.
fn as_pulled(killed: &Killed) -> Vec<u8> {
    let mut seen: Vec<u8> = vec![];
    for result in &killed.pulled {
        match result["type"].as_str() {
            Some("command") => {
                if seen.last().is_some_and(|last| *last != b'\n') {
                    seen.push(b'\n');
                }
                let command = result["command"].as_str().unwrap();
                seen.extend(format!("$ {command}\n").into_bytes());
            }
            Some("shell") => seen.extend(bytes_of(result)),
            // The line about it is left out below.
            Some("status") if seen.last().is_some_and(|last| *last != b'\n') => seen.push(b'\n'),
            _ => {}
        }
    }
    seen
}

/// What is shown without the lines about how jobs ended.
fn without_notes(shown: &[u8]) -> Vec<u8> {
    let lines = shown.split_inclusive(|byte| *byte == b'\n');
    lines
        .filter(|line| !line.starts_with(b"[job "))
        .flatten()
        .copied()
        .collect()
}

#[test]
fn a_replay_shows_what_pulls_gave_byte_for_byte() {
    let killed = &*KILLED;
    let replayed = shown(&["replay", killed.copy(), &killed.session]);
    assert_eq!(
        without_notes(&replayed),
        as_pulled(killed),
        "{}",
        String::from_utf8_lossy(&replayed)
    );
    for note in ["\n[job 1 completed]\n", "\n[job 3 interrupted, status "] {
        let has = String::from_utf8_lossy(&replayed).contains(note);
        assert!(has, "{note} in {}", String::from_utf8_lossy(&replayed));
    }
    // Text is the same, and so is any speed.
    let text = ["export", killed.copy(), "1", "--format", "text"];
    assert_eq!(shown(&text), replayed);
    let fast = ["replay", killed.copy(), "1", "--speed", "100000"];
    assert_eq!(shown(&fast), replayed);
}

#[test]
fn a_replay_can_start_and_stop_at_any_sequence() {
    let killed = &*KILLED;
    let whole = shown(&["replay", killed.copy(), "1"]);
    let last = shown_lines(&["log", killed.copy(), "1", "--json"])
        .last()
        .unwrap()["sequence"]
        .as_u64()
        .unwrap();
    let mut before = 0;
    for sequence in 1..=last {
        let until = sequence.to_string();
        let shown = shown(&["replay", killed.copy(), "1", "--until", &until]);
        assert!(whole.starts_with(&shown) && shown.len() >= before);
        before = shown.len();
    }
    assert_eq!(before, whole.len());
    let from = (last + 1).to_string();
    assert_eq!(shown(&["replay", killed.copy(), "1", "--from", &from]), b"");
}

#[test]
fn private_jobs_and_other_events_are_shown_on_request() {
    let killed = &*KILLED;
    let has = |arguments: &[&str], words: &str| {
        let mut all = vec!["replay", killed.copy(), "1"];
        all.extend(arguments);
        String::from_utf8_lossy(&shown(&all)).contains(words)
    };
    assert!(!has(&[], "private"));
    assert!(has(&["--all"], "$ echo private\nprivate\n"));
    for words in [
        "[session 1 created on the service shell, by someone (arthas, 127.0.0.1:",
        "[interrupting job 3: requested, by someone (arthas, 127.0.0.1:",
        " joined, by someone (arthas, 127.0.0.1:",
    ] {
        assert!(!has(&[], words), "{words}");
        assert!(has(&["--events"], words), "{words}");
    }
}

#[test]
fn json_lines_contain_every_record_that_viewers_saw() {
    let killed = &*KILLED;
    let export = |more: &[&str]| {
        let mut all = vec!["export", killed.copy(), &killed.session];
        all.extend(["--format", "jsonl"]);
        all.extend(more);
        shown_lines(&all)
    };
    let results = |lines: &[Value]| -> Vec<Value> {
        let emitted = lines.iter().filter(|it| it["event"] == "result");
        emitted.map(|it| it["result"].clone()).collect()
    };
    let pulled = killed.pulled.iter().filter(|it| it["type"] == "shell");
    assert_eq!(results(&export(&[])), pulled.cloned().collect::<Vec<_>>());

    let all = export(&["--all"]);
    let sequences: Vec<_> = all.iter().map(|it| it["sequence"].as_u64()).collect();
    let count = u64::try_from(all.len()).unwrap();
    assert_eq!(sequences, (1..=count).map(Some).collect::<Vec<_>>());
    assert!(all.iter().all(|it| it["session"] == *killed.session));
    assert!(results(&all).iter().any(|it| it["content"] == "private\n"));
}

#[test]
fn an_asciicast_has_the_same_text_with_its_times() {
    let killed = &*KILLED;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("session.cast");
    let to = file.to_str().unwrap();
    let form = ["export", killed.copy(), "1", "--format", "asciicast"];
    let mut arguments = form.to_vec();
    arguments.extend(["-o", to, "--columns", "100", "--idle-limit", "2s"]);
    assert_eq!(shown(&arguments), b"");
    let cast = std::fs::read_to_string(&file).unwrap();
    let mut lines = cast
        .lines()
        .map(|it| -> Value { serde_json::from_str(it).unwrap() });
    let header = lines.next().unwrap();
    assert_eq!(
        (&header["version"], &header["term"]["cols"]),
        (&3.into(), &100.into())
    );
    assert_eq!(header["idle_time_limit"], 2.0);

    let events: Vec<_> = lines.collect();
    let of = |code: &str| -> Vec<&str> {
        let events = events.iter().filter(|event| event[1] == code);
        events.map(|event| event[2].as_str().unwrap()).collect()
    };
    let output = of("o").concat().replace("\r\n", "\n");
    let plain = ["\u{1b}[1m", "\u{1b}[2m", "\u{1b}[0m"]
        .iter()
        .fold(output, |text, style| text.replace(style, ""));
    let text = shown(&["export", killed.copy(), "1", "--format", "text"]);
    assert_eq!(plain, String::from_utf8_lossy(&text));
    let commands = killed.pulled.iter().filter(|it| it["type"] == "command");
    let commands: Vec<_> = commands.map(|it| it["command"].as_str().unwrap()).collect();
    assert_eq!(of("m"), commands);

    // The intervals add up to the time that it took.
    let passed: f64 = events.iter().map(|event| event[0].as_f64().unwrap()).sum();
    let records = shown_lines(&["export", killed.copy(), "1", "--format", "jsonl"]);
    let took = killed::seconds(records.last().unwrap()) - killed::seconds(&records[0]);
    assert!(passed > 0.2 && passed < took + 0.001, "{passed} of {took}");
}

#[test]
fn the_log_shows_every_record_with_its_position() {
    let killed = &*KILLED;
    let all = shown_lines(&["log", killed.copy(), "--json"]);
    let positions: Vec<_> = all
        .iter()
        .map(|it| it["position"].as_u64().unwrap())
        .collect();
    assert_eq!(positions, (1..=all.len() as u64).collect::<Vec<_>>());
    let sessions = |lines: &[Value], session: &str| {
        lines.iter().filter(|it| it["session"] == *session).count()
    };
    assert!(sessions(&all, &killed.other) > 0);
    let one = shown_lines(&["log", killed.copy(), &killed.session, "--json"]);
    assert_eq!(one.len(), sessions(&all, &killed.session));
    let some = shown_lines(&[
        "log",
        killed.copy(),
        "--json",
        "--from",
        "4",
        "--limit",
        "3",
    ]);
    assert_eq!(some, all[3..6]);

    let words = String::from_utf8(shown(&["log", killed.copy()])).unwrap();
    assert_eq!(words.lines().count(), all.len());
    assert!(words.contains("(for the submitter only)"), "{words}");
}

#[test]
fn several_sessions_are_listed_to_choose_from() {
    let killed = &*KILLED;
    for arguments in [
        &["replay", killed.copy()][..],
        &["export", killed.copy(), "--format", "text"],
        &["log", killed.copy(), "nonsense"],
    ] {
        let (status, out, err) = outcome(arguments);
        assert_eq!(
            (status.code(), out.as_str()),
            (Some(2), ""),
            "{arguments:?}"
        );
        for session in [&killed.session, &killed.other] {
            assert!(err.contains(session.as_str()), "{err}");
        }
    }
    let nowhere = tempfile::tempdir().unwrap();
    let (status, _, err) = outcome(&["replay", nowhere.path().to_str().unwrap()]);
    assert_eq!(status.code(), Some(2));
    assert!(err.contains("no log in"), "{err}");
}

#[test]
fn ctrl_c_stops_a_replay_quietly() {
    let killed = &*KILLED;
    let slow = ["replay", killed.copy(), "1", "--speed", "0.0001"];
    let mut child = rejoin(&slow).spawn().unwrap();
    let mut first = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut first).unwrap();
    assert!(first.starts_with("$ "), "{first}");
    let id = child.id().to_string();
    let kill = Command::new("kill").args(["-INT", &id]).status();
    assert!(kill.unwrap().success());
    let mut err = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut err)
        .unwrap();
    assert!(!child.wait().unwrap().success());
    assert_eq!(err, "");
}

#[test]
fn reading_a_log_changes_no_file() {
    let killed = &*KILLED;
    let before = all_of(killed.copy());
    shown(&["replay", killed.copy(), "1"]);
    for format in ["asciicast", "jsonl", "text"] {
        shown(&["export", killed.copy(), "1", "--format", format]);
    }
    shown(&["log", killed.copy()]);
    assert_eq!(all_of(killed.copy()), before);
}

#[test]
fn an_export_that_is_killed_leaves_the_file_that_was_there() {
    let killed = &*KILLED;
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("session.jsonl");
    let output = file.to_str().unwrap();
    let export = ["export", killed.copy(), "1", "--format", "jsonl"];
    let to_file = [&export[..], &["--output", output]].concat();
    let whole = shown(&export);
    assert!(whole.len() > 1_000);
    std::fs::write(&file, "what was there").unwrap();
    // The kernel ends it as soon as a file has more than 512 bytes.
    let limited = ["sh", "-c", "ulimit -f 1; exec \"$0\" \"$@\""];
    let done = under(&limited, &to_file).output().unwrap();
    assert!(!done.status.success());
    assert_eq!(std::fs::read(&file).unwrap(), b"what was there");
    assert!(place.path().join("session.jsonl.unfinished").exists());

    assert_eq!(shown(&to_file), b"");
    assert_eq!(std::fs::read(&file).unwrap(), whole);
    let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    // What is no file is written as it is.
    let to_device = [&export[..], &["--output", "/dev/stdout"]].concat();
    assert_eq!(shown(&to_device), whole);
}

#[test]
fn help_explains_exit_statuses_and_has_examples() {
    for command in ["replay", "export", "log"] {
        let (status, out, _) = outcome(&[command, "--help"]);
        assert!(status.success());
        for words in ["Exit status:", "Examples:", "changes nothing"] {
            assert!(out.contains(words), "{words} is missing in:\n{out}");
        }
    }
}
