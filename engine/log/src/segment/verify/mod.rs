//! Reads a log without changing it, and continues after damage. Reports where the log is damaged
//! and which records are missing because of that, and visits every record that is still readable.
//!
//! Invariants: only records that were written are visited; nothing on the disk is changed.
//!
//! Reading can continue after damage because the checksum of a batch's head covers its location:
//! the next head with a correct checksum was written there, and states the position at which the
//! log continues. From a damaged batch, intact frames are recovered where it is certain that they
//! are frames.

mod body;
mod compacted;
mod segment;
mod streams;

use crate::disk::{Disk, DiskFile};
use crate::segment::error::OpenError;
use crate::segment::format::batch::BatchLocation;
use crate::segment::format::fields::bytes_at;
use crate::segment::format::header::{HEADER_BYTES, Header, HeaderFault, LogId};
use crate::segment::format::name::{CompactedName, PartName, SegmentName};
use crate::segment::open::dir_listing::DirListing;
use crate::segment::open::renaming::Restored;
use crate::segment::scan::segment::{TornTail, io_error};
use crate::segment::scan::tail_scan::next_head;
use crate::segment::scan::window::Window;
use rejoin_core::{LossCause, Record, Sequence, SessionId};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use streams::Streams;

/// The result of verifying a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Its identity; `None` if it has no files, or none with a readable header.
    pub log: Option<LogId>,
    /// The number of segments, compacted ones included.
    pub segments: usize,
    /// Their total size in bytes.
    pub bytes: u64,
    /// The number of batches that are fully intact.
    pub batches: u64,
    /// The number of intact records.
    pub records: u64,
    /// The number of records that were removed with their sessions. These don't count as missing.
    pub removed: u64,
    /// The number of sessions found in the log.
    pub sessions: u64,
    /// Every damaged place, in log order.
    pub damaged: Vec<DamagedPlace>,
    /// The records that are missing because of that, as far as they can be identified, in the order
    /// in which they were detected.
    pub missing: Vec<MissingRecords>,
    /// The records that the log itself declares as lost, in log order. These are not damage.
    pub declared: Vec<DeclaredGap>,
    /// An append that a crash interrupted, if any. It was never acknowledged, and is not damage.
    pub torn: Option<TornTail>,
}

impl VerifyReport {
    /// Whether nothing is damaged. A torn tail does not count as damage.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty()
    }

    /// How many records are missing. A lower bound if the number is unknown for some damaged place.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let lost = self.damaged.iter().filter_map(|place| place.lost);
        lost.fold(0, u64::saturating_add)
    }

    /// How many of the missing records cannot be identified by session and sequence: the last ones
    /// of a session, or whole sessions.
    #[must_use]
    pub fn lost_unnamed(&self) -> u64 {
        let named = self.missing.iter().map(MissingRecords::count);
        self.lost()
            .saturating_sub(named.fold(0, u64::saturating_add))
    }
}

/// One damaged place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedPlace {
    /// The file.
    pub file: PathBuf,
    /// The damaged bytes of the file; empty if something is missing at this point.
    pub bytes: Range<u64>,
    /// What is wrong.
    pub reason: String,
    /// The damaged record, if it can still be identified plausibly.
    pub record: Option<(SessionId, Sequence)>,
    /// How many records are not readable because of it; `None` if unknown.
    pub lost: Option<u64>,
}

/// A range of records of a session that are not readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingRecords {
    /// The session.
    pub session: SessionId,
    /// The first sequence that is missing.
    pub first: Sequence,
    /// The last sequence that is missing.
    pub last: Sequence,
    /// Indices into [`VerifyReport::damaged`]: the records were in one or more of these places.
    pub places: Range<usize>,
}

/// A range of records that a record of their session declares as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeclaredGap {
    /// The session.
    pub session: SessionId,
    /// The first sequence that was lost.
    pub first: Sequence,
    /// The last sequence that was lost.
    pub last: Sequence,
    /// Why they were lost.
    pub cause: LossCause,
    /// Whether somebody asked for it.
    pub is_deletion: bool,
}

impl MissingRecords {
    /// The number of records in the range.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.last.0.saturating_sub(self.first.0).saturating_add(1)
    }
}

