//! A server of the test's own, on a free port, with a log of its own.

use rejoin_http::test_client::{Client, Received};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a test waits for what is sure to come: longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running server, killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) first_line: String,
    /// What else it says on its standard output.
    pub(crate) out: BufReader<ChildStdout>,
    /// Where its shell's files are, and its keepers' sockets.
    shell: Option<PathBuf>,
    /// Whether a test has killed it: what it leaves is the next server's.
    is_killed: bool,
}

/// A place for a log.
pub(crate) fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The binary with these arguments, its output captured.
pub(crate) fn rejoin(arguments: &[&str]) -> Command {
    // Who runs the tests in the background of a script has SIGINT ignored in all that they start.
    under(&[], arguments)
}

/// As [`rejoin`], started by another program.
pub(crate) fn under(starter: &[&str], arguments: &[&str]) -> Command {
    let mut command = Command::new("env");
    command
        .arg("--default-signal=INT")
        .args(starter)
        .arg(env!("CARGO_BIN_EXE_rejoin"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // A developer's own settings are not the tests'.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("REJOIN_")) {
        command.env_remove(name);
    }
    // A test that fails leaves no job for long.
    command.env("REJOIN_KEEPER_WAIT", "1m");
    command
}

fn serve(address: &str, data: &Path, more: &[&str]) -> Command {
    let data = data.to_str().unwrap();
    let mut arguments = vec!["serve", "--listen", address, "--data", data];
    arguments.extend(more);
    rejoin(&arguments)
}

impl Server {
    /// Starts a server on the log in `data`, and waits until it listens.
    pub(crate) fn start(data: &Path, more: &[&str]) -> Self {
        Self::start_saying(data, more, Stdio::inherit())
    }

    /// As [`Self::start`], at an address that clients know.
    pub(crate) fn start_at(data: &Path, address: &str) -> Self {
        Self::started(address, data, &[], Stdio::inherit())
    }

    /// As [`Self::start`], with its standard error there.
    pub(crate) fn start_saying(data: &Path, more: &[&str], err: Stdio) -> Self {
        Self::started("127.0.0.1:0", data, more, err)
    }

    /// As [`Self::start`], by a command that ends by executing its arguments.
    pub(crate) fn start_by(command: &[&str], data: &Path, more: &[&str]) -> Self {
        let server = serve("127.0.0.1:0", data, more);
        let mut by = Command::new(command[0]);
        by.args(&command[1..]).arg(server.get_program());
        by.args(server.get_args()).stdin(Stdio::null());
        Self::spawned(&mut by)
    }

    fn started(address: &str, data: &Path, more: &[&str], err: Stdio) -> Self {
        Self::spawned(serve(address, data, more).stderr(err))
    }

    /// Waits until the server that this command starts listens.
    pub(crate) fn spawned(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut first_line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut first_line).unwrap();
        let address = first_line
            .split("://")
            .nth(1)
            .and_then(|rest| rest.split(',').next())
            .unwrap_or_else(|| panic!("no address in {first_line:?}"))
            .parse()
            .unwrap();
        let mut arguments = command.get_args().skip_while(|it| *it != "--data");
        let data = arguments.nth(1).map(Path::new);
        let shell = data.and_then(|data| data.join("shell").canonicalize().ok());
        Self {
            child,
            address,
            first_line,
            out,
            shell,
            is_killed: false,
        }
    }

    pub(crate) fn client(&self) -> Client {
        let client = Client::connect(self.address).unwrap();
        client.set_patience(Duration::from_secs(60)).unwrap();
        client
    }

    /// One request on a connection of its own.
    pub(crate) fn api(&self, request: &Value) -> Value {
        api(&mut self.client(), request)
    }

    /// The session's and its creator's identities.
    pub(crate) fn create(&self) -> (String, String) {
        let created = self.api(&json!({"action": "init_session"}));
        assert_eq!(created["state"], "SUCCEEDED", "{created}");
        (text(&created["sessionId"]), text(&created["consumerId"]))
    }

    pub(crate) fn join(&self, session: &str) -> String {
        text(&self.api(&json!({"action": "join_session", "sessionId": session}))["consumerId"])
    }

    /// Runs a statement in the session, and answers its job's number.
    pub(crate) fn run(&self, session: &str, command: &str) -> u64 {
        let scheduled =
            self.api(&json!({"action": "async_exec", "sessionId": session, "command": command}));
        assert_eq!(scheduled["state"], "SCHEDULED", "{scheduled}");
        scheduled["body"]["jobId"].as_u64().unwrap()
    }

    /// Runs a statement to its end, and answers its results.
    pub(crate) fn exec(&self, session: &str, command: &str) -> Vec<Value> {
        let done = self.api(&json!({"action": "exec", "sessionId": session, "command": command}));
        assert_eq!(done["state"], "SUCCEEDED", "{done}");
        done["body"]["results"].as_array().unwrap().clone()
    }

    /// Everything that a consumer gets until `is_last` is among it.
    #[expect(
        clippy::disallowed_methods,
        reason = "a real server is waited for, with a deadline"
    )]
    pub(crate) fn pull_until(
        &self,
        session: &str,
        consumer: &str,
        is_last: impl Fn(&Value) -> bool,
    ) -> Vec<Value> {
        let mut client = self.client();
        let mut results = vec![];
        let pull = json!({"action": "pull_results", "sessionId": session, "consumerId": consumer});
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let pulled = api(&mut client, &pull);
            assert_eq!(pulled["state"], "SUCCEEDED", "{pulled}");
            let batch = pulled["body"]["results"].as_array().unwrap();
            let is_over = batch.iter().any(&is_last);
            results.extend(batch.iter().cloned());
            if is_over {
                return results;
            }
        }
        let last = &results[results.len().saturating_sub(10)..];
        panic!(
            "the last result did not come in {PATIENCE:?}; of {} results the last are {last:?}",
            results.len()
        );
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks the server to end, as an administrator does.
    pub(crate) fn send_signal(&self, signal: &str) {
        let id = self.id().to_string();
        let kill = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(kill.success());
    }

    /// Asks the server to end, and waits for it.
    pub(crate) fn signal(&mut self, signal: &str) -> ExitStatus {
        self.send_signal(signal);
        self.child.wait().unwrap()
    }

    /// Waits for the end of the server.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Ends the server and its keepers, so that its jobs are lost.
    pub(crate) fn kill(&mut self) {
        self.kill_alone();
        self.keepers().into_iter().for_each(end);
    }

    /// Ends the server as a crash does: its keepers stay.
    pub(crate) fn kill_alone(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.is_killed = true;
    }

    /// The processes that hold its jobs.
    pub(crate) fn keepers(&self) -> Vec<u32> {
        let Some(shell) = &self.shell else {
            return vec![];
        };
        let sockets = shell.join("keepers/").into_os_string().into_encoded_bytes();
        processes_where("cmdline", |arguments| {
            arguments.get(1) == Some(&&b"keeper"[..])
                && arguments.get(2).is_some_and(|it| it.starts_with(&sockets))
        })
    }
}

