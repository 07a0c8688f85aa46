//! Reads compacted segments: their session tables and their records.

use crate::disk::{Disk, DiskFile, read_exactly};
use crate::segment::error::{Damage, OpenError};
use crate::segment::format::compacted::{ENTRY_BYTES, Entry, FOOTER_BYTES, Footer, KIND, Order};
use crate::segment::format::file_header::{FILE_HEADER_BYTES, FileHeader, FileHeaderFault};
use crate::segment::format::frame::{FRAME_HEAD_BYTES, Frame};
use crate::segment::format::header::LogId;
use crate::segment::format::name::CompactedName;
use crate::segment::scan::segment::io_error;
use crate::segment::scan::stream_windows::StreamWindows;
use crate::segment::scan::visitor::{FrameVisitor, LogPlace};
use crate::segment::scan::window::Window;
use rejoin_core::{Sequence, SessionId};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A compacted segment whose header, session table and footer are valid. Its records have not been
/// checked.
#[derive(Debug)]
pub(crate) struct CompactedSegment {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) path: PathBuf,
    pub(crate) name: CompactedName,
    pub(crate) log: LogId,
    pub(crate) bytes: u64,
    pub(crate) entries: Vec<Entry>,
    footer: Footer,
}

/// Where a frame is stored in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CompactedFrame {
    pub(crate) sequence: Sequence,
    pub(crate) byte: u32,
    pub(crate) bytes: u32,
}

/// Damaged records.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) bytes: Range<u64>,
    /// The first damaged record.
    pub(crate) record: (SessionId, Sequence),
    pub(crate) reason: &'static str,
    /// How many records are damaged.
    pub(crate) records: u64,
}

/// A record, by its session and frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Logged {
    pub(crate) session: SessionId,
    /// Index into [`CompactedSegment::streams`].
    stream: usize,
    /// Index into [`CompactedSegment::frames`].
    pub(crate) frame: usize,
}

/// The records of one session that have not been visited yet.
#[derive(Debug)]
pub(crate) struct Stream {
    session: SessionId,
    pub(crate) frames: Range<usize>,
}

impl Stream {
    fn next(&mut self, stream: usize) -> Option<Logged> {
        let frame = self.frames.next()?;
        Some(Logged {
            session: self.session,
            stream,
            frame,
        })
    }
}

impl CompactedSegment {
    pub(crate) fn open(disk: &dyn Disk, name: CompactedName) -> Result<Self, OpenError> {
        let path = disk.path().join(name.to_string());
        let io = |error| io_error(&path, error);
        let damaged = |byte: u64, reason: &str| damaged(&path, byte, None, reason);
        let file = disk.open(&name.to_string()).map_err(io)?;
        let bytes = file.length().map_err(io)?;
        if bytes < (FILE_HEADER_BYTES + FOOTER_BYTES) as u64 {
            return Err(damaged(0, "the file is too short for a compacted segment"));
        }
        let mut head = [0; FILE_HEADER_BYTES];
        read_exactly(&*file, &mut head, 0).map_err(io)?;
        let header = FileHeader::decode(&head, KIND).map_err(|fault| match fault {
            FileHeaderFault::Unsound(reason) => damaged(0, reason),
            FileHeaderFault::Version(found) => OpenError::UnknownFormat {
                file: path.clone(),
                found,
            },
        })?;
        if header.numbers != [name.first, name.last] {
            return Err(damaged(
                0,
                "its name and its header disagree on its positions",
            ));
        }
        let trailer_at = bytes.saturating_sub(FOOTER_BYTES as u64);
        let mut tail = [0; FOOTER_BYTES];
        read_exactly(&*file, &mut tail, trailer_at).map_err(io)?;
        let footer = Footer::decode(&tail);
        let footer = footer.filter(|footer| {
            let table = u64::from(footer.entries).saturating_mul(ENTRY_BYTES as u64);
            footer.entries_at.checked_add(table) == Some(trailer_at)
        });
        let wrong = || damaged(trailer_at, "the footer is invalid");
        let footer = footer.ok_or_else(wrong)?;
        let length = trailer_at.saturating_sub(footer.entries_at);
        let mut table = vec![0; usize::try_from(length).map_err(|_| wrong())?];
        read_exactly(&*file, &mut table, footer.entries_at).map_err(io)?;
        if !Footer::is_sound(&tail, &head, &table) {
            return Err(damaged(
                footer.entries_at,
                "the checksum of the session table is wrong",
            ));
        }
        let (chunks, _) = table.as_chunks();
        let entries: Option<Vec<_>> = chunks.iter().map(Entry::decode).collect();
        let compacted = Self {
            log: header.log,
            entries: entries
                .ok_or_else(|| damaged(footer.entries_at, "the session table is invalid"))?,
            file,
            path: path.clone(),
            name,
            bytes,
            footer,
        };
        if compacted.is_consistent() {
            Ok(compacted)
        } else {
            Err(damaged(
                footer.entries_at,
                "the session table does not match the rest of the file",
            ))
        }
    }

