//! Writes one compacted segment that replaces a run of adjacent files.

use crate::disk::{Disk, DiskFile, read_exactly};
use crate::segment::compact::output::Output;
use crate::segment::compact::sort::{KeptFrame, Removal, SessionFrames, Sorted, Source, sort};
use crate::segment::error::OpenError;
use crate::segment::format::compacted::{Entry, Footer, KIND, Order, REMOVED_RUN};
use crate::segment::format::file_header::{FILE_HEADER_BYTES, FileHeader};
use crate::segment::format::frame::{self, Frame};
use crate::segment::format::header::LogId;
use crate::segment::format::name::{CompactedName, REWRITING, SegmentName};
use crate::segment::read::index::EXTENT_BYTES;
use crate::segment::redactions::{BySession, redacted};
use crate::segment::scan::segment::{Segment, io_error, scan};
use crate::segment::scan::visitor::{FrameError, FrameVisitor, LogPlace, decode};
use rejoin_core::{Record, Sequence, SessionId};
use std::io;
use std::sync::Arc;

/// A compacted segment that is durable but does not have its final name yet.
#[derive(Debug)]
pub(crate) struct Rewritten {
    pub(crate) name: CompactedName,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) bytes: u64,
    /// How many records of its range have been removed, now or earlier.
    pub(crate) removed: u64,
}

/// Rewrites `sources`, which must be adjacent, without the records in `removal`, and with those that
/// `redactions` leave. Reads every record
/// twice, and checks it each time. The file is named `rewriting` when this returns.
///
/// Takes about 20 bytes of memory per record.
pub(crate) fn rewrite(
    disk: &dyn Disk,
    log: LogId,
    sources: &[Source],
    removal: &Removal,
    redactions: &BySession,
    is_over: &dyn Fn() -> bool,
) -> Result<Option<Rewritten>, OpenError> {
    let (Some(first), Some(last)) = (sources.first(), sources.last()) else {
        return Ok(None);
    };
    let name = CompactedName {
        first: first.first(),
        last: last.last(),
    };
    let sorted = sort(sources, log, removal)?;
    write(disk, log, name, sources, redactions, &sorted, is_over).map(Some)
}

/// Writes a compacted segment for the first `records` positions of a log, all of which were removed: of these
/// sessions the records before a sequence, of others all. The file is named `rewriting` when this returns.
pub(crate) fn write_removed(
    disk: &dyn Disk,
    log: LogId,
    records: u64,
    cut: &[(SessionId, Sequence)],
) -> Result<Rewritten, OpenError> {
    let mut order = Order::default();
    order.push(REMOVED_RUN, records);
    let cut = cut.iter().filter(|(_, from)| *from > Sequence(1));
    let sessions = cut.map(|(id, from)| SessionFrames {
        id: *id,
        records: 0,
        removed: Some((Sequence(1), Sequence(from.0.saturating_sub(1)))),
        notice: None,
    });
    let sorted = Sorted {
        pieces: Vec::new(),
        order,
        sessions: sessions.collect(),
        removed: records,
    };
    let name = CompactedName {
        first: 1,
        last: records,
    };
    write(disk, log, name, &[], &BySession::new(), &sorted, &|| false)
}

fn write(
    disk: &dyn Disk,
    log: LogId,
    name: CompactedName,
    sources: &[Source],
    redactions: &BySession,
    sorted: &Sorted,
    is_over: &dyn Fn() -> bool,
) -> Result<Rewritten, OpenError> {
    let path = disk.path().join(REWRITING);
    let io = |error| io_error(&path, error);
    let header = FileHeader {
        log,
        numbers: [name.first, name.last],
    };
    let header = header.encode(KIND);
    let mut output = Output::new(disk.create(REWRITING).map_err(io)?);
    output.put(&header).map_err(io)?;
    let mut writing = Writing {
        sources,
        redactions,
        output,
        entries: Vec::new(),
        buffer: Vec::new(),
        io: &io,
    };
    writing.put_sessions(sorted, is_over)?;
    let entries = writing.end(sorted, &header).map_err(io)?;
    let (file, bytes) = (writing.output.file.clone(), writing.output.at());
    file.sync().map_err(io)?;
    Ok(Rewritten {
        name,
        file,
        entries,
        bytes,
        removed: sorted.removed,
    })
}

struct Writing<'a> {
    sources: &'a [Source],
    redactions: &'a BySession,
    output: Output,
    entries: Vec<Entry>,
    buffer: Vec<u8>,
    io: &'a dyn Fn(io::Error) -> OpenError,
}

