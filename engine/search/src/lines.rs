//! Puts lines together that are spread over records, and keeps those that a pattern is in. Pure.

use crate::escapes::{has_escapes, strip_into};
use crate::limits::{LINE_BYTES, OPEN_LINES, OVERLAP_BYTES, SHOWN_BEFORE, SHOWN_BYTES};
use crate::output::output_part;
use crate::pattern::{Pattern, without_end};
use crate::position::OutputPlace;
use memchr::{memchr, memchr_iter, memrchr};
use rejoin_engine::{Event, JobId, Record, Sequence, Timestamp, Visibility};
use std::collections::BTreeMap;
use std::ops::Range;

/// A line that the pattern is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineMatch {
    /// The job that wrote it.
    pub job: JobId,
    /// The stream that it was written to; none of a result that is not output of a program.
    pub stream: Option<&'static str>,
    /// Where it begins: what is read from here on begins with it.
    pub at: OutputPlace,
    /// The record in which it begins.
    pub sequence: Sequence,
    /// How many lines of that record end before it.
    pub row: usize,
    /// When that record was logged.
    pub time: Timestamp,
    /// Its text without escape sequences and without its end, or a part of it around the match.
    /// Bytes that are not UTF-8 are replaced.
    pub line: String,
    /// Where in this text the first match is, in bytes.
    pub range: Range<usize>,
}

/// What is searched for, and in what.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) pattern: &'a Pattern,
    pub(crate) job: Option<JobId>,
    pub(crate) stream: Option<&'a str>,
}

#[derive(Debug)]
pub(crate) struct Lines<'a> {
    wanted: Wanted<'a>,
    most: usize,
    begin: OutputPlace,
    /// Up to where it was read.
    pub(crate) read: OutputPlace,
    /// Lines whose ends are not read yet.
    open: BTreeMap<Output, OpenLine>,
    pub(crate) found: Vec<LineMatch>,
    stripped: Vec<u8>,
}

/// Output that is one text: that of a job, without its standard error, which is another.
type Output = (JobId, bool);

/// Where a line begins.
#[derive(Clone, Copy, Debug)]
struct Start {
    at: OutputPlace,
    sequence: Sequence,
    row: usize,
    time: Timestamp,
    stream: Option<&'static str>,
}

