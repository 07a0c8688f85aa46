//! `search`: finds lines in the output of a session. Reads the records from a place on, a bounded part
//! in each call.

use super::arguments::{Name, parse, position};
use super::{Failed, ToolResult, session};
use crate::dispatch::Context;
use crate::limits::{
    LINE_BYTES, MATCHES, MAX_MATCHES, NEEDLE_BYTES, READ_BYTES, READ_RECORDS, SEARCH_BYTES,
};
use crate::output::{Position, output};
use crate::report;
use rejoin_engine::{Event, JobId, ReadLimit, Record, Visibility};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    session: Name,
    text: String,
    job: Option<u64>,
    after: Option<Name>,
    limit: Option<u64>,
    #[serde(default)]
    ignore_case: bool,
}

pub(super) async fn search(context: &Context<'_>, arguments: Value) -> ToolResult {
    let search: Search = parse(arguments)?;
    if search.text.is_empty() || search.text.len() > NEEDLE_BYTES || search.text.contains('\n') {
        let reason = format!("`text` must be a part of one line, of 1 to {NEEDLE_BYTES} bytes");
        return Err(Failed(reason));
    }
    let session = session(context, &search.session)?;
    let after = search.after.as_ref().map(position).transpose()?;
    let after = after.unwrap_or(Position::START);
    let most = search.limit.map_or(MATCHES, |limit| {
        usize::try_from(limit).map_or(MAX_MATCHES, |limit| limit.clamp(1, MAX_MATCHES))
    });
    let mut lines = Lines::new(&search.text, search.ignore_case, after, most);
    let mut bytes = 0;
    let mut is_over = false;
    while bytes < SEARCH_BYTES && !lines.is_full() && !is_over {
        let limit = ReadLimit {
            records: READ_RECORDS,
            bytes: READ_BYTES,
        };
        let read = context
            .engine()
            .read(session, lines.read.after, limit, Duration::ZERO);
        let records = read.await?;
        is_over = records.is_empty();
        for record in &records {
            if lines.is_full() {
                break;
            }
            bytes += usize::try_from(record.bytes()).unwrap_or(usize::MAX);
            lines.add(record, search.job.map(JobId));
        }
    }
    let next = lines.finish(is_over);
    Ok(structured(session, &lines.found, next, is_over))
}

fn structured(
    session: rejoin_engine::SessionId,
    found: &[Found],
    next: Position,
    is_over: bool,
) -> Value {
    let mut text = String::new();
    for found in found {
        text += &format!("job {} at {}: {}\n", found.job, found.at, found.line);
    }
    text += &match (found.is_empty(), is_over) {
        (true, true) => "[found nothing]\n".to_owned(),
        (false, true) => "[that is all]\n".to_owned(),
        (_, false) => format!("[there is more to search: `search` with after \"{next}\"]\n"),
    };
    let matches: Vec<_> = found
        .iter()
        .map(|found| json!({"job": found.job.0, "at": found.at.to_string(), "line": found.line}))
        .collect();
    let structured = json!({
        "session": session.to_string(),
        "matches": matches,
        "after": next.to_string(),
        "more": !is_over,
    });
    report::result(text, structured, false)
}

/// A line with the text.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    job: JobId,
    /// Where the line begins: `read` with this place begins with it.
    at: Position,
    line: String,
}

/// Puts lines together that are spread over records, and keeps those with the text.
#[derive(Debug)]
struct Lines {
    text: String,
    ignore_case: bool,
    most: usize,
    begin: Position,
    /// Up to where it was read.
    read: Position,
    /// The beginnings of lines, by job and stream, each with its place.
    open: BTreeMap<(JobId, bool), (Position, Vec<u8>)>,
    found: Vec<Found>,
}

impl Lines {
    fn new(text: &str, ignore_case: bool, begin: Position, most: usize) -> Self {
        let text = match ignore_case {
            true => text.to_lowercase(),
            false => text.to_owned(),
        };
        Self {
            text,
            ignore_case,
            most,
            begin,
            read: begin,
            open: BTreeMap::new(),
            found: vec![],
        }
    }

    fn is_full(&self) -> bool {
        self.found.len() >= self.most
    }

