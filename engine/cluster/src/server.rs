//! All that is asked of the server that keeps a log's stream.

use crate::claim::NodeName;
use std::time::Duration;

/// A client of the server, for one log: its stream, and the key-value store of the cluster.
///
/// Calls block until there is an answer, or until the client gives up. `Unknown` and `None` mean
/// that there was no answer: a write may have happened, may happen later, or never.
pub trait LogServer {
    /// Stores `messages` as one: all of them or none, and only if the stream's last sequence is
    /// `expected`.
    fn append(&mut self, expected: u64, messages: &[Vec<u8>]) -> Appended;

    /// The message with this sequence. Answered by the stream's leader: a replica that lags must
    /// not say that there is nothing.
    fn get(&mut self, sequence: u64) -> Got;

    /// The first and last sequence, as the stream's leader knows them.
    fn bounds(&mut self) -> Option<Bounds>;

    /// Messages from sequence `from` on, as they come, at least one unless there is none. Any
    /// replica may answer. Some may come twice, and a damaged server skips some: see
    /// [`Chain`](crate::Chain).
    fn tail(&mut self, from: u64) -> Option<Vec<(u64, Vec<u8>)>>;

    /// Removes all messages before sequence `before`, which is not after the last one. False: it is unknown
    /// whether it did.
    fn purge(&mut self, before: u64) -> bool;

    /// How many bytes the stream has at its leader. None: there was no answer, or the server can't say.
    fn size(&mut self) -> Option<u64> {
        None
    }

    /// The names of all nodes that have written a beat, with their last ones, as the leader knows them.
    fn beats(&mut self) -> Option<Vec<(NodeName, Entry)>>;

    /// The entry of the key-value store with this key, as the leader knows it. `Some(None)`: there
    /// is none.
    fn read(&mut self, key: &str) -> Option<Option<Entry>>;

    /// Writes an entry, only if its revision is `expected`; 0 for a new key.
    fn write(&mut self, key: &str, expected: u64, value: &[u8]) -> Written;

    /// What a stopwatch of the client shows.
    fn elapsed(&self) -> Duration;

    /// Waits before the next call.
    fn pause(&mut self, time: Duration);
}

impl<S: LogServer + ?Sized> LogServer for Box<S> {
    fn append(&mut self, expected: u64, messages: &[Vec<u8>]) -> Appended {
        (**self).append(expected, messages)
    }

    fn get(&mut self, sequence: u64) -> Got {
        (**self).get(sequence)
    }

    fn bounds(&mut self) -> Option<Bounds> {
        (**self).bounds()
    }

    fn tail(&mut self, from: u64) -> Option<Vec<(u64, Vec<u8>)>> {
        (**self).tail(from)
    }

    fn purge(&mut self, before: u64) -> bool {
        (**self).purge(before)
    }

    fn size(&mut self) -> Option<u64> {
        (**self).size()
    }

    fn beats(&mut self) -> Option<Vec<(NodeName, Entry)>> {
        (**self).beats()
    }

    fn read(&mut self, key: &str) -> Option<Option<Entry>> {
        (**self).read(key)
    }

    fn write(&mut self, key: &str, expected: u64, value: &[u8]) -> Written {
        (**self).write(key, expected, value)
    }

    fn elapsed(&self) -> Duration {
        (**self).elapsed()
    }

    fn pause(&mut self, time: Duration) {
        (**self).pause(time);
    }
}

/// What became of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// Stored. The sequence of the last message.
    Stored(u64),
    /// The stream's last sequence is not the expected one. It may be so because an earlier try
    /// of the same append was stored.
    WrongLast,
    /// There was no answer.
    Unknown,
    /// The server can't store such a message, and has stored nothing.
    Refused(String),
}

/// What became of the question for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    /// Its bytes.
    Message(Vec<u8>),
    /// There is none with this sequence. The bounds were read after that.
    Nothing(Bounds),
    /// There was no answer.
    Unknown,
}

/// The first and last sequence of a stream. `first` is greater than `last` if it is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first sequence that was not purged.
    pub first: u64,
    /// The last sequence; 0 if there was never one.
    pub last: u64,
}

/// An entry of the key-value store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Changes with each write.
    pub revision: u64,
    /// What was written.
    pub value: Vec<u8>,
}

/// What became of a write to the key-value store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Written; the new revision.
    Done(u64),
    /// The entry has another revision than the expected one. It may be so because an earlier try
    /// of the same write was done.
    Conflict,
    /// There was no answer.
    Unknown,
}

/// What one step of a machine has led to. Each step makes one call at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress<T> {
    /// Call `step` again at once.
    Again,
    /// Call `step` again after a pause, some ten milliseconds. There is no number of tries after
    /// which it gives up: the caller may stop at any time.
    Pause,
    /// It is over.
    Done(T),
}