#[derive(Debug)]
struct OpenLine {
    bytes: Vec<u8>,
    /// Where the bytes from an offset on are. Never empty: the first offset is 0.
    parts: Vec<(usize, Start)>,
    /// How much of it, without escape sequences, was searched with the part before.
    searched: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(wanted: Wanted<'a>, begin: OutputPlace, most: usize) -> Self {
        Self {
            wanted,
            most,
            begin,
            read: begin,
            open: BTreeMap::new(),
            found: vec![],
            stripped: vec![],
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.found.len() >= self.most
    }

    /// Adds the next record, or a part of it if there are enough matches before its end.
    pub(crate) fn add(&mut self, record: &Record) {
        match &record.event {
            Event::ResultEmitted {
                job, mode, result, ..
            } if mode.visibility == Visibility::Session
                && self.wanted.job.is_none_or(|wanted| wanted == *job) =>
            {
                if let Some(part) = output_part(result) {
                    let stream = part.stream.as_deref().map(stream_name);
                    if self.wanted.stream.is_none() || self.wanted.stream == stream {
                        let start = Start {
                            at: self.read,
                            sequence: record.sequence,
                            row: 0,
                            time: record.at,
                            stream,
                        };
                        let output = (*job, stream == Some(STDERR));
                        if !self.add_output(output, start, &part.bytes) {
                            return;
                        }
                    }
                }
            }
            Event::JobFinished { job, .. } => {
                for is_stderr in [false, true] {
                    self.end_line((*job, is_stderr));
                }
            }
            _ => {}
        }
        self.read = OutputPlace::after(record.sequence);
    }

    /// Whether all of it was read: not if there are enough matches before its end.
    fn add_output(&mut self, output: Output, mut start: Start, bytes: &[u8]) -> bool {
        let mut at = self.read.skip.min(bytes.len());
        start.row = count_lines(bytes.get(..at).unwrap_or_default());
        // The end of the line that is open.
        if let Some(open) = self.open.get_mut(&output) {
            let rest = bytes.get(at..).unwrap_or_default();
            let end = memchr(b'\n', rest);
            let part = end.map_or(rest.len(), |end| end + 1);
            start.at.skip = at;
            open.push(start, rest.get(..part).unwrap_or_default());
            at += part;
            match end {
                None => self.search_long(output),
                Some(_) => {
                    start.row += 1;
                    self.end_line(output);
                }
            }
        }
        // Whole lines.
        let rest = bytes.get(at..).unwrap_or_default();
        let whole = memrchr(b'\n', rest);
        if let Some(end) = whole.map(|last| last + 1) {
            let lines = rest.get(..end).unwrap_or_default();
            if let Some(read) = self.search_lines(output.0, start, at, lines) {
                self.read.skip = at + read;
                return false;
            }
            start.row += match end < rest.len() {
                true => count_lines(lines),
                // Nothing comes after them.
                false => 0,
            };
            at += end;
        }
        if self.is_full() && at < bytes.len() {
            self.read.skip = at;
            return false;
        }
        // The beginning of a line.
        let rest = bytes.get(at..).unwrap_or_default();
        if !rest.is_empty() {
            start.at.skip = at;
            let mut open = OpenLine {
                bytes: vec![],
                parts: vec![],
                searched: 0,
            };
            open.push(start, rest);
            self.open.insert(output, open);
            self.search_long(output);
            self.bound_open_lines();
        }
        true
    }

    /// Searches whole lines of one record. If there are enough matches before their end: how far.
    fn search_lines(&mut self, job: JobId, start: Start, at: usize, text: &[u8]) -> Option<usize> {
        let (mut row, mut counted) = (start.row, 0);
        let mut read = None;
        let pattern = self.wanted.pattern;
        let mut add = |found: &mut Vec<LineMatch>, begin: usize, line: &[u8], inside| {
            row += count_lines(text.get(counted..begin).unwrap_or_default());
            counted = begin;
            let start = Start {
                at: OutputPlace {
                    skip: at + begin,
                    ..start.at
                },
                row,
                ..start
            };
            found.push(line_match(job, start, line, inside));
        };
        if !has_escapes(text) {
            pattern.lines(text, |line, inside| {
                let seen = text.get(line.clone()).unwrap_or_default();
                add(&mut self.found, line.start, seen, inside);
                if self.found.len() < self.most {
                    return true;
                }
                read = Some(after_lines(text, line.start, 1));
                false
            });
            return read.filter(|read| *read < text.len());
        }
        // Each of its lines is one of the text, so that a match is looked for in all of them at once.
        self.stripped.clear();
        strip_into(&mut self.stripped, text);
        let stripped = &self.stripped;
        let (mut begin, mut passed) = (0, 0);
        pattern.lines(stripped, |line, inside| {
            let between = stripped.get(passed..line.start).unwrap_or_default();
            begin = after_lines(text, begin, count_lines(between));
            passed = line.start;
            let seen = stripped.get(line).unwrap_or_default();
            add(&mut self.found, begin, seen, inside);
            if self.found.len() < self.most {
                return true;
            }
            read = Some(after_lines(text, begin, 1));
            false
        });
        read.filter(|read| *read < text.len())
    }

    /// Searches the open line of an output as it is, which is over.
    fn end_line(&mut self, output: Output) {
        if let Some(open) = self.open.remove(&output) {
            self.search_open(output.0, &open);
        }
    }

    /// Searches an open line that is too long to be kept, and keeps its end.
    fn search_long(&mut self, output: Output) {
        let Some(mut open) = self.open.remove(&output) else {
            return;
        };
        if open.bytes.len() >= LINE_BYTES {
            self.search_open(output.0, &open);
            // An escape sequence may be cut here; nothing else is lost.
            open.cut(open.bytes.len() - OVERLAP_BYTES);
            self.stripped.clear();
            strip_into(&mut self.stripped, &open.bytes);
            open.searched = self.stripped.len();
        }
        self.open.insert(output, open);
    }

    fn search_open(&mut self, job: JobId, open: &OpenLine) {
        self.stripped.clear();
        strip_into(&mut self.stripped, &open.bytes);
        let seen = self.stripped.get(..without_end(&self.stripped));
        let seen = seen.unwrap_or_default();
        let found = self.wanted.pattern.find(seen);
        // What was found with the part before is not found again.
        if let Some(inside) = found.filter(|inside| inside.end > open.searched)
            && let Some(start) = open.start()
        {
            self.found.push(line_match(job, start, seen, inside));
        }
    }

    fn bound_open_lines(&mut self) {
        while self.open.len() > OPEN_LINES {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.at());
            let Some(output) = oldest.map(|(output, _)| *output) else {
                return;
            };
            self.end_line(output);
        }
    }

