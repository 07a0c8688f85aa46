//! An opened log: appends go to the stream and then to the copy; reads come from the copy.
//!
//! Invariant: the copy has no record that the stream doesn't have.

use crate::limits::{CLOSING, PAUSE};
use crate::patience::Patience;
use rejoin_cluster::limits::BODY_BYTES;
use rejoin_cluster::{
    Held, LogServer, NodeName, Process, Progress, Publication, PublishVerdict, Release, Released,
};
use rejoin_core::Record;
use rejoin_log::segment::encode_frames;
use rejoin_log::{AppendError, ClockAnchor, Log, LogReader, SegmentLog};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A log in a stream, with a segment log as its copy. [`StreamOptions`](crate::StreamOptions) opens
/// it.
///
/// An append that the servers don't answer waits, with no limit of time: it may be stored at any
/// moment, and nothing may be shown before it is known. It ends when another node has taken the log
/// (`Fenced`), or by [`StopAppends`].
pub struct StreamLog<S> {
    server: S,
    copy: SegmentLog,
    held: Held,
    number: u8,
    node: NodeName,
    process: Process,
    state: State,
    stop: Arc<AtomicBool>,
    frames: Vec<u8>,
}

enum State {
    Open,
    Failed(Arc<io::Error>),
    Fenced(Arc<io::Error>),
    Closed,
}

/// Ends an append that waits for servers that don't answer, from another thread. The log can't be
/// used any more then, and the next opening shows whether the batch was stored.
#[derive(Clone, Debug)]
pub struct StopAppends(Arc<AtomicBool>);

impl StopAppends {
    /// Ends a waiting append, and all later ones; also the try to let the log go.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl<S> fmt::Debug for StreamLog<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamLog")
            .field("node", &self.node)
            .field("held", &self.held)
            .field("copy", &self.copy)
            .finish_non_exhaustive()
    }
}

impl<S: LogServer + Send> StreamLog<S> {
    pub(crate) fn new(
        server: S,
        copy: SegmentLog,
        held: Held,
        number: u8,
        (node, process): (NodeName, Process),
    ) -> Self {
        Self {
            server,
            copy,
            held,
            number,
            node,
            process,
            state: State::Open,
            stop: Arc::default(),
            frames: Vec::new(),
        }
    }

    /// The copy on this machine.
    #[must_use]
    pub fn copy(&self) -> &SegmentLog {
        &self.copy
    }

