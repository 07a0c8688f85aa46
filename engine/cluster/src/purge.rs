//! Finds how much of the beginning of a stream nobody needs any more: all records of it are of sessions
//! that were removed.
//!
//! Invariants:
//! - No message is purged that has a record of a session that is kept. So a kept session is there as a
//!   whole, and a session of which the first records are gone was removed.
//! - The last removal that was found is not purged, because it says which numbers were given. A session that
//!   was created after it is kept, or there is a later removal.
//! - The last message is not purged, because the next one must follow it.
//!
//! What was removed stays removed, so a purge is right whoever writes the log meanwhile, and whenever it
//! arrives.

use crate::limits::PURGE_READS;
use crate::message::{Message, MessageKind};
use crate::server::LogServer;
use rejoin_core::SessionId;
use rejoin_log::segment::{LogId, decode_frames};
use std::collections::BTreeSet;

/// Purges a stream bit by bit.
#[derive(Clone, Debug)]
pub struct Purging {
    log: LogId,
    /// The first message that was not looked at, or that is needed. A batch begins there.
    next: u64,
    /// The first message of the batch with the last removal that was found.
    removal: Option<u64>,
}

/// What one round has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purged {
    /// Nothing more can be purged for now. The first sequence of the stream.
    UpTo(u64),
    /// There is more to look at.
    More,
    /// The servers did not answer, or a message can't be read; or the answer to what is kept was not given.
    Unanswered,
}

/// A batch, or a message that has none.
struct Batch {
    first: u64,
    last: u64,
    sessions: BTreeSet<SessionId>,
    has_removal: bool,
}

impl Purging {
    /// For a log, from the beginning of its stream.
    #[must_use]
    pub fn new(log: LogId) -> Self {
        Self {
            log,
            next: 0,
            removal: None,
        }
    }

    /// Looks at some messages more, and purges what it can. Of the sessions that it is given, `kept` returns
    /// those that are not removed, as the durable log says. None: that is not known now.
    pub fn round(
        &mut self,
        server: &mut (impl LogServer + ?Sized),
        kept: &mut dyn FnMut(Vec<SessionId>) -> Option<Vec<SessionId>>,
    ) -> Purged {
        let Some(bounds) = server.bounds() else {
            return Purged::Unanswered;
        };
        self.next = self.next.max(bounds.first);
        self.removal = self.removal.filter(|removal| *removal >= bounds.first);
        let mut is_over = false;
        for _ in 0..PURGE_READS {
            let Some(batches) = self.batches(server) else {
                return Purged::Unanswered;
            };
            let sessions: BTreeSet<_> = batches.iter().flat_map(|it| &it.sessions).collect();
            let sessions: Vec<_> = sessions.into_iter().copied().collect();
            let kept = match sessions.is_empty() {
                true => Some(Vec::new()),
                false => kept(sessions),
            };
            let Some(kept) = kept else {
                return Purged::Unanswered;
            };
            let kept: BTreeSet<_> = kept.into_iter().collect();
            let looked = self.next;
            for batch in batches {
                is_over = batch.last >= bounds.last || !batch.sessions.is_disjoint(&kept);
                if is_over {
                    break;
                }
                if batch.has_removal {
                    self.removal = Some(batch.first);
                }
                self.next = batch.last.saturating_add(1);
            }
            is_over = is_over || self.next == looked;
            if is_over {
                break;
            }
        }
        let before = self.removal.unwrap_or(self.next);
        if before > bounds.first && !server.purge(before) {
            return Purged::Unanswered;
        }
        match is_over {
            true => Purged::UpTo(before.max(bounds.first)),
            false => Purged::More,
        }
    }

    /// The next batches that are whole, at least one unless there is none. None: the servers did not answer,
    /// or a message can't be read.
    fn batches(&self, server: &mut (impl LogServer + ?Sized)) -> Option<Vec<Batch>> {
        let mut batches = Vec::new();
        let (mut expected, mut first, mut frames) = (self.next, self.next, Vec::new());
        while batches.is_empty() {
            let asked = expected;
            for (sequence, encoded) in server.tail(expected)? {
                if sequence < expected {
                    continue;
                }
                if sequence > expected {
                    // That server has lost some, or they were purged.
                    break;
                }
                let message = Message::decode(&encoded).ok()?;
                if message.log != self.log || message.number != sequence {
                    return None;
                }
                expected = expected.saturating_add(1);
                if message.kind == MessageKind::Batch {
                    frames.extend_from_slice(&message.body);
                }
                if message.more {
                    continue;
                }
                let records = decode_frames(&std::mem::take(&mut frames)).ok()?;
                batches.push(Batch {
                    first,
                    last: sequence,
                    sessions: records.iter().map(|it| it.session).collect(),
                    has_removal: records.iter().any(|it| it.is_removal()),
                });
                first = expected;
            }
            if expected == asked {
                break;
            }
        }
        Some(batches)
    }
}
