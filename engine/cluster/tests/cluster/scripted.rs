//! A server whose answers are written down.

use rejoin_cluster::{Appended, Bounds, Entry, Got, LogServer, NodeName, Written};
use std::collections::VecDeque;
use std::time::Duration;

/// One expected call, with its answer.
#[derive(Debug)]
pub(crate) enum Call {
    Append(u64, Appended),
    Get(u64, Got),
    Bounds(Option<Bounds>),
    Read(Option<Option<Entry>>),
    Write(u64, Written),
}

/// Answers calls in the order in which they are written down, and panics at any other.
#[derive(Debug)]
pub(crate) struct Scripted {
    calls: VecDeque<Call>,
    /// What was appended or written, in order.
    pub(crate) sent: Vec<Vec<u8>>,
}

impl Scripted {
    pub(crate) fn new(calls: impl IntoIterator<Item = Call>) -> Self {
        Self {
            calls: calls.into_iter().collect(),
            sent: Vec::new(),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.calls.is_empty()
    }
}

impl LogServer for Scripted {
    fn append(&mut self, expected: u64, messages: &[Vec<u8>]) -> Appended {
        self.sent.extend_from_slice(messages);
        match self.calls.pop_front() {
            Some(Call::Append(sequence, answer)) if sequence == expected => answer,
            other => panic!("append at {expected}, not {other:?}"),
        }
    }

    fn get(&mut self, sequence: u64) -> Got {
        match self.calls.pop_front() {
            Some(Call::Get(expected, answer)) if sequence == expected => answer,
            other => panic!("get {sequence}, not {other:?}"),
        }
    }

    fn bounds(&mut self) -> Option<Bounds> {
        match self.calls.pop_front() {
            Some(Call::Bounds(answer)) => answer,
            other => panic!("bounds, not {other:?}"),
        }
    }

    fn tail(&mut self, _: u64) -> Option<Vec<(u64, Vec<u8>)>> {
        panic!("nobody reads the tail")
    }

    fn purge(&mut self, _: u64) -> bool {
        panic!("nobody purges")
    }

    fn beats(&mut self) -> Option<Vec<(NodeName, Entry)>> {
        panic!("nobody looks at beats")
    }

    fn read(&mut self, _: &str) -> Option<Option<Entry>> {
        match self.calls.pop_front() {
            Some(Call::Read(answer)) => answer,
            other => panic!("read, not {other:?}"),
        }
    }

    fn write(&mut self, _: &str, expected: u64, value: &[u8]) -> Written {
        self.sent.push(value.to_vec());
        match self.calls.pop_front() {
            Some(Call::Write(revision, answer)) if revision == expected => answer,
            other => panic!("write at {expected}, not {other:?}"),
        }
    }

    fn elapsed(&self) -> Duration {
        panic!("nobody looks at the stopwatch")
    }

    fn pause(&mut self, _: Duration) {
        panic!("nobody waits")
    }
}
