//! Steps through the batches of one segment, and judges the place where they stop making sense.
//!
//! This is the only place that tells a torn tail from damage. A start refuses damage, `verify`
//! goes on behind it with [`SegmentCursor::skip`].

use crate::segment::format::batch::{self, BATCH_HEAD_BYTES, BatchHead, BatchLocation, BodyFault};
use crate::segment::scan::tail_scan::{TailScan, next_head, scan_tail};
use crate::segment::scan::window::Window;
use rejoin_core::{Sequence, SessionId};
use std::fmt;
use std::io;
use std::ops::Range;

/// Where the reading of a segment stands.
#[derive(Debug)]
pub(crate) struct SegmentCursor<'a> {
    window: Window<'a>,
    /// Where the next batch must stand.
    site: BatchLocation,
    /// The position that it must begin with.
    next: u64,
    /// Whether the segment's name says that it was sealed.
    sealed: bool,
    /// The last scan of the bytes behind a fault.
    tail: Option<TailScan>,
    /// The batch here claims to have been durable before it was written, and is read all the same.
    tolerated: Option<u64>,
}

/// What stands at the cursor.
#[derive(Debug)]
pub(crate) enum Step<'c> {
    /// A sound batch. The cursor is behind it now.
    Batch(Batch<'c>),
    /// The seal, with nothing behind it.
    Seal,
    /// Nothing but zeros, in a segment that was not sealed.
    CleanEnd,
    /// The rest of an append that a crash cut short. It was never acknowledged.
    TornTail {
        fault: BatchFault,
        /// How many bytes are left, without zeros at the end.
        bytes: u64,
        /// How many records were to follow, where that can be read.
        records: Option<u64>,
    },
    /// Something that was durable is not what was written. The cursor stays in front of it.
    Damaged(Damaged),
}

/// A batch whose checksums are right.
#[derive(Debug)]
pub(crate) struct Batch<'c> {
    pub(crate) head: BatchHead,
    /// The byte of the segment that the frames begin at.
    pub(crate) body_at: u64,
    pub(crate) body: &'c [u8],
}

/// What is damaged.
#[derive(Debug)]
pub(crate) enum Damaged {
    /// A sound batch of another position.
    Position { first: u64, expected: u64 },
    /// The batch says that its own records were durable before it was written.
    DurableTooEarly,
    /// The seal is not the end: these bytes follow it, or the seal claims to have a body.
    BehindSeal(Range<u64>),
    /// A batch that was durable is not sound.
    Batch { fault: BatchFault, proof: Proof },
}

/// What is wrong with a batch.
#[derive(Debug)]
pub(crate) struct BatchFault {
    /// The byte of the segment.
    pub(crate) byte: u64,
    /// The record that a bad frame claims to be.
    pub(crate) record: Option<(SessionId, Sequence)>,
    pub(crate) reason: &'static str,
    /// The batch's head, if it is sound.
    pub(crate) head: Option<BatchHead>,
}

/// How it is known that an unsound batch was durable.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Proof {
    Sealed,
    /// The batch at `byte` says how far the log was durable.
    Watermark {
        byte: u64,
        durable: u64,
    },
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position { first, expected } => write!(
                f,
                "the batch begins at position {first}, where position {expected} was to follow"
            ),
            Self::DurableTooEarly => f.write_str(batch::DURABLE_TOO_EARLY),
            Self::BehindSeal(_) => f.write_str("something follows the seal that ends the segment"),
            Self::Batch { fault, proof } => write!(f, "{}; {proof}", fault.reason),
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sealed => f.write_str("the segment was sealed, so all of it was durable"),
            Self::Watermark { byte, durable } => write!(
                f,
                "the batch at byte {byte} says that the log was durable up to position {durable}, \
                 which is this or after it"
            ),
        }
    }
}

/// What [`SegmentCursor::skip`] has passed over.
#[derive(Debug)]
pub(crate) struct Skipped {
    /// The byte that the unsound batch begins at.
    pub(crate) at: u64,
    pub(crate) body_at: u64,
    /// The byte behind it, as far as that is known.
    pub(crate) end: u64,
    /// What the segment has from `body_at` to `end`.
    pub(crate) body: Vec<u8>,
    /// How many records it held, where that is known.
    pub(crate) records: Option<u64>,
    /// Whether a batch follows that can be read.
    pub(crate) goes_on: bool,
}

impl<'a> SegmentCursor<'a> {
    /// Begins at `site`, where the batch of position `next` must stand.
    pub(crate) fn new(window: Window<'a>, site: BatchLocation, next: u64, sealed: bool) -> Self {
        Self {
            window,
            site,
            next,
            sealed,
            tail: None,
            tolerated: None,
        }
    }

    /// The byte behind the last batch that was read or skipped.
    pub(crate) fn byte(&self) -> u64 {
        self.site.byte
    }

