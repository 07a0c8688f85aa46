//! People at terminals: `rejoin run`, `attach` and `shell` in panes of tmux, and what they show.

use crate::server::{Server, directory, rejoin};
use crate::shell::wait_until;
use crate::tmux::{Pane, cells};
use rejoin_screen::Screen;
use serde_json::Value;
use std::process::Command;

const SIZE: (u16, u16) = (90, 24);

/// An editor without settings, as every Debian has it.
const VI: &str = "env LC_ALL=C.UTF-8 vi -u NONE -i NONE -n";

fn get(server: &Server, path: &str) -> Value {
    let answer = server.client().get(path).unwrap();
    answer.json()
}

/// What the server says that the terminal of a session's first job shows.
fn screen_of(server: &Server, session: u64) -> Screen {
    let screen = get(server, &format!("/sessions/{session}/jobs/1/screen"));
    let size = |name: &str| u16::try_from(screen[name].as_u64().unwrap()).unwrap();
    let mut shown = Screen::new(size("columns"), size("rows"));
    shown.feed(screen["content"].as_str().unwrap().as_bytes());
    shown
}

/// The local terminal is as a shell expects it.
fn assert_is_restored(pane: &Pane) {
    assert_eq!(pane.is("#{alternate_on}"), "0", "{}", pane.text());
    assert_eq!(
        pane.is("#{mouse_any_flag} #{cursor_flag} #{keypad_cursor_flag}"),
        "0 1 0"
    );
    pane.line(
        "clear; stty -a | tr ' ' '\\n' | grep -xE -- '-?(icanon|echo|isig|opost|icrnl);?' | xargs",
    );
    pane.wait_for("isig icanon echo");
    let shown = pane.text();
    assert!(
        shown.contains("icrnl") && shown.contains("opost"),
        "{shown}"
    );
    assert!(
        !shown.contains("-icanon") && !shown.contains("-opost"),
        "{shown}"
    );
}

#[test]
fn a_command_at_a_terminal_is_as_at_a_local_one() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let pane = Pane::open(&server, SIZE);
    pane.line("rejoin run 'tty | cut -c1-5; stty size; printf \"\\033[32mgreen\\033[0m\\n\"; exit 7'; echo \"status $?\"");
    pane.wait_for("status 7");
    let shown = pane.text();
    assert!(shown.contains("/dev/\n24 90\ngreen\nstatus 7"), "{shown}");
    assert!(
        shown.contains("Ctrl-\\ d leaves"),
        "the first line names the key: {shown}"
    );
    assert_is_restored(&pane);
    // Where its output goes elsewhere, it has none, and its streams are apart.
    pane.line("clear; rejoin run 'tty; echo err >&2' | sed 's/^/piped: /'; rejoin run -T tty");
    pane.wait_until("both have run", |shown| {
        shown.matches("not a tty").count() == 2
    });
    let shown = pane.text();
    assert!(
        shown.contains("piped: not a tty") && shown.contains("err\n"),
        "{shown}"
    );
    // The session was made for the command.
    assert_eq!(get(&server, "/sessions/1")["state"], "ended");
}

#[test]
fn the_terminal_is_asked_to_notify_when_a_command_has_ended_and_only_then() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let pane = Pane::open(&server, SIZE);
    let file = pane.directory().join("written");
    pane.record(&file);
    let written =
        || String::from_utf8_lossy(&std::fs::read(&file).unwrap_or_default()).into_owned();
    let gate = pane.directory().join("gate");
    let line = format!(
        "rejoin run --notify 'echo begun; until [ -e {} ]; do sleep 0.1; done; exit 7'; echo status $?",
        gate.display()
    );
    pane.line(&line);
    pane.wait_for("\nbegun");
    assert!(!written().contains("\x1b]9;"), "{:?}", written());
    std::fs::write(&gate, "").unwrap();
    pane.wait_for("status 7");
    wait_until("a failure is shown", || {
        written().contains("\x1b]9;failed: echo begun;")
    });
    assert!(
        written().contains("exit 7\x1b\\\x07"),
        "it ends, and rings: {:?}",
        written()
    );
    // Where the output goes elsewhere, it is still the terminal that gets it. What is in the command
    // cannot end the sequence.
    let line = "clear; rejoin run --notify -T -- printf 'a\\033b%s' \"$(printf '\\033]0;x\\007')\" > /dev/null";
    pane.line(line);
    wait_until("a success is shown", || {
        written().contains("\x1b]9;done: printf")
    });
    let all = written();
    let (_, shown) = all.rsplit_once("\x1b]9;done: ").unwrap();
    let (shown, _) = shown.split_once("\x1b\\\x07").unwrap();
    assert!(!shown.contains(char::is_control), "{shown:?}");
    // A person who leaves knows that the command goes on.
    pane.line("clear; rejoin run --notify sleep 1000");
    pane.wait_for("Ctrl-\\ d leaves");
    pane.detach();
    assert_eq!(written().matches("\x1b]9;").count(), 2, "{:?}", written());
}

