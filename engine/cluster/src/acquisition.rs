//! Makes a node the one writer of a log.

use crate::chain::{Link, StreamDamage};
use crate::claim::{Claim, NodeName, Process, claim_key};
use crate::message::{Announcement, Message, MessageKind, split_batch};
use crate::publication::{Publication, PublishVerdict};
use crate::server::{Bounds, Got, LogServer, Progress, Written};
use rejoin_log::segment::LogId;

/// Takes a log, from its claim to the owner message in its stream.
#[derive(Clone, Debug)]
pub struct Acquisition {
    number: u8,
    log: LogId,
    version: String,
    claim: Claim,
    /// The revision of the claim that is to be replaced by ours, or that is ours.
    basis: u64,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    Claim,
    /// It is unknown whether the claim was written: see what is there.
    Check,
    ReadBounds,
    ReadLast(Bounds),
    Announce(Link, Publication),
}

/// How an acquisition has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AcquisitionVerdict {
    /// The log is ours.
    Held(Held),
    /// Another has claimed it.
    Lost,
    /// The end of the stream can't be trusted, so no node may write behind it.
    Damaged(StreamDamage),
    /// The server does not accept the owner message.
    Refused(String),
}

impl Acquisition {
    /// Takes log `number` for a process, instead of what its entry says: `found`, with its
    /// revision. None: there is no entry yet, and the log's home is this node.
    #[must_use]
    pub fn new(
        number: u8,
        log: LogId,
        (node, process): (&NodeName, Process),
        version: &str,
        found: Option<(u64, &Claim)>,
    ) -> Self {
        let (basis, home, term, retired) = found.map_or_else(
            || (0, node.clone(), 0, false),
            |(revision, claim)| (revision, claim.home.clone(), claim.term, claim.retired),
        );
        Self {
            number,
            log,
            version: version.to_owned(),
            claim: Claim {
                home,
                owner: Some(node.clone()),
                process: Some(process),
                term: term.saturating_add(1),
                retired,
            },
            basis,
            phase: Phase::Claim,
        }
    }

    /// Makes the next call.
    pub fn step(&mut self, server: &mut (impl LogServer + ?Sized)) -> Progress<AcquisitionVerdict> {
        match &mut self.phase {
            Phase::Claim => self.write_claim(server),
            Phase::Check => self.check_claim(server),
            Phase::ReadBounds => self.read_bounds(server),
            Phase::ReadLast(bounds) => {
                let bounds = *bounds;
                self.read_last(server, bounds)
            }
            Phase::Announce(link, publication) => {
                let link = *link;
                match publication.step(server) {
                    Progress::Again => Progress::Again,
                    Progress::Pause => Progress::Pause,
                    Progress::Done(verdict) => self.announced(link, verdict),
                }
            }
        }
    }

    fn write_claim(
        &mut self,
        server: &mut (impl LogServer + ?Sized),
    ) -> Progress<AcquisitionVerdict> {
        let key = claim_key(self.number);
        match server.write(&key, self.basis, &self.claim.encode()) {
            Written::Done(revision) => {
                self.basis = revision;
                self.phase = Phase::ReadBounds;
                Progress::Again
            }
            Written::Conflict => {
                self.phase = Phase::Check;
                Progress::Again
            }
            Written::Unknown => {
                self.phase = Phase::Check;
                Progress::Pause
            }
        }
    }

    fn check_claim(
        &mut self,
        server: &mut (impl LogServer + ?Sized),
    ) -> Progress<AcquisitionVerdict> {
        let Some(entry) = server.read(&claim_key(self.number)) else {
            return Progress::Pause;
        };
        let revision = entry.as_ref().map_or(0, |entry| entry.revision);
        let is_ours = entry.is_some_and(|entry| entry.value == self.claim.encode());
        if is_ours {
            self.basis = revision;
            self.phase = Phase::ReadBounds;
            Progress::Again
        } else if revision == self.basis {
            // Not written yet. Writing again is harmless, as it has the same expected revision.
            self.phase = Phase::Claim;
            Progress::Pause
        } else {
            Progress::Done(AcquisitionVerdict::Lost)
        }
    }

    fn read_bounds(
        &mut self,
        server: &mut (impl LogServer + ?Sized),
    ) -> Progress<AcquisitionVerdict> {
        match server.bounds() {
            None => Progress::Pause,
            Some(bounds) if bounds.last == 0 => self.announce(Link::START),
            Some(bounds) => {
                self.phase = Phase::ReadLast(bounds);
                Progress::Again
            }
        }
    }

    /// The end of the stream must be readable: behind a message that is lost no node may write.
    fn read_last(
        &mut self,
        server: &mut (impl LogServer + ?Sized),
        bounds: Bounds,
    ) -> Progress<AcquisitionVerdict> {
        let damaged = |damage| Progress::Done(AcquisitionVerdict::Damaged(damage));
        let last = bounds.last;
        match server.get(last) {
            Got::Unknown => Progress::Pause,
            Got::Nothing(now) if now.last > last => {
                // It may have been purged. A newer end is as good.
                if now.first > last {
                    self.phase = Phase::ReadBounds;
                    return Progress::Again;
                }
                damaged(StreamDamage::missing(last, now.last))
            }
            Got::Nothing(now) if now.last == last => damaged(StreamDamage::missing(last, now.last)),
            // What was answered before is not there yet where we ask now.
            Got::Nothing(_) => Progress::Pause,
            Got::Message(encoded) => {
                let message = match Message::decode(&encoded) {
                    Ok(message) => message,
                    Err(fault) => return damaged(StreamDamage::fault(last, fault)),
                };
                if message.log != self.log || message.number != last {
                    return damaged(StreamDamage::new(
                        last,
                        "the last message is of another log, or has another number",
                    ));
                }
                if message.more {
                    return damaged(StreamDamage::new(last, "the last batch is cut off"));
                }
                if message.term >= self.claim.term {
                    // Somebody claimed the log after us; then writing our claim again fails. Or the
                    // store has lost what it knew; then our term must be greater.
                    self.claim.term = message.term.saturating_add(1);
                    self.phase = Phase::Claim;
                    return Progress::Again;
                }
                self.announce(Link::after(&message, &encoded))
            }
        }
    }