    /// Where to go on. If there is more to read, that is the first line that is still open, and what
    /// was found behind it is left to the next search. Otherwise, and where the search would not go on
    /// at all, open lines are searched as they are.
    pub(crate) fn finish(&mut self, is_over: bool) -> OutputPlace {
        let open = self.open.values().filter_map(OpenLine::at).min();
        if let Some(open) = open.filter(|open| !is_over && *open > self.begin) {
            self.found.retain(|found| found.at < open);
            return open;
        }
        for (job, open) in std::mem::take(&mut self.open) {
            self.search_open(job.0, &open);
        }
        self.read
    }
}

impl OpenLine {
    fn start(&self) -> Option<Start> {
        self.parts.first().map(|(_, start)| *start)
    }

    fn at(&self) -> Option<OutputPlace> {
        self.start().map(|start| start.at)
    }

    fn push(&mut self, start: Start, bytes: &[u8]) {
        self.parts.push((self.bytes.len(), start));
        self.bytes.extend_from_slice(bytes);
    }

    /// Removes the first bytes.
    fn cut(&mut self, cut: usize) {
        self.bytes.drain(..cut);
        let passed = self.parts.iter().filter(|(offset, _)| *offset <= cut);
        let passed = passed.count();
        self.parts.drain(..passed.saturating_sub(1));
        for (offset, start) in &mut self.parts {
            start.at.skip += cut.saturating_sub(*offset);
            *offset = offset.saturating_sub(cut);
        }
    }
}

fn count_lines(text: &[u8]) -> usize {
    memchr_iter(b'\n', text).count()
}

/// The offset behind so many lines of `text`, counted from the beginning of one.
fn after_lines(text: &[u8], begin: usize, lines: usize) -> usize {
    let rest = text.get(begin..).unwrap_or_default();
    match lines.checked_sub(1) {
        None => begin,
        Some(before) => {
            let end = memchr_iter(b'\n', rest).nth(before);
            end.map_or(text.len(), |end| begin + end + 1)
        }
    }
}

const STDERR: &str = "stderr";

fn stream_name(stream: &str) -> &'static str {
    match stream {
        STDERR => STDERR,
        "terminal" => "terminal",
        _ => "stdout",
    }
}

