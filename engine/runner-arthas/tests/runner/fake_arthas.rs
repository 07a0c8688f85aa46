//! A scripted Arthas: it answers as the real one does, and can fail in every way.

use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A server on a free port of loopback. It stops answering when it is dropped.
pub(crate) struct FakeArthas {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    is_stopped: AtomicBool,
}

/// What an Arthas knows, and how it misbehaves.
#[derive(Default)]
pub(crate) struct State {
    /// The sessions that are open, with the results that wait in each.
    pub(crate) sessions: BTreeMap<String, VecDeque<Value>>,
    /// Every request, in order.
    pub(crate) requests: Vec<Value>,
    /// The `Authorization` header of the last request.
    pub(crate) authorization: Option<String>,
    /// What is returned instead of every answer: a status and a body.
    pub(crate) instead: Option<(u16, &'static str)>,
    /// Whether it takes requests and answers none.
    pub(crate) hangs: bool,
    /// Whether interrupts are ignored.
    pub(crate) ignores_interrupts: bool,
    jobs: u64,
    made: u64,
}

impl FakeArthas {
    pub(crate) fn start() -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    /// Another one at the address of one that was stopped.
    pub(crate) fn start_at(address: SocketAddr) -> Self {
        Self::listen(TcpListener::bind(address).unwrap())
    }

    fn listen(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            is_stopped: AtomicBool::new(false),
        });
        let served = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if served.is_stopped.load(Ordering::SeqCst) {
                    return;
                }
                let served = served.clone();
                std::thread::spawn(move || served.serve(stream.unwrap()));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    /// Adds results to the only session that is open.
    pub(crate) fn emit(&self, results: impl IntoIterator<Item = Value>) {
        let mut state = self.state();
        let queue = state
            .sessions
            .values_mut()
            .next()
            .expect("a session is open");
        queue.extend(results);
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Waits until something is true of what it knows.
    pub(crate) fn wait_until(&self, what: &str, is_true: impl Fn(&State) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut state = self.state();
        while !is_true(&state) {
            assert!(Instant::now() < deadline, "waited too long until {what}");
            let wait = Duration::from_millis(50);
            state = self.shared.changed.wait_timeout(state, wait).unwrap().0;
        }
    }

    /// The actions that were asked for, in order.
    pub(crate) fn actions(&self) -> Vec<String> {
        let state = self.state();
        let actions = state.requests.iter();
        actions
            .map(|request| request["action"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Drop for FakeArthas {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        self.shared.changed.notify_all();
        // The listener's thread takes one more connection, and ends.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut length, mut authorization, mut line) = (0, None, String::new());
        while reader.read_line(&mut line).unwrap_or(0) > 2 {
            if let Some((name, value)) = line.trim_end().split_once(": ") {
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.parse().unwrap(),
                    "authorization" => authorization = Some(value.to_owned()),
                    _ => {}
                }
            }
            line.clear();
        }
        let mut body = vec![0; length];
        if length == 0 || reader.read_exact(&mut body).is_err() {
            return;
        }
        let request: Value = serde_json::from_slice(&body).unwrap();
        let (status, answer) = {
            let mut state = self.state.lock().unwrap();
            state.requests.push(request.clone());
            state.authorization = authorization;
            self.changed.notify_all();
            match state.instead {
                Some((status, body)) => (status, body.to_owned()),
                None => {
                    while state.hangs && !self.is_stopped.load(Ordering::SeqCst) {
                        state = self.changed.wait(state).unwrap();
                    }
                    drop(state);
                    (200, self.answer(&request).to_string())
                }
            }
        };
        if self.is_stopped.load(Ordering::SeqCst) {
            return;
        }
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            answer.len()
        );
        let _ = stream.write_all((head + &answer).as_bytes());
    }

    fn answer(&self, request: &Value) -> Value {
        let action = request["action"].as_str().unwrap();
        if action == "pull_results" {
            return self.pull(request);
        }
        let mut state = self.state.lock().unwrap();
        let session = request["sessionId"].as_str().unwrap_or_default().to_owned();
        match action {
            "init_session" => {
                state.made += 1;
                let id = format!("session-{}", state.made);
                let welcome =
                    json!({"type": "message", "jobId": 0, "message": "Welcome to arthas!"});
                state.sessions.insert(id.clone(), [welcome].into());
                json!({"state": "SUCCEEDED", "sessionId": id, "consumerId": format!("of-{id}")})
            }
            "exec" => {
                let result = json!({"type": "ognl", "jobId": 1, "value": "@Integer[50]"});
                json!({"state": "SUCCEEDED", "sessionId": "once", "body": {"results": [result]}})
            }
            _ if !state.sessions.contains_key(&session) => {
                json!({"state": "FAILED", "message": format!("session not found: {session}")})
            }
            "async_exec" if request["command"] == "nosuch" => {
                let reason = "Async exec command failed:java.lang.IllegalArgumentException: \
                              nosuch: command not found";
                json!({"state": "FAILED", "message": reason})
            }
            "async_exec" => {
                state.jobs += 1;
                let job = state.jobs;
                json!({"state": "SCHEDULED", "body": {"jobId": job, "jobStatus": "READY"}})
            }
            "interrupt_job" => {
                let job = state.jobs;
                if !state.ignores_interrupts {
                    let end = json!({"type": "status", "jobId": job, "statusCode": 0});
                    state.sessions.get_mut(&session).unwrap().push_back(end);
                    self.changed.notify_all();
                }
                json!({"state": "SUCCEEDED", "body": {"jobId": job, "jobStatus": "TERMINATED"}})
            }
            "session_info" => json!({"state": "SUCCEEDED", "sessionId": session}),
            "close_session" => {
                state.sessions.remove(&session);
                self.changed.notify_all();
                json!({"state": "SUCCEEDED"})
            }
            action => json!({"state": "FAILED", "message": format!("unknown action: {action}")}),
        }
    }

    /// Up to twenty results, after waiting up to two seconds for the first.
    fn pull(&self, request: &Value) -> Value {
        let session = request["sessionId"].as_str().unwrap_or_default();
        let deadline = Instant::now() + Duration::from_secs(2);
        let mut state = self.state.lock().unwrap();
        loop {
            let Some(queue) = state.sessions.get_mut(session) else {
                return json!({"state": "FAILED", "message": format!("session not found: {session}")});
            };
            let count = queue.len().min(20);
            let is_late = Instant::now() >= deadline || self.is_stopped.load(Ordering::SeqCst);
            if count > 0 || is_late {
                let results: Vec<_> = queue.drain(..count).collect();
                return json!({"state": "SUCCEEDED", "body": {"results": results}});
            }
            state = self
                .changed
                .wait_timeout(state, Duration::from_millis(20))
                .unwrap()
                .0;
        }
    }
}