    /// How many of its records have been removed.
    pub(crate) fn removed(&self) -> u64 {
        self.footer.removed
    }

    /// Reads every record, and passes them to `visitor` in log order.
    pub(crate) fn read(&self, visitor: &mut dyn FrameVisitor) -> Result<(), OpenError> {
        let frames = self.frames_or_damage()?;
        self.tell_in_log_order(&frames, visitor)
    }

    /// Checks every record, and returns where each is stored. Fails at the first damaged one.
    pub(crate) fn frames_or_damage(&self) -> Result<Vec<Option<CompactedFrame>>, OpenError> {
        self.frames(&mut |fault| Err(self.refuse(fault)))
    }

    /// Passes the records of `frames` to `visitor` in log order.
    pub(crate) fn tell_in_log_order(
        &self,
        frames: &[Option<CompactedFrame>],
        visitor: &mut dyn FrameVisitor,
    ) -> Result<(), OpenError> {
        let mut windows = StreamWindows::default();
        self.each_in_log_order(|position, logged| {
            let Some(logged) = logged else {
                return Ok(());
            };
            let Some(Some(place)) = frames.get(logged.frame).copied() else {
                return Ok(());
            };
            let bytes = windows.get(&*self.file, logged.stream, place, self.footer.order_at);
            let bytes = bytes.map_err(|error| self.io(error))?;
            let byte = u64::from(place.byte);
            let frame = self.sound(byte, bytes)?;
            let taken = visitor.visit(LogPlace { position, byte }, &frame);
            taken.map_err(|error| error.at(&self.path, byte, &frame))
        })
    }

    pub(crate) fn give(
        &self,
        place: CompactedFrame,
        position: u64,
        buffer: &mut Vec<u8>,
        visitor: &mut dyn FrameVisitor,
    ) -> Result<(), OpenError> {
        let byte = u64::from(place.byte);
        let frame = self.frame(place, buffer)?;
        let taken = visitor.visit(LogPlace { position, byte }, &frame);
        taken.map_err(|error| error.at(&self.path, byte, &frame))
    }