    /// The term in which this process writes.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.held.term()
    }

    /// The sequence of the last message in the stream.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.held.end().number
    }

    /// What ends waiting appends.
    #[must_use]
    pub fn stop_appends(&self) -> StopAppends {
        StopAppends(Arc::clone(&self.stop))
    }

    fn publish(&mut self, publication: &mut Publication) -> Result<(), AppendError> {
        let mut pauses = 0_u64;
        let verdict = loop {
            match publication.step(&mut self.server) {
                Progress::Again => {}
                Progress::Pause => {
                    if self.stop.load(Ordering::Acquire) {
                        let why = "stopped while the servers did not answer; whether the batch is in \
                                   the log shows when it is opened again";
                        return Err(self.fail(io::Error::other(why)));
                    }
                    pauses = pauses.saturating_add(1);
                    if pauses == 20 {
                        tracing::debug!(log = self.number, "waiting for the log's servers");
                    }
                    self.server.pause(PAUSE);
                }
                Progress::Done(verdict) => break verdict,
            }
        };
        match verdict {
            PublishVerdict::Stored => Ok(()),
            PublishVerdict::Refused(reason) => {
                Err(AppendError::Refused(Arc::new(io::Error::other(reason))))
            }
            PublishVerdict::Fenced(term) => Err(self.fence(term)),
            PublishVerdict::Damaged(damage) => Err(self.fail(io::Error::other(damage))),
        }
    }

    /// Another node writes the log, in this term if that is known.
    fn fence(&mut self, term: Option<u64>) -> AppendError {
        let term = term.map_or_else(String::new, |term| format!(" in term {term}"));
        let own = self.held.term();
        let why = format!("another node writes this log{term}; this one wrote it in term {own}");
        let why = Arc::new(io::Error::other(why));
        self.state = State::Fenced(Arc::clone(&why));
        AppendError::Fenced(why)
    }

    fn fail(&mut self, error: io::Error) -> AppendError {
        let error = Arc::new(error);
        self.state = State::Failed(Arc::clone(&error));
        AppendError::Poisoned(error)
    }

    fn check(&self) -> Result<(), AppendError> {
        match &self.state {
            State::Open => Ok(()),
            State::Failed(error) => Err(AppendError::Poisoned(Arc::clone(error))),
            State::Fenced(error) => Err(AppendError::Fenced(Arc::clone(error))),
            State::Closed => Err(AppendError::Poisoned(Arc::new(io::Error::other(
                "the log is closed",
            )))),
        }
    }

    /// Lets the log go. That it could not be said is no failure: another node then waits until this
    /// one's beat stops.
    fn release(&mut self) {
        let patience = Patience::of(CLOSING, &self.server);
        let stop = Arc::clone(&self.stop);
        let mut release = Release::new(self.number, (&self.node, self.process), &self.held);
        loop {
            match release.step(&mut self.server) {
                Progress::Done(Released::LetGo) => return,
                Progress::Done(released) => {
                    let what = match released {
                        Released::Taken => "another node has it",
                        _ => "its stream could not be written",
                    };
                    tracing::warn!(log = self.number, what, "the log was not let go");
                    return;
                }
                Progress::Again => {}
                Progress::Pause
                    if !stop.load(Ordering::Acquire) && patience.pause(&mut self.server) => {}
                Progress::Pause => {
                    tracing::warn!(
                        log = self.number,
                        what = "its servers don't answer",
                        "the log was not let go"
                    );
                    return;
                }
            }
        }
    }
}

impl<S: LogServer + Send> Log for StreamLog<S> {
    fn append(&mut self, records: &[Arc<Record>]) -> Result<(), AppendError> {
        self.check()?;
        if records.is_empty() {
            return Ok(());
        }
        self.copy.check_sequences(records)?;
        let too_long = || {
            let why = io::Error::new(io::ErrorKind::InvalidInput, "the batch is too long");
            AppendError::Refused(Arc::new(why))
        };
        let mut frames = std::mem::take(&mut self.frames);
        frames.clear();
        let lengths = encode_frames(records, &mut frames);
        let publication =
            lengths.and_then(|lengths| self.held.publish(&frames, &lengths, BODY_BYTES));
        self.frames = frames;
        let mut publication = publication.ok_or_else(too_long)?;
        self.publish(&mut publication)?;
        self.held.stored(&publication);
        // It is in the stream, so a copy that can't follow ends the log.
        self.copy.append(records).map_err(|error| {
            self.fail(io::Error::other(format!(
                "the batch is in the stream, but not in its copy on this machine: {error}"
            )))
        })
    }

    fn confirm(&mut self) -> Result<(), AppendError> {
        self.check()?;
        let mut publication = self.held.confirm();
        self.publish(&mut publication)?;
        self.held.stored(&publication);
        Ok(())
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        self.copy.reader()
    }

    fn close(&mut self) -> Result<(), AppendError> {
        match self.state {
            State::Closed => return Ok(()),
            State::Open => self.release(),
            State::Failed(_) | State::Fenced(_) => {}
        }
        self.check()?;
        self.state = State::Closed;
        self.copy.close()
    }

    fn clock_anchor(&self) -> Option<ClockAnchor> {
        self.copy.clock_anchor()
    }

    fn keep_clock_anchor(&mut self, anchor: &ClockAnchor) -> io::Result<()> {
        self.copy.keep_clock_anchor(anchor)
    }
}
