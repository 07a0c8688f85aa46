//! Jobs on a terminal, and the order of output without one. Every wait has a limit.

#![expect(
    clippy::disallowed_methods,
    reason = "how long a real process takes is a matter of real time"
)]

use crate::server::{Server, directory, running_under, text};
use crate::shell::{wait_until, wait_until_none_run};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rejoin_screen::Screen;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// One job of a session of its own, with a client that controls its terminal.
pub(crate) struct Terminal {
    pub(crate) session: String,
    pub(crate) job: u64,
}

const CLIENT: &str = "first";

impl Terminal {
    /// Starts a command on a terminal of 80 columns and 24 rows.
    pub(crate) fn start(server: &Server, statement: &str) -> Self {
        let new = json!({
            "statement": statement,
            "terminal": {"columns": 80, "rows": 24},
            "client": CLIENT,
        });
        Self::with(server, &new)
    }

    fn with(server: &Server, new: &Value) -> Self {
        let created = answer(server, "POST", "/sessions", Some(&json!({})));
        let session = text(&created.1["id"]);
        let path = format!("/sessions/{session}/jobs");
        let (status, submitted) = answer(server, "POST", &path, Some(new));
        assert_eq!(status, 201, "{submitted}");
        let job = submitted["job"].as_u64().unwrap();
        Self { session, job }
    }

    pub(crate) fn path(&self, end: &str) -> String {
        format!("/sessions/{}/jobs/{}{end}", self.session, self.job)
    }

    /// Types as a client. Returns the status and the problem, if there is one.
    fn type_as(&self, server: &Server, client: &str, keys: &[u8]) -> (u16, Value) {
        let path = self.path(&format!("/input?client={client}"));
        let mut connection = server.client();
        let received = connection.request("POST", &path, &[], keys).unwrap();
        let body = serde_json::from_slice(&received.body).unwrap_or_default();
        (received.status, body)
    }

    pub(crate) fn type_keys(&self, server: &Server, keys: &[u8]) {
        let (status, problem) = self.type_as(server, CLIENT, keys);
        assert_eq!(status, 204, "{problem}");
    }

    pub(crate) fn resize(&self, server: &Server, columns: u16, rows: u16) {
        let path = self.path(&format!("/size?client={CLIENT}"));
        let size = json!({"columns": columns, "rows": rows});
        let (status, problem) = answer(server, "PUT", &path, Some(&size));
        assert_eq!(status, 204, "{problem}");
    }

    pub(crate) fn events(&self, server: &Server) -> Vec<Value> {
        let mut events = vec![];
        let mut after = 0;
        loop {
            let path = format!("/sessions/{}/events?after={after}", self.session);
            let (status, page) = answer(server, "GET", &path, None);
            assert_eq!(status, 200, "{page}");
            let page = page["events"].as_array().unwrap().clone();
            let Some(last) = page.last() else {
                return events;
            };
            after = last["sequence"].as_u64().unwrap();
            events.extend(page);
        }
    }

    /// What the terminal has shown.
    pub(crate) fn output(&self, server: &Server) -> Vec<u8> {
        let events = self.events(server);
        let results = events.iter().filter(|event| event["type"] == "result");
        results
            .flat_map(|event| bytes_of(&event["result"]))
            .collect()
    }

    /// Waits until the terminal has shown this, and returns all that it has shown.
    pub(crate) fn shows(&self, server: &Server, what: &str) -> String {
        let mut shown = String::new();
        wait_until(&format!("it shows {what:?}"), || {
            shown = String::from_utf8_lossy(&self.output(server)).into_owned();
            shown.contains(what)
        });
        shown
    }

    pub(crate) fn wait_for_end(&self, server: &Server) -> Value {
        let mut end = Value::Null;
        wait_until("the job ends", || {
            let events = self.events(server);
            let ended = events.iter().find(|event| event["type"] == "job-finished");
            end = ended.cloned().unwrap_or_default();
            ended.is_some()
        });
        end
    }
}

/// The bytes of a result.
fn bytes_of(result: &Value) -> Vec<u8> {
    match result["contentBase64"].as_str() {
        Some(content) => STANDARD.decode(content).unwrap(),
        None => text(&result["content"]).into_bytes(),
    }
}

