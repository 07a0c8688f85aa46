//! Servers of NATS that tests start and stop.

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Some servers that form a cluster, or one. They are killed when this is dropped.
pub(crate) struct Servers {
    launched: Launched,
    /// Tests with servers run one after another: electing leaders takes seconds already.
    _turn: MutexGuard<'static, ()>,
}

struct Launched {
    directory: tempfile::TempDir,
    servers: Vec<Server>,
}

struct Server {
    client: u16,
    monitor: u16,
    child: Option<Child>,
}

static TURN: Mutex<()> = Mutex::new(());

/// Waits for the turn of a test with servers.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a server differs from the usual.
#[derive(Clone, Copy)]
pub(crate) struct ServerOptions {
    pub(crate) syncs: bool,
    pub(crate) max_payload: usize,
    /// Bytes of all streams.
    pub(crate) max_store: usize,
}

impl ServerOptions {
    pub(crate) const USUAL: Self = Self {
        syncs: true,
        max_payload: 1024 * 1024,
        max_store: 1024 * 1024 * 1024,
    };
}

impl Servers {
    /// Starts servers and waits until they answer, and until they have a leader.
    pub(crate) fn start(count: usize, options: ServerOptions) -> Self {
        Self::start_with(count, options, "")
    }

    /// With more lines of configuration.
    pub(crate) fn start_with(count: usize, options: ServerOptions, more: &str) -> Self {
        let turn = turn();
        // Another program may take a port before the server does.
        for _ in 0..10 {
            let (directory, servers) = launch(count, options, more);
            let mut started = Launched { directory, servers };
            if started.are_ready() {
                return Self {
                    launched: started,
                    _turn: turn,
                };
            }
        }
        panic!("the servers could not be started");
    }

