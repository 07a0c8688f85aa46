//! Reads a log without changing it, and goes on behind damage: what is wrong where, which records
//! are missing because of it, and what is still readable.
//!
//! What enters: a directory that nobody writes to. What leaves: every sound record, in the order
//! of the log, and the findings. Never: a record that is not what was written is told, a byte is
//! changed, or damage ends the reading.
//!
//! It goes on behind damage because a batch's head is bound to its place: the next head whose
//! checksum is right was written there, and says at which position the log goes on. Of a damaged
//! batch, the frames that are sound are told if the batch divides into as many as there were.

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
use crate::segment::scan::segment::{TornTail, io_error};
use crate::segment::scan::tail_scan::next_head;
use crate::segment::scan::window::Window;
use rejoin_core::{LossCause, Record, Sequence, SessionId};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use streams::Streams;

/// What a log turned out to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Its identity; `None` when it has no segment, or none that tells.
    pub log: Option<LogId>,
    /// How many segments there are.
    pub segments: usize,
    /// How many bytes they take.
    pub bytes: u64,
    /// How many batches are sound as a whole.
    pub batches: u64,
    /// How many records are sound.
    pub records: u64,
    /// How many records were removed with their sessions. They are not missing.
    pub removed: u64,
    /// How many sessions those are of.
    pub sessions: u64,
    /// Every place that is damaged, in the order of the log.
    pub damaged: Vec<DamagedPlace>,
    /// What is missing because of it, as far as that can be known, in the order in which it was
    /// found out.
    pub missing: Vec<MissingRecords>,
    /// What the log itself says is gone, in the order in which it says so. That is not damage.
    pub declared: Vec<DeclaredGap>,
    /// What a crash left half written, if anything. It was never acknowledged, and is not damage.
    pub torn: Option<TornTail>,
}

impl VerifyReport {
    /// Whether nothing is damaged. A torn end is sound.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty()
    }

    /// How many records are missing; at least so many where a damaged place does not tell.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let lost = self.damaged.iter().filter_map(|place| place.lost);
        lost.fold(0, u64::saturating_add)
    }

    /// How many of those are of sessions and sequences that nothing tells any more: the last ones
    /// of their sessions, or whole sessions.
    #[must_use]
    pub fn lost_unnamed(&self) -> u64 {
        let named = self.missing.iter().map(MissingRecords::count);
        self.lost()
            .saturating_sub(named.fold(0, u64::saturating_add))
    }
}

/// One place that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedPlace {
    /// The file.
    pub file: PathBuf,
    /// The bytes of it that cannot be believed; empty where something is missing between two.
    pub bytes: Range<u64>,
    /// What is wrong there.
    pub reason: String,
    /// Which record it is, where the damaged record still says something likely.
    pub record: Option<(SessionId, Sequence)>,
    /// How many records are not readable because of it; `None` when nothing tells.
    pub lost: Option<u64>,
}

/// Records of a session that are not readable, from one sequence to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingRecords {
    /// The session.
    pub session: SessionId,
    /// The first sequence that is missing.
    pub first: Sequence,
    /// The last one that is.
    pub last: Sequence,
    /// Which of [`VerifyReport::damaged`] they were in: one of these.
    pub places: Range<usize>,
}

/// Records of a session that are gone, as a record of the session says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeclaredGap {
    /// The session.
    pub session: SessionId,
    /// The first sequence that is gone.
    pub first: Sequence,
    /// The last one.
    pub last: Sequence,
    /// Why.
    pub cause: LossCause,
}

impl MissingRecords {
    /// How many records that is.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.last.0.saturating_sub(self.first.0).saturating_add(1)
    }
}

/// Reads the whole log on `disk`; tells `visit` every sound record in the order of the log, and
/// `progress` now and then how many bytes of how many it has read.
///
/// Behind damage that was made on purpose, frames copied into another batch, a record may be told
/// before its turn in the log; never one that was not appended, never one twice, and those of a
/// session always in their order.
///
/// Takes the disk's lock, and changes nothing else. Blocks for as long as reading takes; takes
/// memory for each session and for each finding.
///
/// # Errors
///
/// `Locked`: a server writes to the log. `UnknownFormat`, `UnknownRecord`: a newer version has
/// written it, which this one cannot judge. `Io`: the operating system could not read. Never
/// `Damaged`: that is a finding.
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

/// A segment, and what its header says.
struct Segment {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    name: SegmentName,
    length: u64,
    header: Result<Header, &'static str>,
    /// The bytes where the log's identity stands, sound or not.
    claimed: LogId,
}

/// A file that holds records, and how long it is.
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

    /// Where its first batch stands, in whatever log's name its batches were written.
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

/// The log that most of the sound headers are of.
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
    /// The position that the log goes on with.
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
                "the segment begins at position {first}, which another segment holds already"
            );
            self.damage(&segment.path, 0..length, reason, Some(0));
        } else if self.may_be_read(segment, following)? {
            self.walk(segment, following)?;
        }
        self.done = before.saturating_add(length);
        (self.progress)(self.done, self.total);
        Ok(())
    }

    /// Whether the segment's batches can be told apart at all.
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
                "the segment's name says that it begins at position {first}, its header says {}",
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

/// Where the log's identity stands in a header.
const LOG_AT: usize = 12;