pub(crate) fn answer(
    server: &Server,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> (u16, Value) {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut connection = server.client();
    let headers = [("content-type", "application/json")];
    let received = connection
        .request(method, path, &headers, body.as_bytes())
        .unwrap();
    let body = serde_json::from_slice(&received.body).unwrap_or_default();
    (received.status, body)
}

#[test]
fn a_command_has_a_terminal_of_its_size_and_its_results_say_so() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let new = json!({
        "statement": "tty; stty size; echo $TERM ${COLUMNS-none}; test -t 0 && test -t 1 && test -t 2 && echo all",
        "terminal": {"columns": 132, "rows": 43},
        "client": "me",
    });
    let terminal = Terminal::with(&server, &new);
    let end = terminal.wait_for_end(&server);
    assert_eq!(end["status"], 0);
    let output = String::from_utf8(terminal.output(&server)).unwrap();
    assert!(output.starts_with("/dev/pts/"), "{output}");
    assert!(
        output.ends_with("\r\n43 132\r\nxterm-256color none\r\nall\r\n"),
        "{output}"
    );
    let events = terminal.events(&server);
    let submitted = events.iter().find(|it| it["type"] == "job-submitted");
    let submitted = submitted.unwrap();
    assert_eq!(submitted["output"], "terminal");
    assert_eq!(submitted["terminal"], json!({"columns": 132, "rows": 43}));
    assert_eq!(submitted["controller"]["client"], "me");
    let results = events.iter().filter(|it| it["type"] == "result");
    for result in results.map(|it| &it["result"]) {
        assert_eq!(result["type"], "terminal");
        assert_eq!(result["stream"], "terminal");
    }
    let (_, job) = answer(&server, "GET", &terminal.path(""), None);
    assert_eq!(job["output"], "terminal");
    assert_eq!(job["controller"], Value::Null, "it has ended");
}

#[test]
fn an_empty_command_is_the_users_shell_with_job_control() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let terminal = Terminal::start(&server, "");
    terminal.type_keys(&server, b"case $- in *i*) echo inter''active;; esac\n");
    terminal.shows(&server, "interactive");
    terminal.type_keys(&server, b"echo left $((6*7))\nexit 5\n");
    let end = terminal.wait_for_end(&server);
    assert_eq!(end["status"], 5, "{end}");
    let output = String::from_utf8_lossy(&terminal.output(&server)).into_owned();
    assert!(output.contains("left 42"), "{output}");
    // Without a terminal, there is nothing to run.
    let path = format!("/sessions/{}/jobs", terminal.session);
    let (status, _) = answer(&server, "POST", &path, Some(&json!({"statement": " "})));
    assert_eq!(status, 400);
}

#[test]
fn a_program_learns_that_its_terminal_has_another_size() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let statement = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done";
    let terminal = Terminal::start(&server, statement);
    terminal.shows(&server, "ready");
    terminal.resize(&server, 132, 43);
    terminal.shows(&server, "43 132");
    let events = terminal.events(&server);
    let resized = events.iter().find(|it| it["type"] == "terminal-resized");
    assert_eq!(resized.unwrap()["columns"], 132);
    let (_, job) = answer(&server, "GET", &terminal.path(""), None);
    assert_eq!(job["terminal"], json!({"columns": 132, "rows": 43}));
    // No terminal has such a size.
    let path = terminal.path(&format!("/size?client={CLIENT}"));
    for size in [(0, 24), (80, 0), (1_001, 24), (80, 501)] {
        let size = json!({"columns": size.0, "rows": size.1});
        let (status, problem) = answer(&server, "PUT", &path, Some(&size));
        assert_eq!((status, &problem["code"]), (400, &json!("invalid_size")));
    }
}

