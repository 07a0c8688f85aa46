//! The command line against a server: two real processes, and what passes between them.

mod between;

use crate::server::{Server, directory, rejoin};
use rejoin_http::test_tls::Authority;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Output, Stdio};

/// The client's command line for this server.
fn client(server: &Server, arguments: &[&str]) -> Command {
    let mut command = rejoin(arguments);
    command.env("REJOIN_SERVER", format!("http://{}", server.address));
    // A developer's own settings are not the tests'.
    command.env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

fn ran(server: &Server, arguments: &[&str]) -> Output {
    client(server, arguments).output().unwrap()
}

/// What is said when the server is spoken to by this scheme.
fn said_by(server: &Server, scheme: &str) -> String {
    let mut command = client(server, &["sessions"]);
    command.env("REJOIN_SERVER", format!("{scheme}://{}", server.address));
    err(&command.output().unwrap())
}

/// What it prints, where it succeeds.
fn printed(server: &Server, arguments: &[&str]) -> String {
    let ran = ran(server, arguments);
    assert!(ran.status.success(), "{arguments:?}: {}", err(&ran));
    String::from_utf8(ran.stdout).unwrap()
}

fn json(server: &Server, arguments: &[&str]) -> Value {
    serde_json::from_str(&printed(server, arguments)).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn signal(child: &Child, signal: &str) {
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args([signal, &id])
            .status()
            .unwrap()
            .success()
    );
}

/// Reads on until a line holds this.
fn read_until(from: &mut impl BufRead, wanted: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(wanted) {
        let read = from.read_line(&mut seen).unwrap();
        assert!(read > 0, "{wanted:?} never came: {seen}");
    }
    seen
}

#[test]
fn output_and_exit_status_are_as_if_the_command_ran_here() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let failed = ran(&server, &["run", "echo out; echo err >&2; exit 7"]);
    assert_eq!(failed.status.code(), Some(7));
    assert_eq!(failed.stdout, b"out\n");
    // Nothing of our own among what the command says.
    assert_eq!(err(&failed), "err\n");
    let words = printed(
        &server,
        &["run", "printf", "%s|", "a b", "it's", "$HOME", "-v"],
    );
    assert_eq!(words, "a b|it's|$HOME|-v|");
    let killed = ran(&server, &["run", "kill -9 $$"]);
    assert_eq!(killed.status.code(), Some(137));
    assert!(err(&killed).contains("SIGKILL"), "{}", err(&killed));
    let slow = ran(&server, &["run", "--timeout", "200ms", "sleep 100"]);
    assert!(err(&slow).contains("timed out"), "{}", err(&slow));
    assert_ne!(slow.status.code(), Some(0));
    // What was run stays readable, and leaves nothing open.
    let sessions = json(&server, &["sessions", "--json"]);
    let sessions = sessions["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 4);
    assert!(sessions.iter().all(|it| it["state"] == "ended"));
}

#[test]
fn input_and_output_pass_unchanged() {
    let data = directory();
    let server = Server::start(data.path(), &["--recent-bytes", "100000"]);
    let mut random = vec![0; 3 << 20];
    let mut seed = 7_u64;
    for byte in &mut random {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte = seed.to_be_bytes()[0];
    }
    let mut child = client(&server, &["run", "cat; echo the end"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = random.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    random.extend_from_slice(b"the end\n");
    assert!(
        output.stdout == random,
        "{} bytes came",
        output.stdout.len()
    );
}

#[test]
fn a_job_may_leave_its_input_unread() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let mut child = client(&server, &["run", "head -c 3"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"abcdef").unwrap();
    // The input is not ended, and the run is.
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.stdout, output.status.code()),
        (b"abc".to_vec(), Some(0))
    );
    drop(stdin);
}

#[test]
fn ctrl_c_interrupts_the_job_and_its_last_output_is_shown() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let statement = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done";
    let mut child = client(&server, &["run", statement]).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    read_until(&mut out, "ready");
    signal(&child, "-INT");
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "caught\n");
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

#[test]
fn a_second_ctrl_c_detaches_and_the_job_continues() {
    let data = directory();
    let server = Server::start(data.path(), &["--interrupt-grace", "60s"]);
    let statement = "trap '' INT; echo ready; while :; do sleep 0.05; done";
    let mut child = client(&server, &["run", statement]).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut words = BufReader::new(child.stderr.take().unwrap());
    read_until(&mut out, "ready");
    signal(&child, "-INT");
    read_until(&mut words, "Ctrl-C again");
    signal(&child, "-INT");
    read_until(&mut words, "rejoin attach 1");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(json(&server, &["show", "1", "--json"])["state"], "running");
}