/// Reads the whole log on `disk`. Calls `visit` with every intact record in log order, and calls
/// `progress` from time to time with the bytes read so far and the total.
///
/// After damage, records of different sessions may be visited out of log order. The records of one
/// session are always in order, no record is visited twice, and every record is one that was
/// appended.
///
/// Takes the disk's lock, and changes nothing else. Blocks until everything is read. Takes memory
/// for each session and each finding.
///
/// # Errors
///
/// `Locked`: the log is open elsewhere. `UnknownFormat`, `UnknownRecord`: a newer version has
/// written it, so this one cannot verify it. `Io`: reading failed. Never `Damaged`: damage is
/// reported in the result.
pub fn verify(
    disk: &dyn Disk,
    visit: &mut dyn FnMut(Record),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<VerifyReport, OpenError> {
    let io = |error| io_error(disk.path(), error);
    let Some(_lock) = disk.lock().map_err(io)? else {
        return Err(OpenError::Locked {
            directory: disk.path().to_owned(),
        });
    };
    let disk: &dyn Disk = &Restored(disk);
    let listing = DirListing::read(disk)?;
    let parts = parts(disk, &listing)?;
    let total = parts.iter().map(Part::length).sum();
    let mut verifier = Verifier {
        findings: VerifyReport {
            segments: parts.len(),
            bytes: total,
            log: identity(&parts),
            ..VerifyReport::default()
        },
        streams: Streams::default(),
        next: 1,
        done: 0,
        total,
        visit,
        progress,
    };
    for (place, part) in parts.iter().enumerate() {
        let following = parts.get(place.saturating_add(1)).map(Part::first);
        match part {
            Part::Segment(segment) => verifier.take(segment, following)?,
            Part::Compacted(name, length) => verifier.read_compacted(disk, *name, *length)?,
        }
    }
    verifier.take_snapshots(disk, &listing)?;
    let Verifier {
        mut findings,
        streams,
        ..
    } = verifier;
    findings.sessions = streams.count();
    streams.claim_ends(&mut findings);
    Ok(findings)
}

/// A segment and its header.
struct Segment {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    name: SegmentName,
    length: u64,
    header: Result<Header, &'static str>,
    /// The log identity in the header, even if the header is damaged.
    claimed: LogId,
}

/// A file that holds records, and its length.
enum Part {
    Segment(Segment),
    Compacted(CompactedName, u64),
}

impl Part {
    fn first(&self) -> u64 {
        match self {
            Self::Segment(segment) => segment.name.first,
            Self::Compacted(name, _) => name.first,
        }
    }

    fn length(&self) -> u64 {
        match self {
            Self::Segment(segment) => segment.length,
            Self::Compacted(_, length) => *length,
        }
    }
}

fn parts(disk: &dyn Disk, listing: &DirListing) -> Result<Vec<Part>, OpenError> {
    let parts = listing.parts.iter().map(|part| match *part {
        PartName::Segment(name) => Segment::open(disk, name).map(Part::Segment),
        PartName::Compacted(name) => {
            let path = disk.path().join(name.to_string());
            let io = |error| io_error(&path, error);
            let file = disk.open(&name.to_string()).map_err(io)?;
            Ok(Part::Compacted(name, file.length().map_err(io)?))
        }
    });
    parts.collect()
}

impl Segment {
    fn open(disk: &dyn Disk, name: SegmentName) -> Result<Self, OpenError> {
        let path = disk.path().join(name.to_string());
        let io = |error| io_error(&path, error);
        let file = disk.open(&name.to_string()).map_err(io)?;
        let mut window = Window::new(&*file).map_err(io)?;
        let length = window.length();
        let head = window.get(0, HEADER_BYTES).map_err(io)?;
        let head = head.and_then(|bytes| bytes.first_chunk());
        let header = match head.map(Header::decode) {
            None => Err("the segment ends within its header"),
            Some(Ok(header)) => Ok(header),
            Some(Err(HeaderFault::Unsound(reason))) => Err(reason),
            Some(Err(HeaderFault::Version(found))) => {
                return Err(OpenError::UnknownFormat { file: path, found });
            }
        };
        let claimed = LogId::from_bytes(bytes_at(head.map_or(&[], |head| head), LOG_AT));
        drop(window);
        Ok(Self {
            file,
            path,
            name,
            length,
            header,
            claimed,
        })
    }

    /// The location of its first batch. If the header is damaged, tries the identity of the log and
    /// the one claimed in the header; `None` if no batch matches either.
    fn site(&self, log: Option<LogId>) -> Result<Option<BatchLocation>, OpenError> {
        let byte = HEADER_BYTES as u64;
        if let Ok(Header { log, first }) = self.header {
            let segment = first;
            return Ok(Some(BatchLocation { log, segment, byte }));
        }
        let io = |error| io_error(&self.path, error);
        let segment = self.name.first;
        for log in [log, Some(self.claimed)].into_iter().flatten() {
            let site = BatchLocation { log, segment, byte };
            let mut window = Window::new(&*self.file).map_err(io)?;
            if next_head(&mut window, site, byte).map_err(io)?.is_some() {
                return Ok(Some(site));
            }
        }
        Ok(None)
    }
}

/// The identity in most of the valid segment headers.
fn identity(parts: &[Part]) -> Option<LogId> {
    let mut logs: Vec<LogId> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Segment(segment) => Some(segment.header.ok()?.log),
            Part::Compacted(..) => None,
        })
        .collect();
    logs.sort_unstable();
    logs.chunk_by(|one, other| one == other)
        .max_by_key(|same| same.len())
        .and_then(|same| same.first())
        .copied()
}

