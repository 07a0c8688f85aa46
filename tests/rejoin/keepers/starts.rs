//! What a start says of the commands of the server before, and what it does with those that it can't
//! go on with.

use crate::admin::scrape;
use crate::server::{Server, can, directory, end, is_status_of, running_under, said, text, under};
use crate::shell::{wait_until, wait_until_none_run};
use serde_json::{Value, json};
use std::fs::File;
use std::io::BufRead;
use std::path::Path;
use std::process::{Command, Stdio};

/// A session with a command that has begun, and its first viewer.
fn begun(server: &Server, statement: &str) -> (String, String, u64) {
    let (session, consumer) = server.create();
    let job = server.run(&session, statement);
    // What follows at once may be in the same result.
    let is_ready = |result: &Value| {
        let content = result["content"].as_str();
        content.is_some_and(|it| it.starts_with("ready\n"))
    };
    server.pull_until(&session, &consumer, is_ready);
    (session, consumer, job)
}

/// How a command ended, and everything that it wrote to its standard output.
fn end_of(server: &Server, session: &str, job: u64) -> (Value, String) {
    let late = server.join(session);
    let results = server.pull_until(session, &late, is_status_of(job));
    let mut ends = results.iter().filter(|it| is_status_of(job)(it));
    assert_eq!(ends.clone().count(), 1, "{results:?}");
    let status = ends.next_back().unwrap().clone();
    (status, said(&results, "stdout"))
}

/// The lines behind the first one, as many as there are at once.
fn further_lines(server: &mut Server) -> Vec<String> {
    let rest = server.out.buffer().to_vec();
    server.out.consume(rest.len());
    let rest = String::from_utf8(rest).unwrap();
    rest.lines().map(str::to_owned).collect()
}

const GONE: &str =
    "its keeper ended, too: it was killed, or the machine or the container was restarted";

#[test]
fn a_start_says_what_went_on_what_was_lost_and_why_and_metrics_count_it() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    assert_eq!(further_lines(&mut server), [""; 0]);
    let (first, ..) = begun(&server, "echo ready; sleep 1000");
    let (second, _, lost) = begun(&server, "echo ready; sleep 1000");
    let before = server.keepers();
    let (third, viewer, soon) = begun(&server, "echo ready; sleep 1000");
    let metrics = scrape(server.address);
    for (sample, expected) in [
        (r#"rejoin_jobs_at_start{outcome="kept"}"#, 0.0),
        ("rejoin_keepers", 3.0),
        ("rejoin_keepers_limit", 32.0),
        ("rejoin_keepers_lost_total", 0.0),
        ("rejoin_keeper_jobs", 3.0),
        ("rejoin_keeper_unsettled_bytes", 0.0),
    ] {
        assert_eq!(metrics.value(sample), expected, "{sample}");
    }
    let third_keeper = server.keepers().into_iter().find(|it| !before.contains(it));
    end(third_keeper.unwrap());
    server.pull_until(&third, &viewer, is_status_of(soon));
    let metrics = scrape(server.address);
    assert_eq!(metrics.value("rejoin_keepers_lost_total"), 1.0);
    assert_eq!(metrics.value("rejoin_keepers"), 2.0);

    server.kill_alone();
    // The second session's keeper is the second that was started.
    end(*before.iter().max().unwrap());
    let err = data.path().join("err");
    let mut server = Server::start_saying(data.path(), &[], File::create(&err).unwrap().into());
    let expected = [
        "Went on with 1 command of the previous server".to_owned(),
        format!("Lost 1 command of the previous server ({GONE})"),
    ];
    assert_eq!(further_lines(&mut server), expected);
    let err = std::fs::read_to_string(&err).unwrap();
    assert!(
        err.contains("went on with jobs of the previous server"),
        "{err}"
    );
    let named = err.lines().find(|line| line.contains("lost a job"));
    let named = named.unwrap_or_else(|| panic!("{err}"));
    assert!(named.contains("WARN") && named.contains(GONE), "{named}");
    assert!(
        named.contains(&second) && named.contains(&format!("job={lost}")),
        "{named}"
    );
    let metrics = scrape(server.address);
    assert_eq!(
        metrics.value(r#"rejoin_jobs_at_start{outcome="kept"}"#),
        1.0
    );
    assert_eq!(
        metrics.value(r#"rejoin_jobs_at_start{outcome="lost"}"#),
        1.0
    );
    assert_eq!(metrics.value("rejoin_keeper_jobs"), 1.0);
    assert!(!running_under(&first).is_empty());
}

/// Output that a keeper holds is counted, and not any more when it is logged.
#[test]
fn output_that_is_logged_is_not_counted_as_held() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    for _ in 0..3 {
        let (session, _) = server.create();
        server.exec(&session, "seq 1 100000");
        wait_until("all is logged", || {
            scrape(server.address).value("rejoin_keeper_unsettled_bytes") == 0.0
        });
    }
    let metrics = scrape(server.address);
    assert_eq!(metrics.value("rejoin_keeper_jobs"), 0.0);
    assert!(
        metrics.value("rejoin_keepers") >= 1.0,
        "one waits for the next command"
    );
}

#[test]
fn commands_end_with_their_container_and_the_next_start_says_so() {
    let namespace = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    if !can(
        "make a PID namespace",
        namespace[0],
        &[&namespace[1..], &["true"]].concat(),
    ) {
        return;
    }
    let data = directory();
    let path = data.path().to_str().unwrap();
    let keep = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data",
        path,
        "--jobs-at-exit",
        "keep",
    ];
    let mut container = Server::spawned(under(&namespace, &keep).stderr(Stdio::inherit()));
    let (session, _, job) = begun(&container, "echo ready; sleep 1000");
    container.kill_alone();
    wait_until_none_run("all in it has ended", &session);
    let mut next = Server::spawned(under(&namespace, &keep).stderr(Stdio::inherit()));
    let expected = format!("Lost 1 command of the previous server ({GONE})");
    assert_eq!(further_lines(&mut next), [expected]);
    let (status, output) = end_of(&next, &session, job);
    assert_eq!(
        (status["statusCode"].as_u64(), &*output),
        (Some(137), "ready\n")
    );
}