#[test]
fn the_client_reconnects_to_a_restarted_server_without_losing_or_repeating_output() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let address = server.address.to_string();
    let statement =
        "i=0; while :; do i=$((i+1)); echo $i; [ $((i % 1000)) = 0 ] && sleep 0.01; done";
    let mut child = client(&server, &["run", statement]).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut words = BufReader::new(child.stderr.take().unwrap());
    let mut seen = read_until(&mut out, "\n5000\n");
    // Read on, so that the client is never in the way.
    let reader = std::thread::spawn(move || {
        let mut rest = String::new();
        out.read_to_string(&mut rest).map(|_| rest)
    });
    server.kill();
    read_until(&mut words, "reconnecting");
    let server = Server::start_at(data.path(), &address);
    let said = read_until(&mut words, "lost");
    assert!(said.contains("reconnected"), "{said}");
    assert_eq!(child.wait().unwrap().code(), Some(137));
    seen += &reader.join().unwrap().unwrap();
    let lines: Vec<u64> = seen.lines().map(|line| line.parse().unwrap()).collect();
    let last = lines.len() as u64;
    assert!(lines.into_iter().eq(1..=last), "the same lines, each once");
    // All that the log has was shown.
    let history = printed(&server, &["attach", "1", "--no-history"]);
    assert_eq!(history, "");
    let history = printed(&server, &["attach", "1"]);
    assert!(history.contains(&seen), "the log has what was shown");
    assert!(
        !history.contains(&format!("\n{}\n", last + 1)),
        "and nothing more"
    );
}

#[test]
fn attach_shows_everything_and_does_not_disturb_the_job() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let session = printed(
        &server,
        &[
            "run",
            "--detach",
            "echo first; until [ -e go ]; do sleep 0.05; done; echo last",
        ],
    );
    let session = session.trim();
    let mut leaver = client(&server, &["attach", session]).spawn().unwrap();
    let mut out = BufReader::new(leaver.stdout.take().unwrap());
    assert!(read_until(&mut out, "first").starts_with("$ echo first"));
    signal(&leaver, "-INT");
    assert!(!leaver.wait().unwrap().success());
    let shown = json(&server, &["show", &session[..8], "--json"]);
    assert_eq!(shown["state"], "running");

    let attach = || client(&server, &["attach", "1"]).spawn().unwrap();
    let (one, two) = (attach(), attach());
    let output = printed(&server, &["interrupt", session]);
    assert!(output.contains("interrupting job"), "{output}");
    let mut events = client(&server, &["attach", "1", "--json"]).spawn().unwrap();
    let mut lines = BufReader::new(events.stdout.take().unwrap());
    read_until(&mut lines, "job-finished");
    printed(&server, &["close", "1"]);
    let (one, two) = (
        one.wait_with_output().unwrap(),
        two.wait_with_output().unwrap(),
    );
    assert_eq!(one.status.code(), Some(0));
    assert!(one.stdout == two.stdout);
    let seen = String::from_utf8(one.stdout).unwrap();
    assert!(seen.contains("first\n[job 1 interrupted"), "{seen}");
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    let last: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    assert_eq!(last["type"], "session-closed");
    assert!(events.wait().unwrap().success());
    // From a sequence on, and without history.
    let last = last["sequence"].to_string();
    let shown = printed(&server, &["attach", "1", "--events", "--since", &last]);
    let who = "[session closed: requested, by someone (native, 127.0.0.1:";
    assert!(shown.starts_with(who), "{shown}");
    assert_eq!(shown.lines().count(), 1, "{shown}");
}

#[test]
fn a_session_can_be_kept_reused_and_sent_input() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    printed(
        &server,
        &["run", "--keep", "--user", "anna", "cd /; export FRUIT=pear"],
    );
    let said = printed(&server, &["run", "--session", "1", "echo $FRUIT in $PWD"]);
    assert_eq!(said, "pear in /\n");
    let mut reader = client(&server, &["run", "-s", "1", "read line; echo got $line"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    // There is one job in the foreground, and a second is refused with advice.
    let mut events = client(&server, &["attach", "1", "--json"]).spawn().unwrap();
    read_until(
        &mut BufReader::new(events.stdout.take().unwrap()),
        "\"job-started\",\"job\":3",
    );
    let refused = ran(&server, &["run", "-s", "1", "true"]);
    assert_eq!(refused.status.code(), Some(125));
    assert!(err(&refused).contains("--session"), "{}", err(&refused));
    printed(&server, &["send", "1", "3", "a line"]);
    let mut said = String::new();
    reader
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(said, "got a line\n");
    assert!(reader.wait().unwrap().success());
    signal(&events, "-INT");
    events.wait().unwrap();

    let table = printed(&server, &["sessions", "--user", "anna", "--state", "idle"]);
    let lines: Vec<_> = table.lines().collect();
    assert!(
        lines[0].starts_with("NUMBER  SESSION   USER  STATE  SERVICE  CREATED"),
        "{table}"
    );
    assert!(lines[1].contains("anna  idle   shell"), "{table}");
    assert!(lines[1].ends_with("read line; echo got $line"), "{table}");
    assert_eq!(lines.len(), 2);
    assert_eq!(
        printed(&server, &["sessions", "--user", "b&c"])
            .lines()
            .count(),
        1
    );
    let shown = printed(&server, &["show", "1"]);
    assert!(shown.contains("\nuser      anna\n"), "{shown}");
    assert!(shown.contains("completed  0"), "{shown}");
}

#[test]
fn a_closed_output_pipe_ends_the_run_quietly() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let mut child = client(&server, &["run", "yes"]).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    read_until(&mut out, "y");
    drop(out);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(err(&output), "");
    let shown = json(&server, &["show", "1", "--json"]);
    assert_eq!(shown["jobs"][0]["outcome"], "interrupted");
}