#[test]
fn a_password_is_neither_shown_nor_logged() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let pane = Pane::open(&server, SIZE);
    pane.line("rejoin run -k \"python3 -c 'import getpass; print(len(getpass.getpass()))'\"");
    pane.wait_for("Password:");
    pane.line("correct horse");
    pane.wait_for("13");
    assert!(!pane.text().contains("horse"));
    let events = server.client().get("/sessions/1/events").unwrap();
    let events = String::from_utf8(events.body).unwrap();
    assert!(
        events.contains("input-hidden") && !events.contains("horse"),
        "{events}"
    );
}

#[test]
fn an_editor_is_the_same_for_early_and_late_viewers_after_a_restart_and_in_a_replay() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let address = server.address.to_string();
    let (pane, late) = (Pane::open(&server, SIZE), Pane::open(&server, SIZE));
    let file = pane.directory().join("letter");
    pane.line(&format!("rejoin run {VI} {}", file.display()));
    pane.wait_for("~");
    pane.keys(&["i", "Dear é日本😀,", "Enter", "first line", "Escape"]);
    pane.wait_for("first line");

    late.line("rejoin attach 1 --watch");
    late.wait_for("first line");
    pane.keys(&["o", "second line", "Escape"]);
    for viewer in [&pane, &late] {
        viewer.wait_for("second line");
    }
    wait_until("both show the same", || pane.cells() == late.cells());
    assert_eq!(cells(&screen_of(&server, 1)), pane.cells());

    server.kill_alone();
    for viewer in [&pane, &late] {
        viewer.wait_for("connection lost");
    }
    let server = Server::start_at(data.path(), &address);
    pane.wait_until("the notice goes", |shown| {
        !shown.contains("connection lost")
    });
    late.wait_until("the notice goes", |shown| {
        !shown.contains("connection lost")
    });
    pane.keys(&["o", "third line", "Escape"]);
    for viewer in [&pane, &late] {
        viewer.wait_for("third line");
    }
    wait_until("both show the same", || pane.cells() == late.cells());
    let shown = screen_of(&server, 1);
    assert_eq!(cells(&shown), pane.cells());

    let last = get(&server, "/sessions/1")["lastSequence"]
        .as_u64()
        .unwrap();
    pane.keys(&[":wq", "Enter"]);
    pane.wait_for_prompt();
    let written = std::fs::read_to_string(&file).unwrap();
    assert_eq!(
        written,
        "Dear é日本😀,\nfirst line\nsecond line\nthird line\n"
    );
    assert_is_restored(&pane);
    late.wait_for("[job 1 completed]");

    // Without the server, at the same moment.
    drop(server);
    let (directory, until) = (data.path().to_str().unwrap(), last.to_string());
    let replayed = rejoin(&["replay", directory, "1", "--until", &until])
        .output()
        .unwrap();
    let begin = replayed.stdout.iter().position(|it| *it == 0x1b).unwrap();
    let mut screen = Screen::new(SIZE.0, SIZE.1);
    screen.feed(&replayed.stdout[begin..]);
    assert_eq!(cells(&screen), cells(&shown));
    let jumped = rejoin(&[
        "replay", directory, "1", "--from", &until, "--until", &until,
    ]);
    let jumped = { jumped }.output().unwrap();
    let mut screen = Screen::new(SIZE.0, SIZE.1);
    screen.feed(&jumped.stdout);
    assert_eq!(
        cells(&screen),
        cells(&shown),
        "a jump shows the screen at once"
    );
}

#[test]
fn who_leaves_comes_back_to_the_same_screen() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let mut pane = Pane::open(&server, SIZE);
    pane.line("rejoin shell");
    pane.wait_for("session 1");
    pane.line("PS1='inside> '; cd /; clear; seq 3");
    pane.wait_for("3\ninside>");
    let before = pane.cells();
    pane.detach();
    assert_is_restored(&pane);
    pane.line("clear; rejoin shell 1");
    pane.wait_for("3\ninside>");
    assert_eq!(pane.cells(), before);
    pane.line("clear; pwd; stty size");
    pane.wait_for("/\n24 90\ninside>");
    // The job's terminal follows the window.
    pane.resize((110, 30));
    wait_until("the size has changed", || {
        get(&server, "/sessions/1/jobs/1")["terminal"]["columns"] == 110
    });
    pane.line("clear; stty size");
    pane.wait_for("30 110");
    pane.line("exit 5");
    pane.wait_for_prompt();
    pane.line("echo \"status $?\"");
    pane.wait_for("status 5");
}

