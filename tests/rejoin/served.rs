//! A session of a server that runs: exported, replayed, printed and checked as from its directory.

use crate::accounts::with_accounts;
use crate::server::{Server, directory, outcome, rejoin};
use crate::shell::wait_until;
use serde_json::{Value, json};

/// What the command line writes about a session; it has to succeed and to say nothing else.
fn shown(place: &[&str], command: &[&str]) -> String {
    let (command, options) = command.split_first().unwrap();
    let arguments = [&[*command], place, options].concat();
    let (status, out, err) = outcome(&arguments);
    assert!(status.success(), "{arguments:?}: {err}");
    assert_eq!(err, "", "{arguments:?}");
    out
}

/// A closed session with output of all kinds, and a job that only its submitter can see.
fn fill(server: &Server) {
    let url = format!("http://{}", server.address);
    let (session, _) = server.create();
    let run = |options: &[&str]| {
        let at = ["run", "--server", &url, "--session", &session, "-n"];
        let (_, _, err) = outcome(&[&at, options].concat());
        assert!(!err.contains("rejoin:"), "{err}");
    };
    run(&["printf 'ä\\xff\\n'; echo wrong >&2; exit 3"]);
    // A recording begins with the size of the first terminal, whatever its size becomes.
    let job = json!({"statement": "stty size", "terminal": {"columns": 132, "rows": 43}});
    let jobs = format!("/sessions/{session}/jobs");
    let body = job.to_string();
    let submitted = server.client().request("POST", &jobs, &[], body.as_bytes());
    assert_eq!(submitted.unwrap().status, 201);
    wait_until("the terminal has ended", || {
        let jobs = server.client().get(&jobs).unwrap();
        let jobs: Value = jobs.json();
        jobs["jobs"][1]["state"] == "finished"
    });
    run(&[
        "-t",
        "printf '\\033[31mred\\033[0m\\rover'; sleep 0.1; tput cols",
    ]);
    server.exec(&session, "echo for the submitter");
    let label = [
        "label",
        "--server",
        &url,
        &session,
        "kind=test",
        "--title",
        "served",
    ];
    let (status, _, err) = outcome(&label);
    assert!(status.success(), "{err}");
    let (status, _, err) = outcome(&["close", "--server", &url, &session]);
    assert!(status.success(), "{err}");
}

const SHOWN: &[&[&str]] = &[
    &["export", "--format", "text"],
    &["export", "--format", "raw"],
    &["export", "--format", "jsonl"],
    &["export", "--format", "jsonl", "--all"],
    &["export", "--format", "asciicast-v2", "--input"],
    &["export", "--format", "asciicast-v3", "--idle-limit", "2s"],
    &[
        "export", "--format", "text", "--events", "--from", "4", "--until", "12",
    ],
    &["replay", "--speed", "max"],
    &["replay", "--speed", "max", "--all", "--events"],
    &["log"],
    &["log", "--json"],
    &["log", "--audit"],
];

#[test]
fn a_server_gives_the_same_bytes_as_its_directory() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    fill(&server);
    let url = format!("http://{}", server.address);
    let lines = server.client().get("/sessions/1/records").unwrap();
    assert_eq!(lines.header("content-type"), Some("application/jsonl"));
    let recordings = [("asciicast", ".v3"), ("asciicast-v2", "")].map(|(format, version)| {
        let path = format!("/sessions/1/records?format={format}");
        let recording = server.client().get(&path).unwrap();
        let kind = recording.header("content-type");
        assert_eq!(kind, Some("application/x-asciicast"));
        let file = format!("attachment; filename=\"rejoin-session-1{version}.cast\"");
        assert_eq!(recording.header("content-disposition"), Some(&*file));
        (format, recording)
    });
    let all = "/sessions/1/records?format=asciicast&all=true";
    let all = server.client().get(all).unwrap();
    let from_server: Vec<_> = SHOWN
        .iter()
        .map(|command| shown(&["--server", &url, "1"], command))
        .collect();
    let checked = shown(&["--server", &url, "1"], &["verify"]);
    assert!(checked.contains(" is intact.\n"), "{checked}");
    let checked: Value =
        serde_json::from_str(&shown(&["--server", &url, "1"], &["verify", "--json"])).unwrap();
    assert_eq!(checked["intact"], true);
    assert!(server.signal("-TERM").success());
    let data = data.path().to_str().unwrap();
    for (command, served) in SHOWN.iter().zip(from_server) {
        assert!(!served.is_empty(), "{command:?}");
        assert_eq!(served, shown(&[data, "1"], command), "{command:?}");
    }
    assert_eq!(
        lines.text(),
        shown(&[data, "1"], &["export", "--format", "jsonl"])
    );
    for (format, recording) in recordings {
        let (head, _) = recording.text().split_once('\n').unwrap();
        assert!(head.contains("132") && head.contains("43"), "{head}");
        let exported = shown(&[data, "1"], &["export", "--format", format]);
        assert_eq!(recording.text(), exported, "{format}");
    }
    let exported = ["export", "--format", "asciicast", "--all"];
    assert_eq!(all.text(), shown(&[data, "1"], &exported));
    let log = shown(&[data], &["log"]);
    assert_eq!(checked["records"], log.lines().count());
}