    /// Reads a record again.
    pub(crate) fn frame<'b>(
        &self,
        place: CompactedFrame,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Frame<'b>, OpenError> {
        let byte = u64::from(place.byte);
        buffer.resize(place.bytes as usize, 0);
        read_exactly(&*self.file, buffer, byte).map_err(|error| self.io(error))?;
        self.sound(byte, buffer)
    }

    /// The frame in these bytes, which are stored at `byte`.
    fn sound<'b>(&self, byte: u64, bytes: &'b [u8]) -> Result<Frame<'b>, OpenError> {
        let frame = Frame::split(bytes).filter(|(frame, _)| frame.is_sound());
        let wrong = || self.damaged(byte, None, "the record's checksum is wrong");
        frame.map(|(frame, _)| frame).ok_or_else(wrong)
    }

    /// Checks every record, and returns where the valid ones are stored, with `None` for each
    /// damaged one. Calls `refuse` for each damaged part.
    pub(crate) fn frames(
        &self,
        refuse: &mut dyn FnMut(Fault) -> Result<(), OpenError>,
    ) -> Result<Vec<Option<CompactedFrame>>, OpenError> {
        let mut frames = Vec::new();
        let mut window = Window::new(&*self.file).map_err(|error| self.io(error))?;
        for entry in &self.entries {
            let Entry::Records {
                session,
                first,
                records,
                byte,
                bytes,
            } = *entry
            else {
                continue;
            };
            let mut at = u64::from(byte);
            let end = at.saturating_add(u64::from(bytes));
            let mut left = u64::from(records);
            let mut record = (session, first);
            while left > 0 {
                let checked = self.check(&mut window, at, record, end)?;
                let (length, lost) = match checked {
                    Ok(length) => {
                        frames.push(u32::try_from(at).ok().map(|byte| CompactedFrame {
                            sequence: record.1,
                            byte,
                            bytes: length,
                        }));
                        (u64::from(length), 1)
                    }
                    Err(reason) => {
                        let following = (session, record.1.next());
                        let next = self.next_at(&mut window, at, following, end)?;
                        // After a frame whose length is wrong, no frame can be found.
                        let lost = next.map_or(left, |_| 1);
                        let next = next.unwrap_or(end);
                        refuse(Fault {
                            bytes: at..next,
                            record,
                            reason,
                            records: lost,
                        })?;
                        frames.extend((0..lost).map(|_| None));
                        (next.saturating_sub(at), lost)
                    }
                };
                at = at.saturating_add(length);
                left = left.saturating_sub(lost);
                record.1 = Sequence(record.1.0.saturating_add(lost));
            }
            if at != end {
                refuse(Fault {
                    bytes: at..end,
                    record,
                    reason: "the session's records are shorter than its entry says",
                    records: 0,
                })?;
            }
        }
        Ok(frames)
    }

    /// Checks one record, and returns the length of its frame.
    fn check(
        &self,
        window: &mut Window<'_>,
        at: u64,
        record: (SessionId, Sequence),
        end: u64,
    ) -> Result<Result<u32, &'static str>, OpenError> {
        const LENGTH: &str = "the record's length is wrong";
        let head = window.get(at, FRAME_HEAD_BYTES);
        let head = head.map_err(|error| self.io(error))?;
        let length = head.and_then(Frame::length_of);
        let Some(length) = length.filter(|it| at.saturating_add(*it as u64) <= end) else {
            return Ok(Err(LENGTH));
        };
        let bytes = window.get(at, length).map_err(|error| self.io(error))?;
        let Some((frame, _)) = bytes.and_then(Frame::split) else {
            return Ok(Err(LENGTH));
        };
        if !frame.is_sound() {
            return Ok(Err("the record's checksum is wrong"));
        }
        if (frame.session, frame.sequence) != record {
            return Ok(Err("a different record is stored here"));
        }
        Ok(u32::try_from(length).map_err(|_| LENGTH))
    }

    /// Where the frame after a damaged one begins, if the damaged one's length is plausible.
    fn next_at(
        &self,
        window: &mut Window<'_>,
        at: u64,
        following: (SessionId, Sequence),
        end: u64,
    ) -> Result<Option<u64>, OpenError> {
        let head = window.get(at, FRAME_HEAD_BYTES);
        let length = head
            .map_err(|error| self.io(error))?
            .and_then(Frame::length_of);
        let Some(next) = length.map(|length| at.saturating_add(length as u64)) else {
            return Ok(None);
        };
        if next == end {
            return Ok(Some(end));
        }
        let is_next = next < end && self.check(window, next, following, end)?.is_ok();
        Ok(is_next.then_some(next))
    }

    fn refuse(&self, fault: Fault) -> OpenError {
        self.damaged(fault.bytes.start, Some(fault.record), fault.reason)
    }

    /// Calls `tell` with the record of each position, or `None` if it has been removed.
    pub(crate) fn each_in_log_order(
        &self,
        mut tell: impl FnMut(u64, Option<Logged>) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let order = self.order()?;
        let wrong = || {
            let reason = "the record order does not match the session table";
            self.damaged(self.footer.order_at, None, reason)
        };
        let mut streams = self.streams();
        let mut position = self.name.first;
        for (whose, records) in order.runs() {
            for _ in 0..records {
                if position > self.name.last {
                    return Err(wrong());
                }
                let logged = match whose.checked_sub(1) {
                    None => None,
                    Some(session) => {
                        let number = session as usize;
                        let stream = streams.get_mut(number).ok_or_else(wrong)?;
                        Some(stream.next(number).ok_or_else(wrong)?)
                    }
                };
                tell(position, logged)?;
                position += 1;
            }
        }
        let is_done = streams.iter().all(|stream| stream.frames.is_empty());
        if is_done && position.checked_sub(1) == Some(self.name.last) {
            Ok(())
        } else {
            Err(wrong())
        }
    }

    /// The sessions with records, in file order.
    pub(crate) fn streams(&self) -> Vec<Stream> {
        let mut streams: Vec<Stream> = Vec::new();
        let mut frame = 0_usize;
        for entry in &self.entries {
            let Entry::Records {
                session, records, ..
            } = *entry
            else {
                continue;
            };
            let end = frame.saturating_add(records as usize);
            match streams.last_mut() {
                Some(stream) if stream.session == session => stream.frames.end = end,
                _ => streams.push(Stream {
                    session,
                    frames: frame..end,
                }),
            }
            frame = end;
        }
        streams
    }

    fn order(&self) -> Result<Order, OpenError> {
        let at = self.footer.order_at;
        let wrong = || self.damaged(at, None, "the record order is invalid");
        let length = self.footer.entries_at.saturating_sub(at);
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| wrong())?];
        read_exactly(&*self.file, &mut bytes, at).map_err(|error| self.io(error))?;
        if crc32c::crc32c(&bytes) != self.footer.order_checksum {
            return Err(self.damaged(at, None, "the checksum of the record order is wrong"));
        }
        Order::decode(&bytes).ok_or_else(wrong)
    }

    /// Whether the entries cover the file without gaps, and match the footer's record counts.
    fn is_consistent(&self) -> bool {
        let mut at = FILE_HEADER_BYTES as u64;
        let (mut held, mut sums_up) = (0_u64, true);
        for entry in &self.entries {
            if let Entry::Records {
                records,
                byte,
                bytes,
                ..
            } = *entry
            {
                sums_up &= u64::from(byte) == at;
                at = at.saturating_add(u64::from(bytes));
                held = held.saturating_add(u64::from(records));
            }
        }
        let Footer {
            order_at,
            entries_at,
            removed,
            ..
        } = self.footer;
        let positions = self.name.last.saturating_sub(self.name.first);
        sums_up
            && at == order_at
            && order_at <= entries_at
            && held == self.footer.held
            && held.checked_add(removed) == positions.checked_add(1)
    }

    pub(crate) fn damaged(
        &self,
        byte: u64,
        record: Option<(SessionId, Sequence)>,
        reason: &str,
    ) -> OpenError {
        damaged(&self.path, byte, record, reason)
    }

    pub(crate) fn io(&self, error: std::io::Error) -> OpenError {
        io_error(&self.path, error)
    }
}

fn damaged(
    path: &Path,
    byte: u64,
    record: Option<(SessionId, Sequence)>,
    reason: &str,
) -> OpenError {
    OpenError::Damaged(Damage {
        file: path.to_owned(),
        byte,
        record,
        reason: reason.to_owned(),
    })
}