#[test]
fn one_client_controls_a_terminal_and_another_can_take_the_control() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let terminal = Terminal::start(&server, "cat");
    let (status, problem) = terminal.type_as(&server, "second", b"x\n");
    assert_eq!(status, 409);
    assert_eq!(problem["code"], "not_controller");
    assert_eq!(problem["controller"]["client"], CLIENT);
    let controller = terminal.path("/controller");
    let take = json!({"client": "second"});
    assert_eq!(answer(&server, "PUT", &controller, Some(&take)).0, 204);
    assert_eq!(terminal.type_as(&server, CLIENT, b"x\n").0, 409);
    let size = json!({"columns": 90, "rows": 20});
    let resize = terminal.path("/size?client=first");
    assert_eq!(answer(&server, "PUT", &resize, Some(&size)).0, 409);
    assert_eq!(terminal.type_as(&server, "second", b"mine\n").0, 204);
    terminal.shows(&server, "mine\r\nmine\r\n");
    // It is given back, and the next who types has it.
    let give = terminal.path("/controller?client=second");
    assert_eq!(answer(&server, "DELETE", &give, None).0, 204);
    assert_eq!(terminal.type_as(&server, "third", b"now me\n").0, 204);
    let events = terminal.events(&server);
    let changes = events
        .iter()
        .filter(|it| it["type"] == "controller-changed");
    let clients: Vec<_> = changes.map(|it| it["client"].clone()).collect();
    assert_eq!(clients, [json!("second"), Value::Null, json!("third")]);
    // What has no terminal has no controller.
    let path = format!("/sessions/{}/jobs", terminal.session);
    let plain = json!({"statement": "sleep 60", "background": true});
    let (_, plain) = answer(&server, "POST", &path, Some(&plain));
    let plain = format!("{path}/{}/controller", plain["job"]);
    let (status, problem) = answer(&server, "PUT", &plain, Some(&take));
    assert_eq!((status, &problem["code"]), (409, &json!("no_terminal")));
}

#[test]
fn merged_output_is_in_true_order_and_separate_streams_are_distinguished() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let statement = "for i in 1 2 3 4 5 6 7 8 9 10; do echo out $i; echo err $i >&2; done";
    let expected: String = (1..=10).map(|i| format!("out {i}\nerr {i}\n")).collect();
    let session = text(&answer(&server, "POST", "/sessions", Some(&json!({}))).1["id"]);
    let run = |new: &Value| {
        let path = format!("/sessions/{session}/jobs");
        let (status, submitted) = answer(&server, "POST", &path, Some(new));
        assert_eq!(status, 201, "{submitted}");
        let job = submitted["job"].as_u64().unwrap();
        let session = session.clone();
        let terminal = Terminal { session, job };
        wait_until("the job ends", || {
            let events = terminal.events(&server);
            let is_end = |it: &&Value| it["type"] == "job-finished" && it["job"] == job;
            events.iter().any(|it| is_end(&it))
        });
        let events = terminal.events(&server).into_iter();
        let results = events.filter(|it| it["type"] == "result" && it["job"] == job);
        results.map(|it| it["result"].clone()).collect::<Vec<_>>()
    };
    for _ in 0..40 {
        let results = run(&json!({"statement": statement}));
        let all: String = results.iter().map(|it| text(&it["content"])).collect();
        assert_eq!(all, expected);
        assert!(results.iter().all(|it| it["stream"] == "stdout"));
    }
    let results = run(&json!({"statement": statement, "output": "separate"}));
    for (stream, word) in [("stdout", "out"), ("stderr", "err")] {
        let of = results.iter().filter(|it| it["stream"] == stream);
        let all: String = of.map(|it| text(&it["content"])).collect();
        let expected: String = (1..=10).map(|i| format!("{word} {i}\n")).collect();
        assert_eq!(all, expected);
    }
}

#[test]
fn a_password_reaches_the_program_and_is_nowhere_in_the_log() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    // Its length and its first letter, so that it is not in the output either.
    let statement = "stty -echo; printf 'pass''word: '; read -r word; stty echo; \
                     printf '\\n%s of %s\\n' ${#word} ${word%\"${word#?}\"}; read -r line; echo got $line";
    let terminal = Terminal::start(&server, statement);
    terminal.shows(&server, "password: ");
    terminal.type_keys(&server, b"xyzzy-secret\n");
    terminal.shows(&server, "12 of x");
    terminal.type_keys(&server, b"seen by all\n");
    terminal.wait_for_end(&server);
    let events = terminal.events(&server);
    let hidden = events.iter().find(|it| it["type"] == "input-hidden");
    assert_eq!(hidden.unwrap()["bytes"], 13);
    let typed = events.iter().filter(|it| it["type"] == "input");
    let typed: Vec<_> = typed.map(|it| text(&it["content"])).collect();
    assert_eq!(typed, ["seen by all\n"]);
    server.kill();
    assert!(holds(data.path(), b"seen by all"), "the log is elsewhere");
    assert!(!holds(data.path(), b"xyzzy-secret"));
}