struct Verifier<'a> {
    findings: VerifyReport,
    streams: Streams,
    /// The position of the next record.
    next: u64,
    done: u64,
    total: u64,
    visit: &'a mut dyn FnMut(Record),
    progress: &'a mut dyn FnMut(u64, u64),
}

impl Verifier<'_> {
    fn take(&mut self, segment: &Segment, following: Option<u64>) -> Result<(), OpenError> {
        let first = segment.name.first;
        let length = segment.length;
        let before = self.done;
        if first < self.next {
            let reason = format!(
                "the segment begins at position {first}, which another segment already contains"
            );
            self.damage(&segment.path, 0..length, reason, Some(0));
        } else if self.may_be_read(segment, following)? {
            self.walk(segment, following)?;
        }
        self.done = before.saturating_add(length);
        (self.progress)(self.done, self.total);
        Ok(())
    }

    /// Whether the segment's batches can be read at all. Reports damage in its header.
    fn may_be_read(
        &mut self,
        segment: &Segment,
        following: Option<u64>,
    ) -> Result<bool, OpenError> {
        let first = segment.name.first;
        self.miss_up_to(&segment.path, first);
        let reason = match segment.header {
            Err(reason) => {
                if segment.site(self.findings.log)?.is_some() {
                    let head = 0..(HEADER_BYTES as u64).min(segment.length);
                    self.damage(&segment.path, head, reason.to_owned(), Some(0));
                    return Ok(true);
                }
                reason.to_owned()
            }
            Ok(header) if header.first != first => format!(
                "the segment's name says that it begins at position {first}, \
                 but its header says {}",
                header.first
            ),
            Ok(header) if self.findings.log.is_some_and(|log| log != header.log) => {
                format!("the segment belongs to another log, {}", header.log)
            }
            Ok(_) => return Ok(true),
        };
        let lost = following.map(|following| following.saturating_sub(first));
        self.damage(&segment.path, 0..segment.length, reason, lost);
        self.next = following.unwrap_or(self.next);
        Ok(false)
    }

    fn walk(&mut self, segment: &Segment, following: Option<u64>) -> Result<(), OpenError> {
        let Some(site) = segment.site(self.findings.log)? else {
            return Ok(());
        };
        self.findings.log = self.findings.log.or(Some(site.log));
        let window = Window::new(&*segment.file);
        let window = window.map_err(|error| io_error(&segment.path, error))?;
        self.read_segment(segment, window, site, following)
    }

    fn damage(&mut self, file: &Path, bytes: Range<u64>, reason: String, lost: Option<u64>) {
        self.findings.damaged.push(DamagedPlace {
            file: file.to_owned(),
            bytes,
            reason,
            record: None,
            lost,
        });
    }
}

/// The byte offset of the log's identity in a segment header.
const LOG_AT: usize = 12;
