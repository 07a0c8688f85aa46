//! Finding sessions by what they are called and ran, and lines in their output.

use crate::server::{Server, directory, rejoin};
use serde_json::Value;
use std::process::Output;

fn ran(server: &Server, arguments: &[&str]) -> Output {
    let mut command = rejoin(arguments);
    command.env("REJOIN_SERVER", format!("http://{}", server.address));
    // A developer's own settings are not the tests'.
    command.env("XDG_CONFIG_HOME", "/nonexistent");
    command.output().unwrap()
}

fn printed(server: &Server, arguments: &[&str]) -> String {
    let ran = ran(server, arguments);
    let err = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{arguments:?}: {err}");
    String::from_utf8(ran.stdout).unwrap()
}

/// The numbers of the sessions that a query finds.
fn found(server: &Server, query: &str) -> Vec<u64> {
    let listed = printed(server, &["sessions", "--json", "--query", query]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let sessions = listed["sessions"].as_array().unwrap().iter();
    sessions.map(|it| it["number"].as_u64().unwrap()).collect()
}

fn run_in(server: &Server, session: &str, command: &str) {
    ran(server, &["run", "--session", session, command]);
}

#[test]
fn a_session_is_found_by_its_title_labels_user_commands_state_and_result() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    for (user, command) in [("anna", "echo Build"), ("bob", "exit 3"), ("anna", "true")] {
        ran(&server, &["run", "--keep", "--user", user, command]);
    }
    run_in(&server, "1", "false");
    run_in(&server, "1", "echo last");
    printed(
        &server,
        &[
            "label",
            "2",
            "--title",
            "Release 1.2",
            "env=live",
            "team=a b",
        ],
    );
    let said = printed(&server, &["label", "3", "env=test", "old=x"]);
    assert_eq!(said, "session 3: env=test old=x\n");
    let said = printed(&server, &["label", "3", "old-"]);
    assert_eq!(said, "session 3: env=test\n");
    printed(&server, &["close", "3"]);
    let wrong = ran(&server, &["label", "2", "env"]);
    let wrong = String::from_utf8_lossy(&wrong.stderr);
    assert_eq!(
        wrong,
        "rejoin: env: a label is KEY=VALUE, or KEY- to remove it\n"
    );

    let check = |server: &Server| {
        for (query, numbers) in [
            ("release", &[2][..]),
            ("title:1.2", &[2]),
            ("label:env", &[3, 2]),
            ("label:env=live", &[2]),
            ("env=l", &[2]),
            (r#"label:team="a b""#, &[2]),
            ("user:ANNA", &[3, 1]),
            // Not the last command of the session.
            ("command:build", &[1]),
            (r#""echo build" anna"#, &[1]),
            ("build bob", &[]),
            ("#2", &[2]),
            ("state:ended", &[3]),
            ("ended", &[3]),
            ("result:failed", &[2]),
            ("result:failed,completed", &[3, 2, 1]),
            ("failed", &[2]),
            ("nowhere", &[]),
        ] {
            assert_eq!(found(server, query), numbers, "{query}");
        }
    };
    check(&server);
    let wrong = ran(&server, &["sessions", "--query", "state:busy"]);
    let wrong = String::from_utf8_lossy(&wrong.stderr);
    assert!(
        wrong.contains("the names are running, idle, ended"),
        "{wrong}"
    );
    let table = printed(&server, &["sessions", "--sort", "state"]);
    let rows: Vec<_> = table.lines().collect();
    assert!(rows[0].contains("USER  TITLE        STATE"), "{table}");
    assert!(
        rows[1].starts_with("2 ") && rows[1].contains("Release 1.2"),
        "{table}"
    );
    assert!(
        rows[2].starts_with("1 ") && rows[3].starts_with("3 "),
        "{table}"
    );
    let shown = printed(&server, &["show", "2"]);
    assert!(
        shown.contains("title     Release 1.2\nlabels    env=live team=a b\n"),
        "{shown}"
    );

    // All of it is in the log.
    assert!(server.signal("-TERM").success());
    let mut server = Server::start(data.path(), &[]);
    check(&server);
    assert!(server.signal("-TERM").success());
    let log = rejoin(&["log", data.path().to_str().unwrap(), "2"])
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    assert!(
        log.contains(r#"labels={"env":"live","team":"a b"} title="Release 1.2""#),
        "{log}"
    );
}

#[test]
fn lines_are_found_in_all_output_whatever_is_in_between() {
    let data = directory();
    // What was run is read from the log, and not from memory.
    let server = Server::start(data.path(), &["--recent-bytes", "10000"]);
    let script = r#"
        printf 'first\n\033[31mEr\033[0m'; sleep 0.3; printf '\033[1mror\033[0m 1\n'
        seq 1 30000; echo 'error 2' >&2; echo "error 3"; printf 'error without end'
    "#;
    ran(&server, &["run", "--keep", script]);
    run_in(&server, "1", "echo error 4");
    let search = |arguments: &[&str]| {
        let ran = ran(&server, &[&["search", "1"], arguments].concat());
        let lines = String::from_utf8(ran.stdout).unwrap();
        let lines: Vec<_> = lines.lines().map(str::to_owned).collect();
        (lines, ran.status.code().unwrap())
    };
    let (mut all, status) = search(&["-i", "error"]);
    all.sort_unstable();
    let expected = [
        "1: Error 1",
        "1: error 2",
        "1: error 3",
        "1: error without end",
        "2: error 4",
    ];
    assert_eq!(
        (all.as_slice(), status),
        (&expected.map(str::to_owned)[..], 0)
    );
    assert_eq!(search(&["-E", "^2999[89]$"]).0, ["1: 29998", "1: 29999"]);
    assert_eq!(search(&["--job", "2", "error"]).0, ["2: error 4"]);
    assert_eq!(search(&["--stream", "stderr", "error"]).0, ["1: error 2"]);
    assert_eq!(search(&["--limit", "2", "1"]).0.len(), 2);
    // As grep counts them.
    let counted = |digit| {
        (1..=30_000)
            .filter(|it: &u32| it.to_string().contains(digit))
            .count()
    };
    assert_eq!(search(&["--count", "7"]).0, [counted('7').to_string()]);
    assert_eq!(search(&["no such line"]), (vec![], 1));
    assert_eq!(search(&["-E", "(\\w{100}){100}"]), (vec![], 2));

    // As text, without colours or with them.
    let text = |more: &str| {
        let path = format!("/sessions/1/output{more}");
        let received = server.client().get(&path).unwrap();
        assert_eq!(
            received.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        received.text().to_owned()
    };
    let plain = text("");
    assert!(
        plain.starts_with("first\nError 1\n1\n2\n"),
        "{}",
        &plain[..40]
    );
    assert!(plain.contains("\n30000\n") && plain.ends_with("error 4\n"));
    assert!(text("?raw=true").starts_with("first\n\u{1b}[31mEr\u{1b}[0m"));
    assert_eq!(text("?job=2"), "error 4\n");

    // A match says where its line begins, and a search from there begins with it.
    let found = printed(
        &server,
        &["search", "1", "--json", "--limit", "1", "error 3"],
    );
    let found: Value = serde_json::from_str(&found).unwrap();
    let at = found["at"].as_str().unwrap().replace('+', "%2B");
    let path = format!("/sessions/1/search?q=r&limit=1&stream=stdout&after={at}");
    let again: Value = serde_json::from_str(server.client().get(&path).unwrap().text()).unwrap();
    assert_eq!(again["matches"][0]["line"], "error 3");
    assert_eq!(again["matches"][0]["sequence"], found["sequence"]);
}