#[test]
fn errors_say_what_to_do() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let refused = |arguments: &[&str], status: i32, words: &str| {
        let ran = ran(&server, arguments);
        assert_eq!(ran.status.code(), Some(status), "{arguments:?}");
        assert!(err(&ran).contains(words), "{arguments:?}: {}", err(&ran));
        assert!(err(&ran).starts_with("rejoin: "), "{}", err(&ran));
    };
    refused(&["show", "99"], 2, "`rejoin sessions` lists them");
    refused(&["attach", "zebra"], 2, "no session zebra");
    refused(&["run", "-s", "5", "true"], 125, "no session 5");
    refused(&["run", "--service", "sea", "true"], 125, "sea");
    printed(&server, &["run", "true"]);
    let encrypted = said_by(&server, "https");
    assert!(encrypted.contains("seems to expect http://"), "{encrypted}");
    refused(&["interrupt", "1"], 2, "session 1 has ended");
    refused(&["run", "-s", "1", "true"], 125, "session 1 has ended");
    let far = [
        "sessions",
        "--server",
        "http://rejoin.invalid",
        "--login",
        "anna",
    ];
    refused(&far, 2, "REJOIN_PASSWORD");
    refused(
        &["sessions", "--server", "localhost"],
        2,
        "invalid server address",
    );
    server.kill();
    let gone = ran(&server, &["run", "true"]);
    assert_eq!(gone.status.code(), Some(125));
    assert!(
        err(&gone).contains("is `rejoin serve` running?"),
        "{}",
        err(&gone)
    );
}

#[test]
fn the_client_uses_tls_if_it_trusts_the_certificate() {
    let data = directory();
    let authority = Authority::new();
    let shown = authority.vouch().write(data.path()).unwrap();
    let trusted = data.path().join("authority.pem");
    std::fs::write(&trusted, authority.pem()).unwrap();
    let (chain, key) = (shown.chain.to_str().unwrap(), shown.key.to_str().unwrap());
    let server = Server::start(
        &data.path().join("log"),
        &["--tls-cert", chain, "--tls-key", key],
    );
    let run = |cacert: &str| {
        let mut command = client(&server, &["run", "-l", "anna", "seq 100000"]);
        command.env("REJOIN_SERVER", format!("https://{}", server.address));
        command
            .env("REJOIN_CACERT", cacert)
            .env("REJOIN_PASSWORD", "secret");
        command.output().unwrap()
    };
    let ran = run(trusted.to_str().unwrap());
    assert_eq!(ran.status.code(), Some(0), "{}", err(&ran));
    assert_eq!(ran.stdout.len(), 588_895);
    let other = data.path().join("other.pem");
    std::fs::write(&other, Authority::new().pem()).unwrap();
    let refused = run(other.to_str().unwrap());
    assert_eq!(refused.status.code(), Some(125));
    assert!(
        err(&refused).contains("is not trusted"),
        "{}",
        err(&refused)
    );
    let plain = said_by(&server, "http");
    assert!(plain.contains("seems to expect https://"), "{plain}");
    let none = run(key);
    assert!(
        err(&none).contains("contains no certificate"),
        "{}",
        err(&none)
    );
}

#[test]
fn completions_and_manual_pages_name_every_command() {
    let run = |arguments: &[&str]| {
        let output = rejoin(arguments).output().unwrap();
        assert!(output.status.success(), "{}", err(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let bash = run(&["completions", "bash"]);
    let mut check = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    check
        .stdin
        .take()
        .unwrap()
        .write_all(bash.as_bytes())
        .unwrap();
    assert!(check.wait().unwrap().success());
    let pages = directory();
    run(&["man", "--directory", pages.path().to_str().unwrap()]);
    for command in [
        "run",
        "attach",
        "sessions",
        "show",
        "interrupt",
        "close",
        "send",
        "serve",
    ] {
        for shell in ["bash", "zsh", "fish"] {
            assert!(
                run(&["completions", shell]).contains(command),
                "{shell}: {command}"
            );
        }
        let page = std::fs::read_to_string(pages.path().join(format!("rejoin-{command}.1")));
        assert!(page.unwrap().starts_with(".ie"), "{command}");
    }
    assert!(run(&["man"]).contains(r"rejoin\-run(1)"));
    assert!(run(&["man", "run"]).contains("Exit status"));
}