    fn announce(&mut self, link: Link) -> Progress<AcquisitionVerdict> {
        let announcement = Announcement {
            node: self
                .claim
                .owner
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            process: self
                .claim
                .process
                .map(|process| process.to_string())
                .unwrap_or_default(),
            version: self.version.clone(),
        };
        let message = Message {
            kind: MessageKind::Owner,
            more: false,
            log: self.log,
            term: self.claim.term,
            number: link.number.saturating_add(1),
            position: link.position,
            records: 0,
            previous: link.checksum,
            body: serde_json::to_vec(&announcement).unwrap_or_default(),
        };
        let publication = Publication::new(link.number, vec![message.encode()]);
        self.phase = Phase::Announce(link, publication);
        Progress::Again
    }

    fn announced(&mut self, link: Link, verdict: PublishVerdict) -> Progress<AcquisitionVerdict> {
        match verdict {
            PublishVerdict::Stored => {
                let Phase::Announce(_, publication) = &self.phase else {
                    return Progress::Again;
                };
                let encoded = publication.messages().first().cloned().unwrap_or_default();
                Progress::Done(AcquisitionVerdict::Held(Held {
                    log: self.log,
                    end: Link {
                        number: link.number.saturating_add(1),
                        checksum: Message::checksum_of(&encoded),
                        position: link.position,
                        term: self.claim.term,
                        more: false,
                        let_go: false,
                    },
                }))
            }
            // The former owner has written once more. Take the end as it is now.
            PublishVerdict::Fenced(_) => {
                self.phase = Phase::ReadBounds;
                Progress::Again
            }
            PublishVerdict::Refused(reason) => Progress::Done(AcquisitionVerdict::Refused(reason)),
            PublishVerdict::Damaged(damage) => Progress::Done(AcquisitionVerdict::Damaged(damage)),
        }
    }

    /// The claim that it makes.
    #[must_use]
    pub fn claim(&self) -> &Claim {
        &self.claim
    }
}

/// A log that this process writes, until it is fenced or lets it go.
///
/// Invariant: `end` is the end of the stream, as long as no other node has taken the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    log: LogId,
    end: Link,
}

impl Held {
    /// The term in which this process writes.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.end.term
    }

    /// The end of the stream.
    #[must_use]
    pub fn end(&self) -> Link {
        self.end
    }

    /// The publication of a batch: `frames` of the given lengths, in messages whose bodies have at
    /// most `largest` bytes. Only one may be under way. None: the batch is empty, or too large.
    #[must_use]
    pub fn publish(&self, frames: &[u8], lengths: &[usize], largest: usize) -> Option<Publication> {
        let parts = split_batch(frames, lengths, largest)?;
        let mut link = self.end;
        let count = parts.len();
        let mut messages = Vec::with_capacity(count);
        for (index, (body, records)) in parts.into_iter().enumerate() {
            let message = Message {
                more: index.saturating_add(1) < count,
                records,
                body: body.to_vec(),
                ..self.next(MessageKind::Batch, link)
            };
            let encoded = message.encode();
            link = Link::after(&message, &encoded);
            messages.push(encoded);
        }
        (!messages.is_empty()).then(|| Publication::new(self.end.number, messages))
    }

    /// The publication of a batch without records: once it is stored, no other node had taken the log when it
    /// was begun. The stream's end can't say that: a server that was the leader, and is cut off from the others,
    /// answers with the end that it knows for half a minute.
    #[must_use]
    pub fn confirm(&self) -> Publication {
        let message = self.next(MessageKind::Batch, self.end);
        Publication::new(self.end.number, vec![message.encode()])
    }

    /// The publication of the message that lets the log go.
    #[must_use]
    pub fn let_go(&self) -> Publication {
        let message = self.next(MessageKind::LetGo, self.end);
        Publication::new(self.end.number, vec![message.encode()])
    }

    /// Goes on behind a publication that was stored.
    pub fn stored(&mut self, publication: &Publication) {
        if let Some(encoded) = publication.messages().last()
            && let Ok(message) = Message::decode(encoded)
        {
            self.end = Link::after(&message, encoded);
        }
    }

    /// A deliberate defect: goes on in the same term behind what another has written.
    pub(crate) fn moved_to(&self, end: Link) -> Self {
        Self {
            log: self.log,
            end: Link {
                term: self.end.term,
                ..end
            },
        }
    }

    fn next(&self, kind: MessageKind, link: Link) -> Message {
        Message {
            kind,
            more: false,
            log: self.log,
            term: self.end.term,
            number: link.number.saturating_add(1),
            position: link.position,
            records: 0,
            previous: link.checksum,
            body: Vec::new(),
        }
    }
}