fn line_match(job: JobId, start: Start, line: &[u8], inside: Range<usize>) -> LineMatch {
    let is_long = line.len() > SHOWN_BYTES;
    let from = match is_long {
        true => inside.start.saturating_sub(SHOWN_BEFORE),
        false => 0,
    };
    let to = line.len().min(from + SHOWN_BYTES);
    let end = inside.end.min(to);
    let text = |range: Range<usize>| String::from_utf8_lossy(line.get(range).unwrap_or_default());
    let mut shown = text(from..inside.start).into_owned();
    // A character that is cut is not shown.
    if from > 0 {
        shown = shown.trim_start_matches('\u{FFFD}').to_owned();
    }
    let begin = shown.len();
    shown += &text(inside.start..end);
    let range = begin..shown.len();
    shown += &text(end..to);
    if to < line.len() {
        shown.truncate(shown.trim_end_matches('\u{FFFD}').len().max(range.end));
    }
    let Start {
        at,
        sequence,
        row,
        time,
        stream,
    } = start;
    LineMatch {
        job,
        stream,
        at,
        sequence,
        row,
        time,
        line: shown,
        range,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PatternOptions;
    use proptest::prelude::*;
    use rejoin_engine::{JobMode, JobSlot, Outcome, SessionId};
    use serde_json::json;

    const MODE: JobMode = JobMode {
        slot: JobSlot::Foreground,
        visibility: Visibility::Session,
    };

    fn record(sequence: u64, event: Event) -> Record {
        Record {
            session: SessionId::from_bytes([1; 16]),
            sequence: Sequence(sequence),
            at: Timestamp::from_millis(sequence),
            clock: Timestamp::from_millis(sequence).into(),
            actor: None,
            redacted: None,
            event,
        }
    }

    fn result(sequence: u64, job: u64, stream: &str, content: &str) -> Record {
        let result = json!({"content": content, "jobId": job, "stream": stream, "type": "shell"})
            .to_string();
        record(
            sequence,
            Event::ResultEmitted {
                job: JobId(job),
                mode: MODE,
                result: result.into(),
                position: None,
            },
        )
    }

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text, PatternOptions::default()).unwrap()
    }

    /// Searches until the end, with these limits of lines and records for each search.
    fn search(records: &[Record], pattern: &Pattern, most: usize, each: usize) -> Vec<LineMatch> {
        let wanted = Wanted {
            pattern,
            job: None,
            stream: None,
        };
        let mut found = vec![];
        let mut place = OutputPlace::START;
        for _ in 0..1_000 {
            let mut lines = Lines::new(wanted.clone(), place, most);
            let rest = records
                .iter()
                .filter(|record| record.sequence > place.after);
            let mut rest = rest.take(each).peekable();
            let is_over = rest.peek().is_none();
            for record in rest {
                if lines.is_full() {
                    break;
                }
                lines.add(record);
            }
            place = lines.finish(is_over);
            found.extend(lines.found);
            if is_over {
                return found;
            }
        }
        panic!("it never ends");
    }

    #[test]
    fn a_line_is_found_once_wherever_a_search_ends() {
        let records = [
            result(1, 1, "stdout", "an er"),
            result(2, 1, "stderr", "error on stderr\n"),
            result(3, 2, "stdout", "error 2\nerror 3\nfine\nerr"),
            result(4, 1, "stdout", "ror\nerror 1\n"),
            result(5, 2, "stdout", "or 4"),
        ];
        let mut wanted = vec![
            (1, "an error"),
            (1, "error on stderr"),
            (1, "error 1"),
            (2, "error 2"),
            (2, "error 3"),
            (2, "error 4"),
        ];
        wanted.sort_unstable();
        for (most, each) in [(1, 1), (1, 100), (2, 2), (100, 1), (100, 100)] {
            let found = search(&records, &pattern("error"), most, each);
            let mut found: Vec<_> = found
                .iter()
                .map(|it| (it.job.0, it.line.as_str()))
                .collect();
            found.sort_unstable();
            if (most, each) == (100, 100) {
                assert_eq!(found, wanted);
                continue;
            }
            // Lines of one record are found wherever searches end, and none is found twice.
            let whole = wanted
                .iter()
                .filter(|(_, it)| !["an error", "error 4"].contains(it));
            assert!(whole.into_iter().all(|it| found.contains(it)), "{found:?}");
            assert!(found.windows(2).all(|two| two[0] != two[1]), "{found:?}");
            assert!(found.iter().all(|it| wanted.contains(it)), "{found:?}");
        }
    }

    #[test]
    fn escape_sequences_and_the_ends_of_records_do_not_hide_a_match() {
        let records = [
            result(1, 1, "stdout", "first\r\n\x1b[1mer\x1b[3"),
            result(2, 1, "stdout", "1mro\x1b[0mr\x1b[K\r\nlast"),
        ];
        let found = search(&records, &pattern("error"), 9, 9);
        let [found] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!((&*found.line, found.range.clone()), ("error", 0..5));
        assert_eq!((found.sequence, found.row), (Sequence(1), 1));
        assert_eq!(found.at.to_string(), "0+7");
        assert_eq!(found.stream, Some("stdout"));
    }

    #[test]
    fn a_line_of_a_job_that_has_ended_is_not_continued() {
        let finished = Event::JobFinished {
            job: JobId(1),
            mode: MODE,
            outcome: Outcome::Completed,
            status: 0,
            message: None,
        };
        let records = [
            result(1, 1, "stdout", "an er"),
            record(2, finished),
            result(3, 2, "stdout", "ror"),
        ];
        assert_eq!(search(&records, &pattern("error"), 9, 9), []);
        assert_eq!(search(&records, &pattern("an er"), 9, 9).len(), 1);
    }

    #[test]
    fn results_of_private_jobs_are_not_found() {
        let mut record = result(1, 1, "stdout", "error\n");
        if let Event::ResultEmitted { mode, .. } = &mut record.event {
            mode.visibility = Visibility::Submitter;
        }
        assert_eq!(search(&[record], &pattern("error"), 9, 9), []);
    }

    #[test]
    fn a_match_in_a_line_without_an_end_is_found_once_wherever_it_is() {
        for before in [0, 1, LINE_BYTES - 3, LINE_BYTES, 5 * LINE_BYTES / 2] {
            let long = format!(
                "{}needle{}",
                "é".repeat(before / 2),
                "y".repeat(2 * LINE_BYTES)
            );
            let records: Vec<_> = long
                .chars()
                .collect::<Vec<_>>()
                .chunks(1_000)
                .zip(1..)
                .map(|(part, sequence)| {
                    result(sequence, 1, "stdout", &part.iter().collect::<String>())
                })
                .collect();
            let found = search(&records, &pattern("needle"), 9, 9_999);
            assert_eq!(found.len(), 1, "{before}");
            assert_eq!(&found[0].line[found[0].range.clone()], "needle");
            assert!(found[0].line.len() <= SHOWN_BYTES + 8);
        }
    }

    proptest! {
        /// Whatever the output, the records and the ends of searches: the lines of one job are found as
        /// in the whole text.
        #[test]
        fn output_is_searched_as_the_lines_that_it_is(
            parts in prop::collection::vec("[abc\n]{0,12}|\x1b\\[1m|ab\r\n", 1..20),
            most in 1_usize..6,
        ) {
            let text = parts.concat();
            let mut seen = vec![];
            strip_into(&mut seen, text.as_bytes());
            let seen = String::from_utf8(seen).unwrap();
            let wanted: Vec<_> = seen
                .split('\n')
                .map(|line| line.trim_end_matches('\r'))
                .filter(|line| line.contains("ab"))
                .collect();
            let records: Vec<_> = parts
                .iter()
                .zip(1..)
                .map(|(part, sequence)| result(sequence, 1, "stdout", part))
                .collect();
            let all = search(&records, &pattern("ab"), usize::MAX, usize::MAX);
            for found in &all {
                let rest = &parts[usize::try_from(found.sequence.0).unwrap() - 1..];
                let (before, first) = rest[0].split_at(found.at.skip);
                prop_assert_eq!(found.row, before.matches('\n').count());
                let mut line = vec![];
                strip_into(&mut line, (first.to_owned() + &rest[1..].concat()).as_bytes());
                let line = line.split(|byte| *byte == b'\n').next().unwrap();
                prop_assert_eq!(found.line.as_bytes(), line.strip_suffix(b"\r").unwrap_or(line));
            }
            let all: Vec<_> = all.iter().map(|it| it.line.as_str()).collect();
            prop_assert_eq!(&all, &wanted);
            let found = search(&records, &pattern("ab"), most, usize::MAX);
            let found: Vec<_> = found.iter().map(|it| it.line.as_str()).collect();
            prop_assert_eq!(&found, &wanted);
        }
    }
}
