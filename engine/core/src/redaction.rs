//! Redaction: the bytes of a result or an input are replaced, while its record stays.
//!
//! What replaces them is as long as they were, and of the same kind. So the fold of a redacted log is
//! that of the log before, and no reader needs to know.

use crate::{Actor, Event, Record, Sequence, Timestamp};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Who redacted a record, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redaction {
    /// When it was asked for.
    pub at: Timestamp,
    /// Who asked for it, if that is known.
    pub by: Option<Arc<Actor>>,
}

impl Record {
    /// Whether its bytes can be redacted: it is a result, an input, or a screen that was computed from
    /// results.
    pub fn is_redactable(&self) -> bool {
        matches!(
            self.event,
            Event::ResultEmitted { .. } | Event::InputWritten { .. } | Event::ScreenCaptured { .. }
        )
    }

    /// Whether `redaction`, a record of [`Event::RecordsRedacted`], is for this record: it names it, or
    /// this is a screen that may show what it names.
    pub fn is_redacted_by(&self, redaction: &Self) -> bool {
        let Event::RecordsRedacted { records } = &redaction.event else {
            return false;
        };
        let is_before = self.session == redaction.session && self.sequence < redaction.sequence;
        is_before
            && match self.event {
                // Sorted: the first one is the earliest.
                Event::ScreenCaptured { .. } => {
                    records.first().is_some_and(|it| *it < self.sequence)
                }
                _ => self.is_redactable() && records.binary_search(&self.sequence).is_ok(),
            }
    }

    /// This record as `redaction` leaves it; see [`Self::is_redacted_by`]. None: as it is.
    #[must_use]
    pub fn redacted_by(&self, redaction: &Self) -> Option<Self> {
        if self.redacted.is_some() || !self.is_redacted_by(redaction) {
            return None;
        }
        let mut redacted = self.clone();
        match &mut redacted.event {
            Event::ResultEmitted { result, .. } => *result = masked_json(result).into(),
            Event::InputWritten { bytes, .. } => *bytes = masked(bytes).into(),
            Event::ScreenCaptured { content, .. } => {
                *content = " ".repeat(content.len()).into();
            }
            _ => return None,
        }
        redacted.redacted = Some(Arc::new(Redaction {
            at: redaction.at,
            by: redaction.actor.clone(),
        }));
        Some(redacted)
    }
}

/// What stands for the bytes of a text, where there is room.
const NOTICE: &[u8] = b"[redacted]";

/// What stands for each other byte.
const MASK: u8 = b'*';

/// `***` in Base64.
const MASK_BASE64: &[u8] = b"Kioq";

fn masked(bytes: &[u8]) -> Vec<u8> {
    let mut masked = Vec::with_capacity(bytes.len());
    if bytes.len() >= NOTICE.len() {
        masked.extend_from_slice(NOTICE);
    }
    masked.resize(bytes.len(), MASK);
    masked
}

/// The members of a result that say what it is, and nothing of what was in it.
const KEPT: [&[u8]; 3] = [b"jobId", b"stream", b"type"];

/// Replaces the values in a JSON object by ones of the same type and length, but for those that say
/// what the object is. Text that is not JSON is masked as a whole.
fn masked_json(json: &str) -> String {
    let mut scanner = Scanner {
        rest: json.as_bytes(),
        out: Vec::with_capacity(json.len()),
    };
    let is_json = scanner.object().is_some() && scanner.rest.is_empty();
    let out = match is_json {
        true => scanner.out,
        false => masked(json.as_bytes()),
    };
    // All that is written is ASCII, but for the keys, which are copied as a whole.
    String::from_utf8(out).unwrap_or_else(|_| "*".repeat(json.len()))
}

/// Copies JSON, and masks values. `None`: it is not JSON.
struct Scanner<'a> {
    rest: &'a [u8],
    out: Vec<u8>,
}

impl<'a> Scanner<'a> {
    fn object(&mut self) -> Option<()> {
        self.space();
        self.copy(b'{')?;
        self.space();
        if self.rest.first() == Some(&b'}') {
            self.copy(b'}')?;
            self.space();
            return Some(());
        }
        loop {
            self.space();
            let key = self.string()?;
            self.out.push(b'"');
            self.out.extend_from_slice(key);
            self.out.push(b'"');
            self.space();
            self.copy(b':')?;
            self.space();
            self.member(key)?;
            self.space();
            match self.rest.first()? {
                b',' => self.copy(b',')?,
                _ => {
                    self.copy(b'}')?;
                    self.space();
                    return Some(());
                }
            }
        }
    }