#[test]
fn commands_that_a_restored_log_does_not_know_or_has_in_part_are_ended() {
    let parent = directory();
    let [data, copy, go, on] = ["data", "copy", "go", "on"].map(|name| parent.path().join(name));
    let log = data.join("log");
    let waits = |file: &Path| {
        format!(
            "echo ready; until [ -e {} ]; do sleep 0.02; done",
            file.display()
        )
    };
    let mut server = Server::start(&data, &[]);
    let statement = format!("{}; seq 1 300000; sleep 1000", waits(&go));
    let (session, viewer, part) = begun(&server, &statement);
    let (going_on, _, kept) = begun(&server, &format!("{}; echo on", waits(&on)));
    run("cp", &["-a", path(&log), path(&copy)]);
    // More than a keeper holds, so that it has dropped what the copy does not have.
    File::create(&go).unwrap();
    server.pull_until(&session, &viewer, |result| {
        text(&result["content"]).ends_with("\n300000\n")
    });
    let (unknown, ..) = begun(&server, "echo ready; sleep 1000");
    server.kill_alone();
    run("rm", &["-r", path(&log)]);
    run("cp", &["-a", path(&copy), path(&log)]);

    let err = parent.path().join("err");
    let mut server = Server::start_saying(&data, &[], File::create(&err).unwrap().into());
    let expected = [
        "Went on with 1 command of the previous server",
        "Lost 1 command of the previous server (the log does not have all of the output, and may \
         be restored from a backup)",
        "Ended 1 command of a server before that the log does not know: is it an older copy?",
    ];
    assert_eq!(further_lines(&mut server), expected);
    wait_until_none_run("the first has ended", &session);
    wait_until_none_run("the unknown one has ended", &unknown);
    let err = std::fs::read_to_string(&err).unwrap();
    let ended = err
        .lines()
        .find(|line| line.contains("the log does not know"));
    assert!(ended.unwrap_or_default().contains(&unknown), "{err}");
    let (status, output) = end_of(&server, &session, part);
    assert_eq!(
        (status["statusCode"].as_u64(), &*output),
        (Some(137), "ready\n")
    );
    File::create(&on).unwrap();
    let (status, output) = end_of(&server, &going_on, kept);
    assert_eq!(
        (status["statusCode"].as_u64(), &*output),
        (Some(0), "ready\non\n")
    );
    let metrics = scrape(server.address);
    assert_eq!(metrics.value("rejoin_keeper_unknown_jobs"), 1.0);
}