#[test]
fn a_smaller_terminal_shows_what_fits_and_control_can_be_taken() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let (large, small) = (
        Pane::open(&server, (100, 30)),
        Pane::open(&server, (40, 10)),
    );
    large.line("rejoin shell");
    large.wait_for("session 1");
    large.line("PS1='inside> '; clear; seq 25");
    large.wait_for("25\ninside>");
    small.line("rejoin attach 1");
    // The cursor is in the part that is shown.
    small.wait_until("the end of it is shown", |shown| {
        shown.contains("25\ninside>") && !shown.contains("\n9\n")
    });
    small.wait_for(" types, you watch");
    small.keys(&["x"]);
    small.wait_for(" types here");
    assert!(!large.text().contains("inside> x"));

    small.keys(&["C-\\", "t"]);
    wait_until("the size follows", || {
        get(&server, "/sessions/1/jobs/1")["terminal"]["columns"] == 40
    });
    large.wait_for("has taken control");
    small.line("clear; stty size");
    small.wait_for("10 40");
    large.wait_until("the other sees it", |shown| {
        shown.contains("10 40") && shown.contains("you watch")
    });
    // Leaving gives the control back, and the next who types has it.
    small.detach();
    large.line("clear; stty size");
    wait_until("the size follows", || {
        get(&server, "/sessions/1/jobs/1")["terminal"]["columns"] == 100
    });
    large.line("clear; stty size");
    large.wait_for("30 100");
}

#[test]
fn the_local_terminal_is_restored_whatever_happens() {
    let data = directory();
    let mut server = Server::start(data.path(), &["--interrupt-grace", "60s"]);
    let pane = Pane::open(&server, SIZE);
    let messy = "printf \"\\033[?1049h\\033[?1000h\\033[?1h\\033[?25l\\033[2;5rme%s\" ss";
    pane.line(&format!("rejoin run '{messy}'; echo \"status $?\""));
    pane.wait_for("status 0");
    assert_is_restored(&pane);

    for (signal, status) in [("TERM", 143), ("HUP", 129), ("QUIT", 131)] {
        let waits = format!("trap \"\" INT TERM; {messy}; sleep 1000; sleep 1000");
        pane.line(&format!("clear; rejoin run '{waits}'; echo \"status $?\""));
        pane.wait_for("mess");
        let tty = pane.is("#{pane_tty}");
        signal_on(&tty, signal);
        if signal == "TERM" {
            // The first interrupts the job, which ignores it.
            wait_until("it was interrupted", || {
                let events = server.client().get("/sessions/2/events").unwrap();
                String::from_utf8_lossy(&events.body).contains("interrupt-requested")
            });
            signal_on(&tty, signal);
        }
        pane.wait_for(&format!("status {status}"));
        assert_is_restored(&pane);
    }

    pane.line(&format!(
        "clear; rejoin run --reconnect-for 1s '{messy}; sleep 1000'; echo \"status $?\""
    ));
    pane.wait_for("mess");
    server.kill();
    pane.wait_for("status 125");
    assert!(
        pane.text().contains("could not reconnect"),
        "{}",
        pane.text()
    );
    assert_is_restored(&pane);
}

/// Sends a signal to the `rejoin` on a terminal.
fn signal_on(tty: &str, signal: &str) {
    let listed = Command::new("ps")
        .args(["-t", tty.trim_start_matches("/dev/"), "-o", "pid=,comm="])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let own = listed
        .lines()
        .find_map(|line| line.trim().strip_suffix(" rejoin"));
    let own = own.unwrap_or_else(|| panic!("no rejoin on {tty}: {listed}"));
    let sent = Command::new("kill")
        .args([&format!("-{signal}"), own.trim()])
        .status();
    assert!(sent.unwrap().success());
}

#[test]
fn full_screen_programs_and_prompts_work() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let pane = Pane::open(&server, SIZE);
    pane.line("rejoin run top -d 1");
    pane.wait_for("load average");
    pane.keys(&["q"]);
    pane.wait_for_prompt();
    pane.line("clear; rejoin run python3 -q");
    pane.wait_for(">>>");
    pane.line("6 * 7");
    pane.wait_for("42");
    pane.keys(&["C-d"]);
    pane.wait_for_prompt();
    pane.line("clear; seq 200 > numbers; rejoin run less $PWD/numbers; rm numbers");
    pane.wait_for("\n20\n");
    pane.keys(&["G"]);
    pane.wait_for("\n200\n");
    pane.keys(&["q"]);
    pane.wait_for_prompt();
    // Ctrl-C is the program's.
    pane.line("clear; rejoin run 'trap \"echo caught; exit 3\" INT; echo rea\"\"dy; sleep 1000'; echo \"status $?\"");
    pane.wait_for("ready");
    pane.keys(&["C-c"]);
    pane.wait_for("caught\nstatus 3");
    assert_is_restored(&pane);
}
