//! Promises 2, 4 and 5: all of a job's output reaches everybody, whenever and however they read.

use crate::proxies::UnixServer;
use crate::server::{Server, directory, is_status_of, outcome, said};
use crate::shell::wait_until;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

/// More than ten million bytes.
const LINES: u32 = 1_400_000;

#[test]
fn ten_million_bytes_reach_everybody_early_late_and_slow() {
    let data = directory();
    // Little memory, so that the late ones are served from the log.
    let server = Server::start(data.path(), &["--recent-bytes", "1000000"]);
    let (session, early) = server.create();
    let second = server.join(&session);
    let absent = server.join(&session);
    let job = server.run(&session, &format!("seq 1 {LINES}"));
    let read = |consumer: &str| server.pull_until(&session, consumer, is_status_of(job));
    let (first, second) = thread::scope(|scope| {
        let first = scope.spawn(|| read(&early));
        let second = scope.spawn(|| read(&second));
        (first.join().unwrap(), second.join().unwrap())
    });
    let late = read(&server.join(&session));
    let absent = read(&absent);

    let expected: String = (1..=LINES).map(|line| format!("{line}\n")).collect();
    assert!(expected.len() > 10_000_000);
    for (who, results) in [
        ("early", &first),
        ("second", &second),
        ("late", &late),
        ("absent", &absent),
    ] {
        assert!(
            said(results, "stdout") == expected,
            "{who} has read something else"
        );
    }
    let shell = |results: &[serde_json::Value]| -> Vec<serde_json::Value> {
        results
            .iter()
            .filter(|result| result["type"] == "shell")
            .cloned()
            .collect()
    };
    assert_eq!(
        shell(&first),
        shell(&late),
        "the same results, not only the same text"
    );

    let done = server.exec(&session, &format!("seq 1 {LINES}"));
    assert!(
        said(&done, "stdout") == expected,
        "exec has answered something else"
    );
}

#[test]
fn a_reader_who_loses_the_connection_can_join_again_and_read_everything() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let (session, consumer) = server.create();
    let job = server.run(
        &session,
        "for i in 1 2 3; do echo $i; done; cat /dev/null; exit 7",
    );
    {
        // Sends a pull and goes away before the answer.
        let mut client = server.client();
        let pull = serde_json::json!({"action": "pull_results", "sessionId": session, "consumerId": consumer});
        let body = pull.to_string();
        let head = format!(
            "POST /api HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        client.send_raw(head.as_bytes()).unwrap();
        client.send_raw(body.as_bytes()).unwrap();
    }
    let again = server.join(&session);
    let results = server.pull_until(&session, &again, is_status_of(job));
    assert_eq!(said(&results, "stdout"), "1\n2\n3\n");
    assert_eq!(
        results.iter().find(|it| is_status_of(job)(it)).unwrap()["statusCode"],
        7
    );
}

#[test]
fn a_download_that_the_end_of_the_server_cuts_is_not_taken_for_a_whole_one() {
    let data = directory();
    // The system takes far less for a client that is slow on a socket than over TCP.
    let socket = data.path().join("socket");
    let address = format!("unix:{}", socket.display());
    let mut server = UnixServer::start(data.path(), &address, &[]);
    let run = format!("seq 1 {LINES}");
    let (status, printed, err) = outcome(&["run", "--keep", "-n", "--server", &address, &run]);
    assert!(status.success() && printed.len() > 10_000_000, "{err}");
    let downloads = ["output", "output?raw=true", "records"].map(|path| {
        let file = data.path().join(path.replace(['?', '='], "-"));
        let download = Command::new("curl")
            .args(["--silent", "--show-error", "--limit-rate", "500k"])
            .arg("--unix-socket")
            .arg(&socket)
            .arg("--output")
            .arg(&file)
            .arg(format!("http://localhost/sessions/1/{path}"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        (path, file, download)
    });
    wait_until("all have begun", || {
        let has_begun = |file: &PathBuf| file.metadata().is_ok_and(|it| it.len() > 0);
        downloads.iter().all(|(_, file, _)| has_begun(file))
    });
    server.end();
    for (path, file, download) in downloads {
        let done = download.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.len() < printed.len(), "{path} is whole");
        // Of curl: a part of the transfer only.
        assert_eq!(done.status.code(), Some(18), "{path}: {said}");
    }
}