/// A backup of the log that was used on another machine has used numbers of commands again that a keeper
/// here still has.
#[test]
fn a_command_does_not_go_on_under_another_one_of_its_number() {
    let parent = directory();
    let [data, elsewhere, go, over] =
        ["data", "elsewhere", "go", "over"].map(|name| parent.path().join(name));
    let waits = |file: &Path| {
        format!(
            "echo ready; until [ -e {} ]; do sleep 0.02; done",
            file.display()
        )
    };
    let log = data.join("log");
    let mut server = Server::start(&data, &[]);
    let (session, viewer) = server.create();
    server.exec(&session, "echo before the backup");
    std::fs::create_dir(&elsewhere).unwrap();
    run("cp", &["-a", path(&log), path(&elsewhere.join("log"))]);
    let statement = format!("{}; echo of the one before; exit 5", waits(&go));
    let here = server.run(&session, &statement);
    server.pull_until(&session, &viewer, |result| result["content"] == "ready\n");
    server.kill_alone();

    let mut other = Server::start(&elsewhere, &[]);
    let viewer = other.join(&session);
    let there = other.run(&session, &waits(&over));
    assert_eq!(here, there, "its number is used again");
    other.pull_until(&session, &viewer, |result| {
        result["jobId"] == there && result["content"] == "ready\n"
    });
    other.kill();
    File::create(&over).unwrap();
    run("rm", &["-r", path(&log)]);
    run("cp", &["-a", path(&elsewhere.join("log")), path(&log)]);

    let err = parent.path().join("err");
    let mut server = Server::start_saying(&data, &[], File::create(&err).unwrap().into());
    let expected = [
        "Lost 1 command of the previous server (its number belongs to another command here: the log \
         was restored from a backup, and numbers were used again)",
        "Ended 1 command of a server before that the log does not know: is it an older copy?",
    ];
    assert_eq!(further_lines(&mut server), expected);
    File::create(&go).unwrap();
    let viewer = server.join(&session);
    let results = server.pull_until(&session, &viewer, |result| {
        is_status_of(there)(result) && result["statusCode"] == 137
    });
    assert!(!said(&results, "stdout").contains("of the one before"));
    wait_until_none_run("the command of that number has ended", &session);
    let err = std::fs::read_to_string(&err).unwrap();
    assert!(
        err.contains("ended a job that the log does not know"),
        "{err}"
    );
    // The number is taken, and the next command runs.
    let next = server.exec(&session, "echo next");
    assert_eq!(said(&next, "stdout"), "next\n");
}

#[test]
fn commands_end_soon_when_the_data_directory_was_removed() {
    let parent = directory();
    let [data, moved] = ["data", "moved"].map(|name| parent.path().join(name));
    let mut server = Server::start(&data, &[]);
    let (session, ..) = begun(&server, "echo ready; sleep 1000");
    server.kill_alone();
    // A moved directory is the same one.
    std::fs::rename(&data, &moved).unwrap();
    let mut server = Server::start(&moved, &[]);
    assert_eq!(
        further_lines(&mut server),
        ["Went on with 1 command of the previous server"]
    );
    server.kill_alone();
    std::fs::remove_dir_all(&moved).unwrap();
    wait_until_none_run("it has ended", &session);
}

#[test]
fn commands_whose_server_does_not_come_back_in_time_are_ended_first_gently() {
    let data = directory();
    let mut server = Server::start(data.path(), &["--keeper-wait", "1s"]);
    let file = data.path().join("ended");
    let gentle = format!(
        "trap 'echo by SIGTERM >{}; exit' TERM; echo ready; while :; do sleep 0.05; done",
        file.display()
    );
    let stubborn = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
    let jobs = [begun(&server, &gentle), begun(&server, stubborn)];
    server.kill_alone();
    for (session, ..) in &jobs {
        wait_until_none_run("it has ended", session);
    }
    wait_until("no keeper is left", || server.keepers().is_empty());
    assert_eq!(std::fs::read_to_string(file).unwrap(), "by SIGTERM\n");
    let mut server = Server::start(data.path(), &[]);
    let expected = format!("Lost 2 commands of the previous server ({GONE})");
    assert_eq!(further_lines(&mut server), [expected]);
    for (session, _, job) in &jobs {
        let (status, output) = end_of(&server, session, *job);
        assert_eq!(
            (status["statusCode"].as_u64(), &*output),
            (Some(137), "ready\n")
        );
    }
}

#[test]
fn commands_of_another_user_go_on_too() {
    if !can("become another user", "setpriv", &["--reuid=65534", "true"]) {
        return;
    }
    let data = directory();
    let data = data.path().join("data");
    let as_nobody = ["--job-user", "nobody"];
    let mut server = Server::start(&data, &as_nobody);
    let statement = "echo ready; i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo $i; sleep 0.05; done; \
                     id -u; export KEPT=yes; cd /usr; exit 4";
    let (session, _, job) = begun(&server, statement);
    let (daemon, ..) = begun(&server, "setsid sleep 1000 & echo ready; sleep 1000");
    server.kill_alone();
    server = Server::start(&data, &as_nobody);
    let went_on = further_lines(&mut server);
    assert_eq!(went_on, ["Went on with 2 commands of the previous server"]);
    server.kill_alone();
    wait_until_none_run("it has ended while no server is there", &session);
    let server = Server::start(&data, &as_nobody);
    let numbers: String = (1..=60).map(|line| format!("{line}\n")).collect();
    let (status, output) = end_of(&server, &session, job);
    assert_eq!(status["statusCode"], 4, "{status}");
    assert_eq!(output, format!("ready\n{numbers}65534\n"));
    let next = server.exec(&session, "echo $PWD $KEPT; id -u");
    assert_eq!(said(&next, "stdout"), "/usr yes\n65534\n");
    server.api(&json!({"action": "close_session", "sessionId": daemon}));
    wait_until_none_run("nothing is left of it", &daemon);
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}
