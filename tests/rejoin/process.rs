//! The server as a process: how it begins, how it ends, and what it refuses.

use crate::server::{
    Server, api, can, directory, is_status_of, outcome, rejoin, running_under, said, under,
};
use crate::shell::{wait_until, wait_until_none_run};
use serde_json::json;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

#[test]
fn the_first_line_says_where_the_server_listens_and_where_its_log_is() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let directory = data.path().canonicalize().unwrap();
    let address = server.address;
    let expected = format!(
        "Rejoin listens on http://{address}, with its log in {}\n",
        directory.display()
    );
    assert_eq!(server.first_line, expected);
}

#[test]
fn a_signal_shuts_down_cleanly_and_open_requests_are_answered() {
    for signal in ["-TERM", "-INT"] {
        let data = directory();
        let mut server = Server::start(data.path(), &["--pull-wait", "50s"]);
        let (session, consumer) = server.create();
        let statement = "exec 2>/dev/null; trap 'echo caught; exit 5' TERM; echo ready; \
                         while :; do sleep 0.1; done";
        let job = server.run(&session, statement);
        server.pull_until(&session, &consumer, |result| result["content"] == "ready\n");
        let pull = json!({"action": "pull_results", "sessionId": session, "consumerId": consumer});

        // Of two pulls at once one is answered with nothing in half a second: the other is open.
        let (answered, answers) = mpsc::channel();
        let clients = [server.client(), server.client()];
        let status = thread::scope(|scope| {
            for mut client in clients {
                let (answered, pull) = (answered.clone(), &pull);
                scope.spawn(move || answered.send(api(&mut client, pull)).unwrap());
            }
            assert_eq!(answers.recv().unwrap()["body"]["results"], json!([]));
            let status = server.signal(signal);
            let open = answers.recv().unwrap();
            assert_eq!(open["state"], "SUCCEEDED", "{open}");
            status
        });
        assert_eq!(status.code(), Some(0), "{signal}");
        assert!(
            running_under(&session).is_empty(),
            "nothing is left running"
        );

        // The session is still there, and shows how its job has ended.
        let server = Server::start(data.path(), &[]);
        let late = server.join(&session);
        let results = server.pull_until(&session, &late, is_status_of(job));
        assert_eq!(said(&results, "stdout"), "ready\ncaught\n");
    }
}

#[test]
fn a_second_signal_stops_at_once() {
    let data = directory();
    let patient = ["--interrupt-grace", "1h", "--shutdown-grace", "1h"];
    let mut server = Server::start(data.path(), &patient);
    let (session, consumer) = server.create();
    server.run(&session, "trap '' TERM; echo ready; sleep 1000; sleep 1000");
    server.pull_until(&session, &consumer, |result| result["content"] == "ready\n");
    server.send_signal("-TERM");
    // It still answers nobody new, and waits for its job.
    wait_until("it has stopped listening", || {
        TcpStream::connect(server.address).is_err()
    });
    let status = server.signal("-TERM");
    assert_eq!(status.code(), Some(1));
    assert!(running_under(&session).is_empty());
}

#[test]
fn a_second_server_cannot_open_the_same_log() {
    let data = directory();
    let _first = Server::start(data.path(), &[]);
    let path = data.path().to_str().unwrap();
    let (status, out, err) = outcome(&["serve", "--listen", "127.0.0.1:0", "--data", path]);
    assert_eq!(status.code(), Some(1));
    assert_eq!(out, "");
    assert!(
        err.contains("another process") && err.contains(path),
        "{err}"
    );
}

#[test]
fn an_address_in_use_is_reported() {
    let data = directory();
    let first = Server::start(data.path(), &[]);
    let other = directory();
    let address = first.address.to_string();
    let (status, _, err) = outcome(&[
        "serve",
        "--listen",
        &address,
        "--data",
        other.path().to_str().unwrap(),
    ]);
    assert_eq!(status.code(), Some(1));
    assert!(err.contains(&address), "{err}");
}

#[test]
fn without_accounts_a_public_address_is_refused() {
    let data = directory();
    let path = data.path().to_str().unwrap();
    let (status, _, err) = outcome(&["serve", "--listen", "0.0.0.0:0", "--data", path]);
    assert_eq!(status.code(), Some(1));
    assert!(err.contains("refusing to listen on 0.0.0.0:0"), "{err}");
}

