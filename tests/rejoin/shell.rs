//! The shell service, through the server.

use crate::server::{
    Server, can, directory, is_status_of, outcome, running_under, runs_under, said, under,
};
use crate::terminals::Terminal;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn the_next_command_has_the_directory_and_environment_of_the_last_one() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let (session, _) = server.create();
    server.exec(
        &session,
        "cd /tmp && export GREETING='hello\nworld'; unset HOME; false",
    );
    let results = server.exec(&session, "pwd; echo \"$GREETING\"; echo ${HOME-unset}");
    assert_eq!(said(&results, "stdout"), "/tmp\nhello\nworld\nunset\n");
    // Another session is another terminal.
    let (other, _) = server.create();
    assert_eq!(
        said(&server.exec(&other, "echo \"$GREETING\""), "stdout"),
        "\n"
    );
}

#[test]
fn a_session_says_in_which_directory_its_next_command_begins() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let (session, _) = server.create();
    let path = format!("/sessions/{session}");
    let shown = |server: &Server| {
        let answer = server.client().get(&path).unwrap();
        let session: Value = answer.json();
        session["directory"].clone()
    };
    assert!(shown(&server).as_str().unwrap().starts_with('/'));
    server.exec(
        &session,
        "mkdir -p \"/tmp/it's here\"; cd \"/tmp/it's here\"",
    );
    assert_eq!(shown(&server), "/tmp/it's here");
    server.kill();
    let server = Server::start(data.path(), &[]);
    assert_eq!(shown(&server), "/tmp/it's here");
    // Where it was removed, the next command begins somewhere else; while one runs, nobody knows.
    server.exec(&session, "rmdir \"$PWD\"");
    assert_ne!(shown(&server), "/tmp/it's here");
    server.run(&session, "sleep 100");
    assert_eq!(shown(&server), json!(null));
}

#[test]
fn all_output_in_its_order_and_the_exit_status_are_reported() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let (session, _) = server.create();
    let results = server.exec(&session, "echo out; echo err >&2; exit 3");
    assert_eq!(said(&results, "stdout"), "out\nerr\n");
    assert_eq!(results.last().unwrap()["statusCode"], 3);
    let missing = server.exec(&session, "no-such-command-anywhere");
    assert_eq!(missing.last().unwrap()["statusCode"], 127);
}

#[test]
fn a_job_in_the_background_leaves_the_foreground_free() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let (session, consumer) = server.create();
    let fifo = data.path().join("fifo");
    server.exec(&session, &format!("mkfifo {}", fifo.display()));
    let waiting = server.run(&session, &format!("cat {} &", fifo.display()));
    let nothing = server.api(&json!({"action": "interrupt_job", "sessionId": session}));
    assert_eq!(nothing["message"], "no foreground job is running");
    server.exec(&session, &format!("echo woken > {}", fifo.display()));
    let results = server.pull_until(&session, &consumer, is_status_of(waiting));
    assert_eq!(said(&results, "stdout"), "woken\n");
}

#[test]
fn a_second_foreground_job_is_rejected_while_one_runs() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let (session, _) = server.create();
    server.run(&session, "sleep 100");
    for action in ["exec", "async_exec"] {
        let refused =
            server.api(&json!({"action": action, "sessionId": session, "command": "true"}));
        assert_eq!(refused["state"], "REFUSED");
        assert_eq!(refused["message"], "Another job is running.");
        assert_eq!(refused["body"], json!({"command": "true"}));
    }
}

#[test]
fn nothing_is_left_running_after_close() {
    let data = directory();
    let server = Server::start(data.path(), &["--interrupt-grace", "100ms"]);
    let (session, consumer) = server.create();
    let stubborn = "trap '' INT TERM; setsid sleep 1000 & echo ready; sleep 1000";
    server.run(&session, stubborn);
    server.pull_until(&session, &consumer, |result| result["content"] == "ready\n");
    assert!(!running_under(&session).is_empty());
    server.api(&json!({"action": "close_session", "sessionId": session}));
    wait_until_none_run("all has ended", &session);
}

#[test]
fn exec_is_interrupted_at_its_timeout() {
    let data = directory();
    let server = Server::start(data.path(), &["--interrupt-grace", "100ms"]);
    let request =
        json!({"action": "exec", "command": "echo begun; sleep 100", "execTimeout": "2000"});
    let done = server.api(&request);
    assert_eq!(done["state"], "INTERRUPTED");
    assert_eq!(
        done["message"],
        "The job is exceeded time limit, force interrupt"
    );
    assert_eq!(done["body"]["timeExpired"], true);
    assert_eq!(done["body"]["timeout"], 2000);
    assert_eq!(
        said(done["body"]["results"].as_array().unwrap(), "stdout"),
        "begun\n"
    );
}

/// How long a condition may take to hold: longer than it does on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Polls until a condition holds, and panics after [`PATIENCE`].
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_while_seen(what, || (!is_so()).then_some("it is not so"));
}