/// Whether a file in the directory or below contains these bytes.
fn holds(directory: &Path, bytes: &[u8]) -> bool {
    let files = std::fs::read_dir(directory).unwrap().flatten();
    files
        .map(|file| file.path())
        .any(|path| match path.is_dir() {
            true => holds(&path, bytes),
            false => {
                let content = std::fs::read(&path).unwrap_or_default();
                content.windows(bytes.len()).any(|part| part == bytes)
            }
        })
}

#[test]
fn an_interrupt_reaches_the_program_in_the_foreground_and_the_shell_goes_on() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let terminal = Terminal::start(&server, "exec bash --norc -i");
    terminal.type_keys(&server, b"PS1='in''put> '; sleep 50\n");
    wait_until("it sleeps", || runs_sleep(&terminal));
    let begin = Instant::now();
    let (status, _) = answer(&server, "POST", &terminal.path("/interrupt"), None);
    assert_eq!(status, 202);
    terminal.shows(&server, "input> ");
    // Far less than the time after which a firmer signal would follow.
    assert!(begin.elapsed() < Duration::from_secs(1));
    terminal.type_keys(&server, b"echo still $((1+1))\n");
    terminal.shows(&server, "still 2");
    terminal.type_keys(&server, b"exit 0\n");
    let end = terminal.wait_for_end(&server);
    assert_eq!(end["outcome"], "completed", "{end}");
}

#[test]
fn a_command_in_a_terminal_that_an_interrupt_ends_is_interrupted_and_not_failed() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let end_of = |terminal: &Terminal| {
        let end = terminal.wait_for_end(&server);
        (text(&end["outcome"]), end["status"].as_i64().unwrap())
    };
    let interrupted = Terminal::start(&server, "echo ready; sleep 1000");
    interrupted.shows(&server, "ready");
    let (status, _) = answer(&server, "POST", &interrupted.path("/interrupt"), None);
    assert!(status < 300, "{status}");
    assert_eq!(end_of(&interrupted), ("interrupted".into(), 130));

    let typed = Terminal::start(&server, "echo ready; sleep 1000");
    typed.shows(&server, "ready");
    typed.type_keys(&server, b"\x03");
    assert_eq!(end_of(&typed), ("interrupted".into(), 130));

    // A shell whose last command was interrupted reports that command's status, but ends for another
    // reason.
    for (keys, outcome, status) in [
        (b"exit\n".as_slice(), "failed", 130),
        (b"exit 0\n", "completed", 0),
    ] {
        let shell = Terminal::start(&server, "exec bash --norc -i");
        shell.type_keys(&server, b"PS1='in''put> '; sleep 50\n");
        wait_until("it sleeps", || runs_sleep(&shell));
        shell.type_keys(&server, b"\x03");
        shell.shows(&server, "input> ");
        shell.type_keys(&server, keys);
        assert_eq!(end_of(&shell), (outcome.into(), status));
    }
}

/// Whether `sleep` runs in the job of a terminal.
fn runs_sleep(terminal: &Terminal) -> bool {
    let sleeps =
        |process: &Path| std::fs::read(process.join("comm")).is_ok_and(|name| name == b"sleep\n");
    let running = running_under(&terminal.session);
    running.iter().any(|process| sleeps(process))
}