#[test]
fn settings_come_from_flags_then_environment_then_file() {
    let data = directory();
    let file = data.path().join("rejoin.toml");
    std::fs::write(
        &file,
        "listen = '127.0.0.1:1'\nmax-sessions = 1\nmax-consumers = 7\n",
    )
    .unwrap();
    let log = data.path().join("data");
    let config = file.to_str().unwrap();
    let server = Server::start(&log, &["--config", config, "--max-sessions", "2"]);
    server.create();
    server.create();
    let third = server.api(&json!({"action": "init_session"}));
    assert!(
        third["message"].as_str().unwrap().contains("2 sessions"),
        "{third}"
    );

    std::fs::write(&file, "listne = '127.0.0.1:1'").unwrap();
    let (status, _, err) = outcome(&["serve", "--config", config]);
    assert_eq!(status.code(), Some(1));
    assert!(
        err.contains("listne") && err.contains("rejoin.toml"),
        "{err}"
    );
}

#[test]
fn the_help_names_every_setting_with_its_default() {
    let (status, out, _) = outcome(&["serve", "--help"]);
    assert!(status.success());
    for word in [
        "--listen",
        "REJOIN_DATA",
        "[default: 3h]",
        "SIGTERM and SIGINT shut the server down",
        "Examples:",
        "init_session",
    ] {
        assert!(out.contains(word), "{word} is missing in:\n{out}");
    }
}

#[test]
fn processes_left_by_a_killed_server_are_killed_by_the_next() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let (session, consumer) = server.create();
    server.run(&session, "echo ready; exec sleep 1000 >/dev/null 2>&1");
    server.pull_until(&session, &consumer, |result| result["content"] == "ready\n");
    server.kill();
    assert!(
        !running_under(&session).is_empty(),
        "it has outlived its server"
    );
    let _next = Server::start(data.path(), &[]);
    wait_until_none_run("the orphan has ended", &session);
}

#[test]
fn a_server_on_a_copy_leaves_the_jobs_of_the_original_alone() {
    let parent = directory();
    let [data, copy, moved] = ["data", "copy", "moved"].map(|name| parent.path().join(name));
    let mut original = Server::start(&data, &[]);
    let (session, consumer) = original.create();
    original.run(&session, "echo ready; exec sleep 1000");
    original.pull_until(&session, &consumer, |result| result["content"] == "ready\n");
    copy_all(&data, &copy);
    let err = |name: &str| parent.path().join(name);
    let start = |data: &Path, name: &str| {
        let file = File::create(err(name)).unwrap();
        Server::start_saying(data, &[], file.into())
    };

    let first = start(&copy, "first");
    drop(first);
    let second = start(&copy, "second");
    drop(second);
    assert_eq!(running_under(&session).len(), 1, "the job has been killed");
    let said = |name| std::fs::read_to_string(err(name)).unwrap();
    assert_eq!(
        said("first").matches("is a copy").count(),
        1,
        "{}",
        said("first")
    );
    assert!(!said("second").contains("is a copy"), "{}", said("second"));

    // What the original itself has left is still found, also where it was moved.
    original.kill();
    std::fs::rename(&data, &moved).unwrap();
    let _next = start(&moved, "next");
    assert!(running_under(&session).is_empty());
    assert!(
        said("next").contains("killed what the previous server left running processes=1"),
        "{}",
        said("next")
    );
    assert!(!said("next").contains("is a copy"), "{}", said("next"));
}

fn copy_all(from: &Path, to: &Path) {
    let copied = Command::new("cp")
        .arg("-a")
        .args([from, to])
        .status()
        .unwrap();
    assert!(copied.success());
}

#[test]
fn the_first_process_of_a_container_reaps_orphans_and_ends_as_the_server_does() {
    if !can(
        "make a PID namespace",
        "unshare",
        &["--pid", "--fork", "--kill-child", "true"],
    ) {
        return;
    }
    let data = directory();
    let path = data.path().to_str().unwrap();
    let mut command = under(
        &["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"],
        &["serve", "--listen", "127.0.0.1:0", "--data", path],
    );
    let mut server = Server::spawned(command.stderr(Stdio::inherit()));
    let [first] = children(server.id())[..] else {
        panic!("unshare has one child");
    };

    let (session, _) = server.create();
    for _ in 0..15 {
        let done = server.exec(
            &session,
            "setsid sleep 0.01 >/dev/null 2>&1 & nohup sleep 1000 >/dev/null 2>&1 & exit 7",
        );
        assert_eq!(done.last().unwrap()["statusCode"], 7, "no status is taken");
    }
    wait_until("every orphan is reaped", || children(first).len() == 1);

    let (session, consumer) = server.create();
    server.run(&session, "echo ready; sleep 1000");
    server.pull_until(&session, &consumer, |result| result["content"] == "ready\n");
    let sent = Command::new("kill")
        .args(["-TERM", &first.to_string()])
        .status();
    assert!(sent.unwrap().success());
    assert_eq!(server.wait().code(), Some(0));
    assert!(running_under(&session).is_empty());
}