impl Writing<'_> {
    fn put_sessions(
        &mut self,
        sorted: &Sorted,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), OpenError> {
        let mut pieces = sorted.pieces.clone();
        // A stable sort: records of one session stay in order.
        pieces.sort_by_key(|piece| piece.session);
        let mut rest = &pieces[..];
        for (number, met) in (1_u32..).zip(&sorted.sessions) {
            if is_over() {
                return Err((self.io)(io::ErrorKind::Interrupted.into()));
            }
            let end = rest.partition_point(|piece| piece.session <= number);
            let (own, following) = rest.split_at(end);
            rest = following;
            self.put_session(met, own)?;
        }
        Ok(())
    }

    fn put_session(&mut self, met: &SessionFrames, pieces: &[KeptFrame]) -> Result<(), OpenError> {
        let session = met.id;
        if let Some((first, last)) = met.removed {
            let sequences = last.0.saturating_sub(first.0).saturating_add(1);
            let sequences = u32::try_from(sequences).map_err(|_| self.too_long())?;
            self.entries.push(Entry::Removed {
                session,
                first,
                sequences,
            });
        }
        let mut last = Sequence::START;
        let is_next = |one: &KeptFrame, other: &KeptFrame| {
            one.source == other.source && one.byte.checked_add(one.bytes) == Some(other.byte)
        };
        for run in pieces.chunk_by(is_next) {
            self.put_run(session, &mut last, run)?;
        }
        if let Some(at) = met.notice {
            self.entries.push(Entry::Tombstone { session, at });
        }
        Ok(())
    }

    /// Copies frames that are adjacent in one source.
    fn put_run(
        &mut self,
        session: SessionId,
        last: &mut Sequence,
        run: &[KeptFrame],
    ) -> Result<(), OpenError> {
        for part in run.chunks(FRAMES_AT_ONCE) {
            let (Some(first), bytes) = (part.first(), part.iter().map(|it| it.bytes as usize))
            else {
                continue;
            };
            let Some(source) = self.sources.get(first.source as usize) else {
                continue;
            };
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.resize(bytes.sum(), 0);
            let read = read_exactly(&**source.file(), &mut buffer, u64::from(first.byte));
            read.map_err(|error| io_error(source.path(), error))?;
            let mut left = &buffer[..];
            for _ in part {
                let frame = Frame::split(left).filter(|(frame, _)| {
                    frame.is_sound() && frame.session == session && frame.sequence > *last
                });
                let Some((frame, following)) = frame else {
                    let changed = io::Error::other("a record changed while it was copied");
                    return Err(io_error(source.path(), changed));
                };
                match self.redact(&frame) {
                    Some(bytes) => {
                        let redacted = Frame::split(&bytes).ok_or_else(|| self.too_long())?;
                        self.put_frame(&redacted.0)?;
                    }
                    None => self.put_frame(&frame)?,
                }
                *last = frame.sequence;
                left = following;
            }
            self.buffer = buffer;
        }
        Ok(())
    }

    /// The frame as it is after its redaction. None: it stays as it is.
    fn redact(&self, frame: &Frame<'_>) -> Option<Vec<u8>> {
        let redacted = redacted_frame(frame, self.redactions)?;
        let mut bytes = Vec::new();
        frame::encode(&redacted, &mut bytes)?;
        Some(bytes)
    }

    fn put_frame(&mut self, frame: &Frame<'_>) -> Result<(), OpenError> {
        let at = u32::try_from(self.output.at()).map_err(|_| self.too_long())?;
        let length = u32::try_from(frame.length()).map_err(|_| self.too_long())?;
        at.checked_add(length).ok_or_else(|| self.too_long())?;
        match self.entries.last_mut() {
            Some(Entry::Records {
                session,
                first,
                records,
                bytes,
                ..
            }) if *session == frame.session
                && first.0.checked_add(u64::from(*records)) == Some(frame.sequence.0)
                && *bytes < EXTENT_BYTES =>
            {
                *records += 1;
                *bytes += length;
            }
            _ => self.entries.push(Entry::Records {
                session: frame.session,
                first: frame.sequence,
                records: 1,
                byte: at,
                bytes: length,
            }),
        }
        self.output.put(frame.whole()).map_err(self.io)
    }

    /// Writes the parts after the records: order, session table and footer.
    fn end(&mut self, sorted: &Sorted, header: &[u8; FILE_HEADER_BYTES]) -> io::Result<Vec<Entry>> {
        let order_at = self.output.at();
        let mut order = Vec::new();
        sorted.order_of_standing().encode(&mut order);
        self.output.put(&order)?;
        let entries_at = self.output.at();
        let mut table = Vec::new();
        for entry in &self.entries {
            entry.encode(&mut table);
        }
        self.output.put(&table)?;
        let footer = Footer {
            entries: u32::try_from(self.entries.len()).map_err(io::Error::other)?,
            order_at,
            entries_at,
            held: sorted.pieces.len() as u64,
            removed: sorted.removed,
            order_checksum: crc32c::crc32c(&order),
        };
        self.output.put(&footer.encode(header, &table))?;
        self.output.flush()?;
        Ok(std::mem::take(&mut self.entries))
    }

    fn too_long(&self) -> OpenError {
        (self.io)(io::Error::other("the compacted segment would be too long"))
    }
}

/// How many adjacent frames are read at once.
const FRAMES_AT_ONCE: usize = 256;

/// The record in a frame as it is after its redaction. None: it stays as it is.
fn redacted_frame(frame: &Frame<'_>, redactions: &BySession) -> Option<Record> {
    let redactions = redactions.get(&frame.session)?;
    redacted(&decode(frame).ok()?, redactions)
}

/// Whether a file has bytes that are redacted by these. Reads it, if it has records of their sessions.
pub(crate) fn has_redacted(
    source: &Source,
    log: LogId,
    redactions: &BySession,
) -> Result<bool, OpenError> {
    let mut seeking = Seeking {
        redactions,
        found: false,
    };
    match source {
        Source::Compacted(compacted) => {
            let mut sessions = compacted.entries.iter().map(Entry::session);
            if sessions.any(|session| redactions.contains_key(&session)) {
                compacted.read(&mut seeking)?;
            }
        }
        Source::Segment {
            name, file, path, ..
        } => {
            let segment = Segment {
                file: &**file,
                path: path.clone(),
                name: SegmentName::sealed(name.first),
                log: Some(log),
            };
            scan(&segment, &mut seeking)?;
        }
    }
    Ok(seeking.found)
}

/// Looks for records to redact.
struct Seeking<'a> {
    redactions: &'a BySession,
    found: bool,
}

impl FrameVisitor for Seeking<'_> {
    fn visit(&mut self, _: LogPlace, frame: &Frame<'_>) -> Result<(), FrameError> {
        self.found = self.found || redacted_frame(frame, self.redactions).is_some();
        Ok(())
    }

    fn last(&self, _: SessionId) -> Option<Sequence> {
        None
    }
}
