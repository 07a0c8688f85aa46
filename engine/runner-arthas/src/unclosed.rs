//! The sessions in Arthas that are not closed, in files. After a restart the runner goes on with the
//! commands that run in them, and closes all others, so that no command runs on in the JVM without a
//! reader.

use crate::limits::ID;
use rejoin_engine::{Exit, JobId, Submission};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::PathBuf;

/// A directory with a file for each open session in Arthas. The name of the file is the identity of
/// the session.
#[derive(Clone, Debug)]
pub(crate) struct UnclosedSessions(PathBuf);

/// What is known of an open session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct UnclosedSession {
    pub(crate) consumer: String,
    /// How many results Arthas keeps for the consumer.
    pub(crate) queue: usize,
    /// The command that runs in it, until its end is durable.
    pub(crate) job: Option<RunningJob>,
}

/// A command that runs in a session in Arthas.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RunningJob {
    /// The number of the job in Rejoin.
    pub(crate) job: u64,
    /// Which submission it is, as [`Submission::to_numbers`] says. None from older versions.
    pub(crate) submission: Option<[u64; 3]>,
    /// Its number in Arthas.
    pub(crate) upstream: u64,
    /// How it ended, if it has: its status and message.
    pub(crate) end: Option<(i32, Option<String>)>,
}

impl RunningJob {
    pub(crate) fn id(&self) -> JobId {
        JobId(self.job)
    }

    pub(crate) fn submission(&self) -> Option<Submission> {
        self.submission.map(Submission::from_numbers)
    }

    pub(crate) fn exit(&self) -> Option<Exit> {
        let (status, message) = self.end.clone()?;
        Some(Exit {
            status,
            message,
            is_lost: false,
        })
    }
}

impl UnclosedSessions {
    pub(crate) fn open(directory: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        Ok(Self(directory))
    }

    /// All sessions that are recorded. One whose file can't be read has no command.
    pub(crate) fn all(&self) -> io::Result<Vec<(String, UnclosedSession)>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            if let Some(id) = entry.file_name().to_str().filter(|name| is_id(name)) {
                let text = fs::read(entry.path())?;
                let known = serde_json::from_slice(&text).unwrap_or_default();
                all.push((id.to_owned(), known));
            }
        }
        Ok(all)
    }

    /// Records what is known of a session.
    pub(crate) fn set(&self, session: &str, known: &UnclosedSession) -> io::Result<()> {
        fs::write(self.file(session)?, serde_json::to_vec(known)?)
    }

    /// Records that the command of a session has ended for good. Nothing if the session was closed.
    pub(crate) fn clear_job(&self, session: &str, known: &UnclosedSession) -> io::Result<()> {
        let known = UnclosedSession {
            job: None,
            ..known.clone()
        };
        match self.file(session)?.exists() {
            true => self.set(session, &known),
            false => Ok(()),
        }
    }

    pub(crate) fn remove(&self, session: &str) -> io::Result<()> {
        fs::remove_file(self.file(session)?)
    }

    /// An identity comes from outside: only what can't lead out of the directory becomes a name.
    fn file(&self, session: &str) -> io::Result<PathBuf> {
        match is_id(session) {
            true => Ok(self.0.join(session)),
            false => Err(io::Error::other("an unusual session ID of Arthas")),
        }
    }
}

fn is_id(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=ID).contains(&text.len()) && text.bytes().all(is_plain)
}