    /// The position of the next record.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Reads what stands at the cursor.
    pub(crate) fn step(&mut self) -> io::Result<Step<'_>> {
        let at = self.site.byte;
        let Some(bytes) = self.window.get(at, BATCH_HEAD_BYTES)? else {
            let reason = if at < self.window.length() {
                "the segment ends within a batch's head"
            } else {
                "the segment ends without its seal"
            };
            return self.judge(fault(at, reason, None));
        };
        let head = bytes.first_chunk();
        let head = head.and_then(|bytes| BatchHead::decode(bytes, self.site));
        let Some(head) = head else {
            return self.judge(fault(at, "the batch's head is wrong", None));
        };
        if head.first != self.next {
            let (first, expected) = (head.first, self.next);
            return Ok(Step::Damaged(Damaged::Position { first, expected }));
        }
        if head.is_durable_too_early() && self.tolerated != Some(at) {
            return Ok(Step::Damaged(Damaged::DurableTooEarly));
        }
        if head.is_seal() {
            return self.seal(&head);
        }
        let body_at = at.saturating_add(BATCH_HEAD_BYTES as u64);
        let length = usize::try_from(head.body_bytes).unwrap_or(usize::MAX);
        let checked = match self.window.get(body_at, length)? {
            Some(body) => batch::check(&head, body),
            None => Err(BodyFault {
                byte: 0,
                record: None,
                reason: "the segment ends within the batch's records",
            }),
        };
        if let Err(wrong) = checked {
            return self.judge(BatchFault {
                byte: body_at.saturating_add(wrong.byte as u64),
                record: wrong.record,
                reason: wrong.reason,
                head: Some(head),
            });
        }
        self.next = head.next();
        self.site.byte = body_at.saturating_add(length as u64);
        let body = self.window.get(body_at, length)?.unwrap_or_default();
        Ok(Step::Batch(Batch {
            head,
            body_at,
            body,
        }))
    }

    /// Takes the batch at the cursor as it is: after [`Damaged::Position`] from `first` on, after
    /// [`Damaged::DurableTooEarly`] in spite of its claim.
    pub(crate) fn accept(&mut self, damaged: &Damaged) {
        match damaged {
            Damaged::Position { first, .. } => self.next = *first,
            Damaged::DurableTooEarly => self.tolerated = Some(self.site.byte),
            Damaged::BehindSeal(_) | Damaged::Batch { .. } => {}
        }
    }

    /// Goes behind an unsound batch. `following` is the position that the next file begins with.
    pub(crate) fn skip(
        &mut self,
        fault: &BatchFault,
        following: Option<u64>,
    ) -> io::Result<Skipped> {
        let at = self.site.byte;
        let body_at = at.saturating_add(BATCH_HEAD_BYTES as u64);
        let (end, next, goes_on) = match fault.head {
            Some(head) => {
                let end = body_at.saturating_add(u64::from(head.body_bytes));
                (end, Some(head.next()), true)
            }
            // The next sound head says how long the batch was and what it held, unless more than
            // this batch is damaged.
            None => match next_head(&mut self.window, self.site, at.saturating_add(1))? {
                Some((byte, head)) => (byte, Some(head.first), true),
                None if self.sealed => (self.window.length(), following, false),
                None => (self.tail()?.used, following, false),
            },
        };
        let skipped = Skipped {
            at,
            body_at,
            end,
            body: self.bytes(body_at, end)?,
            records: match fault.head {
                Some(head) => Some(u64::from(head.records)),
                None => next.map(|next| next.saturating_sub(self.next)),
            },
            goes_on,
        };
        self.next = next.unwrap_or(self.next);
        self.site.byte = end.min(self.window.length());
        Ok(skipped)
    }

    /// Whether the seal is the end of the segment.
    fn seal(&mut self, head: &BatchHead) -> io::Result<Step<'static>> {
        let end = self.site.byte.saturating_add(BATCH_HEAD_BYTES as u64);
        let used = if self.sealed {
            self.window.length()
        } else {
            scan_tail(&mut self.window, self.site, end)?.used.max(end)
        };
        Ok(if used != end || head.body_bytes != 0 {
            Step::Damaged(Damaged::BehindSeal(end..used))
        } else {
            Step::Seal
        })
    }

    /// What an unsound batch is: the clean end, a torn tail, or damage.
    ///
    /// It is damage if it was durable: everything in a sealed segment was, and everything that a
    /// later batch says was. Nothing else can have been acknowledged.
    fn judge(&mut self, fault: BatchFault) -> io::Result<Step<'static>> {
        if self.sealed {
            let proof = Proof::Sealed;
            return Ok(Step::Damaged(Damaged::Batch { fault, proof }));
        }
        let (at, next) = (self.site.byte, self.next);
        let tail = self.tail()?;
        if tail.used <= at {
            return Ok(Step::CleanEnd);
        }
        if let Some((byte, head)) = tail.watermark
            && head.durable >= next
        {
            let durable = head.durable;
            let proof = Proof::Watermark { byte, durable };
            return Ok(Step::Damaged(Damaged::Batch { fault, proof }));
        }
        let known = tail.next.max(fault.head.map(|head| head.next()));
        Ok(Step::TornTail {
            fault,
            bytes: tail.used.saturating_sub(at),
            records: known.map(|known| known.saturating_sub(next)),
        })
    }

    /// What stands behind the cursor in a segment that was not sealed. An earlier scan is used
    /// again if it still holds.
    fn tail(&mut self) -> io::Result<TailScan> {
        let at = self.site.byte;
        let still_holds =
            |tail: &TailScan| tail.used <= at || tail.watermark.is_none_or(|(byte, _)| byte >= at);
        let tail = match self.tail.filter(still_holds) {
            Some(tail) => tail,
            None => scan_tail(&mut self.window, self.site, at)?,
        };
        self.tail = Some(tail);
        Ok(tail)
    }

    /// The bytes of a range, as far as the segment has them.
    fn bytes(&mut self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let to = to.min(self.window.length());
        let count = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        Ok(self.window.get(from, count)?.unwrap_or_default().to_vec())
    }
}

fn fault(byte: u64, reason: &'static str, head: Option<BatchHead>) -> BatchFault {
    BatchFault {
        byte,
        record: None,
        reason,
        head,
    }
}