#[test]
fn closing_ends_everything_that_a_shell_has_started_on_its_terminal() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let terminal = Terminal::start(&server, "exec bash --norc -i");
    // In a group of its own, once with the session's mark and once without any environment.
    terminal.type_keys(
        &server,
        b"sleep 7701 & env -i sleep 7702 & echo star''ted\n",
    );
    terminal.shows(&server, "started");
    let sleeping = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|it| std::fs::read(it.path().join("cmdline")).ok());
        lines
            .filter(|line| line.starts_with(b"sleep\x007701") || line.starts_with(b"sleep\x007702"))
            .count()
    };
    wait_until("both sleep", || sleeping() == 2);
    let path = format!("/sessions/{}", terminal.session);
    assert_eq!(answer(&server, "DELETE", &path, None).0, 204);
    wait_until("none sleeps", || sleeping() == 0);
    wait_until_none_run("nothing is left", &terminal.session);
}

#[test]
fn bytes_that_are_no_text_and_characters_in_pieces_come_out_unaltered() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let statement = r"stty -opost; printf '\377\000\033[1m'; printf '\342\202'; sleep 0.1; printf '\254\303'; sleep 0.1; printf '\251 \360\237'";
    let terminal = Terminal::start(&server, statement);
    terminal.wait_for_end(&server);
    let expected = b"\xff\x00\x1b[1m\xe2\x82\xac\xc3\xa9 \xf0\x9f";
    assert_eq!(terminal.output(&server), expected);
    // What is typed arrives as it is, too.
    let statement = "stty raw -echo; echo ready; head -c 6 | od -An -tx1";
    let terminal = Terminal::start(&server, statement);
    terminal.shows(&server, "ready");
    terminal.type_keys(&server, b"\xff\x00\x03");
    terminal.type_keys(&server, b"\xe2\x82\xac");
    terminal.shows(&server, "ff 00 03 e2 82 ac");
}

#[test]
fn a_line_that_the_terminal_would_cut_is_refused() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let terminal = Terminal::start(&server, "stty -echo; echo ready; wc -c");
    terminal.shows(&server, "ready");
    // Cooked without echo hides: with echo, what is typed would fill the output.
    let (status, problem) = terminal.type_as(&server, CLIENT, &[b'x'; 4_096]);
    assert_eq!((status, &problem["code"]), (400, &json!("line_too_long")));
    let line = [&[b'x'; 4_095][..], b"\n"].concat();
    terminal.type_keys(&server, &line);
    // The rest of a line in another request counts, too.
    terminal.type_keys(&server, &[b'y'; 3_000]);
    assert_eq!(terminal.type_as(&server, CLIENT, &[b'y'; 2_000]).0, 400);
    terminal.type_keys(&server, b"\n\x04");
    terminal.shows(&server, "7097");
}

#[test]
fn a_terminal_goes_on_after_a_kill_of_the_server() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let statement = "echo ready; while read -r line; do echo got $line; stty size; done; echo end";
    let terminal = Terminal::start(&server, statement);
    terminal.shows(&server, "ready");
    terminal.type_keys(&server, b"one\n");
    terminal.shows(&server, "got one");
    server.kill_alone();
    let mut server = Server::start(data.path(), &[]);
    terminal.type_keys(&server, b"two\n");
    terminal.resize(&server, 100, 30);
    terminal.type_keys(&server, b"three\n");
    terminal.shows(&server, "30 100");
    terminal.shows(&server, "got three");
    server.kill_alone();
    let server = Server::start(data.path(), &[]);
    let path = terminal.path(&format!("/input?client={CLIENT}&end=true"));
    assert_eq!(answer(&server, "POST", &path, None).0, 204);
    let end = terminal.wait_for_end(&server);
    assert_eq!(end["status"], 0, "{end}");
    let output = String::from_utf8(terminal.output(&server)).unwrap();
    for once in ["got one", "got two", "got three", "\r\nend"] {
        assert_eq!(output.matches(once).count(), 1, "{output}");
    }
}

#[test]
fn without_a_keeper_a_terminal_works_and_ends_with_the_server() {
    let data = directory();
    let mut server = Server::start(data.path(), &["--keeper-wait", "0s"]);
    let terminal = Terminal::start(&server, "exec bash --norc -i");
    terminal.type_keys(&server, b"stty size; sleep 7703 & tty\n");
    terminal.shows(&server, "24 80");
    terminal.resize(&server, 100, 30);
    terminal.type_keys(&server, b"stty size\n");
    terminal.shows(&server, "30 100");
    server.signal("-TERM");
    wait_until_none_run("nothing is left", &terminal.session);
}