    fn member(&mut self, key: &[u8]) -> Option<()> {
        let value = self.value()?;
        if KEPT.contains(&key) {
            self.out.extend_from_slice(value);
            return Some(());
        }
        match value.split_first()? {
            (b'"', text) => {
                let text = text.strip_suffix(b"\"")?;
                self.out.push(b'"');
                match key.ends_with(b"Base64") {
                    true => self.base64(text),
                    false => self.out.extend(masked(text)),
                }
                self.out.push(b'"');
            }
            // As empty as an object or a list can be.
            (open @ (b'{' | b'['), inner) => {
                self.out.push(*open);
                self.fill(b' ', inner.len().checked_sub(1)?);
                self.out.push(if *open == b'{' { b'}' } else { b']' });
            }
            (b't' | b'f' | b'n', _) => self.out.extend_from_slice(value),
            (_, digits) => {
                self.out.push(b'0');
                self.fill(b' ', digits.len());
            }
        }
        Some(())
    }

    fn base64(&mut self, text: &[u8]) {
        let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
        let digits = text.len() - padding.min(text.len());
        let mask = MASK_BASE64.iter().copied().cycle().take(digits);
        self.out.extend(mask);
        // The bits of the last digit that mean nothing have to be zero.
        if let (1.., Some(last)) = (padding, self.out.last_mut()) {
            *last = b'A';
        }
        self.fill(b'=', padding);
    }

    fn fill(&mut self, byte: u8, count: usize) {
        let length = self.out.len() + count;
        self.out.resize(length, byte);
    }

    /// Takes a value, whatever it is.
    fn value(&mut self) -> Option<&'a [u8]> {
        let all = self.rest;
        let mut open = 0_usize;
        loop {
            match self.rest.first()? {
                b'"' => _ = self.string()?,
                b'{' | b'[' => {
                    open += 1;
                    self.skip(1)?;
                }
                b'}' | b']' => {
                    open = open.checked_sub(1)?;
                    self.skip(1)?;
                }
                b',' | b':' | b' ' | b'\n' | b'\r' | b'\t' if open > 0 => self.skip(1)?,
                b',' | b':' | b' ' | b'\n' | b'\r' | b'\t' => return None,
                _ => {
                    let is_end = |byte: &u8| b",:]}\" \n\r\t".contains(byte);
                    let length = self.rest.iter().position(is_end)?;
                    self.skip(length)?;
                }
            }
            if open == 0 {
                return all.get(..all.len() - self.rest.len());
            }
        }
    }

    /// Takes a string, and returns what is between the quotation marks.
    fn string(&mut self) -> Option<&'a [u8]> {
        let text = self.rest.strip_prefix(b"\"")?;
        let mut length = 0;
        loop {
            match text.get(length)? {
                b'"' => break,
                b'\\' => length += 2,
                _ => length += 1,
            }
        }
        self.rest = text.get(length + 1..)?;
        text.get(..length)
    }

    fn copy(&mut self, byte: u8) -> Option<()> {
        self.rest = self.rest.strip_prefix(&[byte])?;
        self.out.push(byte);
        Some(())
    }

    /// Copies white space.
    fn space(&mut self) {
        while let Some((byte @ (b' ' | b'\n' | b'\r' | b'\t'), rest)) = self.rest.split_first() {
            self.out.push(*byte);
            self.rest = rest;
        }
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.rest = self.rest.get(bytes..)?;
        Some(())
    }
}

/// The sequences in ascending order, each once.
pub(crate) fn sorted(mut records: Vec<Sequence>) -> Arc<[Sequence]> {
    records.sort_unstable();
    records.dedup();
    records.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn a_result_is_masked_with_its_shape_and_its_length() {
        for (before, after) in [
            (
                r#"{"content":"the password is sesame\n","jobId":7,"stream":"stdout","type":"shell"}"#,
                r#"{"content":"[redacted]**************","jobId":7,"stream":"stdout","type":"shell"}"#,
            ),
            (
                r#"{"content":"ab\"c\\","jobId":7,"type":"shell"}"#,
                r#"{"content":"*******","jobId":7,"type":"shell"}"#,
            ),
            (
                r#"{"contentBase64":"c2VzYW1l/w==","jobId":7,"type":"shell"}"#,
                r#"{"contentBase64":"KioqKioqKA==","jobId":7,"type":"shell"}"#,
            ),
            (
                r#"{"a":[1,"x]",{"k":2}],"b":{"k":"}"},"c":-1.5e3,"d":true,"e":null, "type" : "t" }"#,
                r#"{"a":[              ],"b":{       },"c":0     ,"d":true,"e":null, "type" : "t" }"#,
            ),
            ("{}", "{}"),
            ("no JSON at all", "[redacted]****"),
            (r#"{"type":"shell""#, "[redacted]*****"),
            ("ü", "**"),
        ] {
            assert_eq!(masked_json(before), after);
            assert_eq!(before.len(), after.len());
        }
    }

    #[test]
    fn sequences_are_sorted_and_each_is_there_once() {
        let records = vec![Sequence(9), Sequence(2), Sequence(9)];
        assert_eq!(*sorted(records), [Sequence(2), Sequence(9)]);
    }
}
