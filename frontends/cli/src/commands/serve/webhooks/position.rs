//! Up to where a webhook has been told, in a file beside the log.

use super::message::Message;
use rejoin_core::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How far the log is read again behind the last event that was told. Events are told in the order of
/// the log but for those that were written at the same time as others were read.
const AGAIN: u64 = 60_000;

/// The IDs of told events that are kept, so that they are not told again. Those of more events in one
/// minute are told again after a restart.
const TOLD: usize = 10_000;

/// The position of one webhook. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Position {
    path: Arc<PathBuf>,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    version: u32,
    /// When what was last told or given up happened, in milliseconds since 1970.
    at: u64,
    /// What was told or given up since a while before that: when it happened, and its ID.
    told: VecDeque<(u64, String)>,
}

impl Position {
    /// The position in a file. Without one, only what happens from `now` on is told. Blocks.
    ///
    /// # Errors
    ///
    /// When the file can't be read or written, or is none of these.
    pub(super) fn open(path: PathBuf, now: Timestamp) -> io::Result<Self> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let state = match fs::read(&path) {
            Ok(bytes) => {
                let state: State = serde_json::from_slice(&bytes)
                    .map_err(|error| named(io::Error::other(error)))?;
                if state.version != VERSION {
                    return Err(named(io::Error::other(
                        "another version of Rejoin wrote it",
                    )));
                }
                state
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let state = State {
                    version: VERSION,
                    // What happens in this millisecond is told, too.
                    at: now.as_millis().saturating_add(AGAIN),
                    told: VecDeque::new(),
                };
                write(&path, &state).map_err(named)?;
                state
            }
            Err(error) => return Err(named(error)),
        };
        Ok(Self {
            path: Arc::new(path),
            state: Arc::new(Mutex::new(state)),
        })
    }

    /// From when on the log may have what was not told.
    pub(super) fn from(&self) -> Timestamp {
        Timestamp::from_millis(self.lock().at.saturating_sub(AGAIN))
    }

    /// Whether an event was told or given up.
    pub(super) fn has_told(&self, id: &str) -> bool {
        self.lock().told.iter().any(|(_, told)| told == id)
    }

    /// Notes that a message was told or given up. Waits until that is on the disk.
    pub(super) async fn told(&self, message: &Message) -> io::Result<()> {
        let state = {
            let mut state = self.lock();
            let at = message.at.as_millis();
            state.at = state.at.max(at);
            state.told.push_back((at, message.id.clone()));
            let since = state.at.saturating_sub(AGAIN);
            state.told.retain(|(at, _)| *at >= since);
            if state.told.len() > TOLD {
                state.told.pop_front();
            }
            state.clone()
        };
        let path = self.path.clone();
        smol::unblock(move || write(&path, &state)).await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const VERSION: u32 = 1;

/// Replaces the file by a rename, so that it is whole after a crash.
fn write(path: &Path, state: &State) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&new)?;
    file.write_all(&serde_json::to_vec(state)?)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    File::open(directory)?.sync_all()
}
