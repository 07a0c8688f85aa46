//! A directory as a killed server leaves it, and what was pulled from it before.

use crate::server::{Server, directory, is_status_of};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use tempfile::TempDir;

pub(super) struct Killed {
    /// The session with everything in it; its number is 1.
    pub(super) session: String,
    /// Another session, with one job.
    pub(super) other: String,
    /// What a consumer of it was given before the kill.
    pub(super) pulled: Vec<Value>,
    copy: TempDir,
}

impl Killed {
    pub(super) fn new() -> Self {
        let data = directory();
        let mut server = Server::start(data.path(), &[]);
        let (session, consumer) = server.create();
        let (other, _) = server.create();
        let finished = |statement: &str| {
            let job = server.run(&session, statement);
            let late = server.join(&session);
            server.pull_until(&session, &late, is_status_of(job));
        };
        finished("printf 'one\\ntwo'; echo problem >&2; sleep 0.3");
        finished("printf '\\377\\000\\376\\n\\303\\251'");
        server.run(&session, "echo ready; exec sleep 1000");
        let late = server.join(&session);
        server.pull_until(&session, &late, |result| result["content"] == "ready\n");
        let interrupt = json!({"action": "interrupt_job", "sessionId": session});
        assert_eq!(server.api(&interrupt)["state"], "SUCCEEDED");
        server.pull_until(&session, &late, is_status_of(3));
        assert_eq!(server.exec(&session, "echo private").len(), 2);
        server.run(&other, "echo elsewhere");
        let job = server.run(&session, "echo running; sleep 3");
        let pulled = server.pull_until(&session, &consumer, |result| {
            result["content"] == "running\n" && result["jobId"] == job
        });
        server.kill();
        let copy = directory();
        let copied = Command::new("cp")
            .args(["-rp", data.path().to_str().unwrap()])
            .arg(copy.path().join("data"))
            .status();
        assert!(copied.unwrap().success());
        let writable = Command::new("chmod")
            .args(["-R", "a-w"])
            .arg(copy.path().join("data"))
            .status();
        assert!(writable.unwrap().success());
        Self {
            session,
            other,
            pulled,
            copy,
        }
    }

    /// A copy of the directory that nobody but root could write to.
    pub(super) fn copy(&self) -> &'static str {
        // It lives as long as the test program.
        let path = self.copy.path().join("data").to_str().unwrap().to_owned();
        path.leak()
    }

    /// A copy of the copy, for a test to change.
    pub(super) fn own_copy(&self) -> TempDir {
        let own = directory();
        copy_files(Path::new(self.copy()), own.path());
        own
    }
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for found in from.read_dir().unwrap() {
        let path = found.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_files(&path, &target);
        } else if path.is_file() {
            fs::write(target, fs::read(&path).unwrap()).unwrap();
        }
    }
}

/// Everything in a directory: names, bytes, and when each was changed.
pub(super) fn all_of(directory: &str) -> Vec<(PathBuf, Vec<u8>, SystemTime)> {
    let mut all = vec![];
    let mut left = vec![PathBuf::from(directory)];
    while let Some(path) = left.pop() {
        let changed = path.metadata().unwrap().modified().unwrap();
        let bytes = if path.is_dir() {
            left.extend(path.read_dir().unwrap().map(|it| it.unwrap().path()));
            vec![]
        } else if !path.is_file() {
            // A keeper's socket.
            continue;
        } else {
            fs::read(&path).unwrap()
        };
        all.push((path, bytes, changed));
    }
    all.sort();
    all
}

/// The bytes that a shell's result carries.
pub(super) fn bytes_of(result: &Value) -> Vec<u8> {
    match (&result["content"], &result["contentBase64"]) {
        (Value::String(content), _) => content.clone().into_bytes(),
        (_, Value::String(content)) => {
            use base64::Engine;
            let decoded = base64::engine::general_purpose::STANDARD.decode(content);
            decoded.unwrap()
        }
        _ => panic!("no content in {result}"),
    }
}

/// The instant of a record, in seconds of its day.
pub(super) fn seconds(record: &Value) -> f64 {
    let at = record["at"].as_str().unwrap();
    let (_, time) = at.trim_end_matches('Z').split_once('T').unwrap();
    let parts = time.split(':').map(|part| part.parse::<f64>().unwrap());
    parts.fold(0.0, |sum, part| sum * 60.0 + part)
}