/// What the server says that the terminal shows, on a new terminal.
fn screen_at(server: &Server, terminal: &Terminal, query: &str) -> (Screen, u64) {
    let path = terminal.path(&format!("/screen{query}"));
    let (status, screen) = answer(server, "GET", &path, None);
    assert_eq!(status, 200, "{screen}");
    let number = |name: &str| u16::try_from(screen[name].as_u64().unwrap()).unwrap();
    let mut shown = Screen::new(number("columns"), number("rows"));
    let content = text(&screen["content"]);
    assert!(content.len() <= 64 * 1024, "{} bytes", content.len());
    shown.feed(content.as_bytes());
    (shown, screen["after"].as_u64().unwrap())
}

/// Takes in the events after a sequence and up to another, as a viewer does.
fn follow(screen: &mut Screen, events: &[Value], after: u64, to: u64) {
    let follows = |event: &&Value| {
        let sequence = event["sequence"].as_u64().unwrap();
        sequence > after && sequence <= to
    };
    for event in events.iter().filter(follows) {
        match event["type"].as_str() {
            Some("result") => screen.feed(&bytes_of(&event["result"])),
            Some("terminal-resized") => {
                let number = |name: &str| u16::try_from(event[name].as_u64().unwrap()).unwrap();
                screen.resize(number("columns"), number("rows"));
            }
            _ => {}
        }
    }
}

/// The screen of a viewer who was there from the beginning.
fn early(events: &[Value], to: u64) -> Screen {
    let mut screen = Screen::new(80, 24);
    follow(&mut screen, events, 0, to);
    screen
}

#[test]
fn a_late_viewer_sees_the_same_screen_in_the_past_and_after_a_kill() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let statement = r"printf 'one\r\n\033[?1049h\033[2J\033[5;10Hedi''ting\033[3;31m'; read -r x;
                      printf '\033[1;1Hline %s' $x; read -r x; printf '\033[?1049l two\r\n'; read -r x";
    let terminal = Terminal::start(&server, statement);
    terminal.shows(&server, "editing");
    let (screen, edited) = screen_at(&server, &terminal, "");
    assert!(
        screen
            .text()
            .lines()
            .nth(4)
            .unwrap()
            .starts_with("         editing"),
        "{}",
        screen.text()
    );
    terminal.resize(&server, 60, 20);
    server.kill_alone();
    let server = Server::start(data.path(), &[]);
    let (mut late, after) = screen_at(&server, &terminal, "");
    assert_eq!(late.size(), (60, 20));
    terminal.type_keys(&server, b"seven\n");
    terminal.shows(&server, "line seven");
    terminal.type_keys(&server, b"\n");
    terminal.shows(&server, " two");
    let events = terminal.events(&server);
    let last = events.last().unwrap()["sequence"].as_u64().unwrap();
    follow(&mut late, &events, after, last);
    let expected = early(&events, last);
    assert_eq!(late.content(), expected.content());
    assert!(late.text().starts_with("one"), "{}", late.text());
    // Any moment of the past, as it was then.
    let submitted = events.iter().find(|it| it["type"] == "job-submitted");
    let submitted = submitted.unwrap()["sequence"].as_u64().unwrap();
    for at in submitted..=last {
        let (then, after) = screen_at(&server, &terminal, &format!("?at={at}"));
        assert_eq!(after, at);
        assert_eq!(then.content(), early(&events, at).content(), "at {at}");
    }
    let (then, _) = screen_at(&server, &terminal, &format!("?at={edited}"));
    assert_eq!(then.text(), screen.text());
    let (status, _) = answer(&server, "GET", &terminal.path("/screen?at=1"), None);
    assert_eq!(status, 400, "there was no terminal yet");
}