#[test]
fn the_errors_for_a_log_in_use_and_for_no_server_say_what_to_do() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let path = data.path().to_str().unwrap();
    for command in [
        &["export", path, "1", "--format", "text"][..],
        &["replay", path, "1"],
        &["log", path],
        &["verify", path],
        &["serve", "--read-only", path, "--listen", "127.0.0.1:0"],
    ] {
        let (status, _, err) = outcome(command);
        assert_eq!(
            status.code(),
            Some(if command[0] == "serve" { 1 } else { 2 }),
            "{err}"
        );
        assert!(
            err.contains("is in use by a running server: ask the server"),
            "{err}"
        );
        assert!(err.contains("--server URL SESSION"), "{err}");
    }
    let url = format!("http://{}", server.address);
    for (arguments, expected) in [
        (
            &["export", "--server", &*url, "7", "--format", "raw"][..],
            "no session 7",
        ),
        (
            &["log", "--server", &url, path, "7"],
            "name the session alone",
        ),
        (&["verify", "--server", &url, "7"], "no session 7"),
    ] {
        let (status, out, err) = outcome(arguments);
        assert_eq!((status.code(), &*out), (Some(2), ""), "{err}");
        assert!(err.contains(expected), "{err}");
    }
    assert!(server.signal("-TERM").success());
    let (status, _, err) = outcome(&["replay", "--server", &url, "1"]);
    assert_eq!(status.code(), Some(2));
    assert!(err.contains("no server at"), "{err}");
}

#[test]
fn what_only_a_submitter_or_a_consumer_may_know_is_not_given_to_a_viewer() {
    let data = with_accounts();
    let server = Server::start(data.path(), &[]);
    let url = format!("http://{}", server.address);
    let mut client = server.client();
    let ada = [("authorization", "Basic YWRhOmFkYS1zZWNyZXQ=")];
    let mut api = |request: Value| {
        let body = request.to_string();
        let answer = client
            .request("POST", "/api", &ada, body.as_bytes())
            .unwrap();
        serde_json::from_slice::<Value>(&answer.body).unwrap()
    };
    let created = api(json!({"action": "init_session"}));
    let (session, token) = (
        created["sessionId"].clone(),
        created["consumerId"].as_str().unwrap(),
    );
    let ran = api(json!({"action": "exec", "sessionId": session, "command": "echo a-'secret'"}));
    assert_eq!(ran["state"], "SUCCEEDED");
    let log = |login: &str, password: &str, command: &[&str]| {
        let place = [
            "--server",
            &url,
            session.as_str().unwrap(),
            "--login",
            login,
        ];
        let (command, options) = command.split_first().unwrap();
        let mut ran = rejoin(&[&[*command], &place[..], options].concat());
        let ran = ran.env("REJOIN_PASSWORD", password).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (ran.status.code(), text(ran.stdout), text(ran.stderr))
    };
    let (status, admins, err) = log("ada", "ada-secret", &["log", "--json"]);
    assert_eq!((status, &*err), (Some(0), ""));
    assert!(
        admins.contains("a-secret") && !admins.contains(token),
        "{admins}"
    );
    let (status, viewers, err) = log("vic", "vic-secret", &["log", "--json"]);
    assert_eq!(status, Some(0), "{err}");
    assert!(err.contains("no admin"), "{err}");
    assert!(
        !viewers.contains("a-secret") && !viewers.contains(token),
        "{viewers}"
    );
    assert_eq!(viewers.lines().count(), admins.lines().count());
    let (status, exported, _) = log("vic", "vic-secret", &["export", "--format", "jsonl"]);
    assert_eq!(status, Some(0));
    assert!(
        !exported.contains("a-secret") && !exported.contains(token),
        "{exported}"
    );
    let (status, _, err) = log("vic", "vic-secret", &["verify"]);
    assert_eq!(status, Some(0), "{err}");
}