/// Polls until nothing of a session runs any more, and panics after [`PATIENCE`] with what does.
pub(crate) fn wait_until_none_run(what: &str, session: &str) {
    let mut running = vec![];
    wait_while_seen(what, || {
        // One that still runs is enough to go on waiting. To look for new ones is dear, as it reads of every
        // process of the machine.
        running.retain(|process: &PathBuf| runs_under(process, session));
        if running.is_empty() {
            running = running_under(session);
        }
        let commands = running.iter().map(|process| {
            let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            format!("{}: {command}", process.display())
        });
        (!running.is_empty()).then(|| commands.collect::<Vec<_>>())
    });
}

/// Polls while there is something to see, and panics with what was seen last.
#[expect(
    clippy::disallowed_methods,
    reason = "real processes are waited for, with a deadline"
)]
fn wait_while_seen<T: Debug>(what: &str, mut look: impl FnMut() -> Option<T>) {
    let begun = Instant::now();
    let mut looks = 0;
    while let Some(seen) = look() {
        looks += 1;
        assert!(
            begun.elapsed() < PATIENCE,
            "{PATIENCE:?} and {looks} looks were not enough until {what}; seen last: {seen:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_command_says_which_processes_ended_with_it_or_leaves_them_to_the_session() {
    let statement = "nohup sleep 777 >/dev/null 2>&1 & sleep 0.1; echo started";
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let (session, _) = server.create();
    let results = server.exec(&session, statement);
    let status = results.last().unwrap();
    assert_eq!(status["statusCode"], 0);
    assert_eq!(
        status["message"],
        "ended 1 process (sleep) that it left in its process group"
    );
    assert!(running_under(&session).is_empty());

    let data = directory();
    let server = Server::start(data.path(), &["--leftover-processes", "keep"]);
    let (session, _) = server.create();
    let results = server.exec(&session, statement);
    assert_eq!(results.last().unwrap().get("message"), None);
    assert_eq!(running_under(&session).len(), 1);
    server.api(&json!({"action": "close_session", "sessionId": session}));
    wait_until_none_run("it has ended with the session", &session);
}

#[test]
fn each_command_can_say_whether_it_leaves_processes_to_the_session() {
    let statement = "nohup sleep 777 >/dev/null 2>&1 & sleep 0.1; echo started";
    let ended = |server: &Server, session: &str| {
        let path = format!("/sessions/{session}");
        let shown = server.client().get(&path).unwrap();
        let shown: Value = shown.json();
        shown["state"] == "idle"
    };
    let submit = |server: &Server, session: &str, statement: &str, leftovers: &str| {
        let body = json!({"statement": statement, "leftoverProcesses": leftovers});
        let path = format!("/sessions/{session}/jobs");
        let submitted = server.client().post(&path, &body.to_string()).unwrap();
        submitted.status
    };
    // Whatever the server does with all others.
    for (setting, chosen, left) in [("end", "keep", 1), ("keep", "end", 0)] {
        let data = directory();
        let server = Server::start(data.path(), &["--leftover-processes", setting]);
        let (session, _) = server.create();
        assert_eq!(submit(&server, &session, statement, chosen), 201);
        wait_until("the command has ended", || ended(&server, &session));
        assert_eq!(running_under(&session).len(), left, "{chosen}");
        server.api(&json!({"action": "close_session", "sessionId": session}));
        wait_until_none_run("nothing is left of the session", &session);
    }
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let (session, _) = server.create();
    assert_eq!(submit(&server, &session, statement, "sometimes"), 400);
    // It is known after a crash, too.
    let late = "nohup sleep 777 >/dev/null 2>&1 & sleep 3; echo started";
    assert_eq!(submit(&server, &session, late, "keep"), 201);
    wait_until("it runs", || running_under(&session).len() > 2);
    server.kill_alone();
    let server = Server::start(data.path(), &[]);
    wait_until("the command has ended", || ended(&server, &session));
    assert_eq!(running_under(&session).len(), 1);
    // From the command line.
    let address = format!("http://{}", server.address);
    let run = [
        "run",
        "--server",
        &address,
        "-s",
        &session,
        "--leftover-processes",
        "keep",
        statement,
    ];
    let (status, out, err) = outcome(&run);
    assert!(status.success(), "{err}");
    assert_eq!(out, "started\n");
    assert_eq!(running_under(&session).len(), 2);
    server.api(&json!({"action": "close_session", "sessionId": session}));
    wait_until_none_run("nothing is left of the session", &session);
}

#[test]
fn commands_of_another_user_reach_nothing_of_the_server() {
    if !can("become another user", "setpriv", &["--reuid=65534", "true"]) {
        return;
    }
    let data = directory();
    let home = data.path().display();
    let options = ["--job-user", "nobody", "--interrupt-grace", "100ms"];
    let mut server = Server::start(&data.path().join("data"), &options);
    let (session, consumer) = server.create();
    let results = server.exec(
        &session,
        "id -u; id -G; echo $USER $LOGNAME; env | grep -c ^CARGO",
    );
    let groups = Command::new("id").args(["-G", "nobody"]).output().unwrap();
    let groups = String::from_utf8(groups.stdout).unwrap();
    assert_eq!(
        said(&results, "stdout"),
        format!("65534\n{groups}nobody nobody\n0\n")
    );
    // Neither its files nor its process.
    let server_id = server.id();
    let reach = format!(
        "exec 2>/dev/null; ls {home}/data; cat {home}/data/log/*; ls {home}/data/shell; \
         kill -9 {server_id}; cat /proc/{server_id}/environ; echo $(ls /proc/self/fd | wc -l)"
    );
    let results = server.exec(&session, &reach);
    assert_eq!(said(&results, "stdout").trim().len(), 1, "{results:?}");

    // What its environment loads is loaded as the user, and carries over.
    let results = server.exec(
        &session,
        "cd /usr; export GREETING='hello\nworld' LD_PRELOAD=/nowhere.so; unset HOME",
    );
    assert_eq!(results.last().unwrap()["statusCode"], 0);
    let results = server.exec(
        &session,
        "unset LD_PRELOAD; pwd; echo \"$GREETING\" ${HOME-unset}",
    );
    let output = said(&results, "stdout");
    assert!(output.ends_with("/usr\nhello\nworld unset\n"), "{output}");
    assert_eq!(output.matches("/nowhere.so").count(), 1, "{output}");
    let results = server.exec(&session, "cd /tmp; exec true");
    assert!(
        results.last().unwrap()["message"]
            .as_str()
            .unwrap()
            .contains("exec")
    );

    // A terminal is the user's own, as after a login: it can be opened by its path.
    let terminal = Terminal::start(
        &server,
        "stat -c '%U %a' $(tty); mesg n; mesg y; mesg; : <>$(tty) && echo opened",
    );
    terminal.wait_for_end(&server);
    let shown = terminal.output(&server);
    let shown = String::from_utf8_lossy(&shown);
    assert_eq!(shown, "nobody 620\r\nis y\r\nopened\r\n");
    server.api(&json!({"action": "close_session", "sessionId": terminal.session}));

    // Interrupts and the end of the session reach its processes.
    server.run(
        &session,
        "trap '' INT; setsid sleep 1000 & echo ready; sleep 1000",
    );
    server.pull_until(&session, &consumer, |result| result["content"] == "ready\n");
    let interrupted = server.api(&json!({"action": "interrupt_job", "sessionId": session}));
    assert_eq!(interrupted["state"], "SUCCEEDED", "{interrupted}");
    wait_until_none_run("all has ended", &session);
    server.run(&session, "setsid sleep 1000 >/dev/null 2>&1 & echo ready");
    server.pull_until(&session, &consumer, |result| result["content"] == "ready\n");
    server.api(&json!({"action": "close_session", "sessionId": session}));
    wait_until_none_run("all has ended", &session);
    assert_eq!(server.signal("-TERM").code(), Some(0));
    let left = std::fs::read_dir(data.path().join("data/shell")).unwrap();
    let mut left: Vec<_> = left.map(|left| left.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["keepers", "mark"]);
}

#[test]
fn a_server_without_the_rights_that_another_user_needs_says_which_it_lacks() {
    if !can("become another user", "setpriv", &["--reuid=65534", "true"]) {
        return;
    }
    let parent = directory();
    let [data, err] = ["data", "err"].map(|name| parent.path().join(name));
    let arguments = |lacking: &'static str| {
        let path = data.to_str().unwrap();
        let serve = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--data",
            path,
            "--job-user",
            "nobody",
        ];
        under(&["setpriv", "--bounding-set", lacking], &serve)
    };
    let start = |lacking| Server::spawned(arguments(lacking).stderr(File::create(&err).unwrap()));
    let warned = || std::fs::read_to_string(&err).unwrap().contains("WARN");
    drop(start("+all"));
    assert!(!warned());
    let server = start("-sys_ptrace,-kill");
    let err = std::fs::read_to_string(&err).unwrap();
    assert!(err.contains("missing=CAP_KILL and CAP_SYS_PTRACE"), "{err}");
    let (session, _) = server.create();
    assert_eq!(said(&server.exec(&session, "id -u"), "stdout"), "65534\n");
    drop(server);
    let refused = arguments("-setuid").output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(
        words.contains("needs the capabilities CAP_SETUID\n"),
        "{words}"
    );
}

#[test]
fn an_empty_name_means_the_user_of_the_server() {
    let data = directory();
    let server = Server::start(data.path(), &["--job-user", ""]);
    let (session, _) = server.create();
    let own = Command::new("id").arg("-u").output().unwrap().stdout;
    assert_eq!(
        said(&server.exec(&session, "id -u"), "stdout").into_bytes(),
        own
    );
}

#[test]
fn a_user_as_whom_commands_cannot_run_is_refused() {
    let data = directory();
    let path = data.path().to_str().unwrap();
    for user in ["no such user", "root"] {
        let (status, _, err) = outcome(&["serve", "--data", path, "--job-user", user]);
        assert_eq!(status.code(), Some(1), "{err}");
        let expected = format!("rejoin: cannot run commands as the user {user}: ");
        assert!(err.contains(&expected), "{err}");
    }
}
