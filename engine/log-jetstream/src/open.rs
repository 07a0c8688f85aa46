//! Opens a log: compares the copy with the stream, takes the log, and reads what the copy doesn't
//! have.

use crate::follower::Follower;
use crate::limits::{LAG, OPENING};
use crate::log::StreamLog;
use crate::patience::Patience;
use rejoin_cluster::{
    Acquisition, AcquisitionVerdict, Announcement, Beats, Bounds, Chain, Claim, Got, Held, Link,
    LogServer, Message, MessageKind, NodeName, Process, Progress, StreamDamage, claim_key,
    should_claim,
};
use rejoin_core::{Record, Sequence, SessionId};
use rejoin_log::segment::{CatchUpError, LogId, Opened, decode_frames};
use rejoin_log::{LogReader, ReadError, ReadLimit, SegmentLog};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How to open a log in a stream.
#[derive(Clone, Debug)]
pub struct StreamOptions {
    /// The number of the log in its cluster.
    pub number: u8,
    /// The log's identity. The copy must have the same.
    pub log: LogId,
    /// The name of this node.
    pub node: NodeName,
    /// Random bits of this run of the program.
    pub process: Process,
    /// The version of the program, for people.
    pub version: String,
    /// Take the log although its claim names another node. Safe for the log in any case: that node is
    /// fenced, and its jobs are lost.
    pub take: bool,
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StreamOpenError {
    /// The servers did not answer in time.
    #[error("the servers of the log did not answer for {} seconds", OPENING.as_secs())]
    Unanswered,
    /// Another node has the log.
    #[error("node {0} has the log; it lets it go when it ends, or the log must be taken from it")]
    Owned(NodeName),
    /// Another node took the log at the same time.
    #[error("another node has just taken the log")]
    Lost,
    /// A message of the stream is missing or wrong.
    #[error(transparent)]
    Damaged(#[from] StreamDamage),
    /// The copy has records that the stream does not have.
    #[error(
        "the copy on this machine has {copy} records and the stream has {stream}: the stream has lost \
         some, as after a restore from an old backup. `rejoin cluster restore` makes it again from the copies; \
         or move the copy away if the stream is right"
    )]
    CopyAhead {
        /// Records in the copy.
        copy: u64,
        /// Records in the stream.
        stream: u64,
    },
    /// The copy has another record than the stream.
    #[error(
        "the copy on this machine and the stream differ at record {0}: one of them is not of this \
         log, or was changed. Move the copy away if the stream is right"
    )]
    CopyDiffers(u64),
    /// The copy is of another log.
    #[error(
        "the copy on this machine is of log {copy}, and the stream of log {stream}, as after the streams were \
         made again. Move the copy away if the stream is right"
    )]
    OtherLog {
        /// The identity of the copy.
        copy: LogId,
        /// The identity of the stream.
        stream: LogId,
    },
    /// The stream no longer has what follows the copy, because all of its sessions were removed, and those
    /// of the copy, too. An empty copy can be opened instead.
    #[error(
        "the stream begins at message {first}, and the copy on this machine needs message {wanted}"
    )]
    Purged {
        /// The message that follows the copy.
        wanted: u64,
        /// The first message in the stream.
        first: u64,
    },
    /// The servers refuse to store messages.
    #[error("the servers refuse the log: {0}")]
    Refused(String),
    /// The copy could not be read.
    #[error("the copy on this machine: {0}")]
    Read(#[from] ReadError),
    /// The copy could not be continued.
    #[error("the copy on this machine: {0}")]
    CatchUp(#[from] CatchUpError),
}

impl StreamOptions {
    /// Opens the log with its copy, and takes it. All records of the stream are then in the copy, and
    /// folded.
    ///
    /// Blocks, up to a minute if the servers don't answer.
    ///
    /// # Errors
    ///
    /// See [`StreamOpenError`]. The stream is then unchanged, except that the log may have been
    /// claimed.
    pub fn open<S: LogServer + Send>(
        self,
        server: S,
        copy: Opened<SegmentLog>,
    ) -> Result<Opened<StreamLog<S>>, StreamOpenError> {
        let (opening, held, opened) = self.folded(server, copy, Opening::run)?;
        Ok(opened.map_log(|copy| opening.into_log(copy, held)))
    }

    /// Opens the log of another node for reading: all that the stream has now is then in the copy, and
    /// folded. [`Follower::read`] reads what comes after that.
    ///
    /// Blocks, up to a minute if the servers don't answer.
    ///
    /// # Errors
    ///
    /// See [`StreamOpenError`].
    pub fn follow<S: LogServer + Send>(
        self,
        server: S,
        copy: Opened<SegmentLog>,
    ) -> Result<Opened<Follower<S>>, StreamOpenError> {
        let (opening, chain, opened) = self.folded(server, copy, Opening::read_up)?;
        Ok(opened.map_log(|copy| Follower::new(opening, chain, copy)))
    }

    /// As [`follow`](Self::follow) without folding, where nobody needs the state.
    ///
    /// # Errors
    ///
    /// As [`follow`](Self::follow).
    pub fn follow_unfolded<S: LogServer + Send>(
        self,
        server: S,
        copy: SegmentLog,
    ) -> Result<Follower<S>, StreamOpenError> {
        let (opening, chain, copy) = self.unfolded(server, copy, Opening::read_up)?;
        Ok(Follower::new(opening, chain, copy))
    }

    /// As [`open`](Self::open) without folding, where nobody needs the state.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_unfolded<S: LogServer + Send>(
        self,
        server: S,
        copy: SegmentLog,
    ) -> Result<StreamLog<S>, StreamOpenError> {
        let (opening, held, copy) = self.unfolded(server, copy, Opening::run)?;
        Ok(opening.into_log(copy, held))
    }

    /// Reads the stream as `read` does, and folds what the copy does not have.
    fn folded<S: LogServer + Send, T>(
        self,
        server: S,
        copy: Opened<SegmentLog>,
        read: impl FnOnce(&mut Opening<S>, LogId, Take<'_>) -> Result<T, StreamOpenError>,
    ) -> Result<(Opening<S>, T, Opened<SegmentLog>), StreamOpenError> {
        let (id, next) = (copy.log().id(), copy.log().next_position());
        let reader = rejoin_log::Log::reader(copy.log());
        let mut opening = Opening::new(self, server, reader, next);
        let copy = match opening.purged(id)? {
            Some((records, cut)) => copy.skip_removed(records, &cut)?,
            None => copy,
        };
        let mut opened = Some(copy);
        let end = read(&mut opening, id, &mut |records| {
            if let Some(before) = opened.take() {
                opened = Some(before.append(records)?);
            }
            Ok(())
        })?;
        let opened = opened.ok_or(StreamOpenError::Lost)?;
        Ok((opening, end, opened))
    }

    /// Reads the stream as `read` does, and only copies what the copy does not have.
    fn unfolded<S: LogServer + Send, T>(
        self,
        server: S,
        mut copy: SegmentLog,
        read: impl FnOnce(&mut Opening<S>, LogId, Take<'_>) -> Result<T, StreamOpenError>,
    ) -> Result<(Opening<S>, T, SegmentLog), StreamOpenError> {
        let (id, next) = (copy.id(), copy.next_position());
        let reader = rejoin_log::Log::reader(&copy);
        let mut opening = Opening::new(self, server, reader, next);
        if let Some((records, cut)) = opening.purged(id)? {
            copy.skip_removed(records, &cut)
                .map_err(CatchUpError::from)?;
        }
        let end = read(&mut opening, id, &mut |records| {
            Ok(rejoin_log::Log::append(&mut copy, records)?)
        })?;
        Ok((opening, end, copy))
    }
}

/// How many records were purged, and of which sessions the first ones, each with the first that was not.
type Purge = (u64, Vec<(SessionId, Sequence)>);

pub(crate) type Take<'a> = &'a mut dyn FnMut(&[Arc<Record>]) -> Result<(), CatchUpError>;

/// Reads a stream behind a copy, and takes the log.
pub(crate) struct Opening<S> {
    options: StreamOptions,
    server: S,
    copy: Arc<dyn LogReader>,
    /// The last position in the copy as it was found.
    copied: u64,
    /// The last message that was read before, to know what was purged.
    least: u64,
    patience: Patience,
    /// The parts of a batch that goes on in the next message, and the position of its first record.
    parts: Vec<u8>,
    parts_position: u64,
    /// The node that has written the last owner message that was read.
    pub(crate) owner: Option<NodeName>,
    /// The node that has written the last records that were read.
    pub(crate) writer: Option<NodeName>,
}

impl<S: LogServer + Send> Opening<S> {
    fn new(
        options: StreamOptions,
        server: S,
        copy: Arc<dyn LogReader>,
        next_position: u64,
    ) -> Self {
        let patience = Patience::of(OPENING, &server);
        Self {
            options,
            server,
            copy,
            copied: next_position.saturating_sub(1),
            least: 0,
            patience,
            parts: Vec::new(),
            parts_position: 0,
            owner: None,
            writer: None,
        }
    }

    fn run(&mut self, copy: LogId, take: Take<'_>) -> Result<Held, StreamOpenError> {
        // Most of the tail is read before the log is taken, so that it has an owner again soon.
        let mut chain = self.read_up(copy, take)?;
        self.take_log(&mut chain, take, None)
    }

    fn check_identity(&self, copy: LogId) -> Result<(), StreamOpenError> {
        let stream = self.options.log;
        match copy == stream {
            true => Ok(()),
            false => Err(StreamOpenError::OtherLog { copy, stream }),
        }
    }

    /// If the copy is empty, and the beginning of the stream was purged: how many records that was, and of
    /// which sessions the first records were among them and others not, with the first of these. All of those
    /// are removed, as a later record says: no message is purged that has records of other sessions.
    ///
    /// Reads the whole stream once more.
    fn purged(&mut self, copy: LogId) -> Result<Option<Purge>, StreamOpenError> {
        self.check_identity(copy)?;
        if self.copied > 0 {
            return Ok(None);
        }
        let bounds = self.bounds()?;
        if bounds.first <= 1 || bounds.last < bounds.first {
            return Ok(None);
        }
        let (first, _) = self.message(bounds.first)?;
        if first.position <= 1 {
            return Ok(None);
        }
        let (mut seen, mut cut) = (BTreeSet::new(), Vec::new());
        // Of which the record of the removal was not read yet.
        let mut open = BTreeSet::new();
        let mut chain = Chain::after_purge(self.options.log, bounds.first);
        let mut last = bounds.last;
        loop {
            self.catch_up(&mut chain, last, &mut |records| {
                for record in records {
                    let session = record.session;
                    let is_first = seen.insert(session);
                    if record.is_removal() {
                        open.remove(&session);
                    } else if is_first && record.sequence > Sequence(1) {
                        cut.push((session, record.sequence));
                        open.insert(session);
                    }
                }
                Ok(())
            })?;
            let Some(session) = open.first() else {
                break;
            };
            // It may be there, and not be readable yet.
            if !self.patience.pause(&mut self.server) {
                let sequence = bounds.first;
                let reason = format!(
                    "the messages before it were purged, although session {session} is not removed, and \
                     began there"
                );
                return Err(StreamDamage { sequence, reason }.into());
            }
            last = self.bounds()?.last;
        }
        self.least = chain.link().number;
        (self.owner, self.writer) = (None, None);
        self.copied = first.position.saturating_sub(1);
        Ok(Some((self.copied, cut)))
    }

    /// Reads all that the stream has now.
    fn read_up(&mut self, copy: LogId, take: Take<'_>) -> Result<Chain, StreamOpenError> {
        self.check_identity(copy)?;
        let lag = Patience::of(LAG, &self.server);
        let (bounds, mut chain) = loop {
            let bounds = self.bounds()?;
            match self.behind_copy(bounds) {
                // The leader may be new, and not know of all that it has.
                Err(StreamOpenError::CopyAhead { .. }) if lag.pause(&mut self.server) => {}
                // What was asked for was purged meanwhile.
                Err(StreamOpenError::Purged { .. }) if self.bounds()?.first > bounds.first => {}
                chain => break (bounds, chain?),
            }
        };
        self.catch_up(&mut chain, bounds.last.max(self.least), take)?;
        Ok(chain)
    }

    /// Takes the log, and reads all that was in the stream before.
    pub(crate) fn take_log(
        &mut self,
        chain: &mut Chain,
        take: Take<'_>,
        should: Option<&dyn Fn(&Claim) -> bool>,
    ) -> Result<Held, StreamOpenError> {
        self.patience = Patience::of(OPENING, &self.server);
        let held = self.acquire(should)?;
        self.catch_up(chain, held.end().number, take)?;
        if chain.link() == held.end() {
            Ok(held)
        } else {
            Err(StreamOpenError::Lost)
        }
    }

    pub(crate) fn into_log(self, copy: SegmentLog, held: Held) -> StreamLog<S> {
        let StreamOptions {
            number,
            node,
            process,
            ..
        } = self.options;
        StreamLog::new(self.server, copy, held, number, (node, process))
    }

    /// Reads what has come since. False: the servers did not answer.
    pub(crate) fn read_new(
        &mut self,
        chain: &mut Chain,
        take: Take<'_>,
    ) -> Result<bool, StreamOpenError> {
        let from = chain.link().number.saturating_add(1);
        let Some(tail) = self.server.tail(from) else {
            return Ok(false);
        };
        self.patience = Patience::of(OPENING, &self.server);
        for (sequence, encoded) in tail {
            self.follow_with_missing(chain, sequence, &encoded, take)?;
        }
        Ok(true)
    }

    fn pause(&mut self) -> Result<(), StreamOpenError> {
        if self.patience.pause(&mut self.server) {
            Ok(())
        } else {
            Err(StreamOpenError::Unanswered)
        }
    }

    fn bounds(&mut self) -> Result<Bounds, StreamOpenError> {
        loop {
            if let Some(bounds) = self.server.bounds() {
                return Ok(bounds);
            }
            self.pause()?;
        }
    }

    /// The message with this sequence, which is not after the last one.
    fn message(&mut self, sequence: u64) -> Result<(Message, Vec<u8>), StreamOpenError> {
        loop {
            match self.server.get(sequence) {
                Got::Unknown => {}
                Got::Nothing(bounds) if bounds.last < sequence => {}
                Got::Nothing(bounds) if sequence < bounds.first => {
                    return Err(StreamOpenError::Purged {
                        wanted: sequence,
                        first: bounds.first,
                    });
                }
                Got::Nothing(bounds) => {
                    return Err(StreamDamage::missing(sequence, bounds.last).into());
                }
                Got::Message(encoded) => {
                    let damage = |reason: String| StreamDamage { sequence, reason };
                    let message =
                        Message::decode(&encoded).map_err(|fault| damage(fault.to_string()))?;
                    if message.log != self.options.log || message.number != sequence {
                        let reason = "the message is of another log, or has another number";
                        return Err(damage(reason.to_owned()).into());
                    }
                    return Ok((message, encoded));
                }
            }
            self.pause()?;
        }
    }

    /// Finds the batch with the last record of the copy. The chain begins before it.
    fn behind_copy(&mut self, bounds: Bounds) -> Result<Chain, StreamOpenError> {
        let log = self.options.log;
        if bounds.last > 0 && bounds.first > bounds.last {
            let sequence = bounds.last;
            let reason = "all messages were purged, also the last one, which the next must follow";
            let reason = reason.to_owned();
            return Err(StreamDamage { sequence, reason }.into());
        }
        if self.copied == 0 {
            return Ok(match bounds.last > 0 && bounds.first > 1 {
                true => Chain::after_purge(log, bounds.first),
                false => Chain::new(log, Link::START),
            });
        }
        let ahead = |stream| StreamOpenError::CopyAhead {
            copy: self.copied,
            stream,
        };
        if bounds.last == 0 {
            return Err(ahead(0));
        }
        let (last, encoded) = self.message(bounds.last)?;
        let end = Link::after(&last, &encoded).position;
        if end <= self.copied {
            return Err(StreamOpenError::CopyAhead {
                copy: self.copied,
                stream: end.saturating_sub(1),
            });
        }
        // The first message whose records all are behind the copy.
        let (mut low, mut high) = (bounds.first, bounds.last.saturating_add(1));
        while low < high {
            let middle = low.midpoint(high);
            if self.message(middle)?.0.position > self.copied {
                high = middle;
            } else {
                low = middle.saturating_add(1);
            }
        }
        let mut begin = low.saturating_sub(1);
        if begin < bounds.first {
            let (first, _) = self.message(bounds.first)?;
            return match first.position == self.copied.saturating_add(1) {
                // The copy ends where the stream begins.
                true => Ok(Chain::after_purge(log, bounds.first)),
                false => Err(StreamOpenError::Purged {
                    wanted: begin,
                    first: bounds.first,
                }),
            };
        }
        self.find_owner(bounds.first, begin)?;
        while begin > bounds.first {
            let (before, encoded) = self.message(begin.saturating_sub(1))?;
            if !before.more {
                return Ok(Chain::new(log, Link::after(&before, &encoded)));
            }
            begin = begin.saturating_sub(1);
        }
        Ok(if begin == 1 {
            Chain::new(log, Link::START)
        } else {
            Chain::after_purge(log, begin)
        })
    }

    /// Finds the node that has written message `sequence`: it has said so in the first message of its term.
    fn find_owner(&mut self, first: u64, sequence: u64) -> Result<(), StreamOpenError> {
        let term = self.message(sequence)?.0.term;
        let (mut low, mut high) = (first, sequence);
        while low < high {
            let middle = low.midpoint(high);
            if self.message(middle)?.0.term < term {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        let (message, _) = self.message(low)?;
        // Otherwise it was purged.
        if message.kind == MessageKind::Owner {
            let said: Option<Announcement> = serde_json::from_slice(&message.body).ok();
            self.owner = said.and_then(|said| said.node.parse().ok());
        }
        Ok(())
    }

    /// Reads up to message `target`.
    fn catch_up(
        &mut self,
        chain: &mut Chain,
        target: u64,
        take: Take<'_>,
    ) -> Result<(), StreamOpenError> {
        while chain.link().number < target {
            let from = chain.link().number.saturating_add(1);
            let tail = self.server.tail(from).unwrap_or_default();
            if tail.is_empty() {
                // No replica that was asked has it: ask for the one message, which names what is
                // missing.
                let (_, encoded) = self.message(from)?;
                self.follow(chain, from, &encoded, take)?;
            }
            for (sequence, encoded) in tail {
                self.follow_with_missing(chain, sequence, &encoded, take)?;
            }
            // A long stream takes longer than servers may be silent.
            self.patience = Patience::of(OPENING, &self.server);
        }
        Ok(())
    }

    fn follow_with_missing(
        &mut self,
        chain: &mut Chain,
        sequence: u64,
        encoded: &[u8],
        take: Take<'_>,
    ) -> Result<(), StreamOpenError> {
        while sequence > chain.link().number.saturating_add(1) {
            // The replica that answered has lost some. Another may have them.
            let missing = chain.link().number.saturating_add(1);
            let (_, encoded) = self.message(missing)?;
            tracing::warn!(
                log = self.options.number,
                sequence = missing,
                "a server has lost a message that another server has"
            );
            self.follow(chain, missing, &encoded, take)?;
        }
        self.follow(chain, sequence, encoded, take)
    }

    fn follow(
        &mut self,
        chain: &mut Chain,
        sequence: u64,
        encoded: &[u8],
        take: Take<'_>,
    ) -> Result<(), StreamOpenError> {
        let Some(message) = chain.follow(sequence, encoded)? else {
            return Ok(());
        };
        match message.kind {
            MessageKind::Batch => self.writer.clone_from(&self.owner),
            MessageKind::Owner => {
                let said: Option<Announcement> = serde_json::from_slice(&message.body).ok();
                self.owner = said.and_then(|said| said.node.parse().ok());
                return Ok(());
            }
            MessageKind::LetGo => {
                self.owner = None;
                return Ok(());
            }
        }
        if self.parts.is_empty() {
            self.parts_position = message.position;
        }
        self.parts.extend_from_slice(&message.body);
        if message.more {
            return Ok(());
        }
        let frames = std::mem::take(&mut self.parts);
        let damage = |reason: String| StreamDamage { sequence, reason };
        let records = decode_frames(&frames).map_err(|fault| damage(fault.to_string()))?;
        let end = message.position.saturating_add(message.records.into());
        let position = self.parts_position;
        if position.saturating_add(records.len() as u64) != end {
            let reason = "it has another number of records than it says";
            return Err(damage(reason.to_owned()).into());
        }
        let known = self.copied.saturating_add(1).saturating_sub(position);
        let known = usize::try_from(known)
            .unwrap_or(usize::MAX)
            .min(records.len());
        let (known, new) = records.split_at_checked(known).unwrap_or((&records, &[]));
        for (position, record) in (position..).zip(known) {
            self.compare(position, record)?;
        }
        if new.is_empty() {
            return Ok(());
        }
        Ok(take(new)?)
    }

    /// Whether the copy has this record. Its first records may have been removed with their session,
    /// but never the last one.
    fn compare(&self, position: u64, record: &Arc<Record>) -> Result<(), StreamOpenError> {
        let one = ReadLimit {
            records: 1,
            bytes: usize::MAX,
        };
        let before = Sequence(record.sequence.0.saturating_sub(1));
        let read = self.copy.read(record.session, before, one)?;
        let is_same = read.first() == Some(record);
        if is_same || position < self.copied {
            Ok(())
        } else {
            Err(StreamOpenError::CopyDiffers(position))
        }
    }

    /// `should` decides by the claim as it is now. None: as the options say.
    fn acquire(
        &mut self,
        should: Option<&dyn Fn(&Claim) -> bool>,
    ) -> Result<Held, StreamOpenError> {
        let node = self.options.node.clone();
        let me = (&node, self.options.process);
        let key = claim_key(self.options.number);
        let entry = loop {
            match self.server.read(&key) {
                Some(entry) => break entry,
                None => self.pause()?,
            }
        };
        let found = entry.as_ref().and_then(|entry| {
            let claim = Claim::decode(&entry.value)?;
            Some((entry.revision, claim))
        });
        if entry.is_some() && found.is_none() {
            let reason = "the entry of the log in the key-value store is not a claim";
            return Err(StreamOpenError::Refused(reason.to_owned()));
        }
        if let (Some(should), Some((_, claim))) = (should, &found) {
            if !should(claim) {
                return Err(StreamOpenError::Lost);
            }
        } else if let Some((_, claim)) = &found
            && let Some(owner) = &claim.owner
            && !self.options.take
            && !should_claim(self.options.number, claim, me, false, &Beats::new())
        {
            return Err(StreamOpenError::Owned(owner.clone()));
        }
        let mut acquisition = Acquisition::new(
            self.options.number,
            self.options.log,
            me,
            &self.options.version,
            found.as_ref().map(|(revision, claim)| (*revision, claim)),
        );
        loop {
            match acquisition.step(&mut self.server) {
                Progress::Again => {}
                Progress::Pause => self.pause()?,
                Progress::Done(AcquisitionVerdict::Held(held)) => return Ok(held),
                Progress::Done(AcquisitionVerdict::Lost) => return Err(StreamOpenError::Lost),
                Progress::Done(AcquisitionVerdict::Damaged(damage)) => return Err(damage.into()),
                Progress::Done(AcquisitionVerdict::Refused(reason)) => {
                    return Err(StreamOpenError::Refused(reason));
                }
            }
        }
    }
}