/// The children of a process, zombies among them.
fn children(parent: u32) -> Vec<u32> {
    let parent = parent.to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    numbers
        .filter(|number: &u32| {
            // `12 (name, of anything) S 1 …`: the state, and the parent.
            let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
            let stat = stat
                .rsplit_once(") ")
                .and_then(|(_, stat)| stat.split(' ').nth(1));
            stat == Some(&*parent)
        })
        .collect()
}

#[test]
fn the_last_line_is_why_the_log_failed_whatever_signals_come_then() {
    let data = directory();
    let err = data.path().join("err");
    let path = data.path().to_str().unwrap();
    // No file may have more than 100 KiB or 50, depending on the shell.
    let limit = "trap '' XFSZ; ulimit -f 100; exec \"$@\"";
    let mut command = under(
        &["sh", "-c", limit, "sh"],
        &[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--data",
            path,
            "--body-timeout",
            "1h",
        ],
    );
    let mut server = Server::spawned(command.stderr(File::create(&err).unwrap()));
    // The server waits for the body of this request before it ends.
    let mut open = TcpStream::connect(server.address).unwrap();
    let head = format!(
        "POST /api HTTP/1.1\r\nHost: {}\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
        server.address
    );
    open.write_all(head.as_bytes()).unwrap();
    open.read_exact(&mut [0; 12]).unwrap();

    let (session, _) = server.create();
    server.run(&session, "head -c 300000 /dev/zero | tr '\\0' x");
    let said = || std::fs::read_to_string(&err).unwrap();
    wait_until("the log has failed", || said().contains("its log failed"));
    server.send_signal("-TERM");
    server.send_signal("-TERM");
    server.send_signal("-INT");
    assert_eq!(server.wait().code(), Some(1), "{}", said());
    let last = said().lines().last().unwrap().to_owned();
    assert!(
        last.starts_with("rejoin: the server has stopped, because its log failed"),
        "{last}"
    );
}

#[test]
fn log_lines_that_cannot_be_written_are_counted_and_nothing_else_happens() {
    let full = || {
        File::options()
            .write(true)
            .open("/dev/full")
            .unwrap()
            .into()
    };
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    // Its reader is there, and reads nothing: it takes no byte any more.
    let (_stopped, mut stuck) = std::io::pipe().unwrap();
    stuck.write_all(&[b'x'; 64 * 1024]).unwrap();
    for (what, err) in [
        ("full", full()),
        ("closed", closed.into()),
        ("stuck", stuck.into()),
    ] {
        let data = directory();
        let more = ["--log-level", "trace", "--log-requests", "all"];
        let mut server = Server::start_saying(data.path(), &more, err);
        let (session, _) = server.create();
        for _ in 0..3 {
            let done = server.exec(&session, "head -c 2000000 /dev/zero | tr '\\0' x; exit 4");
            assert_eq!(done.last().unwrap()["statusCode"], 4, "{what}");
        }
        let metrics = || {
            let metrics = server.client().get("/metrics").unwrap();
            String::from_utf8(metrics.body).unwrap()
        };
        let lost = metrics().lines().find_map(|line| {
            line.strip_prefix("rejoin_stderr_lost_lines_total ")?
                .parse()
                .ok()
        });
        let lost: u64 = lost.unwrap();
        assert_eq!(lost > 0, what != "stuck", "{what}: {lost}");
        assert_eq!(server.signal("-TERM").code(), Some(0), "{what}");
        let (status, out, _) = outcome(&["verify", data.path().to_str().unwrap()]);
        assert!(
            status.success() && out.contains("is intact"),
            "{what}: {out}"
        );
    }
}

#[test]
fn a_server_starts_where_standard_output_cannot_be_written() {
    let data = directory();
    let address = free_address();
    let err = data.path().join("err");
    let path = data.path().to_str().unwrap();
    let mut child = rejoin(&["serve", "--listen", &address, "--data", path])
        .stdout(File::options().write(true).open("/dev/full").unwrap())
        .stderr(File::create(&err).unwrap())
        .spawn()
        .unwrap();
    wait_until("it listens", || TcpStream::connect(&address).is_ok());
    Command::new("kill")
        .arg(child.id().to_string())
        .status()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let said = std::fs::read_to_string(err).unwrap();
    assert!(said.contains("cannot write to standard output"), "{said}");
}

/// An address on which nobody listens.
fn free_address() -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().to_string()
}
