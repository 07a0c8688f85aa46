//! Up to where a webhook has its events, in a file beside the log.

use super::message::Message;
use rejoin_core::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How far the log is read again behind the last event that was delivered. Events are delivered in the order of
/// the log but for those that were written at the same time as others were read.
const AGAIN: u64 = 60_000;

/// The IDs of delivered events that are kept, so that they are not delivered again. With more in one minute, the log
/// is read again from a later instant on.
const DELIVERED: usize = 10_000;

/// The position of one webhook. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Position {
    path: Arc<PathBuf>,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    version: u32,
    /// When what was last delivered or given up happened, in milliseconds since 1970, but not later than this
    /// server's clock was then: see [`Position::delivered`].
    at: u64,
    /// What was delivered or given up since a while before that: when it happened, and its ID.
    #[serde(rename = "told")]
    delivered: VecDeque<(u64, String)>,
    /// All that happened before this was delivered or given up, also where `delivered` does not say so.
    #[serde(default)]
    all_before: u64,
}

impl Position {
    /// The position in a file. Without one, only what happens from `now` on is delivered. Blocks.
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
                    // What happens in this millisecond is delivered, too.
                    at: now.as_millis().saturating_add(AGAIN),
                    delivered: VecDeque::new(),
                    all_before: 0,
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

    /// From when on the log may have what was not delivered.
    pub(super) fn from(&self) -> Timestamp {
        self.lock().from()
    }

    /// Whether an event was delivered or given up.
    pub(super) fn has_delivered(&self, id: &str) -> bool {
        self.lock()
            .delivered
            .iter()
            .any(|(_, delivered)| delivered == id)
    }

    /// Notes that a message was delivered or given up. Waits until that is on the disk.
    ///
    /// Nothing that this server writes from now on may be earlier than `now`. Its clock says so where it writes the
    /// logs of other nodes, too: instants never go back in a log, so one that was written by a clock that is ahead
    /// has later instants for a while, but none has earlier ones.
    pub(super) async fn delivered(&self, message: &Message, now: Timestamp) -> io::Result<()> {
        let state = {
            let mut state = self.lock();
            state.note(message.record.at, &message.id, now);
            state.keep(DELIVERED);
            state.clone()
        };
        let path = self.path.clone();
        smol::unblock(move || write(&path, &state)).await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn from(&self) -> Timestamp {
        let again = self.at.saturating_sub(AGAIN);
        Timestamp::from_millis(again.max(self.all_before))
    }

    fn note(&mut self, at: Timestamp, id: &str, now: Timestamp) {
        self.at = self.at.max(at.min(now).as_millis());
        self.delivered.push_back((at.as_millis(), id.into()));
        let since = self.at.saturating_sub(AGAIN);
        self.delivered.retain(|(at, _)| *at >= since);
    }

    /// Forgets the oldest IDs that are too many, by whole milliseconds: then those that are left say
    /// exactly what was delivered. Keeps all of the last millisecond. Of those that are ahead of this server's clock,
    /// what is too much may be delivered again after a restart.
    fn keep(&mut self, most: usize) {
        while self.delivered.len() > most {
            let oldest = self
                .delivered
                .iter()
                .map(|(at, _)| *at)
                .min()
                .unwrap_or(self.at);
            if oldest >= self.at {
                self.delivered.retain(|(at, _)| *at <= self.at);
                break;
            }
            self.delivered.retain(|(at, _)| *at > oldest);
            self.all_before = oldest + 1;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delivered_events_that_are_forgotten_are_behind_the_position() {
        let mut state = State {
            version: VERSION,
            at: 100_003,
            delivered: [
                (100_001, "a"),
                (100_001, "b"),
                (100_002, "c"),
                (100_003, "d"),
            ]
            .map(|(at, id)| (at, id.into()))
            .into(),
            all_before: 0,
        };
        state.keep(4);
        assert_eq!(
            (state.delivered.len(), state.from().as_millis()),
            (4, 40_003)
        );
        state.keep(3);
        assert_eq!(
            (state.delivered.len(), state.from().as_millis()),
            (2, 100_002)
        );
        state.keep(0);
        assert_eq!(
            (state.delivered.len(), state.from().as_millis()),
            (1, 100_003)
        );
    }

    #[test]
    fn an_event_in_a_log_that_is_ahead_does_not_hide_those_that_this_node_writes_next_elsewhere() {
        let mut state = State {
            version: VERSION,
            at: 100_000,
            delivered: VecDeque::new(),
            all_before: 0,
        };
        let millis = Timestamp::from_millis;
        state.note(millis(400_000), "ahead", millis(101_000));
        assert_eq!(state.from().as_millis(), 41_000);
        state.note(millis(102_000), "usual", millis(103_000));
        assert_eq!(state.from().as_millis(), 42_000);
        state.note(millis(401_000), "ahead, too", millis(300_000));
        let ids = |state: &State| state.delivered.iter().map(|it| it.1.clone()).collect();
        let known: Vec<_> = ids(&state);
        assert_eq!(known, ["ahead", "ahead, too"]);
        state.keep(1);
        let known: Vec<_> = ids(&state);
        assert_eq!((known.len(), state.from().as_millis()), (0, 240_000));
    }

    #[test]
    fn a_position_of_a_server_before_is_read() {
        let before = r#"{"version":1,"at":70000,"told":[[69000,"evt_1"]]}"#;
        let state: State = serde_json::from_str(before).unwrap();
        assert_eq!((state.all_before, state.from().as_millis()), (0, 10_000));
    }
}