    fn add(&mut self, record: &Record, wanted: Option<JobId>) {
        match &record.event {
            Event::ResultEmitted {
                job, mode, result, ..
            } if mode.visibility == Visibility::Session
                && wanted.is_none_or(|wanted| wanted == *job) =>
            {
                // Two streams are two texts.
                let is_stderr = result.contains(r#","stream":"stderr","#);
                if let Some(bytes) = output(result, None)
                    && !self.add_output((*job, is_stderr), &bytes)
                {
                    return;
                }
            }
            Event::JobFinished { job, .. } => {
                for is_stderr in [false, true] {
                    if let Some((at, line)) = self.open.remove(&(*job, is_stderr)) {
                        self.check(*job, at, &line);
                    }
                }
            }
            _ => {}
        }
        self.read = Position::after(record.sequence);
    }

    /// Whether all of it was read: not if there are enough matches before its end.
    fn add_output(&mut self, key: (JobId, bool), bytes: &[u8]) -> bool {
        let mut skip = self.read.skip.min(bytes.len());
        let mut begin = Position { skip, ..self.read };
        let mut line = vec![];
        if let Some((at, before)) = self.open.remove(&key) {
            (begin, line) = (at, before);
        }
        while skip < bytes.len() {
            let rest = bytes.get(skip..).unwrap_or_default();
            let end = rest.iter().position(|byte| *byte == b'\n');
            let room = LINE_BYTES.saturating_sub(line.len()).max(1);
            let part = end.map_or(rest.len(), |end| end + 1).min(room);
            line.extend_from_slice(rest.get(..part).unwrap_or_default());
            skip += part;
            let is_whole = line.ends_with(b"\n");
            if !is_whole && line.len() < LINE_BYTES {
                continue;
            }
            self.check(key.0, begin, &line);
            // Of a line that is too long, a part in which the text may begin.
            let kept = if is_whole { 0 } else { self.text.len() - 1 };
            line.drain(..line.len() - kept);
            begin = Position {
                skip: skip.saturating_sub(kept),
                ..self.read
            };
            if self.is_full() {
                self.read.skip = skip.saturating_sub(kept);
                return false;
            }
        }
        if !line.is_empty() {
            self.open.insert(key, (begin, line));
        }
        true
    }

    /// Where to go on. If the call has read enough, that is the first line that is still open, and what
    /// was found behind it is left to the next call. Otherwise open lines are searched as they are: a
    /// text that another stream interrupts is not seen where a call ends because it is full.
    fn finish(&mut self, is_over: bool) -> Position {
        let open = self.open.values().map(|(at, _)| *at).min();
        let open = open.filter(|open| !is_over && !self.is_full() && *open > self.begin);
        if let Some(open) = open {
            self.found.retain(|found| found.at < open);
            return open;
        }
        for ((job, _), (at, line)) in std::mem::take(&mut self.open) {
            self.check(job, at, &line);
        }
        self.read
    }

    fn check(&mut self, job: JobId, at: Position, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches(['\n', '\r']);
        let has = match self.ignore_case {
            true => line.to_lowercase().contains(&self.text),
            false => line.contains(&self.text),
        };
        if has {
            self.found.push(Found {
                job,
                at,
                line: line.to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_engine::{JobMode, JobSlot, Sequence, SessionId, Timestamp};

    fn result(sequence: u64, job: u64, stream: &str, content: &str) -> Record {
        let content = Value::from(content);
        let result =
            format!(r#"{{"content":{content},"jobId":{job},"stream":"{stream}","type":"shell"}}"#);
        Record {
            session: SessionId::from_bytes([1; 16]),
            sequence: Sequence(sequence),
            at: Timestamp::EPOCH,
            clock: Timestamp::EPOCH.into(),
            actor: None,
            event: Event::ResultEmitted {
                job: JobId(job),
                mode: JobMode {
                    slot: JobSlot::Foreground,
                    visibility: Visibility::Session,
                },
                result: result.into(),
                position: None,
            },
        }
    }

    /// Searches in calls that find so many lines and read so many records each.
    fn search(records: &[Record], text: &str, most: usize, each: usize) -> Vec<(u64, String)> {
        let mut found = vec![];
        let mut place = Position::START;
        for _ in 0..1_000 {
            let mut lines = Lines::new(text, false, place, most);
            let rest = records
                .iter()
                .filter(|record| record.sequence > place.after);
            let mut rest = rest.take(each).peekable();
            let is_over = rest.peek().is_none();
            for record in rest {
                if lines.is_full() {
                    break;
                }
                lines.add(record, None);
            }
            place = lines.finish(is_over);
            found.extend(lines.found.into_iter().map(|it| (it.job.0, it.line)));
            if is_over {
                return found;
            }
        }
        panic!("it never ends");
    }

    #[test]
    fn a_line_is_found_once_wherever_calls_end() {
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
            let found = search(&records, "error", most, each);
            let mut found: Vec<_> = found.iter().map(|(job, it)| (*job, it.as_str())).collect();
            found.sort_unstable();
            if (most, each) == (100, 100) {
                assert_eq!(found, wanted);
                continue;
            }
            // Lines of one record are found wherever calls end, and none is found twice.
            let whole = wanted
                .iter()
                .filter(|(_, it)| !["an error", "error 4"].contains(it));
            assert!(whole.into_iter().all(|it| found.contains(it)), "{found:?}");
            assert!(found.windows(2).all(|two| two[0] != two[1]), "{found:?}");
            assert!(found.iter().all(|it| wanted.contains(it)), "{found:?}");
        }
    }

    #[test]
    fn a_text_is_found_in_a_line_that_is_longer_than_is_kept() {
        let long = format!(
            "{}needle{}\n",
            "x".repeat(LINE_BYTES - 3),
            "y".repeat(LINE_BYTES)
        );
        let found = search(&[result(1, 1, "stdout", &long)], "needle", 9, 9);
        assert_eq!(found.len(), 1);
        assert!(found[0].1.starts_with("needle") || found[0].1.contains("needle"));
    }
}