#[test]
fn a_screen_needs_little_reading_after_much_output_and_when_the_job_has_ended() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let statement =
        "seq 1 180000; printf '\\033[2J\\033[H\\033[7mlast'; echo; echo done; read -r x";
    let terminal = Terminal::start(&server, statement);
    wait_until("it has written all", || {
        let (screen, _) = screen_at(&server, &terminal, "");
        screen.text().contains("done")
    });
    let captured = |events: &[Value]| {
        let captured = events.iter().filter(|it| it["type"] == "screen-captured");
        captured.count()
    };
    wait_until("screens were logged", || {
        captured(&terminal.events(&server)) >= 1
    });
    terminal.type_keys(&server, b"\n");
    terminal.wait_for_end(&server);
    let events = terminal.events(&server);
    let last = events.last().unwrap()["sequence"].as_u64().unwrap();
    let expected = early(&events, last).content();
    assert_eq!(screen_at(&server, &terminal, "").0.content(), expected);
    let middle = last / 2;
    let then = early(&events, middle).content();
    let at = format!("?at={middle}");
    assert_eq!(screen_at(&server, &terminal, &at).0.content(), then);
    server.kill();
    let server = Server::start(data.path(), &[]);
    assert_eq!(screen_at(&server, &terminal, "").0.content(), expected);
    assert_eq!(screen_at(&server, &terminal, &at).0.content(), then);
    // What has no terminal has no screen.
    let path = format!("/sessions/{}/jobs", terminal.session);
    let (_, plain) = answer(&server, "POST", &path, Some(&json!({"statement": "true"})));
    let path = format!("{path}/{}/screen", plain["job"]);
    let (status, problem) = answer(&server, "GET", &path, None);
    assert_eq!((status, &problem["code"]), (409, &json!("no_terminal")));
}

/// Two bytes of it clear half a million characters.
#[test]
fn a_terminal_that_is_slow_to_show_does_not_hold_up_the_others() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let slow = Terminal::with(
        &server,
        &json!({
            "statement": "yes \"$(printf '\\033c')\" | tr -d '\\n' | head -c 2000000; printf done; read x",
            "terminal": {"columns": 1000, "rows": 500},
            "client": CLIENT,
        }),
    );
    slow.shows(&server, "done");
    let quick = Terminal::start(&server, "echo quick; read x");
    quick.shows(&server, "quick");
    let screen = quick.path("/screen");
    let mut waiting = server.client();
    waiting
        .send_request("GET", &slow.path("/screen"), &[], b"")
        .unwrap();
    for _ in 0..5 {
        let begun = Instant::now();
        let (status, shown) = answer(&server, "GET", &screen, None);
        assert_eq!(status, 200, "{shown}");
        assert!(text(&shown["content"]).contains("quick"), "{shown}");
        let waited = begun.elapsed();
        assert!(waited < Duration::from_secs(15), "{waited:?}");
    }
}

#[test]
fn the_shell_of_a_terminal_can_be_chosen() {
    let data = directory();
    let server = Server::start(data.path(), &["--shell", "sh"]);
    let terminal = Terminal::start(&server, "");
    terminal.type_keys(&server, b"echo shell is $0\n");
    terminal.shows(&server, "shell is -sh");
    let chosen = |shell: &str, statement: &str| {
        json!({
            "shell": shell,
            "statement": statement,
            "terminal": {"columns": 80, "rows": 24},
            "client": CLIENT,
        })
    };
    let terminal = Terminal::with(&server, &chosen("/bin/bash", ""));
    terminal.type_keys(&server, b"shopt login_shell; echo $BASH-\n");
    terminal.shows(&server, "/bin/bash-");
    let shown = terminal.shows(&server, "login_shell");
    assert!(shown.contains("on\r\n"), "{shown}");
    // It becomes a word of a statement, and nothing else.
    let path = format!("/sessions/{}/jobs", terminal.session);
    for (shell, statement) in [
        ("", ""),
        ("sh; id", ""),
        ("-c", ""),
        ("a b", ""),
        ("$(id)", ""),
        ("sh", "id"),
    ] {
        let (status, problem) = answer(&server, "POST", &path, Some(&chosen(shell, statement)));
        assert_eq!(
            (status, &problem["code"]),
            (400, &json!("request_invalid")),
            "{shell}"
        );
    }
    let plain = json!({"shell": "sh"});
    assert_eq!(answer(&server, "POST", &path, Some(&plain)).0, 400);
}
