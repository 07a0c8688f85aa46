//! Steps through the batches of one segment, and classifies the first invalid one.
//!
//! Only this module distinguishes a torn tail, left by an interrupted append, from damage. Opening
//! a log fails on damage; `verify` continues after it with [`SegmentCursor::skip`].

use crate::segment::format::batch::{self, BATCH_HEAD_BYTES, BatchHead, BatchLocation, BodyFault};
use crate::segment::scan::tail_scan::{TailScan, next_head, scan_tail};
use crate::segment::scan::window::Window;
use rejoin_core::{Sequence, SessionId};
use std::fmt;
use std::io;
use std::ops::Range;

/// A read position in a segment.
#[derive(Debug)]
pub(crate) struct SegmentCursor<'a> {
    window: Window<'a>,
    /// The location of the next batch.
    site: BatchLocation,
    /// The position that the next batch must begin with.
    next: u64,
    /// Whether the segment is sealed, according to its name.
    sealed: bool,
    /// The result of the last tail scan.
    tail: Option<TailScan>,
    /// The byte offset of a batch to read even though it claims that its records were durable
    /// before it was written.
    tolerated: Option<u64>,
}

/// What is at the cursor.
#[derive(Debug)]
pub(crate) enum Step<'c> {
    /// A valid batch. The cursor is now after it.
    Batch(Batch<'c>),
    /// The seal, with nothing after it.
    Seal,
    /// Nothing but zeros, in a segment that was not sealed.
    CleanEnd,
    /// The remains of an append that a crash interrupted. It was never acknowledged.
    TornTail {
        fault: BatchFault,
        /// How many bytes remain, without zeros at the end.
        bytes: u64,
        /// How many records it should have had, if known.
        records: Option<u64>,
    },
    /// Durable data differs from what was written. The cursor stays before it.
    Damaged(Damaged),
}

/// A batch whose checksums are correct.
#[derive(Debug)]
pub(crate) struct Batch<'c> {
    pub(crate) head: BatchHead,
    /// The byte offset in the segment where the frames begin.
    pub(crate) body_at: u64,
    pub(crate) body: &'c [u8],
}

/// The kinds of damage.
#[derive(Debug)]
pub(crate) enum Damaged {
    /// A valid batch with an unexpected position.
    Position { first: u64, expected: u64 },
    /// The batch claims that its own records were durable before it was written.
    DurableTooEarly,
    /// The seal is not the end: these bytes follow it, or it claims to have a body.
    BehindSeal(Range<u64>),
    /// A durable batch is invalid.
    Batch { fault: BatchFault, proof: Proof },
}

/// What is wrong with a batch.
#[derive(Debug)]
pub(crate) struct BatchFault {
    /// The byte offset in the segment.
    pub(crate) byte: u64,
    /// The record that the invalid frame claims to be.
    pub(crate) record: Option<(SessionId, Sequence)>,
    pub(crate) reason: &'static str,
    /// The batch's head, if it is valid.
    pub(crate) head: Option<BatchHead>,
}

/// The evidence that an invalid batch was durable.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Proof {
    Sealed,
    /// The batch at `byte` states up to which position the log was durable.
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
                "the batch begins at position {first}, but position {expected} was expected"
            ),
            Self::DurableTooEarly => f.write_str(batch::DURABLE_TOO_EARLY),
            Self::BehindSeal(_) => f.write_str("the segment does not end after its seal"),
            Self::Batch { fault, proof } => write!(f, "{}; {proof}", fault.reason),
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sealed => f.write_str("the segment is sealed, so all of it was durable"),
            Self::Watermark { byte, durable } => write!(
                f,
                "the batch at byte {byte} says that the log was durable up to position {durable}, \
                so this batch was durable"
            ),
        }
    }
}

/// The invalid batch that [`SegmentCursor::skip`] has skipped.
#[derive(Debug)]
pub(crate) struct Skipped {
    /// The byte offset of the invalid batch.
    pub(crate) at: u64,
    pub(crate) body_at: u64,
    /// The byte offset after it, as far as known.
    pub(crate) end: u64,
    /// The segment's bytes from `body_at` to `end`.
    pub(crate) body: Vec<u8>,
    /// How many records it held, if known.
    pub(crate) records: Option<u64>,
    /// Whether a readable batch may follow.
    pub(crate) goes_on: bool,
}

impl<'a> SegmentCursor<'a> {
    /// Begins at `site`, which must hold the batch that begins with position `next`.
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

    /// The byte offset after the last batch that was read or skipped.
    pub(crate) fn byte(&self) -> u64 {
        self.site.byte
    }

    /// The position of the next record.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Reads what is at the cursor.
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
            return self.judge(fault(at, "the batch's head is invalid", None));
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

    /// Accepts the batch at the cursor in spite of the damage, so that the next step reads it:
    /// after [`Damaged::Position`] with the position it has, after [`Damaged::DurableTooEarly`]
    /// ignoring its claim.
    pub(crate) fn accept(&mut self, damaged: &Damaged) {
        match damaged {
            Damaged::Position { first, .. } => self.next = *first,
            Damaged::DurableTooEarly => self.tolerated = Some(self.site.byte),
            Damaged::BehindSeal(_) | Damaged::Batch { .. } => {}
        }
    }

    /// Moves past an invalid batch. `following` is the first position of the next file.
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
            // The next valid head shows how long the batch was and how many records it held,
            // unless more than this batch is damaged.
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

    /// Checks that the segment ends after the seal.
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

    /// Classifies an invalid batch as the clean end, a torn tail, or damage.
    ///
    /// It is damage if the batch was durable, that is, if the segment is sealed or a later batch
    /// says that it was. Nothing else can have been acknowledged.
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

    /// Scans the bytes after the cursor in a segment that was not sealed. The result of an earlier
    /// scan is reused while it is still valid.
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

    /// The bytes of a range, up to the end of the segment.
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