    /// The addresses for clients.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let servers = self.launched.servers.iter();
        servers
            .map(|server| format!("nats://127.0.0.1:{}", server.client))
            .collect()
    }

    /// The addresses of the monitoring.
    pub(crate) fn monitoring(&self) -> Vec<String> {
        let servers = self.launched.servers.iter();
        servers
            .map(|server| format!("127.0.0.1:{}", server.monitor))
            .collect()
    }

    /// The server that leads a stream, as all that run say. Waits until they agree.
    pub(crate) fn leader(&self, stream: &str) -> usize {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let said: Vec<_> = self
                .launched
                .servers
                .iter()
                .filter(|server| server.child.is_some())
                .map(|server| leader_says(server.monitor, stream))
                .collect();
            if let Some(Some(leader)) = said.first()
                && said.iter().all(|other| other.as_ref() == Some(leader))
                && let Some(index) = leader.strip_prefix('s')
            {
                return index.parse().unwrap();
            }
            assert!(
                Instant::now() < until,
                "the servers don't agree on a leader: {said:?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// As `kill -9`.
    pub(crate) fn kill(&mut self, index: usize) {
        if let Some(mut child) = self.launched.servers[index].child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Ends a server cleanly.
    pub(crate) fn stop(&mut self, index: usize) {
        if let Some(mut child) = self.launched.servers[index].child.take() {
            let asked = Command::new("kill")
                .args(["-TERM", &child.id().to_string()])
                .status();
            assert!(asked.unwrap().success());
            child.wait().unwrap();
        }
    }

    /// A server hangs: it is there and says nothing.
    pub(crate) fn suspend(&self, index: usize) {
        self.signal(index, "-STOP");
    }

    /// It goes on.
    pub(crate) fn resume(&self, index: usize) {
        self.signal(index, "-CONT");
    }

    fn signal(&self, index: usize, signal: &str) {
        let child = self.launched.servers[index].child.as_ref().unwrap();
        let sent = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Starts a server again, and waits until it has caught up.
    pub(crate) fn restart(&mut self, index: usize) {
        self.launched.servers[index].child = Some(run(self.launched.directory.path(), index));
        assert!(self.launched.are_ready());
    }

    /// Starts all servers that don't run, and waits until all have caught up.
    pub(crate) fn restart_all(&mut self) {
        let directory = self.launched.directory.path();
        for (index, server) in self.launched.servers.iter_mut().enumerate() {
            server.child.get_or_insert_with(|| run(directory, index));
        }
        assert!(self.launched.are_ready());
    }

    pub(crate) fn store(&self, index: usize) -> PathBuf {
        self.launched.directory.path().join(format!("js{index}"))
    }

    /// What a server has written to its log since it was started.
    pub(crate) fn said(&self, index: usize) -> String {
        std::fs::read_to_string(server_log(self.launched.directory.path(), index)).unwrap()
    }

    /// An answer of JetStream's API, asked for over a connection of its own.
    pub(crate) fn ask(&self, subject: &str, body: &str) -> String {
        let mut lines = self.send(subject, body, "");
        loop {
            let line = lines.next().unwrap().unwrap();
            if line.starts_with("MSG ") {
                return lines.next().unwrap().unwrap();
            }
        }
    }

    /// Sends again what was asked for, with the same reply subject. Returns when the server has it.
    pub(crate) fn send_again(&self, subject: &str, body: &str) {
        let mut lines = self.send(subject, body, "PING\r\n");
        while lines.next().unwrap().unwrap() != "PONG" {}
    }

    fn send(&self, subject: &str, body: &str, more: &str) -> Lines<BufReader<TcpStream>> {
        let mut servers = self.launched.servers.iter();
        let server = servers.find(|server| server.child.is_some());
        let mut stream = TcpStream::connect(("127.0.0.1", server.unwrap().client)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let inbox = "_INBOX.tests";
        let request = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\nSUB {inbox} 1\r\n\
             PUB {subject} {inbox} {}\r\n{body}\r\n{more}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        BufReader::new(stream).lines()
    }
}

impl Launched {
    /// Whether all servers answer that they are healthy. False: one has ended.
    fn are_ready(&mut self) -> bool {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if self.servers.iter_mut().any(Server::has_ended) {
                return false;
            }
            let healthy = |server: &Server| {
                http(server.monitor, "/healthz").is_some_and(|answer| answer.contains("\"ok\""))
            };
            if self.servers.iter().all(healthy) {
                return true;
            }
            assert!(Instant::now() < until, "the servers did not become healthy");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        for server in &mut self.servers {
            if let Some(child) = &mut server.child {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

impl Server {
    fn has_ended(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_some_and(|child| child.try_wait().unwrap().is_some())
    }
}

fn launch(count: usize, options: ServerOptions, more: &str) -> (tempfile::TempDir, Vec<Server>) {
    let directory = tempfile::tempdir().unwrap();
    let ports: Vec<_> = (0..count).map(|_| [port(), port(), port()]).collect();
    let routes: Vec<_> = ports
        .iter()
        .map(|[_, route, _]| format!("\"nats://127.0.0.1:{route}\""))
        .collect();
    let routes = routes.join(", ");
    let mut servers = Vec::new();
    for (index, [client, route, monitor]) in ports.into_iter().enumerate() {
        let store = directory.path().join(format!("js{index}"));
        let sync = if options.syncs {
            "sync_interval: always"
        } else {
            ""
        };
        let cluster = if count > 1 {
            format!("cluster {{ name: rj, listen: \"127.0.0.1:{route}\", routes: [{routes}] }}\n")
        } else {
            String::new()
        };
        let text = format!(
            "server_name: s{index}\nlisten: \"127.0.0.1:{client}\"\n\
             http: \"127.0.0.1:{monitor}\"\nmax_payload: {}\n\
             jetstream {{ store_dir: {store:?}\n {sync}\n max_file_store: {} }}\n{cluster}{more}\n",
            options.max_payload, options.max_store
        );
        std::fs::write(configuration(directory.path(), index), text).unwrap();
        servers.push(Server {
            client,
            monitor,
            child: Some(run(directory.path(), index)),
        });
    }
    (directory, servers)
}

/// A free port below those that the system gives to clients.
fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 12_000 + u16::try_from(std::process::id() % 15_000).unwrap();
    loop {
        let port = base + NEXT.fetch_add(1, Ordering::Relaxed) % 5_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn configuration(directory: &Path, index: usize) -> PathBuf {
    directory.join(format!("s{index}.conf"))
}

fn server_log(directory: &Path, index: usize) -> PathBuf {
    directory.join(format!("s{index}.log"))
}

fn run(directory: &Path, index: usize) -> Child {
    let program = std::env::var("NATS_SERVER").unwrap_or_else(|_| "nats-server".to_owned());
    let log = std::fs::File::create(server_log(directory, index)).unwrap();
    let started = Command::new(program)
        .arg("-c")
        .arg(configuration(directory, index))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    started.expect("nats-server is needed: see need_nats in .ci/run")
}

fn http(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let answer = std::io::read_to_string(stream).ok()?;
    Some(answer.split_once("\r\n\r\n")?.1.to_owned())
}

fn leader_says(monitor: u16, stream: &str) -> Option<String> {
    let answer = http(monitor, "/jsz?accounts=true&streams=true")?;
    let answer: serde_json::Value = serde_json::from_str(&answer).ok()?;
    let streams = answer["account_details"][0]["stream_detail"].as_array()?;
    let stream = streams.iter().find(|it| it["name"] == stream)?;
    Some(stream["cluster"]["leader"].as_str()?.to_owned())
}