/// Nothing of a test is left behind.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if self.is_killed {
            return;
        }
        self.keepers().into_iter().for_each(end);
        let mark = self.shell.as_ref().map(|shell| shell.join("mark"));
        let mark = mark.and_then(|mark| std::fs::read_to_string(mark).ok());
        let mark = mark
            .as_deref()
            .and_then(|mark| mark.lines().next()?.strip_prefix("mark "));
        if let Some(mark) = mark {
            let marked = format!("REJOIN_MARK={mark}").into_bytes();
            let jobs = processes_where("environ", |variables| variables.contains(&&*marked));
            jobs.into_iter().for_each(end);
        }
    }
}

/// The processes of which a file has such parts, which end with a NUL.
fn processes_where(file: &str, is: impl Fn(&[&[u8]]) -> bool) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let found = processes.filter_map(|process| {
        let id = process.file_name().to_str()?.parse().ok()?;
        let content = std::fs::read(process.path().join(file)).unwrap_or_default();
        let parts: Vec<_> = content.split(|byte| *byte == 0).collect();
        is(&parts).then_some(id)
    });
    found.collect()
}

/// Kills a process, which may have ended.
pub(crate) fn end(process: u32) {
    let id = process.to_string();
    let _ = Command::new("kill")
        .args(["-KILL", &id])
        .stderr(Stdio::null())
        .status();
}

/// One request of the API.
pub(crate) fn api(client: &mut Client, request: &Value) -> Value {
    let received: Received = client.post("/api", &request.to_string()).unwrap();
    assert_eq!(received.status, 200);
    received.json()
}

pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a text: {value}"))
        .to_owned()
}

/// Whether this is the last result of a job.
pub(crate) fn is_status_of(job: u64) -> impl Fn(&Value) -> bool {
    move |result| result["type"] == "status" && result["jobId"] == job
}

/// What the shell's results say on a stream, put together.
pub(crate) fn said(results: &[Value], stream: &str) -> String {
    results
        .iter()
        .filter(|result| result["type"] == "shell" && result["stream"] == stream)
        .map(|result| text(&result["content"]))
        .collect()
}

/// Runs the binary to its end: its status, standard output and standard error.
pub(crate) fn outcome(arguments: &[&str]) -> (ExitStatus, String, String) {
    let mut child = rejoin(arguments).spawn().unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut err)
        .unwrap();
    (child.wait().unwrap(), out, err)
}

/// Processes that the shell service has started for this session and that still run.
pub(crate) fn running_under(session: &str) -> Vec<PathBuf> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .map(|process| process.path())
        .filter(|process| runs_under(process, session))
        .collect()
}

/// Whether this process, by its directory under `/proc`, runs and is one of the session's.
pub(crate) fn runs_under(process: &Path, session: &str) -> bool {
    let wanted = format!("REJOIN_SESSION={session}");
    let environment = std::fs::read(process.join("environ")).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .any(|variable| variable == wanted.as_bytes())
}

/// Whether a test can be done here, which a command tries. Says so where it can't: CI can.
pub(crate) fn can(what: &str, program: &str, arguments: &[&str]) -> bool {
    let tried = Command::new(program).args(arguments).output();
    let can = tried.is_ok_and(|tried| tried.status.success());
    if !can {
        // Not `eprintln!`, which is shown for failed tests only.
        let _ = writeln!(
            std::io::stderr(),
            "NOT TESTED: cannot {what} here, as root can"
        );
    }
    can
}
